"""CAS(ME)^2: the full-size workbook with its traps gives the published counts; everything else is refused."""

import openpyxl
import pytest
import workbooks
from workbooks import casme2_book, casme2_rows, settings, small, xlsx

from fedn_pipeline.dataset import casme2, counts
from fedn_pipeline.files import InputError


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    root = tmp_path_factory.mktemp("casme2")
    casme2_book(root / "CAS(ME)^2code_final.xlsx", casme2_rows())
    return casme2.read(root, settings(), annotations_only=True)


def macro(release, label_set):
    events = release.events
    return events[(events["expression_type"] == "macro") & (events["label_set"] == label_set)]


def rules(release):
    return release.issues["rule"].value_counts().to_dict()


def refused(root, **changed):
    with pytest.raises(InputError) as caught:
        casme2.read(root, settings(**changed), annotations_only=True)
    return str(caught.value).split("\n")


@pytest.mark.parametrize("label_set", ["annotated", "self_reported"])
def test_published_counts_come_out(full, label_set):
    assert macro(full, label_set)["emotion"].value_counts().to_dict() == counts.published("casme2", label_set)
    assert (full.events["expression_type"] == "micro").sum() == 2 * 57


def test_traps_are_repaired_and_recorded(full):
    assert rules(full) == {"missing_offset": 44, "offset_before_apex": 3, "apex_not_coded": 1, "emotion_spelling": 1}
    assert "Pairs of expressions that share frames: 18; they stay." in full.notes
    first = full.events.iloc[0]  # clip disgust1_1 of subject 1: onset 200, apex 210, offset 0, counted from 1
    assert (first.video_id, first.onset, first.apex, first.offset) == ("s15_0101", 199, 209, 229)
    assert first.provenance == "CAS(ME)^2code_final.xlsx:CASFEcode_final:row 1"
    issue = full.issues.iloc[0]
    assert (issue.video_id, issue.row, issue.before) == ("s15_0101", 1, "onset 200, apex 210, offset 0")
    assert issue.after == "offset 230"
    assert full.events["apex"].isna().sum() == 2 * 4
    assert not full.events.duplicated().any()


def test_videos_of_the_annotations(full):
    assert len(full.videos) == 98 and full.videos["video_id"].is_unique
    assert full.videos["n_frames"].isna().all() and set(full.videos["first_number"]) == {1}


@pytest.mark.parametrize(("rule", "offset"), [("apex", 209), ("drop", None)])
def test_missing_offset_is_selectable(tmp_path, rule, offset):
    casme2_book(tmp_path / "code_final.xlsx", casme2_rows())
    release = casme2.read(tmp_path, settings(missing_offset=rule), annotations_only=True)
    assert len(macro(release, "annotated")) == (256 if rule == "drop" else 300)
    if offset:
        assert release.events["offset"][0] == offset


def test_a_hand_made_file_reads_the_same(tmp_path, full):
    """Title, header, empty rows and columns, spaces, numbers as text and as floats, codes as text, sheets shuffled."""
    rows = [["", *row, ""] for row in casme2_rows()]
    for i, row in enumerate(rows):
        row[1] = str(row[1]) if i % 3 else float(row[1])
        row[2] = f" {row[2].title()}\u00a0" if i % 2 else row[2]
        row[3:6] = [f" {row[3]}", float(row[4]), str(row[5]) if i % 5 else row[5]]
        row[7:10] = [f"{row[7].upper()} ", row[8].replace("-", " - ").title(), row[9].capitalize()]
    header = ["", "Subject", "Clip", "Onset", "Apex", "Offset", "AUs", "Emotion", "Type", "Self-report", ""]
    rows = [["CAS(ME)^2, final coding"], [], header, *rows[:100], [], *rows[100:], []]
    naming_2 = [["code", "clip"]] + [[f"{code:04d}", f"{stem} "] for code, stem in workbooks.NAMING_2]
    naming_1 = [["folder", "name", "subject"]] + [[float(a), b.upper(), str(c)] for a, b, c in workbooks.NAMING_1]
    sheets = {"notes": [["see paper"]], "naming rule2": naming_2, "naming rule1": naming_1, "final": rows}
    folder = tmp_path / "download" / "CAS(ME)^2"
    xlsx(folder / "CAS(ME)^2code_final(Updated).xlsx", sheets)
    (folder / "~$CAS(ME)^2code_final(Updated).xlsx").write_bytes(b"lock")
    (folder / "rawpic").mkdir()
    xlsx(folder / "rawpic" / "code_final.xlsx", {"never": [["read"]]})
    release = casme2.read(tmp_path, settings(), annotations_only=True)
    columns = ["video_id", "onset", "apex", "offset", "expression_type", "emotion", "label_set"]
    assert release.events[columns].equals(full.events[columns])
    assert release.issues["row"].min() == 4  # as a person counts


