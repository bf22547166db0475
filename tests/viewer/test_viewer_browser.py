"""The page in a real browser: it loads without errors and without a network, plays, filters, edits and saves."""

import csv
import io
import os
import re
import shutil

import numpy as np
import pytest
import sample_page
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedn_pipeline import config
from fedn_pipeline.dataset import custom
from fedn_pipeline.viewer import page

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
FPS = sample_page.FPS
EVIL = "<img src=x onerror=alert(1)>.mp4"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as runner:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = runner.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    path = tmp_path_factory.mktemp("proxy") / "talk.mp4"
    sample_page.write_proxy(path)
    return path


@pytest.fixture
def opened(browser, tmp_path):
    """`open(results, proxy)` gives the page in a tab; any error, and any request but for itself, fails the test."""
    tabs, wrong = [], []

    def open_page(results, proxy=None, thumbnails=None, **context):
        page.write(tmp_path / "page.html", results, proxy, thumbnails or {})
        tab = browser.new_context(**({"viewport": {"width": 1280, "height": 720}} | context)).new_page()
        tabs.append(tab)
        tab.on("console", lambda message: wrong.append(message.text))
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("dialog", lambda dialog: (wrong.append(dialog.type), dialog.dismiss()))
        tab.on("request", lambda request: wrong.append(request.url) if is_foreign(request.url) else None)
        tab.goto((tmp_path / "page.html").as_uri())
        if proxy:
            tab.wait_for_selector("body.has-video")
        tab.wait_for_selector("#lanes[data-to]")
        return tab

    def is_foreign(url):
        return url != (tmp_path / "page.html").as_uri() and not url.startswith(("blob:", "data:"))

    yield open_page
    for tab in tabs:
        tab.context.close()
    assert wrong == []


@pytest.fixture
def csv_tab(opened):
    return opened(sample_page.results())


def intervals(tab):
    """`[(onset, offset, emotion)]` of the shown intervals in order."""
    return tab.evaluate("store.shown().map((item) => [item.onset, item.offset, item.emotion])")


def frame(tab):
    """The frame that the playhead is on."""
    return int(tab.text_content("#frame").removeprefix("frame "))


def wait(tab, condition):
    """Until a JavaScript expression is true. Playwright's own way needs `eval`, which the page's policy forbids."""
    tab.evaluate(f"""() => new Promise((resolve, reject) => {{
      const check = () => (({condition}) ? resolve() : requestAnimationFrame(check));
      setTimeout(() => reject(new Error("still not so")), 20000);
      check();
    }})""")


def wait_for_picture(tab, k):
    """Until the browser shows frame k: the gradient of `sample_page.picture` moves 4 levels a frame."""
    tab.evaluate("""() => { window.red = () => {
      const pen = new OffscreenCanvas(320, 240).getContext("2d");
      pen.drawImage(video, 0, 0);
      return pen.getImageData(40, 20, 1, 1).data[0];
    } }""")
    wait(tab, f"!video.seeking && Math.abs(red() - {(25 + 4 * k) % 256}) < 2.5")


def drag(tab, start, end, lane):
    """Drag on the timeline from second `start` to second `end` in the lane of a label (number from 0)."""
    box = tab.locator("#lanes").bounding_box()
    view = [float(tab.get_attribute("#lanes", f"data-{end}")) for end in ("from", "to")]
    xs = [box["x"] + 1 + (t - view[0]) / (view[1] - view[0]) * (box["width"] - 2) for t in (start, end)]
    y = box["y"] + 58 + 24 * lane + 12
    tab.mouse.move(xs[0], y)
    tab.mouse.down()
    tab.mouse.move(np.mean(xs), y)
    tab.mouse.move(xs[1], y)
    tab.mouse.up()


def saved(tab, folder):
    """Save events.csv into a folder; its path."""
    with tab.expect_download() as download:
        tab.click("#save")
    assert download.value.suggested_filename == "events.csv"
    download.value.save_as(folder / "events.csv")
    return folder / "events.csv"


def set_threshold(tab, value):
    tab.locator("#threshold").fill(str(value))


def test_the_list_follows_the_threshold(opened):
    tab = opened(sample_page.results())
    assert tab.locator("#rows tr").count() == tab.locator(".interval").count() == 2
    assert tab.text_content("#counts") == "2 of 3 intervals shown"
    set_threshold(tab, 0.2)
    wait(tab, "document.querySelectorAll('.interval').length === 3")
    assert tab.locator("#rows tr").count() == 3 and tab.text_content("#counts") == "3 of 3 intervals shown"
    set_threshold(tab, 0.99)
    wait(tab, "document.querySelectorAll('.interval').length === 0")
    assert tab.is_visible("#empty") and tab.text_content("#counts") == "0 of 3 intervals shown"


