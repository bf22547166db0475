"""What the user's events.csv and videos.csv may say, and what is refused."""

import pytest
from own_videos import by_id, read, refusals, rules, two_subjects, write_events, write_video

from fedn_pipeline.files import InputError


@pytest.fixture
def root(tmp_path):
    return two_subjects(tmp_path)


# events.csv


def test_times_in_seconds(root):
    write_events(root, ["smile,0.1,0.5,joy", "talk,1,4,anger"], "video_id,onset_s,offset_s,emotion")
    events = read(root).events
    assert events[["onset", "offset"]].values.tolist() == [[3, 14], [15, 59]]  # the offset is exclusive


def test_every_column_of_events(root):
    header = "video_id,onset,apex,offset,expression_type,emotion,label_set,provenance,subject"
    write_events(root, ["smile,3,5,9,micro, joy ,second,sheet 1,Zoe", "talk,1,,2,,,,,"], header)
    with pytest.raises(InputError, match="no emotion"):
        read(root)
    write_events(root, ["smile,3,5,9,micro, joy ,second,sheet 1,Zoe", "talk,1,,2,macro,joy,,,"], header)
    release = read(root)
    event = release.events.iloc[0]
    assert event[["onset", "apex", "offset"]].tolist() == [3, 5, 9] and event["expression_type"] == "micro"
    assert event[["emotion", "label_set", "provenance"]].tolist() == ["joy", "second", "sheet 1"]
    assert rules(release) == ["emotion_trimmed"]
    assert by_id(release)["subject"].to_dict() == {"smile": "Zoe", "talk": "ben"}


def test_labels_without_emotions_allow_spotting_only(root):
    write_events(root, ["smile,3,9,", "talk,3,9,"])
    release = read(root)
    assert len(release.events) == 2 and any("only spotting" in note for note in release.notes)


BAD = [
    ("smile,9,3,joy", "the offset lies before the onset (onset 9, offset 3)", None),
    ("smile,5,40,joy", "after the last frame of the video (onset 5, offset 40, last frame 29)", (5, 29)),
    ("smile,30,40,joy", "after the last frame of the video (onset 30, offset 40, last frame 29)", None),
    ("smile,-3,4,joy", "onset -3 is below 0", None),
    ("smile,x,4,joy", "onset 'x' is not a whole number", None),
    ("smile,1.5,4,joy", "onset '1.5' is not a whole number", None),
    ("smile,,4,joy", "onset '' is not a whole number", None),
    ("smyle,1,4,joy", "no such video ('smyle'; did you mean 'smile'?)", None),
    ("smile,1,4", "3 cells, but the header has 4", None),
    ("talk,1,2,anger", "the row repeats an earlier one (as row 2)", None),
    ("smile,1,4,Anger", "misspelt emotion (Anger, else anger)", (1, 4)),
]


@pytest.mark.parametrize(("row", "rule", "kept"), BAD)
def test_bad_rows(root, row, rule, kept):
    write_events(root, ["talk,1,2,anger", row])
    (line,) = refusals(root)
    assert line.startswith("events.csv: row 3: ") and line.endswith(rule)
    release = read(root, strict=False)
    events = release.events[1:]
    assert [tuple(pair) for pair in events[["onset", "offset"]].values] == ([kept] if kept else [])
    assert set(release.events["emotion"]) <= {"anger", "joy"}
    assert len(release.issues) == 1 and release.issues["row"].tolist() == [3]


def test_all_problems_at_once(root):
    write_events(root, ["talk,1,2,anger", *(row for row, _, _ in BAD)])
    (root / "videos.csv").write_text("video_id,subject\nnobody,x\nsmile,y\nsmile,z\n")
    found = refusals(root)
    assert len(found) == len(BAD) + 2
    assert all(any(rule in line for line in found) for _, rule, _ in BAD)
    assert "videos.csv: row 2: no such video ('nobody')" in found
    assert any(line.startswith("videos.csv: row 4: ") for line in found)


