"""What the tests of the page do in its tab and read from it."""

import numpy as np


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
