"""Editing in a real browser: by pointer, keys and fields; undo; events.csv saved, loaded, and read by `custom`."""

import csv
import io
import shutil

import pytest
import sample_page
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from page_tab import drag, frame, intervals, saved, set_threshold, wait

from fedn_pipeline import config
from fedn_pipeline.dataset import custom

FPS = sample_page.FPS


@pytest.fixture
def csv_tab(opened):
    return opened(sample_page.results())


def test_edits_come_back_through_the_reader_of_own_videos(opened, proxy, tmp_path):
    tab = opened(sample_page.results(), proxy)
    drag(tab, 6.1 / FPS, 4.1 / FPS, lane=2)  # the onset of the first, two frames earlier
    drag(tab, 46 / FPS, 43 / FPS, lane=3)  # the second as a whole, three frames earlier
    drag(tab, 22.2 / FPS, 27.9 / FPS, lane=1)  # a new one
    tab.select_option("#emotion", label="own label…")
    tab.fill("#own", 'mild, "polite" smile')
    tab.keyboard.press("Enter")
    expected = [[4, 14, "happiness"], [22, 27, 'mild, "polite" smile'], [37, 49, "surprise"]]
    assert intervals(tab) == expected

    folder = tmp_path / "own"
    folder.mkdir()
    path = saved(tab, folder)
    lines = path.read_bytes().split(b"\r\n")
    assert lines[0] == b"video_id,onset,apex,offset,emotion,provenance"
    assert lines[1] == b"talk,4,10,14,happiness,edited 0.83"
    assert lines[2] == b'talk,22,,27,"mild, ""polite"" smile",added'
    shutil.copy(proxy, folder / "talk.mp4")
    release = custom.read(folder, config.validate({})["dataset"])  # strict, as by default
    assert release.events[["onset", "offset", "emotion"]].to_numpy().tolist() == expected
    assert release.events["apex"].fillna(-1).tolist() == [10, -1, 46] and not len(release.issues)

    again = opened(sample_page.results(), proxy)
    again.set_input_files("#file", path)
    wait(again, "store.shown().length === 3")
    assert intervals(again) == expected and "Loaded 3 intervals" in again.text_content("#status")
    set_threshold(again, 1)
    assert intervals(again) == expected
    (tmp_path / "twice").mkdir()
    assert saved(again, tmp_path / "twice").read_bytes() == path.read_bytes()


def test_keys_edit_and_everything_can_be_undone(opened):
    tab = opened(sample_page.results())
    start = intervals(tab)
    tab.keyboard.press("n")
    tab.keyboard.press("n")
    assert tab.get_attribute("#rows tr >> nth=1", "aria-current") == "true" and frame(tab) == 40
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("i")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("o")
    tab.keyboard.press("1")
    assert intervals(tab)[1] == [41, 42, "anger"]
    assert tab.input_value("#apex") == ""  # it lay outside
    tab.keyboard.press("Home")
    tab.keyboard.press("o")
    assert "must not lie after" in tab.text_content("#status") and intervals(tab)[1] == [41, 42, "anger"]
    tab.keyboard.press("p")
    assert frame(tab) == 0
    tab.keyboard.press("a")
    assert intervals(tab)[0] == [0, FPS, "anger"]
    tab.keyboard.press("Delete")
    assert len(intervals(tab)) == 2
    for _ in range(5):
        tab.keyboard.press("z")
    assert intervals(tab) == start and tab.is_disabled("#undo") and not tab.evaluate("store.dirty")
    for _ in range(5):
        tab.keyboard.press("y")
    assert len(intervals(tab)) == 2 and tab.is_disabled("#redo") and tab.evaluate("store.dirty")


def test_fields_take_frames_and_refuse_others(opened):
    tab = opened(sample_page.results())
    tab.keyboard.press("n")
    for field, value, refusal in (
        ("#onset", "15", "must not lie after"),
        ("#offset", "60", "go from 0 to 59"),
        ("#apex", "3", "must lie between"),
        ("#onset", "", "go from 0 to 59"),
    ):
        tab.fill(field, value)
        tab.keyboard.press("Enter")
        assert refusal in tab.text_content("#status") and intervals(tab)[0] == [6, 14, "happiness"]
    tab.fill("#offset", "59")
    tab.keyboard.press("Enter")
    assert intervals(tab)[0] == [6, 59, "happiness"]
    for label in ("=1+1", "  "):
        tab.select_option("#emotion", label="own label…")
        tab.fill("#own", label)
        tab.keyboard.press("Enter")
        assert "Not relabelled" in tab.text_content("#status")
    tab.select_option("#emotion", label="own label…")
    tab.fill("#own", "ANGER")
    tab.keyboard.press("Enter")
    assert intervals(tab)[0] == [6, 59, "anger"]  # one spelling, as the reader wants it


