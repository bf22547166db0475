"""Which flow cache a fold reads: learnt from its training subjects alone, asked without heavy imports."""

import subprocess
import sys

import pandas as pd
import pytest

from fedn_pipeline import config
from fedn_pipeline.cascades import gap

SETTINGS = config.validate({"flow": {"gaps": [4, 8, 16]}})


def tables(lengths, fps=30.0):
    """Subject pN has one expression of `lengths[N]` frames."""
    ids = [f"v{n}" for n in range(len(lengths))]
    videos = pd.DataFrame({"video_id": ids, "subject": [f"p{n}" for n in range(len(lengths))], "fps": fps})
    return videos, pd.DataFrame({"video_id": ids, "onset": 10, "offset": [9 + length for length in lengths]})


def test_half_length_is_in_steps_of_30_fps():
    assert gap.half_length(*tables([10, 20, 30])) == 10
    assert gap.half_length(*tables([10, 20, 30], fps=15.0)) == 20
    videos, events = tables([10])
    assert gap.half_length(videos, events[:0]) == 1


@pytest.mark.parametrize(("length", "expected"), [(1, 4), (9, 4), (12, 4), (13, 8), (30, 16), (300, 16)])
def test_nearest_gap_and_of_two_the_smaller(length, expected):
    videos, events = tables([length] * 5)
    assert gap.gap_of(videos, events, "p0", SETTINGS) == expected


def test_neither_test_nor_held_out_subjects_have_a_say():
    """p1 is tested, p2 follows it and is kept from the gradient."""
    for lengths in ([16, 16, 16, 16, 16], [16, 500, 400, 16, 16]):
        assert gap.gap_of(*tables(lengths), "p1", SETTINGS) == 8
    assert gap.gap_of(*tables([16, 16, 16, 400, 16]), "p1", SETTINGS) == 16


def test_the_workflow_may_import_it():
    heavy = "torch", "cv2", "h5py", "scipy"
    code = (
        f"import sys; from fedn_pipeline.cascades import gap; print([name for name in {heavy} if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
