"""The canonical tables: dtypes, round trip, and every kind of bad input named with file, row and rule."""

import numpy as np
import pandas as pd
import pytest

from fedn_pipeline.dataset import tables
from fedn_pipeline.files import InputError

VIDEOS = """video_id,subject,source,kind,n_frames,fps,width,height,photograph
v1,01,a/v1.mp4,video,100,30,640,480,astronaut
v2,02,a/v2.mp4,video,200,29.97,640,480,hopper
"""
EVENTS = """video_id,onset,apex,offset,expression_type,emotion,label_set,provenance
v1,10,15,19,macro,happiness,annotated,rendered
v2,0,,199,macro,,annotated,rendered
"""
DETECTIONS = """video_id,onset,offset,confidence,emotion,kept
v1,10,19,0.123456789012345,happiness,True
v2,0,199,0.5,,False
"""


@pytest.fixture
def file(tmp_path):
    """Write text to a file and give its path."""

    def write(text, name="table.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def videos(file):
    return tables.read_videos(file(VIDEOS, "videos.csv"))


def problems(read, *arguments):
    """The lines of the InputError that `read` raises, without the file's name."""
    with pytest.raises(InputError) as caught:
        read(*arguments)
    lines = str(caught.value).split("\n")
    assert all(line.startswith(f"{arguments[0]}: ") for line in lines)
    return [line.removeprefix(f"{arguments[0]}: ") for line in lines]


def test_videos_have_fixed_types(videos):
    assert list(videos) == [*tables.VIDEO_COLUMNS, "photograph"]
    assert videos["subject"].tolist() == ["01", "02"]
    assert videos["n_frames"].dtype == "Int64" and videos["n_frames"].tolist() == [100, 200]
    assert videos["fps"].tolist() == [30.0, 29.97]


def test_empty_geometry_and_absent_columns_are_allowed(file):
    videos = tables.read_videos(file("video_id,subject\nv1,7\n"))
    assert list(videos) == list(tables.VIDEO_COLUMNS)
    assert videos["subject"].tolist() == ["7"] and videos["n_frames"].isna().all()
    events = tables.read_events(file("video_id,onset,offset\nv1,3,100000\n"), videos)  # no length, no limit
    assert events["offset"].tolist() == [100000]


def test_events_have_fixed_types(file, videos):
    events = tables.read_events(file(EVENTS), videos)
    assert list(events) == list(tables.EVENT_COLUMNS)
    assert events["onset"].dtype == np.int64 and events["offset"].tolist() == [19, 199]
    assert events["apex"].isna().tolist() == [False, True]
    assert tables.emotions(events) == ["happiness"]


def test_detections_have_fixed_types(file, videos):
    detections = tables.read_detections(file(DETECTIONS), videos)
    assert detections["confidence"].tolist() == [0.123456789012345, 0.5]
    assert detections["kept"].dtype == bool and detections["kept"].tolist() == [True, False]
    assert detections["emotion"].tolist() == ["happiness", ""]
    assert "kept" not in tables.read_detections(file("video_id,onset,offset,confidence\nv1,1,2,3\n"), videos)


def test_draws_of_one_method_are_told_apart(file, videos):
    text = "video_id,onset,offset,confidence,emotion,kept,draw\nv1,1,2,0.5,,1,0\nv1,1,2,0.5,,1,1\n"
    detections = tables.read_detections(file(text), videos)
    assert detections["draw"].dtype == np.int64 and detections["draw"].tolist() == [0, 1]


def test_tables_without_rows(file, videos):
    events = tables.read_events(file(EVENTS.split("\n")[0] + "\n"), videos)
    detections = tables.read_detections(file(DETECTIONS.split("\n")[0] + "\n"), videos)
    assert len(events) == len(detections) == 0
    assert events["onset"].dtype == detections["offset"].dtype == np.int64
    assert detections["confidence"].dtype == np.float64 and detections["kept"].dtype == bool
    assert problems(tables.read_videos, file(VIDEOS.split("\n")[0])) == ["row 1: no videos below the header"]


def test_written_tables_read_back_the_same(file, videos, tmp_path):
    events = tables.read_events(file(EVENTS), videos)
    detections = tables.read_detections(file(DETECTIONS), videos)
    tables.write_videos(tmp_path / "v.csv", videos[videos.columns[::-1]])
    tables.write_events(tmp_path / "e.csv", events[events.columns[::-1]])
    tables.write_detections(tmp_path / "d.csv", detections[detections.columns[::-1]])
    pd.testing.assert_frame_equal(tables.read_videos(tmp_path / "v.csv"), videos)
    pd.testing.assert_frame_equal(tables.read_events(tmp_path / "e.csv", videos), events)
    pd.testing.assert_frame_equal(tables.read_detections(tmp_path / "d.csv", videos), detections)
    assert (tmp_path / "v.csv").read_text().startswith(",".join(tables.VIDEO_COLUMNS) + ",photograph\n")


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("v1,19,,10,macro,,,", "offset 10 lies before onset 19"),
        ("v1,-3,,10,macro,,,", "onset -3 is below 0"),
        ("v1,10,,100,macro,,,", "offset 100 is past the end of video 'v1', whose last frame is 99"),
        ("v3,10,,19,macro,,,", "unknown video 'v3': not in the table of videos"),
        ("v1,ten,,19,macro,,,", "onset 'ten' is not a whole number"),
        ("v1,10,,19.5,macro,,,", "offset '19.5' is not a whole number"),
        ("v1,,,19,macro,,,", "onset '' is not a whole number"),
        ("v1,10,x,19,macro,,,", "apex 'x' is not a whole number"),
        ("v1,10,,19,macro, joy,,", "emotion ' joy' has spaces around it"),
        ("v1,10,,19", "4 cells, but the header has 8"),
        (
            "v2,0,7,199,macro,,annotated,rendered",
            "duplicate row: v2, 0, 199, macro, annotated, rendered stands in row 3 already",
        ),
    ],
)
def test_bad_event(file, videos, row, expected):
    assert problems(tables.read_events, file(EVENTS + row + "\n"), videos) == [f"row 4: {expected}"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("v1,1,2,nan,,True", "confidence 'nan' is not a finite number"),
        ("v1,1,2,inf,,True", "confidence 'inf' is not a finite number"),
        ("v1,1,2,,,True", "confidence '' is not a finite number"),
        ("v1,1,2,high,,True", "confidence 'high' is not a finite number"),
        ("v1,1,2,0.5,,maybe", "kept 'maybe' is not True or False"),
        ("v2,0,199,0.50,,False", "duplicate row: v2, 0, 199, 0.5 stands in row 3 already"),
        ("v1,1,200,0.5,,False", "offset 200 is past the end of video 'v1', whose last frame is 99"),
    ],
)
def test_bad_detection(file, videos, row, expected):
    assert problems(tables.read_detections, file(DETECTIONS + row + "\n"), videos) == [f"row 4: {expected}"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("v1,03,,video,100,30,640,480,x", "two videos with one id: v1 stands in row 2 already"),
        ("..,03,,video,100,30,640,480,x", "video_id '..' names files: no `.` or `-` comes first"),
        ("a/b,03,,video,100,30,640,480,x", "video_id 'a/b' names files: use letters, digits, `.`, `_`, `-` only"),
        ("v 3,03,,video,100,30,640,480,x", "video_id 'v 3' names files: use letters, digits, `.`, `_`, `-` only"),
        (",03,,video,100,30,640,480,x", "video_id '' names files: use letters, digits, `.`, `_`, `-` only"),
        ("v3,,,video,100,30,640,480,x", "subject '' names files: use letters, digits, `.`, `_`, `-` only"),
        ("v3,03,,film,100,30,640,480,x", "kind 'film' is unknown; known: `frames`, `video`"),
        ("v3,03,,video,0,30,640,480,x", "n_frames 0 is below 1"),
        ("v3,03,,video,9,0,640,480,x", "fps 0 must be above 0"),
        ("v3,03,,video,9,fast,640,480,x", "fps 'fast' is not a finite number"),
    ],
)
def test_bad_video(file, row, expected):
    assert problems(tables.read_videos, file(VIDEOS + row + "\n")) == [f"row 4: {expected}"]