def test_info_workbook_with_headers(tmp_path):
    rows = [["Sub", "Name", "Onset", "Apex", "Offset", "Expression", "Type1", "Type2"]]
    rows += [[*row[:5], row[7], row[8], row[6]] for row in casme2_rows()]  # Type1 is the self-reported one here
    small_tables = {"Type1": [["happiness", 1], ["anger", 2]], "Type2": [["positive", 1], ["negative", 2]]}
    sheets = {"info": rows, "rule1": workbooks.NAMING_1, "rule2": workbooks.NAMING_2, **small_tables}
    xlsx(tmp_path / "CAS(ME)2info.xlsx", sheets)
    release = casme2.read(tmp_path, settings(), annotations_only=True)
    for label_set in ("annotated", "self_reported"):
        assert macro(release, label_set)["emotion"].value_counts().to_dict() == counts.published("casme2", label_set)


def test_of_several_workbooks_the_known_release_is_used(tmp_path):
    small(tmp_path / "CAS(ME)^2code_final(Updated).xlsx")  # the first by name
    casme2_book(tmp_path / "CAS(ME)^2code_final.xlsx", casme2_rows())
    release = casme2.read(tmp_path, settings(), annotations_only=True)
    assert len(macro(release, "annotated")) == 300
    assert "CAS(ME)^2code_final.xlsx" in release.notes[0]
    assert release.notes[1] == "Not used: CAS(ME)^2code_final(Updated).xlsx (CASFEcode_final)."


def test_oddities_of_the_known_release_are_recorded(tmp_path):
    rows = casme2_rows()
    rows[100][4] = rows[100][2] - 10  # offset before onset
    rows[101][1] = "sadness7_1"  # no film of that name
    rows[102][8] = "angre"
    rows[103][6] = ""
    rows[104] = list(rows[103])
    rows[106][2] = "about 310"
    rows[107][0] = 99  # no folder of that subject
    rows[340][8] = "boredom"  # of a micro-expression
    casme2_book(tmp_path / "code_final.xlsx", rows)
    release = casme2.read(tmp_path, settings(), annotations_only=True)
    found = rules(release)
    known = ("offset_before_onset", "unknown_clip", "unknown_emotion", "emotion_missing", "duplicate_row")
    assert (
        all(found[rule] for rule in (*known, "not_a_frame_number", "unknown_subject"))
        and found["emotion_spelling"] == 2
    )
    assert len(macro(release, "annotated")) == 300 and "boredom" in set(release.events["emotion"])
    assert {"s15_sadness7", "subject99_0101"} <= set(release.videos["video_id"])
    assert "Not in the naming rules, so named after the sheet: sadness7, subject99." in release.notes


def test_what_is_no_oddity_of_a_known_release(tmp_path):
    rows = casme2_rows()
    rows[102][8], rows[105][2], rows[106][4] = "boredom", "3oo", "abc"
    rows[104] = list(rows[103])
    casme2_book(tmp_path / "code_final.xlsx", rows)
    *lines, _ = refused(tmp_path)
    assert [line.partition(": row ")[2] for line in lines] == [
        "103: unknown emotion (boredom)",
        "106: a frame number is no whole number ('3oo')",
        "107: a frame number is no whole number ('abc')",
    ]
    rows[200][7] = "gesture"
    rows[200:] = [*rows[200:], [1, "anger1_9", 7001, 7005, 7009, "4", "others", "macro-expression", "fear"]]
    casme2_book(tmp_path / "code_final.xlsx", rows)
    *lines, _ = refused(tmp_path)  # a row would be lost: no known release, and the repeated row is a fault as well
    assert len(lines) == 6 and any("row 105: the row repeats an earlier one" in line for line in lines)


def test_totals_at_the_foot_are_no_expressions(tmp_path, full):
    foot = [
        [],
        [None] * 7 + ["Macro-expression: 300"],
        ["Micro-expression", 57],
        [None] * 7 + ["macro-expression", 300],
    ]
    casme2_book(tmp_path / "code_final.xlsx", casme2_rows() + foot)
    release = casme2.read(tmp_path, settings(), annotations_only=True)
    assert len(release.events) == len(full.events) and "those of the release" in release.notes[0]


