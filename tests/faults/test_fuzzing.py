"""The fuzzer itself: a reader that hangs, dies, lies or forgets the file's name is found, and the next one is run."""

import os

import pytest
from fuzzing import Child, check_mutated
from hypothesis import strategies as st

READERS = """
import ctypes, time
from fuzzing import Wrong, agree
from fedn_pipeline.files import InputError

def hang(): time.sleep(60)
def die(): ctypes.string_at(0)
def greedy(): return bytearray(10**11)
def lie(): agree(1, 2, "answers")
def raise_it(): {}["key"]
def nameless(): raise InputError("something is wrong")
def refuse(): raise InputError("file.csv: row 1: wrong")
def accept(): print("not an answer"); return 3
"""
OUTCOMES = {"hang": "hang", "die": "died", "greedy": "crash", "lie": "wrong", "raise_it": "crash", "nameless": "wrong"}
OUTCOMES |= {"refuse": "refused", "accept": "accepted"}


@pytest.fixture
def child(tmp_path, monkeypatch):
    (tmp_path / "some_readers.py").write_text(READERS)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    with Child("some_readers", seconds=10) as child:
        yield child


def test_every_outcome(child):
    assert child.answer("accept", {"names": []}) == ("accepted", "3")
    found = {name: child.answer(name, {"names": ["file.csv"]})[0] for name in OUTCOMES}
    assert found == OUTCOMES


def test_a_campaign_counts_and_fails_with_each_kind_of_fault(child, tmp_path):
    lines = {}

    def run(function, strategy):
        make = lambda example, folder: {"names": ["file.csv"]}  # noqa: E731
        return check_mutated("x", child, function, 7, strategy, make, tmp_path, lines.__setitem__)

    assert run("accept", st.integers())["accepted"] == 7
    assert lines == {"mutated inputs, x": "7: 0 refused, 7 accepted, 0 faults"}
    with pytest.raises(AssertionError, match="7 x crash, first by 0"):
        run("raise_it", st.integers())
    assert lines == {"mutated inputs, x": "7: 0 refused, 0 accepted, 7 faults"}
    with pytest.raises(AssertionError, match="too few examples"):
        run("accept", st.booleans())