def test_a_click_jumps_to_the_very_frame(opened, proxy):
    tab = opened(sample_page.results(), proxy)
    tab.click("#rows tr >> nth=1")
    assert frame(tab) == 40
    wait_for_picture(tab, 40)
    assert 40 / FPS < tab.evaluate("video.currentTime") < 41 / FPS
    drag(tab, 20.5 / FPS, 20.5 / FPS, lane=0)
    assert frame(tab) == 20
    wait_for_picture(tab, 20)
    assert len(intervals(tab)) == 2


def test_every_frame_is_reached_by_a_key(opened, proxy):
    tab = opened(sample_page.results(), proxy)
    for k in range(1, 8):
        tab.keyboard.press("ArrowRight")
        assert frame(tab) == k
        wait_for_picture(tab, k)
    tab.keyboard.press("Shift+ArrowRight")
    assert frame(tab) == 7 + FPS
    wait_for_picture(tab, 7 + FPS)
    tab.keyboard.press("ArrowLeft")
    assert frame(tab) == 6 + FPS
    tab.keyboard.press("End")
    assert frame(tab) == sample_page.N_FRAMES - 1
    wait_for_picture(tab, sample_page.N_FRAMES - 1)


def test_frames_of_a_variable_rate(opened, tmp_path):
    times = np.round(np.cumsum([0, *np.tile([1 / 30, 1 / 15, 1 / 10], 10)])[:30], 4).tolist()
    sample_page.write_proxy(tmp_path / "variable.mp4", 30, times_s=times)
    found = [sample_page.detection(7, 21, 0.9, "anger", lambda k: times[k])]
    results = sample_page.results(n_frames=30, detections=found, times_s=times, missing=[])
    results["video"] |= {"variable_rate": True, "duration_s": times[-1] + 0.05}
    tab = opened(results, tmp_path / "variable.mp4")
    assert "variable" in tab.text_content("#facts")
    tab.keyboard.press("n")
    assert frame(tab) == 7
    wait_for_picture(tab, 7)
    for k in (8, 9, 10, 11):
        tab.keyboard.press("ArrowRight")
        wait_for_picture(tab, k)
        assert frame(tab) == k
    drag(tab, times[7] + 0.001, times[9] + 0.001, lane=0)  # its beginning, two frames on
    assert intervals(tab) == [[9, 21, "anger"]]


def test_playing_moves_the_playhead_and_an_interval_stops_at_its_end(opened, proxy):
    tab = opened(sample_page.results(), proxy)
    tab.keyboard.press("Space")
    wait(tab, "player.frame > 2 && !video.paused")
    tab.keyboard.press("Space")
    wait(tab, "video.paused")
    tab.keyboard.press("n")
    tab.click("#play-interval")
    wait(tab, "!video.paused && player.frame > 6")
    wait(tab, "video.paused")
    assert frame(tab) == 14
    wait_for_picture(tab, 14)


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


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.text(), min_size=2, max_size=2).filter(lambda row: any(cell.strip() for cell in row))))
def test_csv_round_trip(csv_tab, rows):
    text = csv_tab.evaluate("rows => formatCsv(['a', 'b'], rows.map(([a, b]) => ({ a, b })))", rows)
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == [["a", "b"], *rows]
    assert csv_tab.evaluate("text => parseCsv(text)", text) == [["a", "b"], *rows]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("video_id,onset,offset\ntalk,1,2\n", "row 1: no column emotion"),
        ("video_id,onset,offset,emotion\ntalk,5,60,anger\n", "row 2: frames 5 to 60 are no interval"),
        ("video_id,onset,offset,emotion\ntalk,x,9,anger\n", 'row 2: onset "x" is no number'),
        ("video_id,onset,offset,emotion\ntalk,1,9\n", "row 2: 3 cells, not 4"),
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
    (tmp_path / "s.csv").write_text("video_id,onset_s,offset_s,emotion\ntalk,0.4,1.0,anger\n")
    tab = opened(sample_page.results())
    tab.set_input_files("#file", tmp_path / "s.csv")
    wait(tab, "store.shown().length === 1")
    assert intervals(tab) == [[6, 14, "anger"]]  # the end in seconds is exclusive


def test_unsaved_edits_hold_the_page(opened, tmp_path):
    tab = opened(sample_page.results())
    guarded = "!window.dispatchEvent(new Event('beforeunload', {cancelable: true}))"
    assert not tab.evaluate(guarded)
    tab.keyboard.press("a")
    assert tab.evaluate(guarded)
    saved(tab, tmp_path)
    assert not tab.evaluate(guarded)