def test_all_faults_of_another_file_at_once(tmp_path):
    bad = [
        [3, "anger1_1", 50, 40, 30, "4", "negative", "macro-expression", "anger"],
        [3, "boredom1_1", 50, 60, 70, "4", "negative", "macro-expression", "anger"],
        [3, "anger2_1", 50, 60, 70, "4", "angelic", "macro-expression", "anger"],
        [77, "anger2_2", 50, 60, 70, "4", "others", "macro-expression", "angre"],
        [3, "anger2_3", None, 60, 70, "4", "others", "macro-expression", "anger"],
        [3, "anger2_3", 5, 60, 70, "4", "others", "gesture", "anger"],
        [2, "happy1_1", 10, 20, 30, "12", "positive", "macro-expression", "happiness"],
    ]
    path = small(tmp_path / "code_final.xlsx", bad)
    *lines, hint = refused(tmp_path)
    sheet = f"{path}: sheet CASFEcode_final"
    assert f"{sheet}: row 4: the offset lies before the onset (onset 50, apex 40, offset 30)" in lines
    assert f"{sheet}: row 5: the clip's name has no film code in the naming rule (boredom1_1)" in lines
    assert f"{sheet}: row 6: unknown emotion (angelic)" in lines
    assert f"{sheet}: row 7: unknown subject (77)" in lines
    assert f"{sheet}: row 7: misspelt emotion (angre)" in lines
    assert f"{sheet}: row 8: no onset is coded (apex 60, offset 70)" in lines
    assert f"{sheet}: row 9: the expression type is neither macro nor micro ('gesture')" in lines
    assert f"{sheet}: row 10: the row repeats an earlier one" in lines
    assert len(lines) == 8 and "strict: false" in hint
    release = casme2.read(tmp_path, settings(strict=False), annotations_only=True)
    assert len(release.events) == 2 * 6 and len(release.issues) == 9  # 8, and the apex of row 4


@pytest.mark.parametrize(
    "name", ["../../etc/anger1_1", "/etc/anger1_1", "anger\x071_1", "C:\\anger1_1", "=1+1", "~x_1"]
)
def test_hostile_names_are_refused_in_any_mode(tmp_path, name):
    book = small(tmp_path / "code_final.xlsx", [[1, "anger2_1", 10, 20, 30, "4", "others", "macro-expression", "fear"]])
    if "\x07" in name:
        book.unlink()
        cells = [20, 30, "4", "others", "macro-expression", "fear"]
        rows = [[1, name if i == 3 else f"anger1_{i}", 10 + i, *cells] for i in range(4)]
        naming = {"rule1": workbooks.NAMING_1, "rule2": workbooks.NAMING_2}
        workbooks.xls(tmp_path / "code_final.xls", {"CASFEcode_final": rows, **naming})
    else:
        edited = openpyxl.load_workbook(book)
        edited["CASFEcode_final"]["B4"] = name
        edited.save(book)
    lines = refused(tmp_path, strict=False)
    assert len(lines) == 1 and "row 4" in lines[0] and ("refused" in lines[0] or "formula" in lines[0])


@pytest.mark.parametrize("cell", ["A4", "C4", "E4", "G4", "H4"])
def test_formulas_are_refused_wherever_they_stand(tmp_path, cell):
    book = small(tmp_path / "code_final.xlsx", [[1, "anger2_1", 10, 20, 30, "4", "others", "macro-expression", "fear"]])
    edited = openpyxl.load_workbook(book)
    edited["CASFEcode_final"][cell] = "=1+1"
    edited["CASFEcode_final"]["F4"] = "=1+1"  # action units are not read
    edited.save(book)
    (line,) = refused(tmp_path, strict=False)
    assert f"row 4: cell {cell} is a formula" in line


def test_a_clip_in_two_lines_is_one_name(tmp_path):
    small(tmp_path / "code_final.xlsx", [[3, "anger2\n_1", 9, 20, 30, "4", "others", "macro-expression", "fear"]])
    assert "s19_0402" in set(casme2.read(tmp_path, settings(), annotations_only=True).videos["video_id"])


@pytest.mark.parametrize("change", ["folders", "index right", "index left", "index of the subject"])
def test_the_subjects_column_is_known_by_its_content(tmp_path, full, change):
    rows, seen = casme2_rows(), dict.fromkeys(range(1, 23), 0)
    for i, row in enumerate(rows, 1):
        seen[row[0]] += 1
        if change == "folders":
            row[0] = f"S{workbooks.FOLDERS[row[0] - 1]}"
        else:
            row.insert(0 if change == "index left" else 1, seen[row[0]] if change == "index of the subject" else i)
    casme2_book(tmp_path / "code_final.xlsx", rows)
    release = casme2.read(tmp_path, settings(), annotations_only=True)
    assert release.events["video_id"].equals(full.events["video_id"])


GOOD = [[1, "anger1_1", 10, 20, 30, "4", "negative", "macro-expression", "anger"]]
GOOD += [[2, "happy1_1", 10, 20, 30, "12", "positive", "macro-expression", "happiness"]]


