"""Leave-one-group-out: nobody is on two sides."""

import pandas as pd
import pytest

from fedn_pipeline.files import InputError
from fedn_pipeline.training.split import groups, split


def videos(n=8):
    rows = [
        {"video_id": f"s{i:02}_{v}", "subject": f"s{i:02}", "photograph": "a" if i <= n // 2 else "h"}
        for i in range(1, n + 1)
        for v in "xy"
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("subject", [f"s{i:02}" for i in range(1, 9)])
def test_sides_are_disjoint_and_complete(subject):
    parts = split(videos(), "subject", subject, 0.15)
    sides = [set(parts.train), set(parts.held_out), set(parts.test)]
    assert set.union(*sides) == set(videos().video_id) and sum(map(len, sides)) == 16
    assert len(parts.held_out) == 4  # ceil(0.15 x 7) = 2 subjects with two videos each
    assert parts.test == (f"{subject}_x", f"{subject}_y")


def test_held_out_subjects_follow_cyclically():
    assert split(videos(), "subject", "s07", 0.15).held_out == ("s01_x", "s01_y", "s08_x", "s08_y")
    assert split(videos(), "subject", "s08", 0.15).held_out == ("s01_x", "s01_y", "s02_x", "s02_y")


def test_whole_photograph_is_held_out():
    parts = split(videos(), "photograph", "a", 0.15)
    assert {v[:3] for v in parts.test} == {"s01", "s02", "s03", "s04"}
    assert {v[:3] for v in parts.held_out} == {"s05"}


def test_too_few_subjects_are_refused():
    with pytest.raises(InputError, match="at least two"):
        groups(videos(2).query("subject == 's01'"), "subject")
    with pytest.raises(InputError, match="left"):
        split(videos(2), "subject", "s01", 0.15)
    with pytest.raises(InputError, match="no column"):
        groups(videos(), "species")


def test_a_plain_split_parts_videos_not_people():
    """One subject is enough: videos with events train, one of them is kept for the threshold, the others are tested."""
    table = videos(2).assign(subject="me", split=["train", "train", "predict", "train"])
    parts = split(table, "split", "predict", 0.15)
    assert parts.test == ("s02_x",) and parts.held_out == ("s02_y",) and parts.train == ("s01_x", "s01_y")
    assert groups(table, "split", ["predict"]) == ["predict"]
    with pytest.raises(InputError, match=r"has no \['later'\] .*there are: \['predict', 'train'\]"):
        groups(table, "split", ["later"])


def test_one_subject_is_offered_the_plain_split():
    with pytest.raises(InputError, match="fedn_split"):
        groups(videos(1), "subject")
