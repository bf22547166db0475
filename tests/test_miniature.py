"""The readers against the miniature releases: their tables are exactly what was planted.

Everything goes through the command line. The miniatures (tests/miniature) are written from datasets.md alone.
"""

import shutil

import cv2
import miniature
import openpyxl
import pandas as pd
import pytest
from miniature import casme2, casme3, checks, custom
from miniature.checks import assert_same_events, expected, read

from fedn_pipeline.faces import source
from fedn_pipeline.faces.landmarks import find_landmarks

VIDEO = ["source", "kind", "n_frames", "fps", "width", "height", "first_number"]


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


# The miniatures themselves


def test_the_frames_show_the_planted_smile_and_nothing_where_nothing_is_labelled(releases):
    root, truth = releases("casme2")

    def mouth(source, frame):
        picture = cv2.imread(str(root / source / f"img{frame + 1:03d}.jpg"))
        mesh = find_landmarks(picture[..., ::-1].copy())
        return (mesh[291, 0] - mesh[61, 0]) / (mesh[473, 0] - mesh[468, 0])

    smiles = expected(truth, emotion=["happiness"], expression_type=["macro"])
    assert len(smiles) == 3
    for smile in smiles.itertuples():
        apex = mouth(smile.source, smile.apex)
        assert apex > mouth(smile.source, smile.onset - 1) + 0.08
        assert apex > mouth(smile.source, smile.offset + 1) + 0.08
    quiet = set(truth.videos.source) - set(truth.events.source)
    assert len(quiet) == 1
    widths = [mouth(source, frame) for source in quiet for frame in (0, 40, 80)]
    assert max(widths) - min(widths) < 0.04


def test_casme2_sheets_are_as_in_the_release(releases):
    root, _ = releases("casme2")
    sheets = pd.read_excel(root / casme2.WORKBOOK, sheet_name=None, header=None, engine="calamine")
    assert tuple(sheets) == casme2.SHEETS
    assert sheets["naming rule2"].iloc[0].tolist() == [101, "disgust1"]
    codes = sheets["CASFEcode_final"]
    assert (codes[4] == 0).sum() == 1 and (codes[3] == 0).sum() == 1 and (codes[8] == "happyiness").sum() == 1
    assert ((codes[4] < codes[3]) & (codes[4] > 0)).sum() == 1
    assert sorted(path.name for path in (root / "rawpic/s15/15_0401girlcrashing").iterdir())[0] == "img001.jpg"


def test_casme3_files_have_their_faults(releases):
    root, truth = releases("casme3")
    color = {source: {int(path.stem) for path in (root / source).iterdir()} for source in truth.videos.source}
    n_frames = truth.videos.n_frames[0]
    assert color["part_A/spNO.1/a/color"] == set(range(7, n_frames))
    assert color["part_A/spNO.1/b/color"] == set(range(n_frames)) - {60}
    assert (root / "part_A/spNO.3/a/color/41.jpg").read_bytes()[-2:] != b"\xff\xd9"
    assert (root / "part_A/spNO.3/b/color/21.jpg").stat().st_size == 0
    assert (root / "part_A/spNo.2/j/depth/37.png").is_file()
    sheets = pd.read_excel(root / "annotation" / casme3.WORKBOOK, sheet_name=None, engine="calamine")
    assert list(sheets) == ["AU+Emotion", "eye blink"]
    assert sheets["AU+Emotion"].columns.tolist() == casme3.HEADER
    assert (sheets["AU+Emotion"].Filename == "J").sum() == 1
    assert set(sheets["AU+Emotion"].Subject) == {"spNO.1", "spNO.2", "spNO.3"}


# What the readers make of them


@pytest.mark.parametrize("name", checks.WRITE)
def test_tables_are_what_was_planted(name, releases, tmp_path):
    root, truth = releases(name)
    status, found = read(name, root, tmp_path / "out", "--types", "both")
    assert status == 0
    videos, wanted = (t.sort_values("source", ignore_index=True) for t in (found.videos, truth.videos))
    numbers = pd.to_numeric(videos.first_number).astype("Int64")
    pd.testing.assert_frame_equal(videos.assign(first_number=numbers)[VIDEO], wanted[VIDEO], check_dtype=False)
    groups = pd.DataFrame({"found": videos.subject, "planted": wanted.subject}).drop_duplicates()
    assert groups.found.is_unique and groups.planted.is_unique, "subjects are split or mixed up"
    assert_same_events(found.events, expected(truth))


@pytest.mark.parametrize("name", checks.WRITE)
def test_every_repair_is_recorded_and_nothing_else(name, releases, tmp_path):
    root, truth = releases(name)
    _, found = read(name, root, tmp_path / "out", "--types", "both")
    wanted = truth.issues.assign(row=truth.issues.row.astype("string").fillna(""))
    places = sorted(zip(wanted.source, wanted.row, strict=True))
    assert sorted({*zip(found.issues.source, found.issues.row, strict=True)}) == places
    assert (found.issues.rule != "").all()


def test_macro_is_the_default_and_label_sets_can_be_chosen(releases, tmp_path):
    root, truth = releases("casme2")
    _, found = read("casme2", root, tmp_path / "macro")
    assert_same_events(found.events, expected(truth, expression_type=["macro"]))
    _, found = read("casme2", root, tmp_path / "micro", "--types", "micro", "--labels", "self_reported")
    wanted = expected(truth, expression_type=["micro"], label_set=["self_reported"])
    assert len(wanted) and wanted.emotion.isin(["happiness", "surprise", "anger", "disgust"]).all()
    assert_same_events(found.events, wanted)


