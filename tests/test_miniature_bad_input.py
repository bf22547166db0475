"""The readers on miniature releases that were spoilt: all problems at once, or repaired and recorded.

Everything goes through the command line; `read` itself checks that nothing is written beside an error.
"""

import re
import shutil
from dataclasses import dataclass

import openpyxl
import pandas as pd
import pytest
from miniature import casme2, casme3, checks, samm
from miniature.checks import append, assert_same_events, expected, read

UNKNOWN, BACKWARDS = r"no film code|no folder|no such video", "before the onset"
PAST, EMOTION, REPEATED = "after the last frame", "unknown emotion", "repeats"


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    """Function `name -> (root, Planted)`."""
    return checks.written_once(tmp_path_factory)


@pytest.fixture
def copied(releases, tmp_path):
    """Function `name -> (root, Planted)` with a copy of the release that may be changed."""

    def copy(name):
        root, truth = releases(name)
        return checks.copied(root, tmp_path / "copy"), truth

    return copy


@dataclass
class Spoilt:
    """What was broken: the annotations' file, `{row: pattern of the rule}`, other texts to be named, sources gone."""

    file: str
    rules: dict
    named: list
    gone: list


def spoil_casme2(root):
    path, sheet = root / casme2.WORKBOOK, casme2.SHEETS[0]
    codes = pd.read_excel(path, sheet_name=sheet, header=None, engine="calamine")
    rows = append(
        path,
        sheet,
        [
            [1, "boredom9_1", 10, 15, 20, "6+12", "positive", "macro-expression", "happiness"],
            [2, "happy1_5", 60, 62, 50, "6+12", "positive", "macro-expression", "happiness"],
            [2, "happy1_6", 120, 130, 900, "6+12", "positive", "macro-expression", "happiness"],
            [2, "happy1_7", 60, 65, 70, "6+12", "joyish", "macro-expression", "happiness"],
            codes.astype(object).iloc[0].tolist(),
        ],
    )
    gone = ["rawpic/s16/16_0401girlcrashing", "rawpic/s19/19_0102eatingworms"]
    remove_and_empty(root, gone)
    rules = dict(zip(rows, (UNKNOWN, BACKWARDS, PAST, EMOTION, REPEATED), strict=True))
    return Spoilt(path.name, rules, ["boredom9", "joyish", "16_0401", "19_0102"], gone)


def spoil_casme3(root):
    path = root / "annotation" / casme3.WORKBOOK
    first = pd.read_excel(path, sheet_name="AU+Emotion", engine="calamine").astype(object).iloc[0].tolist()
    intervals = [["m", 10, 15, 20], ["a", 60, 62, 50], ["a", 120, 130, 900]]
    bad = [["spNO.1", *i, "6+12+25", "Macro-expression", "I"] for i in intervals]
    rows = append(path, "AU+Emotion", [*bad, first])
    append(path.with_name(casme3.MACRO_EMOTIONS), "Sheet1", [["spNO.1", *i, "", "anger"] for i in intervals])
    gone = ["part_A/spNo.2/a/color", "part_A/spNO.3/a/color"]
    remove_and_empty(root, gone)
    rules = dict(zip(rows, (UNKNOWN, BACKWARDS, PAST, REPEATED), strict=True))
    return Spoilt(path.name, rules, ["spNo.2/a", "spNO.3/a"], gone)


def spoil_samm(root):
    path = root / samm.WORKBOOK
    header = len(samm.PREAMBLE)
    first = pd.read_excel(path, header=header, engine="calamine").astype(object).iloc[0, :9].tolist()
    cells = [["006_9_1", 1, 10, 15, 20, 11], ["006_1_5", 1, 60, 62, 50, -9], ["006_1_6", 1, 120, 130, 9000, 8881]]
    rows = append(path, samm.SHEET, [*([6, *some, "Macro", "6+12+25"] for some in cells), first])
    gone = ["SAMM_longvideos/006_2", "SAMM_longvideos/007_1"]
    remove_and_empty(root, gone)
    rules = dict(zip(rows, (UNKNOWN, BACKWARDS, PAST, REPEATED), strict=True))
    return Spoilt(path.name, rules, ["006_2", "006_9", "007_1"], gone)


def spoil_custom(root):
    path = root / "events.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    bad = ["zoe_1,0.5,1.0,anger", "anna_1,2.0,1.0,anger", "anna_1,3.0,99.5,anger", lines[1]]
    path.write_text("\n".join([*lines, *bad]) + "\n", encoding="utf-8")
    (root / "ben/ben_1.mp4").unlink()
    rules = {len(lines) + 1 + i: rule for i, rule in enumerate((UNKNOWN, BACKWARDS, PAST, REPEATED))}
    return Spoilt(path.name, rules, ["zoe_1", "ben_1"], ["ben/ben_1.mp4"])


