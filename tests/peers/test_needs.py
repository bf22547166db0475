"""Which flow a fold of a peer reads: from the labels of its training subjects alone."""

import subprocess
import sys

import pandas as pd
import pytest

from fedn_pipeline import config
from fedn_pipeline.peers import fold, needs


def settings(method, offered=(2, 4, 8, 16, 24), **own):
    return config.validate({"folds": {"method": method}, "flow": {"gaps": list(offered)}, method: own})


def tables(lengths, kind="macro"):
    """Subject pN has one expression of `lengths[N]` steps; `kind`: its type."""
    ids = [f"v{n}" for n in range(len(lengths))]
    videos = pd.DataFrame({"video_id": ids, "subject": [f"p{n}" for n in range(len(lengths))], "fps": 30.0})
    offsets = [9 + length for length in lengths]
    return videos, pd.DataFrame({"video_id": ids, "onset": 10, "offset": offsets, "expression_type": kind})


def gaps(method, truth, others=None, held_out="p1", **own):
    videos, events = truth
    return needs.gaps(videos, events, events[:0] if others is None else others, held_out, settings(method, **own))


def test_every_method_says_what_it_reads():
    assert set(needs.METHODS) == set(fold.METHODS)
    enum = config.validate({"folds": {"method": "mtsn"}})["folds"]["method"]
    assert enum == "mtsn" and set(needs.INPUT.values()) <= {needs.SEGMENTS, needs.FLOW, needs.REGIONS}


def test_features_have_no_gap(monkeypatch):
    monkeypatch.setitem(needs.INPUT, "mdmd", needs.SEGMENTS)
    assert gaps("mdmd", tables([16] * 5)) == []


def test_fixed_gaps_are_taken_as_they_are():
    videos, events = tables([16] * 5)
    fixed = settings("mtsn")
    fixed["mtsn"] = {"gaps": [5, 1]}
    assert needs.gaps(videos, events, events[:0], "p1", fixed) == [1, 5]


@pytest.mark.parametrize(("length", "gap"), [(8, 4), (16, 8), (24, 8), (26, 16), (200, 24)])
def test_one_gap_is_half_the_ground_truth_and_of_two_the_smaller(length, gap):
    others = tables([6] * 5, "micro")[1]
    assert gaps("mdmd", tables([length] * 5), others) == [gap]


@pytest.mark.parametrize("method", ["mdmd", "mtsn"])
def test_neither_test_nor_held_out_subjects_have_a_say(method):
    """p1 is tested, p2 follows it and is kept from the gradient."""
    alike = gaps(method, tables([32] * 5))
    assert gaps(method, tables([32, 500, 400, 32, 32]), tables([32, 6, 6, 32, 32], "macro")[1]) == alike
    assert gaps(method, tables([32, 32, 32, 90, 32])) != alike


def test_two_streams_where_one_type_is_annotated():
    assert gaps("mtsn", tables([32] * 5)) == [8, 16]
    assert gaps("mtsn", tables([32] * 5, ""), gap_shares=[1.0, 0.25]) == [4, 16]


def test_one_gap_for_each_type_of_ground_truth():
    """A micro-expression that is no ground truth has none; one without a type is a macro-expression."""
    (videos, macro), (_, micro) = tables([48] * 5), tables([8] * 5, "micro")
    assert gaps("mdmd", (videos, pd.concat([macro, micro]))) == [4, 24]
    assert gaps("mdmd", (videos, macro), micro) == [24] and gaps("mdmd", (videos, micro), macro) == [4]
    unnamed = tables([48] * 5, "")[1]
    assert gaps("mdmd", (videos, pd.concat([unnamed, micro]))) == [4, 24]
    assert gaps("mdmd", (videos, pd.concat([unnamed, macro]))) == [24]


def test_two_streams_have_half_the_length_of_each_annotated_type():
    """Whichever of the two is ground truth, or both."""
    (videos, macro), (_, micro) = tables([48] * 5), tables([8] * 5, "micro")
    assert gaps("mtsn", (videos, macro), micro) == gaps("mtsn", (videos, micro), macro) == [4, 24]
    assert gaps("mtsn", (videos, pd.concat([macro, micro]))) == [4, 24]


def test_two_streams_never_see_the_same_gap():
    """Halves of 16 and 15 steps are both nearest to 16: the longer one has it."""
    (videos, macro), (_, micro) = tables([32] * 5), tables([30] * 5, "micro")
    assert gaps("mtsn", (videos, macro), micro) == [8, 16]
    one = settings("mtsn", offered=[4])
    assert needs.gaps(videos, macro, micro, "p1", one) == [4]  # and the method says that it needs two


def test_the_workflow_may_import_it():
    heavy = "torch", "cv2", "h5py", "scipy"
    code = (
        f"import sys; from fedn_pipeline.peers import needs; print([name for name in {heavy} if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