@pytest.mark.parametrize("names", [("naming rule1", "naming rule2"), ("subjects", "films")])
def test_other_tables_do_not_change_the_naming_rules(tmp_path, names):
    summary = [["s15", 9], ["s16", 1], ["s19", 2]]
    rules = {names[0]: workbooks.NAMING_1, names[1]: workbooks.NAMING_2}
    xlsx(tmp_path / "code_final.xlsx", {"codes": GOOD, "a summary": summary, **rules, "summary": summary})
    videos = casme2.read(tmp_path, settings(), annotations_only=True).videos
    assert videos["video_id"].tolist() == ["s15_0401", "s16_0502"]


def test_naming_rules_that_contradict_themselves(tmp_path):
    rules = {
        "naming rule1": [*workbooks.NAMING_1, [16, "s16", 1]],
        "naming rule2": [*workbooks.NAMING_2, [101, "anger1"]],
    }
    path = xlsx(tmp_path / "code_final.xlsx", {"codes": GOOD, **rules})
    assert refused(tmp_path) == [
        f"{path}: sheet naming rule1: row 23: 1 is s16 here, but s15 in another row",
        f"{path}: sheet naming rule2: row 10: anger1 is 0101 here, but 0401 in another row",
    ]


def test_naming_rules_in_another_workbook(tmp_path):
    xlsx(tmp_path / "code_final.xlsx", {"codes": GOOD, "naming rule1": workbooks.NAMING_1})
    xlsx(tmp_path / "code_final (1).xlsx", {"codes": GOOD})
    xlsx(tmp_path / "documents" / "films.xlsx", {"naming rule2": workbooks.NAMING_2})
    (tmp_path / "others.xls").write_bytes(b"no workbook")
    videos = casme2.read(tmp_path, settings(), annotations_only=True).videos
    assert videos["video_id"].tolist() == ["s15_0401", "s16_0502"]
    (tmp_path / "film rules.xlsx").write_bytes(b"no workbook")
    assert "film rules.xlsx: not a workbook" in refused(tmp_path)[0]


def test_without_naming_rules_only_the_annotations_can_be_read(tmp_path):
    header = ["Sub", "Name", "Onset", "Apex", "Offset", "Expression", "Type1", "Type2"]
    rows = [[*row[:5], row[7], row[6], row[8]] for row in casme2_rows()]
    xlsx(tmp_path / "CAS(ME)2info.xlsx", {"info": [header, *rows]})
    release = casme2.read(tmp_path, settings(), annotations_only=True)
    for label_set in ("annotated", "self_reported"):
        assert macro(release, label_set)["emotion"].value_counts().to_dict() == counts.published("casme2", label_set)
    assert len(release.videos) == 98 and "subject9_disgust1" in set(release.videos["video_id"])
    assert any(note.startswith("No sheet with the naming rule of subjects") for note in release.notes)
    with pytest.raises(InputError, match=r"^[^\n]*naming rule of subjects .*`naming rule1`.* and of films[^\n]*$"):
        casme2.read(tmp_path, settings(), annotations_only=False)


def test_no_workbook(tmp_path):
    assert "no workbook in it, nor in the folders to 3 levels below" in refused(tmp_path)[0]
    xlsx(tmp_path / "shopping.xlsx", {"list": [["milk", 1]]})
    assert "no annotations of CAS(ME)^2" in refused(tmp_path)[0] and "shopping.xlsx" in refused(tmp_path)[0]
    assert "give its folder" in refused(tmp_path / "shopping.xlsx")[0]
    with pytest.raises(InputError, match="no such folder"):
        casme2.read(tmp_path / "absent", settings(), annotations_only=True)


def test_a_broken_workbook_beside_a_good_one(tmp_path):
    small(tmp_path / "code_final.xlsx")
    (tmp_path / "code_final (copy).xlsx").write_bytes(b"no workbook")
    (line,) = refused(tmp_path)
    assert "(copy).xlsx: not a workbook" in line and "remove or rename it" in line


def test_links_to_themselves_are_passed_by(tmp_path):
    small(tmp_path / "code_final.xlsx")
    for name in ("loop", "loop.xlsx", "rawpic"):
        (tmp_path / name).symlink_to(name)
    assert len(casme2.read(tmp_path, settings(), annotations_only=True).videos) == 2
    with pytest.raises(InputError, match="no long videos found"):
        casme2.read(tmp_path, settings(), annotations_only=False)


def test_a_line_break_in_a_folder_s_name_stays_within_a_line(tmp_path):
    assert len(refused(tmp_path / "a\nb")) == 1
    small(tmp_path / "a\nb" / "code_final.xlsx", [[77, *GOOD[0][1:]]])
    assert len(refused(tmp_path / "a\nb")) == 2  # and the hint
    (tmp_path / "a\nb" / "code_final.xlsx").write_bytes(b"no workbook")
    assert len(refused(tmp_path / "a\nb")) == 1
