"""CAS(ME)^3: the full-size old binary workbook, its emotion workbooks, and folders with missing frames."""

from collections import Counter

import cv2
import numpy as np
import pytest
import workbooks
from workbooks import CASME3, CASME3_HEADER, casme3_emotions, casme3_rows, settings, xls, xlsx

from fedn_pipeline.dataset import casme3, counts, workbook
from fedn_pipeline.files import InputError

MACRO_FILE = "cas(me)3_part_A_MaE_label_JpgIndex_v2_emotion.xlsx"
MICRO_FILE = "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"


def main_book(path, rows, header=True):
    sheets = {"AU+Emotion": [CASME3_HEADER] * header + rows}
    return xls(path, sheets | {"eye blink": [["Subject", "Onset"], *[["spNO.1", 10 * i] for i in range(842)]]})


@pytest.fixture(scope="module")
def release_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("casme3") / "annotation"
    rows = casme3_rows()
    main_book(root / "CAS(ME)3_part_A_v2.xls", rows)
    header = ["sub", "seq", "onset", "apex", "offset", "AU", "emotion"]
    macro = casme3_emotions(rows, "macro", {"happiness": "happy", "sadness": "sad ", "others": "Others"})
    macro[10][4] += 3  # another offset than in the annotations
    xlsx(root / MACRO_FILE, {"Sheet1": [header, *macro], "Sheet2": []})
    header = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion"]
    micro = [[*row[:6], 7, row[6]] for row in casme3_emotions(rows, "micro", {"fear": "Fear"})]
    xlsx(root / MICRO_FILE, {"label": [header, *micro]})
    return root.parent


@pytest.fixture(scope="module")
def full(release_root):
    return casme3.read(release_root, settings(), annotations_only=True)


def of_type(release, kind):
    return release.events[release.events["expression_type"] == kind]


def test_published_counts_come_out(full):
    release, macro = full, of_type(full, "macro")
    assert (len(macro), len(of_type(release, "micro"))) == (3346, 860)
    assert macro["emotion"].value_counts().to_dict() == counts.published("casme3", "annotated")
    assert len(release.videos) == 956 and release.videos["subject"].nunique() == 98
    assert "version 2" in release.notes[0]
    assert any("842 blinks" in note for note in release.notes)
    found = Counter(release.issues["rule"])
    assert found["video_letter_case"] == 5 and found["missing_offset"] == 2 and found["offset_before_onset"] == 1
    assert found["offset_before_apex"] == 1  # apex 99 frames after the onset
    assert found["duplicate_row"] == 1 and found["emotion_joined_by_fewer_frames"] == 1
    assert found["emotion_missing"] == found["emotion_row_missing"] == 0