def test_all_problems_at_once_in_the_order_of_the_file(file, videos):
    text = EVENTS + "v9,5,,1,,,,\n\nv1,x,,-1,,,,\n"  # the blank line counts as a line
    assert problems(tables.read_events, file(text), videos) == [
        "row 4: offset 1 lies before onset 5",
        "row 4: unknown video 'v9': not in the table of videos",
        "row 6: offset -1 is below 0",
        "row 6: onset 'x' is not a whole number",
    ]


def test_a_flood_of_problems_is_counted(file, videos):
    text = "video_id,onset,offset\n" + "".join(f"v9,{i},{i}\n" for i in range(tables.MAX_LINES + 7))
    lines = problems(tables.read_events, file(text), videos)
    assert len(lines) == tables.MAX_LINES + 1 and lines[-1] == "and 7 more problems"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            "video_id,onset,ofset",
            ["unknown column `ofset`; did you mean `offset`?", "required column `offset` is missing"],
        ),
        ("video_id,onset", ["required column `offset` is missing"]),
        ("video_id,onset,offset,Emotion", ["unknown column `Emotion`; did you mean `emotion`?"]),
        ("video_id,onset,offset,zzz", [f"unknown column `zzz`; known: {', '.join(tables.EVENT_COLUMNS)}"]),
        ("video_id,onset,offset,onset", ["column `onset` appears 2 times"]),
    ],
)  # fmt: skip
def test_bad_header(file, videos, header, expected):
    assert problems(tables.read_events, file(header + "\n"), videos) == [f"row 1: {rule}" for rule in expected]


def test_misspelt_column_among_further_columns(file):
    found = problems(tables.read_videos, file("video_id,subject,n_frame\nv1,1,9\n"))
    assert found == ["row 1: unknown column `n_frame`; did you mean `n_frames`?"]


def test_files_that_are_no_tables(file, videos, tmp_path):
    assert problems(tables.read_events, tmp_path / "absent.csv", videos) == ["no such file"]
    assert problems(tables.read_events, file(""), videos)[0].startswith("the file is empty")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"video_id,onset,offset\n\xff\xfe\x00")
    assert problems(tables.read_events, binary, videos)[0].startswith("not a CSV file in UTF-8")


def test_byte_order_mark_of_a_spreadsheet(tmp_path):
    path = tmp_path / "videos.csv"
    path.write_text(VIDEOS, encoding="utf-8-sig")
    assert tables.read_videos(path)["video_id"].tolist() == ["v1", "v2"]


def test_two_rows_of_a_release_are_two_events(file, videos):
    """They may agree in everything but the row of the sheet that they come from."""
    row = "v2,0,,199,macro,,annotated,book:sheet:row "
    assert len(tables.read_events(file(EVENTS + row + "7\n" + row + "8\n"), videos)) == 4