def test_the_card_shows_face_times_and_all_scores(opened):
    tab = opened(sample_page.results(), thumbnails={10: sample_page.jpeg(10)})
    tab.hover(".interval >> nth=0")
    wait(tab, "document.querySelector('#card img')?.naturalWidth === 112")
    text = tab.text_content("#card")
    assert all(word in text for word in ("happiness", "0.83", "0:00.40 to 0:01.00", "frames 6 to 14", "apex 10"))
    assert tab.locator("#card li").count() == len(sample_page.CLASSES)
    tab.mouse.move(0, 0)
    tab.wait_for_selector("#card", state="hidden")


def test_without_a_face_the_page_says_so_and_works(opened, proxy):
    tab = opened(sample_page.no_face(), proxy)
    assert "No face was found in this video" in tab.text_content("#notices")
    assert tab.text_content("#empty") == "No face was found."
    tab.keyboard.press("a")
    assert intervals(tab) == [[0, FPS, "anger"]]


def test_without_a_video_the_timeline_works_and_one_can_be_chosen(opened, proxy):
    tab = opened(sample_page.results())
    assert tab.is_visible("#absent") and tab.is_disabled("#toggle")
    tab.keyboard.press("n")
    assert frame(tab) == 6
    tab.set_input_files("#own-video", proxy)
    tab.wait_for_selector("body.has-video")
    wait_for_picture(tab, 6)


def test_names_are_text(opened):
    found = [sample_page.detection(6, 14, 0.9, "anger") | {"emotion": "<b>bold</b>"}]
    results = sample_page.results(EVIL, detections=found, classes=["<b>bold</b>", "anger"], warnings=["<i>w</i>"])
    tab = opened(results)
    assert tab.text_content("#title") == EVIL and tab.title().startswith(EVIL)
    assert tab.text_content("#notices") == "<i>w</i>"
    tab.hover(".interval")
    assert "<b>bold</b>" in tab.text_content("#card")
    assert tab.locator("main b, #card b, #notices i, h1 img").count() == 0


def test_dark_and_light_by_the_system_and_by_hand(opened):
    def background(tab):
        colour = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        return [int(value) for value in re.findall(r"\d+", colour)]

    tab = opened(sample_page.results(), color_scheme="dark")
    assert max(background(tab)) < 60
    tab.click("#theme")
    assert min(background(tab)) > 240
    tab.click("#theme")
    assert max(background(tab)) < 60
    assert min(background(opened(sample_page.results(), color_scheme="light"))) > 240


def test_a_long_video_draws_only_what_is_visible(opened):
    results = sample_page.long()
    tab = opened(results)
    kept = [found for found in results["detections"] if found["kept"]]
    assert tab.locator(".interval").count() == tab.locator("#rows tr").count() == len(kept)
    tab.keyboard.press("n")
    for _ in range(6):
        tab.keyboard.press("+")
    wait(tab, f"document.querySelectorAll('.interval').length < {len(kept) // 8}")
    start, end = (float(tab.get_attribute("#lanes", f"data-{name}")) for name in ("from", "to"))
    assert end - start == pytest.approx(7200 / 2**6)
    assert tab.locator(".interval").count() == sum(d["onset_s"] <= end and d["offset_s"] >= start for d in kept)
    tab.keyboard.press("PageDown")
    wait(tab, f"+document.querySelector('#lanes').dataset.from > {start}")
    tab.click("#overview", position={"x": 600, "y": 13})
    wait(tab, "+document.querySelector('#lanes').dataset.from > 3000")
    tab.hover("#lanes")
    tab.mouse.wheel(0, 5000)
    wait(tab, "+document.querySelector('#lanes').dataset.to >= 7200")


def test_a_narrow_screen_does_not_scroll_sideways(opened):
    tab = opened(sample_page.results(), viewport={"width": 360, "height": 740})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360


def test_every_control_has_a_name(opened):
    tab = opened(sample_page.results())
    tab.keyboard.press("n")
    nameless = tab.evaluate("""[...document.querySelectorAll("button, input, select, summary")].filter((node) =>
      !node.textContent.trim() && !node.getAttribute("aria-label") && !node.labels?.length).map((node) => node.id)""")
    assert nameless == []
    tab.keyboard.press("?")
    assert tab.evaluate("document.querySelector('#help').open")
    tab.keyboard.press("Escape")
    assert not tab.evaluate("document.querySelector('#help').open")