def test_rows_of_other_videos_and_further_columns_are_kept(opened, tmp_path):
    header = ["video_id", "subject", "onset", "offset", "emotion", "provenance"]
    rows = [["talk.mp4", "Zoë", "3", "9", "anger", "coder 2"], ["walk", 'A "B", C', "1", "2", "happiness", ""]]
    with open(tmp_path / "mine.csv", "w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([header, *rows])
    tab = opened(sample_page.results())
    tab.set_input_files("#file", tmp_path / "mine.csv")
    wait(tab, "store.shown().length === 1")
    assert "1 row of other videos will be saved" in tab.text_content("#status")
    with open(saved(tab, tmp_path), newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    talk, walk = found
    assert (talk["video_id"], talk["subject"], talk["onset"], talk["provenance"]) == ("talk", "Zoë", "3", "coder 2")
    assert {name: walk[name] for name in header} == dict(zip(header, rows[1], strict=True))
    tab.keyboard.press("z")
    assert len(intervals(tab)) == 2


def test_rows_that_differ_in_label_set_or_type_are_kept(opened, tmp_path):
    header = ["video_id", "onset", "offset", "emotion", "label_set", "expression_type"]
    times = ["talk", "3", "9", "anger"]
    kept = [[*times, "self_reported", ""], [*times, "annotated", ""], [*times, "annotated", "micro"]]
    with open(tmp_path / "mine.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *kept, [*times, "", "micro"]])  # a set of no name is the `annotated` one
    tab = opened(sample_page.results())
    tab.set_input_files("#file", tmp_path / "mine.csv")
    wait(tab, "store.shown().length === 4")
    with open(saved(tab, tmp_path), newline="", encoding="utf-8") as file:
        assert [[row[name] for name in header] for row in csv.DictReader(file)] == kept


def test_a_file_without_rows_of_this_video_leaves_its_intervals(opened, tmp_path):
    (tmp_path / "walk.csv").write_text("video_id,onset,offset,emotion,camera\nwalk,1,2,anger,left\n")
    tab = opened(sample_page.results())
    tab.keyboard.press("a")
    before = intervals(tab)
    tab.set_input_files("#file", tmp_path / "walk.csv")
    wait(tab, "byId('status').textContent.includes('no rows of this video; its intervals stay')")
    assert "1 row of other videos will be saved" in tab.text_content("#status")
    assert intervals(tab) == before and tab.evaluate("store.dirty")
    with open(saved(tab, tmp_path), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["video_id"] for row in rows] == ["talk"] * 3 + ["walk"] and rows[-1]["camera"] == "left"


def test_a_column_of_any_name_is_kept(opened, tmp_path):
    (tmp_path / "mine.csv").write_text("video_id,onset,offset,emotion,line\ntalk,1,2,anger,A\nwalk,3,4,fear,B\n")
    tab = opened(sample_page.results())
    tab.set_input_files("#file", tmp_path / "mine.csv")
    wait(tab, "store.shown().length === 1")
    with open(saved(tab, tmp_path), newline="", encoding="utf-8") as file:
        assert [row["line"] for row in csv.DictReader(file)] == ["A", "B"]


def test_a_model_that_only_spots_has_one_lane(opened, tmp_path):
    tab = opened(sample_page.results(classes=[], detections=[]))
    wait(tab, "document.querySelectorAll('.lane-name').length === 1")
    drag(tab, 20.2 / FPS, 29.9 / FPS, lane=0)
    assert intervals(tab) == [[20, 29, ""]]
    tab.keyboard.press("Escape")
    tab.keyboard.press("Home")
    tab.keyboard.press("a")
    assert intervals(tab) == [[0, FPS, ""], [20, 29, ""]]
    assert tab.text_content("#status") == "Added an interval at frame 0."
    tab.select_option("#emotion", label="own label…")
    tab.fill("#own", "smile")
    tab.keyboard.press("Enter")
    assert intervals(tab)[0] == [0, FPS, "smile"]
    wait(tab, "document.querySelectorAll('.lane-name').length === 2")
    tab.keyboard.press("1")
    assert intervals(tab)[0] == [0, FPS, ""]
    wait(tab, "document.querySelectorAll('.lane-name').length === 1")
    assert b"talk,0,,15,,added" in saved(tab, tmp_path).read_bytes()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.text(), min_size=2, max_size=2).filter(lambda row: any(cell.strip() for cell in row))))
