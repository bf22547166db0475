"""Which emotions a fold tells apart: its training subjects', named ones only, and what is said of the others."""

import pandas as pd
import pytest

from fedn_pipeline.files import InputError
from fedn_pipeline.training.classes import emotions_of_fold
from fedn_pipeline.training.split import Split

PARTS = Split(train=("a", "b"), held_out=("c",), test=("d",))
EVENTS = pd.DataFrame({
    "video_id": ["a", "b", "c", "d"], "onset": [5, 10, 15, 20], "emotion": ["sadness", "anger", "anger", "fear"]
})  # fmt: skip


def test_training_and_held_out_subjects_decide(capsys):
    assert emotions_of_fold(EVENTS, PARTS, "without d") == ["anger", "sadness"]
    assert capsys.readouterr().err == ""
    assert emotions_of_fold(EVENTS[2:], PARTS, "without d") == ["anger"]
    assert "only the subjects that the threshold is chosen on show anger" in capsys.readouterr().err


def test_unnamed_expressions_are_counted(capsys):
    events = EVENTS.assign(emotion=["sadness", "", "", ""])
    assert emotions_of_fold(events, PARTS, "without d") == ["sadness"]
    assert capsys.readouterr().err == (
        "WARNING: events.csv: without d: 2 of 3 expressions name no emotion and teach none (the first: video b, "
        "onset 10)\n"
    )


def test_none_named_is_refused():
    """No expression at all is for training to refuse, which says what it looked for."""
    with pytest.raises(InputError, match=r"without d: no expression names an emotion \(0 of 3 of the training"):
        emotions_of_fold(EVENTS.assign(emotion=["", "", "", "fear"]), PARTS, "without d")
    assert emotions_of_fold(EVENTS[3:], PARTS, "without d") == []