def test_emotions_are_joined_to_their_own_rows(full):
    macro = of_type(full, "macro")
    expected = [row[6] for row in workbooks.casme3_emotions(casme3_rows(), "macro", {})]
    restored = [None] * len(expected)
    restored[1::2], restored[::2] = expected[: len(expected) // 2], expected[len(expected) // 2 :]
    differ = np.flatnonzero(macro["emotion"].to_numpy() != np.array(restored))
    assert len(differ) == 0


def test_frames_are_the_file_numbers(full):
    events = full.events
    assert events.loc[0, ["video_id", "onset", "apex", "offset"]].tolist() == ["spNO.1_a", 0, 20, 60]
    assert events.loc[5, ["onset", "apex", "offset"]].tolist() == [0, 20, 40]  # offset 0: apex + 20
    assert events["provenance"][0] == "CAS(ME)3_part_A_v2.xls:AU+Emotion:row 2"


def test_without_emotion_workbooks_only_spotting(tmp_path):
    main_book(tmp_path / "CAS(ME)3_part_A_v2.xls", casme3_rows(), header=False)
    release = casme3.read(tmp_path, settings(), annotations_only=True)
    assert (len(of_type(release, "macro")), len(of_type(release, "micro"))) == (3346, 860)
    assert set(release.events["emotion"]) == {""}
    assert any("model.recognition: false" in note for note in release.notes)


def test_version_1_is_named_and_version_2_preferred(tmp_path):
    rows = casme3_rows()
    for row in rows[:61]:
        row[6] = "Micro-expression"
    main_book(tmp_path / "CAS(ME)3_part_A_v1.xls", rows)
    release = casme3.read(tmp_path, settings(), annotations_only=True)
    assert "3285 macro and 921 micro" in release.notes[0] and "version 1" in release.notes[0]
    main_book(tmp_path / "CAS(ME)3_part_A_v2 (1).xls", casme3_rows())
    release = casme3.read(tmp_path, settings(), annotations_only=True)
    assert "version 2" in release.notes[0] and release.notes[1] == "Not used: CAS(ME)3_part_A_v1.xls (AU+Emotion)."


def few(root, *rows):
    good = [
        ["spNO.1", "a", 8, 12, 20, "4", "Macro-expression", 1],
        ["spNO.2", "b", 0, 4, 9, "4", "Micro-expression", 2],
    ]
    return main_book(root / "CAS(ME)3_part_A_v2.xls", [*good, *rows])


def test_all_faults_of_another_file_at_once(tmp_path):
    few(
        tmp_path,
        ["spNO.1", "a", 30, 20, 10, "4", "Macro-expression", 1],
        ["spNO.1", "aa", 30, 40, 50, "4", "Macro-expression", 1],
        ["subject 1", "a", 30, 40, 50, "4", "Macro-expression", 1],
        ["spNO.1", "../a", 30, 40, 50, "4", "Macro-expression", 1],
    )
    with pytest.raises(InputError) as caught:
        casme3.read(tmp_path, settings(), annotations_only=True)
    lines = str(caught.value).split("\n")
    assert ["row 4" in lines[0], "row 5" in lines[1], "row 6" in lines[2], "row 7" in lines[3]] == [True] * 4
    assert "refused" in lines[3]


def test_an_expression_without_emotion_is_a_fault(tmp_path):
    few(tmp_path, ["spNO.1", "a", 30, 40, 50, "4", "Macro-expression", 1], ["spNO.1", "a", 60, 70, 80, "4", "Macro", 1])
    header = ["sub", "seq", "onset", "apex", "offset", "emotion"]
    rows = [["spNO.1", "a", 8, 12, 20, "happy"], ["spNO.1", "a", 30, 40, 50, "jealousy"]]
    xlsx(tmp_path / MACRO_FILE, {"Sheet1": [header, *rows, ["spNO.1", "a", 61, 71, 81, "sadnes"]]})
    with pytest.raises(InputError) as caught:
        casme3.read(tmp_path, settings(), annotations_only=True)
    text = str(caught.value)
    assert "MaE_label_JpgIndex_v2_emotion.xlsx: sheet Sheet1: row 3: unknown emotion (jealousy)" in text
    assert "sheet AU+Emotion: row 5: emotion row missing (60 70 80 in " in text
    release = casme3.read(tmp_path, settings(strict=False), annotations_only=True)
    assert release.events["emotion"].tolist() == ["happiness", "", "", ""]
    assert any(note.startswith("1 rows of") for note in release.notes)


def test_emotion_workbooks_with_a_type_column_and_plain_numbers_of_subjects(tmp_path):
    few(tmp_path)
    header = ["sub", "seq", "onset", "apex", "offset", "Expression type", "emotion"]
    xlsx(tmp_path / MACRO_FILE, {"Sheet1": [header, [1, "a", 8, 12, 20, "Macro-expression", "happy"]]})
    release = casme3.read(tmp_path, settings(), annotations_only=True)
    assert release.events["emotion"].tolist() == ["happiness", ""]


def test_other_workbooks_are_parsed_only_where_the_known_names_have_no_emotions(tmp_path, monkeypatch):
    few(tmp_path)
    header, row = ["sub", "seq", "onset", "apex", "offset", "emotion"], ["spNO.1", "a", 8, 12, 20, "happy"]
    xlsx(tmp_path / MACRO_FILE, {"Sheet1": [header, row]})
    xlsx(tmp_path / "a.xlsx", {"Sheet1": [header, [*row[:5], "sad"]]})
    read, parsed = workbook.read, []
    monkeypatch.setattr(workbook, "read", lambda path: parsed.append(path.name) or read(path))
    assert casme3.read(tmp_path, settings(), annotations_only=True).events["emotion"][0] == "happiness"
    assert parsed == ["CAS(ME)3_part_A_v2.xls", MACRO_FILE]
    (tmp_path / MACRO_FILE).unlink()
    assert casme3.read(tmp_path, settings(), annotations_only=True).events["emotion"][0] == "sadness"
    (tmp_path / MICRO_FILE).write_bytes(b"no workbook")
    with pytest.raises(InputError, match=r"not a workbook.*remove or rename it"):
        casme3.read(tmp_path, settings(), annotations_only=True)


def frames(folder, numbers, empty=()):
    folder.mkdir(parents=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"{number}.jpg"), np.full((36, 64, 3), 90, np.uint8))
    for number in empty:
        (folder / f"{number}.jpg").write_bytes(b"")


def test_frames_on_disk(tmp_path):
    few(tmp_path / "annotation", ["spNO.2", "J", 3, 5, 7, "4", "Macro-expression", 1])
    part = tmp_path / "data" / "part_A"
    frames(part / "spNO.1" / "a" / "color", [*range(7, 30), *range(31, 40)])
    frames(part / "spNO.1" / "a" / "depth", [1])
    frames(part / "spNo.2" / "b" / "color", range(0, 12), empty=[12, 13])
    frames(part / "spNo.2" / "j" / "color", range(0, 9))
    frames(part / "spNo.2" / "m" / "color", range(0, 9))  # without annotations: it counts false positives
    release = casme3.read(tmp_path, settings(), annotations_only=False)
    videos = release.videos.set_index("video_id")
    assert videos["n_frames"].to_dict() == {"spNO.1_a": 40, "spNO.2_b": 14, "spNO.2_j": 9, "spNO.2_m": 9}
    assert videos.loc["spNO.2_b", "source"] == "data/part_A/spNo.2/b/color"
    assert set(videos["first_number"]) == {0} and set(videos["subject"]) == {"spNO.1", "spNO.2"}
    assert release.events["onset"].tolist() == [8, 0, 3]
    issues = release.issues[["video_id", "rule", "before", "after"]].values.tolist()
    assert ["spNO.1_a", "missing_frame_files", "0-6", "filled from 7"] in issues
    assert ["spNO.1_a", "missing_frame_files", "30-30", "filled from 29"] in issues
    assert ["spNO.2_b", "missing_frame_files", "12-13", "filled from 11"] in issues
    assert ["spNO.2_b", "empty_frame_files", "12 13", "counted as missing"] in issues


def test_emotions_cover_the_vocabulary():
    assert sum(CASME3.values()) == 3346 and counts.published("casme3", "annotated") == CASME3