def test_csv_round_trip(csv_tab, rows):
    text = csv_tab.evaluate("rows => formatCsv(['a', 'b'], rows.map(([a, b]) => ({ a, b })))", rows)
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == [["a", "b"], *rows]
    assert csv_tab.evaluate("text => parseCsv(text).map((row) => row.cells)", text) == [["a", "b"], *rows]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("video_id,onset,offset\ntalk,1,2\n", "row 1: no column emotion"),
        ("video_id,onset,offset,emotion\ntalk,5,60,anger\n", "row 2: frames 5 to 60 are no interval"),
        ("video_id,onset,offset,emotion\ntalk,x,9,anger\n", 'row 2: onset "x" is no number'),
        ("video_id,onset,offset,emotion\ntalk,1,9\n", "row 2: 3 cells, not 4"),
        ("\nvideo_id,onset,offset\ntalk,1,2\n", "row 2: no column emotion"),
        ('video_id,onset,offset,emotion\n\ntalk,1,2,"a\nb"\n \ntalk,x,9,anger\n', 'row 6: onset "x" is no number'),
        ("video_id,onset_s,offset_s,emotion\ntalk,5,6,anger\n", "row 2: 5 to 6 s is no interval of 0 to 4 s"),
        ("video_id,onset_s,offset_s,emotion\ntalk,-1,0.2,anger\n", "row 2: -1 to 0.2 s is no interval"),
        ("video_id,onset_s,offset_s,emotion\ntalk,3.9,4.04,anger\n", "row 2: 3.9 to 4.04 s is no interval"),
        ("video_id,onset_s,offset_s,emotion\ntalk,6,4,anger\n", "row 2: 6 to 4 s is no interval"),
    ],
)
def test_a_file_that_is_no_events_changes_nothing(opened, tmp_path, text, reason):
    (tmp_path / "bad.csv").write_text(text)
    tab = opened(sample_page.results())
    before = intervals(tab)
    tab.set_input_files("#file", tmp_path / "bad.csv")
    wait(tab, "byId('status').textContent !== ''")
    assert f"bad.csv was not loaded: {reason}" in tab.text_content("#status") and intervals(tab) == before


def test_times_in_seconds_are_read_to_the_frame(opened, tmp_path):
    (tmp_path / "s.csv").write_text("video_id,onset_s,offset_s,emotion\ntalk,0.4,1.0,anger\ntalk,3,4.03,fear\n")
    tab = opened(sample_page.results())
    tab.set_input_files("#file", tmp_path / "s.csv")
    wait(tab, "store.shown()[1].emotion === 'fear'")
    assert intervals(tab) == [[6, 14, "anger"], [45, 59, "fear"]]  # the end in seconds is exclusive


def test_a_video_in_a_subfolder_goes_by_id_path_and_name(opened, tmp_path):
    rows = "anna_talk,1,5,a\nanna/talk,6,9,a\nanna/talk.mp4,10,15,a\ntalk.mp4,16,20,a\nben/talk.mp4,21,25,a\n"
    (tmp_path / "mine.csv").write_text("video_id,onset,offset,emotion\n" + rows)
    results = sample_page.results("anna/talk.mp4")
    results["video"]["id"] = "anna_talk"
    tab = opened(results)
    tab.set_input_files("#file", tmp_path / "mine.csv")
    wait(tab, "store.shown().length === 4")
    assert [onset for onset, *_ in intervals(tab)] == [1, 6, 10, 16]


def test_unsaved_edits_hold_the_page(opened, tmp_path):
    tab = opened(sample_page.results())
    guarded = "!window.dispatchEvent(new Event('beforeunload', {cancelable: true}))"
    assert not tab.evaluate(guarded)
    tab.keyboard.press("a")
    assert tab.evaluate(guarded)
    saved(tab, tmp_path)
    assert not tab.evaluate(guarded)
