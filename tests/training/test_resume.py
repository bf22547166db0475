"""A training that was killed goes on from its last epoch and ends in the same weights."""

import numpy as np
import pytest
import torch
from training.test_loop import CLASSES, CPU, EVENTS, planted, settings

from fedn_pipeline import compute
from fedn_pipeline.files import checksum_path
from fedn_pipeline.training import loop, resume

STEPS = 40


class Killed(Exception):
    pass


class Killing(resume.Saved):
    """Dies after the given number of savings."""

    def __init__(self, *arguments, savings):
        super().__init__(*arguments)
        self.savings = savings

    def save(self, *arguments):
        super().save(*arguments)
        self.savings -= 1
        if not self.savings:
            raise Killed


def train(saved, seed=0):
    device = compute.prepare(seed, 1)
    network, log = loop.train(
        planted(), [EVENTS] * 3, planted(1), [EVENTS], CLASSES, settings(STEPS, log_every=7), seed, device, "", saved
    )
    return network.state_dict(), log


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one | other)


@pytest.fixture(scope="module")
def undisturbed():
    return train(None)


@pytest.mark.parametrize("savings", [[1], [3], [1, 1, 2]], ids=str)
def test_the_weights_and_the_learning_curve_are_those_of_an_undisturbed_run(tmp_path, undisturbed, savings, capsys):
    path = tmp_path / resume.NAME
    for number in savings:
        with pytest.raises(Killed):
            train(Killing(path, "key", 0, savings=number))
        np.random.default_rng().normal(size=3)
        torch.rand(5)  # what happens in between has no say
    capsys.readouterr()
    saved = resume.Saved(path, "key", 0)
    weights, log = train(saved)
    assert "training goes on after step" in capsys.readouterr().err
    assert same(weights, undisturbed[0]) and log == undisturbed[1]
    assert [list(row) for row in log] == [list(row) for row in undisturbed[1]]  # the columns of the log
    saved.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["key", "flipped", "half", "words", "missing checksum and half"])
def test_what_does_not_fit_or_is_damaged_is_not_used(tmp_path, undisturbed, what, capsys):
    path = tmp_path / resume.NAME
    with pytest.raises(Killed):
        train(Killing(path, "key", 0, savings=1))
    data = bytearray(path.read_bytes())
    if what == "flipped":
        data[len(data) // 2] ^= 1
    elif what != "key":
        data = data[: len(data) // 2] if "half" in what else b"words"
    path.write_bytes(data)
    if "missing" in what:
        checksum_path(path).unlink()
    capsys.readouterr()
    weights, _ = train(resume.Saved(path, "other" if what == "key" else "key", 0))
    assert f"{path}: " in (told := capsys.readouterr().err) and "training starts anew" in told
    assert same(weights, undisturbed[0])


def test_nothing_is_saved_before_it_is_time(tmp_path, undisturbed):
    weights, _ = train(resume.Saved(tmp_path / resume.NAME, "key", 3600))
    assert same(weights, undisturbed[0]) and list(tmp_path.iterdir()) == []


def test_the_key_tells_everything_apart_that_decides_a_training(tmp_path):
    import pandas as pd

    features = tmp_path / "features.h5"
    features.write_bytes(b"a")
    table, other = pd.DataFrame({"onset": [1]}), pd.DataFrame({"onset": [2]})
    keys = [
        resume.key((table,), features, CPU, seed=0),
        resume.key((other,), features, CPU, seed=0),
        resume.key((table,), features, CPU, seed=1),
        resume.key((table,), features, torch.device("meta"), seed=0),
    ]
    features.write_bytes(b"bb")
    keys.append(resume.key((table,), features, CPU, seed=0))
    assert len(set(keys)) == 5
    assert resume.key((table,), features, CPU, seed=0) == keys[-1]
