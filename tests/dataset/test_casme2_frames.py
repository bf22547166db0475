"""CAS(ME)^2: the folders of frames beside the workbook, what is missing in them, and where they may lie."""

import cv2
import numpy as np
import pytest
import workbooks
from workbooks import casme2_book, casme2_rows, settings, small

from fedn_pipeline.dataset import casme2
from fedn_pipeline.files import InputError


def frames(folder, numbers, size=(48, 64)):
    folder.mkdir(parents=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"img{number:03d}.jpg"), np.full((*size, 3), 90, np.uint8))


def test_frames_on_disk(tmp_path):
    small(tmp_path / "code_final.xlsx", [[2, "happy1_2", 31, 38, 0, "12", "positive", "macro-expression", "happiness"]])
    raw = tmp_path / "rawpic" / "rawpic"
    frames(raw / "s15" / "15_0401girlcrashing", [*range(3, 60), *range(63, 121)])
    frames(raw / "s16" / "16_0502funnyerrors", range(1, 41))
    frames(raw / "s19" / "19_0101disgustingteeth", range(1, 11))  # without annotations
    frames(tmp_path / "selectedpic" / "s15" / "15_0402beaten", range(1, 3))
    release = casme2.read(tmp_path, settings(), annotations_only=False)
    videos = release.videos.set_index("video_id")
    assert videos["n_frames"].to_dict() == {"s15_0401": 120, "s16_0502": 40, "s19_0101": 10}
    assert videos.loc["s15_0401", "source"] == "rawpic/rawpic/s15/15_0401girlcrashing"
    assert (videos["width"] == 64).all() and (videos["height"] == 48).all() and (videos["fps"] == 30).all()
    assert release.events["offset"].max() == 110  # 111 from 1
    gaps = release.issues[release.issues["rule"] == "missing_frame_files"]
    assert gaps[["before", "after"]].values.tolist() == [["1-2", "filled from 3"], ["60-62", "filled from 59"]]
    clipped = release.issues[release.issues["rule"] == "filled_offset_past_the_end"].iloc[0]
    assert clipped["before"] == "frames 31-58, the last is 40"
    assert release.events.query("onset == 30")["offset"].tolist() == [39, 39]


def test_frames_on_another_disk(tmp_path):
    small(tmp_path / "release" / "code_final.xlsx")
    for name in ("s15/15_0401girlcrashing", "s16/16_0502funnyerrors"):
        frames(tmp_path / "disk" / name, range(1, 121))
    (tmp_path / "release" / "rawpic").symlink_to(tmp_path / "disk")
    videos = casme2.read(tmp_path / "release", settings(), annotations_only=False).videos
    assert videos["source"][0] == "rawpic/s15/15_0401girlcrashing"


def test_faults_of_the_folders(tmp_path):
    small(tmp_path / "code_final.xlsx", [[3, "happy1_1", 2, 4, 6, "12", "positive", "macro-expression", "happiness"]])
    raw = tmp_path / "rawpic"
    frames(raw / "s15" / "15_0401girlcrashing", range(1, 106))  # the last expression ends at 111
    (raw / "s16" / "16_0502funnyerrors").mkdir(parents=True)
    with pytest.raises(InputError) as caught:
        casme2.read(tmp_path, settings(), annotations_only=False)
    text = str(caught.value)
    assert "row 4: the annotations name a video that has no folder (s19_0502)" in text
    assert "16_0502funnyerrors: the video cannot be used (the folder holds no numbered images)" in text
    assert "row 3: the interval ends after the last frame of the video (frames 101-111, the last is 105)" in text
    release = casme2.read(tmp_path, settings(strict=False), annotations_only=False)
    assert release.videos["video_id"].tolist() == ["s15_0401"]
    assert release.events["offset"].tolist() == [29, 104, 29, 104]


def test_no_frames_at_all(tmp_path):
    small(tmp_path / "code_final.xlsx")
    with pytest.raises(InputError, match=r"no long videos found.*--annotations-only") as caught:
        casme2.read(tmp_path, settings(), annotations_only=False)
    assert "\n" not in str(caught.value)


def test_two_folders_with_one_id(tmp_path):
    small(tmp_path / "code_final.xlsx")
    for name in ("s15/15_0401girlcrashing", "s15/15_0401copy", "s16/16_0502funnyerrors"):
        frames(tmp_path / "rawpic" / name, range(1, 121))
    with pytest.raises(InputError, match=r"15_0401girlcrashing: two videos with one id \(s15_0401: 15_0401copy\)"):
        casme2.read(tmp_path, settings(), annotations_only=False)


def test_video_files_where_there_are_no_frames(tmp_path):
    small(tmp_path / "code_final.xlsx")
    for name in ("s15/15_0401girlcrashing", "s16/16_0502funnyerrors"):
        path = tmp_path / "rawvideo" / f"{name}.avi"
        path.parent.mkdir(parents=True)
        video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, (64, 48))
        for _ in range(115):
            video.write(np.zeros((48, 64, 3), np.uint8))
        video.release()
    videos = casme2.read(tmp_path, settings(), annotations_only=False).videos
    assert videos["source"].tolist()[0] == "rawvideo/s15/15_0401girlcrashing.avi" and set(videos["kind"]) == {"video"}
    assert videos["n_frames"].tolist() == [115, 115] and videos["first_number"].isna().all()


def test_a_subject_without_a_folder_is_a_fault_where_the_frames_are(tmp_path):
    rows = casme2_rows()
    for row in rows:
        row[0] = 1
    rows[0][0] = 99
    casme2_book(tmp_path / "code_final.xlsx", rows)
    for stem, code in workbooks.FILMS.items():
        frames(tmp_path / "rawpic" / "s15" / f"15_{code:04d}{stem}", [1, 9000], (4, 4))
    with pytest.raises(InputError) as caught:
        casme2.read(tmp_path, settings(), annotations_only=False)
    assert "row 1: the annotations name a video that has no folder (subject99_0101)" in str(caught.value)
