"""The page in a real browser: it loads without errors and without a network, plays, filters and shows."""

import re

import numpy as np
import pytest
import sample_page
from page_tab import drag, frame, intervals, set_threshold, wait, wait_for_picture

FPS = sample_page.FPS
EVIL = "<img src=x onerror=alert(1)>.mp4"


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


def test_the_threshold_is_shown_and_stepped_in_thousandths(opened):
    found = [sample_page.detection(6, 14, 0.634, "anger"), sample_page.detection(24, 33, 0.633, "anger")]
    tab = opened(sample_page.results(detections=found, threshold=0.634))
    kept = intervals(tab)
    assert kept == [[6, 14, "anger"]] and tab.text_content("#threshold-value") == "0.634"
    tab.focus("#threshold")
    tab.keyboard.press("ArrowRight")
    assert intervals(tab) == [] and tab.text_content("#threshold-value") == "0.635"
    tab.keyboard.press("ArrowLeft")
    assert intervals(tab) == kept and tab.text_content("#threshold-value") == "0.634"


@pytest.mark.parametrize("back", [lambda tab: tab.dblclick("#threshold"), lambda tab: tab.keyboard.press("t")])
def test_the_threshold_goes_back_to_where_it_was(opened, back):
    tab = opened(sample_page.results())
    set_threshold(tab, 0.9)
    assert intervals(tab) == []
    back(tab)
    assert tab.input_value("#threshold") == "0.31" and tab.text_content("#threshold-value") == "0.310"
    assert len(intervals(tab)) == 2


def test_the_page_says_what_to_expect_in_numbers(opened):
    tab = opened(sample_page.results())
    tab.click("summary")
    assert "spotting F1 43.6 % [29.8, 58.5], recognition F1" in tab.inner_text("#model")


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
    assert tab.evaluate("axis.to") == times[-1] + 0.05  # the last frame ends with the video
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
    wait(tab, f"byId('lanes').dataset.to - byId('lanes').dataset.from < {7200 / 2**6 + 0.01}")
    start, end = (float(tab.get_attribute("#lanes", f"data-{name}")) for name in ("from", "to"))
    assert tab.locator(".interval").count() < len(kept) // 8
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