@pytest.mark.parametrize(
    ("times", "rule"),
    [
        ("0.5,0.4", "the offset lies before the onset"),
        ("-1,0.4", "the onset lies before the first frame"),
        ("0.5,0.501", "shorter than one frame"),
        ("0.5,2", "last frame 29 (0.967 s)"),
        ("0.5,nan", "not a finite number"),
    ],
)
def test_bad_times_in_seconds(root, times, rule):
    write_events(root, [f"smile,{times},joy"], "video_id,onset_s,offset_s,emotion")
    (line,) = refusals(root)
    assert line.startswith("events.csv: row 2: ") and rule in line


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("../smile.mp4", "is a path outside the folder"),
        ("anna/../../x.mp4", "is a path outside the folder"),
        ("/etc/passwd", "is a path outside the folder"),
        ("C:\\x.mp4", "is a path outside the folder"),
        ("~/x.mp4", "is a path outside the folder"),
        ("smile\x07", "holds control characters"),
        ("=HYPERLINK(1)", "is a formula"),
    ],
)
@pytest.mark.parametrize("strict", [True, False])
def test_hostile_names_are_refused_in_any_mode(root, name, rule, strict):
    write_events(root, [f"{name},1,4,joy", "smile,1,4,=1+1", "smile,1,4,a\x07"])
    found = refusals(root, strict=strict)
    assert len(found) == 3 and found[0].startswith("events.csv: row 2: video_id") and found[0].endswith(rule)
    assert found[1].endswith("is a formula") and found[2].endswith("holds control characters")
    assert not any(ord(character) < 32 for line in found for character in line)


@pytest.mark.parametrize("name", ["a\nb.mp4", "=cmd.mp4"])
def test_hostile_file_names(root, name):
    write_video(root / "anna" / name, 5)
    (root / name).write_bytes((root / "anna" / name).read_bytes())
    assert "rename it" in "\n".join(refusals(root, strict=False))


@pytest.mark.parametrize(
    ("header", "rule"),
    [
        ("video_id;onset;offset;emotion", "the cells are separated by `;` or tabs"),
        ("video_id,onset,offset", "required column `emotion` is missing"),
        ("video_id,onset,ofset,emotion", "did you mean `offset`"),
        ("video_id,onset,offset_s,emotion", "give one of them"),
        ("video_id,onset,offset,emotion,rater", "unknown column `rater`"),
    ],
)
def test_wrong_headers(root, header, rule):
    write_events(root, [], header)
    assert any(rule in line and line.startswith("events.csv: row 1") for line in refusals(root))


def test_further_columns_are_left_out_when_not_strict(root):
    write_events(root, ["smile,1,4,joy,x"], "video_id,onset,offset,emotion,rater")
    release = read(root, strict=False)
    assert len(release.events) == 1 and rules(release) == ["unknown_column"]


# videos.csv


def test_subjects_and_groups_from_videos_csv(root):
    (root / "videos.csv").write_text("video_id,subject,site,split,n_frames\nsmile.mp4,P 7,lab,held_back,7\n")
    write_events(root, ["smile,1,4,joy,other"], "video_id,onset,offset,emotion,subject")
    release = read(root)
    videos = by_id(release)
    assert videos["subject"].to_dict() == {"smile": "P_7", "talk": "ben"}
    assert videos["site"].to_dict() == {"smile": "lab", "talk": ""}
    assert videos["split"].to_dict() == {"smile": "held_back", "talk": "predict"}
    assert videos.loc["smile", "n_frames"] == 30 and "measured_columns" in rules(release)


def test_one_video_of_two_subjects(root):
    write_events(root, ["smile,1,4,joy,A", "smile,7,9,joy,B"], "video_id,onset,offset,emotion,subject")
    assert refusals(root) == ["events.csv: row 3: a video of two subjects (smile: A, B)"]