@pytest.mark.parametrize("choice", ["apex", "drop"])
def test_missing_offset_is_a_choice(choice, releases, tmp_path):
    root, truth = releases("casme2")
    _, found = read("casme2", root, tmp_path / "out", "--types", "both", missing_offset=choice)
    wanted = expected(truth)
    row = truth.issues.row[truth.issues.trap == "offset 0"].item()
    without = wanted.row == row
    if choice == "drop":
        wanted = wanted[~without]
    else:
        wanted.loc[without, "offset"] = wanted.loc[without, "apex"].astype(int)
    assert_same_events(found.events, wanted)
    assert str(row) in set(found.issues.row)


def test_casme2_from_the_cropped_frames_with_unpadded_numbers(tmp_path):
    root = tmp_path / "release"
    root.mkdir()
    truth = miniature.write_casme2(root, seconds=4.5, size=(64, 48), layout="longVideoFaceCropped")
    status, found = read("casme2", root, tmp_path / "out", "--types", "both")
    assert status == 0 and set(found.videos.source) == set(truth.videos.source)
    assert_same_events(found.events, expected(truth))


def test_casme3_without_its_emotions_is_for_spotting_only(copied, tmp_path, capsys):
    root, truth = copied("casme3")
    for name in (casme3.MACRO_EMOTIONS, casme3.MICRO_EMOTIONS):
        (root / "annotation" / name).unlink()
    status, found = read("casme3", root, tmp_path / "out", "--types", "both")
    assert status == 0 and "recognition" in capsys.readouterr().out
    assert_same_events(found.events, expected(truth).assign(emotion=""))


@pytest.mark.parametrize("name", ["casme2", "casme3", "samm"])
def test_annotations_without_frames(name, copied, tmp_path):
    root, truth = copied(name)
    for folder in ("rawpic", "part_A", "SAMM_longvideos"):
        shutil.rmtree(root / folder, ignore_errors=True)
    status, found = read(name, root, tmp_path / "out", "--types", "both", "--annotations-only")
    assert status == 0
    assert found.videos[["n_frames", "fps", "width", "height"]].isna().all(axis=None)
    columns = ["onset", "apex", "offset", "expression_type", "emotion", "label_set", "row"]
    assert_same_events(*(events.assign(source="")[["source", *columns]] for events in (found.events, expected(truth))))


@pytest.mark.parametrize("other", ["CAS(ME)^2code_final.xlsx", "code_final.xlsx"])
def test_casme2_workbook_is_found_under_its_other_names(other, copied, tmp_path):
    root, truth = copied("casme2")
    (root / casme2.WORKBOOK).rename(root / other)
    status, found = read("casme2", root, tmp_path / "out", "--types", "both")
    assert status == 0 and found.events.provenance.str.startswith(f"{other}:").all()
    assert_same_events(found.events, expected(truth))


def test_casme3_spellings_of_both_workbooks_are_one_emotion(copied, tmp_path):
    root, truth = copied("casme3")
    for file, sheet, cell, text in (
        (casme3.MACRO_EMOTIONS, "Sheet1", "G2", "sadness"),
        (casme3.MICRO_EMOTIONS, "label", "H2", "sad"),
    ):
        book = openpyxl.load_workbook(root / "annotation" / file)
        book[sheet][cell] = text
        book.save(root / "annotation" / file)
    _, found = read("casme3", root, tmp_path / "out", "--types", "both")
    wanted = expected(truth)
    wanted.loc[wanted.row.isin([2, 3]), "emotion"] = "sadness"  # the first macro and the first micro row
    assert_same_events(found.events, wanted)


def test_stage_faces_sees_the_faults_at_their_frames_and_shifts_nothing(releases):
    root, truth = releases("casme3")
    n_frames = truth.videos.n_frames[0]
    for video, faulty, stand_in in (
        ("spNO.1/a", range(7), 7),
        ("spNO.1/b", [casme3.INNER_FRAME], casme3.INNER_FRAME - 1),
        ("spNO.3/a", [casme3.TRUNCATED_FRAME], casme3.TRUNCATED_FRAME - 1),
        ("spNO.3/b", [casme3.EMPTY_FRAME], casme3.EMPTY_FRAME - 1),
    ):
        folder = root / "part_A" / video / "color"
        info = source.probe(folder, casme3.FPS, 0)
        assert info.n_frames == n_frames and info.filled and info.fps == casme3.FPS
        shown = list(source.frames(folder, info))
        assert len(shown) == n_frames
        assert [i for i, bad in enumerate(info.damaged) if bad] == list(faulty)
        own = cv2.imread(str(folder / f"{stand_in}.jpg"))[..., ::-1].astype(int)
        for i in faulty:
            assert abs(shown[i] - own).mean() < 1
        last = cv2.imread(str(folder / f"{n_frames - 1}.jpg"))[..., ::-1].astype(int)
        assert abs(shown[-1] - last).mean() < 1


def test_custom_events_may_be_absent(copied, tmp_path):
    root, truth = copied("custom")
    (root / "events.csv").unlink()
    status, found = read("custom", root, tmp_path / "out")
    assert status == 0 and not len(found.events) and set(found.videos.source) == set(truth.videos.source)
    assert found.videos.subject.nunique() == len(custom.SUBJECTS)
