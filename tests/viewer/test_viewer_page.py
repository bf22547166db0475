"""The viewer's pages as files: nothing from elsewhere, a user's text never markup, every byte of the video."""

import base64
import json
import re
from html.parser import HTMLParser

import pytest
import sample_page
from hypothesis import given
from hypothesis import strategies as st

from fedn_pipeline.files import InputError
from fedn_pipeline.report import style
from fedn_pipeline.viewer import page

EVIL = "<img src=x onerror=alert(1)>.mp4"
HOSTILE = ["</script><script>alert(1)</script>", "<!--<script>", "$title $proxy", EVIL, "a & b; \"c\" 'd'", "\u2028é"]


class Elements(HTMLParser):
    """`found`: every element `(tag, attributes, text before its first end tag)` of a page."""

    def __init__(self, path):
        super().__init__()
        self.found, self.inside = [], False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.found.append([tag, dict(attributes), ""])
        self.inside = True

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.found[-1][2] += data

    def of(self, tag, **attributes):
        return [text for name, has, text in self.found if name == tag and attributes.items() <= has.items()]


def embedded(path):
    return json.loads(Elements(path).of("script", id="data")[0])


@pytest.fixture
def written(tmp_path, monkeypatch):
    """`(page, results, bytes of the video)` with hostile names, and a video of several pieces."""
    assert page.PIECE % 3 == 0
    monkeypatch.setattr(page, "PIECE", 300)
    video = bytes(range(200)) * 3 + b"end"
    (tmp_path / "proxy.mp4").write_bytes(video)
    results = sample_page.results(EVIL, warnings=HOSTILE)
    page.write(tmp_path / "page.html", results, tmp_path / "proxy.mp4", {10: b"jpeg"})
    return tmp_path / "page.html", results, video


def write_index(folder, *further):
    data = sample_page.results(EVIL, warnings=HOSTILE)
    entries = [
        {"name": EVIL, "page": f"{EVIL}.html", "data": data},
        {"name": "broken.avi", "failure": "no video stream: <b>"},
        *further,
    ]
    page.write_index(folder / "index.html", entries)
    return folder / "index.html"


def test_data_and_pictures_come_back(written):
    path, results, _ = written
    found = embedded(path)
    further = found.pop("page")
    assert found == results
    assert further["thumbnails"] == {"10": base64.b64encode(b"jpeg").decode()}


def test_the_video_comes_back_piece_by_piece(written):
    path, _, video = written
    pieces = Elements(path).of("script", **{"class": "proxy"})
    assert len(pieces) == 3
    assert b"".join(base64.b64decode(piece) for piece in pieces) == video


@pytest.mark.parametrize("make", [lambda folder, path: path, lambda folder, path: write_index(folder)])
def test_nothing_is_loaded_from_elsewhere(written, tmp_path, make):
    path = make(tmp_path, written[0])
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"https?://|url\(|@import|\bimport\b *[(\"'{]|fetch\(", text)
    assert not any(tag in ("link", "iframe", "object", "embed", "base", "img") for tag, _, _ in Elements(path).found)
    assert not any("src" in has for _, has, _ in Elements(path).found)


@pytest.mark.parametrize("make", [lambda folder, path: path, lambda folder, path: write_index(folder)])
def test_the_policy_allows_exactly_what_is_inlined(written, tmp_path, make):
    path = make(tmp_path, written[0])
    elements = Elements(path)
    policy = next(has["content"] for tag, has, _ in elements.found if has.get("http-equiv"))
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'" and "unsafe" not in policy
    assert rules["style-src"] == page._hash(elements.of("style")[0])
    scripts = [text for tag, has, text in elements.found if tag == "script" and not has]
    assert [rules.get("script-src")] == ([page._hash(text) for text in scripts] or [None])
    assert not any("style" in has or any(name.startswith("on") for name in has) for _, has, _ in elements.found)


@given(st.text())
def test_json_survives_inside_a_script_element(text):
    written = page._json({"name": text})
    assert "<" not in written and json.loads(written) == {"name": text}


def test_a_page_needs_no_video_no_faces_and_no_people(tmp_path):
    page.write(tmp_path / "page.html", sample_page.no_face(), None, {})
    assert not Elements(tmp_path / "page.html").of("script", **{"class": "proxy"})
    assert embedded(tmp_path / "page.html")["detections"] == []


def test_pages_have_no_checksum_beside_them(written, tmp_path):
    write_index(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"page.html", "index.html", "proxy.mp4"}


def test_a_page_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "page.html").mkdir()
    with pytest.raises(InputError, match=r"page\.html: cannot be written"):
        page.write(tmp_path / "page.html", sample_page.results(), None, {})


def test_the_index_links_counts_and_names_failures(tmp_path):
    index = write_index(tmp_path, {"name": "empty.mp4", "page": "empty.html", "data": sample_page.no_face()})
    elements, text = Elements(index), index.read_text(encoding="utf-8")
    links = [has["href"] for tag, has, _ in elements.found if tag == "a"]
    assert links == ["%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E.mp4.html", "empty.html"]
    assert elements.of("a") == [EVIL, "empty.mp4"]
    assert "3 videos, 2 expressions found; 1 video could not be used" in text
    assert elements.of("td", **{"class": "bad"}) == ["could not be used: no video stream: <b>"]
    assert [warning for warning in elements.of("p") if warning in HOSTILE] == HOSTILE
    kept = [has for tag, has, _ in elements.found if tag == "rect" and "x" in has and "fill" in has]
    assert [(rect["x"], rect["width"]) for rect in kept] == [("100.00", "150.00"), ("666.67", "216.67")]


def test_an_index_of_nothing(tmp_path):
    page.write_index(tmp_path / "index.html", [])
    assert "0 videos, 0 expressions found" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_colours_are_the_reports_and_differ_while_they_last():
    assert style.COLOURS[1:] == page.COLOURS and set(page.EMOTIONS.values()) <= set(page.COLOURS)
    chosen = page.colours([*sample_page.CLASSES, "contempt", "boredom"])
    assert chosen["happiness"] == page.EMOTIONS["happiness"] and len(set(chosen.values())) == 6
    assert set(page.colours([f"label {k}" for k in range(20)]).values()) == set(page.COLOURS)