def remove_and_empty(root, folders):
    """The first folder is missing, the second empty."""
    shutil.rmtree(root / folders[0])
    for path in (root / folders[1]).iterdir():
        path.unlink()


SPOIL = {"casme2": spoil_casme2, "casme3": spoil_casme3, "samm": spoil_samm, "custom": spoil_custom}


@pytest.mark.parametrize("name", checks.WRITE)
def test_bad_input_is_refused_all_at_once_with_file_row_and_rule(name, copied, tmp_path, capsys):
    root, _ = copied(name)
    spoilt = SPOIL[name](root)
    status, _ = read(name, root, tmp_path / "out", "--types", "both")
    printed = capsys.readouterr().err
    assert status == 2 and "Traceback" not in printed
    for row, rule in spoilt.rules.items():
        line = re.compile(rf"^.*{re.escape(spoilt.file)}.*row {row}: .*({rule})", re.MULTILINE)
        assert line.search(printed), (row, rule, printed)
    for text in spoilt.named:
        assert text in printed, (text, printed)


@pytest.mark.parametrize("name", checks.WRITE)
def test_bad_input_is_dropped_or_repaired_and_recorded_where_strict_is_off(name, copied, tmp_path, capsys):
    root, truth = copied(name)
    spoilt = SPOIL[name](root)
    status, found = read(name, root, tmp_path / "out", "--types", "both", strict=False)
    assert status == 0, capsys.readouterr().err
    assert set(map(str, spoilt.rules)) <= set(found.issues.row)
    good = ~found.events.row.isin(list(spoilt.rules))
    assert_same_events(found.events[good], expected(truth)[lambda e: ~e.source.isin(spoilt.gone)])
    repeated = [row for row, rule in spoilt.rules.items() if rule == REPEATED]
    assert not found.events.row.isin(repeated).any()


@pytest.mark.parametrize("name", checks.WRITE)
def test_every_event_that_goes_with_its_video_is_recorded(name, copied, tmp_path):
    root, truth = copied(name)
    spoilt = SPOIL[name](root)
    _, found = read(name, root, tmp_path / "out", "--types", "both", strict=False)
    lost = expected(truth, source=spoilt.gone).row
    assert len(lost) and set(map(str, lost)) <= set(found.issues.row)


def test_two_videos_with_one_id_are_refused(copied, tmp_path, capsys):
    root, _ = copied("custom")
    shutil.copy(root / "anna/anna_1.mp4", root / "anna/anna_1.mov")
    status, _ = read("custom", root, tmp_path / "out")
    assert status == 2 and "anna_1.mov" in capsys.readouterr().err


def test_an_unknown_emotion_of_the_other_workbook_is_refused(copied, tmp_path, capsys):
    root, _ = copied("casme3")
    path = root / "annotation" / casme3.MACRO_EMOTIONS
    book = openpyxl.load_workbook(path)
    book["Sheet1"]["G3"] = "joyish"
    book.save(path)
    status, _ = read("casme3", root, tmp_path / "out")
    printed = capsys.readouterr().err
    assert status == 2 and any(casme3.MACRO_EMOTIONS in line and "row 3: " in line for line in printed.splitlines())


def test_unknown_columns_are_refused(copied, tmp_path, capsys):
    root, _ = copied("custom")
    path = root / "events.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("emotion\n", "emotoin\n", 1), encoding="utf-8")
    status, _ = read("custom", root, tmp_path / "out")
    assert status == 2 and "emotoin" in capsys.readouterr().err


@pytest.mark.parametrize("clip", ["../../../etc/passwd_1", "/etc/passwd_1", '=HYPERLINK("x")_1', "anger1 _1\n_1"])
def test_hostile_names_are_refused_in_one_line(clip, copied, tmp_path, capsys):
    root, _ = copied("casme2")
    row = [1, clip, 10, 15, 20, "12", "positive", "macro-expression", "happiness"]
    rows = append(root / casme2.WORKBOOK, casme2.SHEETS[0], [row])
    status, _ = read("casme2", root, tmp_path / "out")
    lines = capsys.readouterr().err.split("\nfedn-pipeline dataset: ")[-1].splitlines()
    lines = [line for line in lines if not line.startswith("(dataset.strict")]
    assert (
        status == 2 and lines and all(f"{casme2.WORKBOOK}: " in line and f"row {rows[0]}: " in line for line in lines)
    )


@pytest.mark.parametrize("name", ["casme2", "casme3", "samm"])
def test_what_is_no_workbook_is_refused(name, copied, tmp_path, capsys):
    root, _ = copied(name)
    file = {"casme2": casme2.WORKBOOK, "casme3": casme3.WORKBOOK, "samm": samm.WORKBOOK}[name]
    next(root.rglob(file)).write_bytes(b"not a workbook")
    status, _ = read(name, root, tmp_path / "out")
    printed = capsys.readouterr().err
    assert status == 2 and file in printed and "Traceback" not in printed
