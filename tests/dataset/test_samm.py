"""SAMM Long Videos: a header below title lines, numbers from 1, extremely long macro-expressions dropped."""

import cv2
import numpy as np
import pytest
from workbooks import SAMM_HEADER, settings, xls, xlsx

from fedn_pipeline.dataset import samm
from fedn_pipeline.files import InputError

TITLE = [["SAMM Long Videos"], [], ["Please cite"], [None, "Davison et al."], [], ["V3"], [], [], [], []]
ROWS = [
    ["006", "006_1_2", 1, 101, 151, 201, 101, "Macro", "12", "smile"],
    ["006", "006_1_5", 1, 0, 90, 4000, 4001, "Macro", "", "the whole video"],
    [6, "006_2_1", 2, 301, 0, 380, 80, "Micro - 1/2", "4", ""],
    [7, " 007_3_1", 3, 11, 21, 0, 0, "Macro", "4", ""],
]


@pytest.mark.parametrize(("write", "suffix", "n_title"), [(xlsx, "xlsx", 10), (xls, "xls", 10), (xlsx, "xlsx", 3)])
def test_rows(tmp_path, write, suffix, n_title):
    write(tmp_path / f"SAMM_LongVideos_V3_Release.{suffix}", {"Sheet1": [*TITLE[:n_title], SAMM_HEADER, *ROWS]})
    release = samm.read(tmp_path, settings(), annotations_only=True)
    events = release.events
    assert events["video_id"].tolist() == ["006_1", "006_2", "007_3"]
    assert events["expression_type"].tolist() == ["macro", "micro", "macro"]
    assert events[["onset", "offset"]].values.tolist() == [[100, 200], [300, 379], [10, 153]]  # 20 frames of 30 fps
    assert events["apex"].isna().tolist() == [False, True, False] and set(events["emotion"]) == {""}
    issues = release.issues.set_index("rule")
    assert issues.loc["extremely_long_macro", "row"] == n_title + 3
    assert set(issues.index) == {"extremely_long_macro", "apex_not_coded", "missing_offset"}
    assert release.videos["subject"].tolist() == ["006", "006", "007"]
    assert any("only spotting" in note for note in release.notes)


def test_bad_rows(tmp_path):
    bad = [[8, "no name", 1, 5, 6, 7, 3, "Macro", "", ""], [8, "008_1_1", 1, 5, 6, 7, 3, "smile", "", ""]]
    xlsx(tmp_path / "SAMM_LongVideos_V3_Release.xlsx", {"Sheet1": [SAMM_HEADER, *ROWS, *bad, ROWS[0]]})
    with pytest.raises(InputError) as caught:
        samm.read(tmp_path, settings(), annotations_only=True)
    lines = str(caught.value).split("\n")
    assert ["row 6" in lines[0], "row 7" in lines[1], "row 8" in lines[2]] == [True] * 3
    assert len(samm.read(tmp_path, settings(strict=False), annotations_only=True).events) == 3


def test_frames_on_disk(tmp_path):
    xlsx(tmp_path / "SAMM_LongVideos_V3_Release.xlsx", {"Sheet1": [*TITLE, SAMM_HEADER, ROWS[0]]})
    for name in ("006_1", "009_4"):
        folder = tmp_path / "SAMM_longvideos" / name
        folder.mkdir(parents=True)
        for number in range(1, 211, 1 if name == "006_1" else 30):
            cv2.imwrite(str(folder / f"{name}_{number:04d}.jpg"), np.full((24, 32), 90, np.uint8))
    release = samm.read(tmp_path, settings(), annotations_only=False)
    assert release.videos["video_id"].tolist() == ["006_1", "009_4"]
    assert release.videos["n_frames"].tolist() == [210, 181] and set(release.videos["fps"]) == {200.0}
    assert release.videos["source"].tolist() == ["SAMM_longvideos/006_1", "SAMM_longvideos/009_4"]
