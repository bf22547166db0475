"""What comes from data stays text in everything that is written for people: HTML, SVG, Markdown, LaTeX."""

import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from fedn_pipeline.report import page, plots, style, table, tables, timeline

HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "<!--", "</table></svg>", "a & b", "a | b | c",
    "[x](javascript:alert(1))", "![x](http://example.org/x.png)", "`rm -rf`", r"\input{/etc/passwd}", r"$\frac{1}{$",
    "$a", "100 % _ # ~ ^ {}", "${title} $title $$", "{0}", "'><b>",
]  # fmt: skip


class Page(HTMLParser):
    """The tags and attributes of a page, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.text += data


@pytest.fixture(params=HOSTILE)
def text(request):
    return request.param


def _labels(text):
    """Table 1 of the report with a hostile emotion and label set."""
    events = pd.DataFrame({"expression_type": "macro", "emotion": [text, "anger"], "label_set": text})
    return tables.labels("mine", events, ["macro"])


def test_html(text, tmp_path):
    """Every piece of a page: no tag, attribute or placeholder comes out of a text."""
    (tmp_path / "x.png").write_bytes(b"x")
    body = "".join([
        page.paragraph(text), page.table(_labels(text).printed, text, (text,), text),
        page.picture(tmp_path / "x.png", text), page.definitions([(text, text), (text, f"{text}\n{text}")]),
        page.part(text, "", page.anchor(text)),
    ])  # fmt: skip
    methods = pd.DataFrame({"Method": [text], "Spotting F1": ["1.0 [0.5, 2.0]"]})
    body += page.table(methods, "", (text,))
    found = Page(page.render(text, text, [page.Section("x", text, body)]))
    known = "html head meta title style body header h1 h2 h3 p nav a main section div table thead tr th tbody td code "
    known += "figure img figcaption dl dt dd pre span wbr"
    assert set(found.tags) <= set(known.split())
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    sources = [value for name, value in found.attributes if name in ("src", "href")]
    assert sources and all(value.startswith(("data:image/", "#")) for value in sources)
    assert found.tags.count("img") == 1 and found.text.count(text) >= 8
    assert "$main" not in found.text


def test_markdown_and_latex(text, tmp_path):
    """A cell stays one cell of one row; no HTML, link, picture, code; no command of LaTeX."""
    written = _labels(text)
    tables.write(tmp_path, written)
    markdown = (tmp_path / "labels.md").read_text()
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(rows) == len(written.printed) + 2
    assert {row.count("|") for row in rows} == {len(written.printed.columns) + 1}
    assert not any(mark in "".join(rows) for mark in ("<", "](", "`"))
    latex = (tmp_path / "labels.tex").read_text()
    body = latex[latex.index(r"\midrule") : latex.index(r"\bottomrule")]
    assert r"\input" not in body and r"\frac" not in body
    assert {line.replace(r"\&", "").count("&") for line in body.splitlines() if "&" in line} == {3}
    for mark in "$%#_":
        assert body.count(mark) == body.count(f"\\{mark}")


def test_notes_of_the_results_table(text):
    """Videos left out with their reasons, and names of methods, in the notes below the tables."""
    row = {"dataset": "mine", "labels": text, "method": text, "source": "ours", "metrics": {}, "protocol": text}
    more = {"weights": f"x, {table.DEMO_WEIGHTS}", "left_out": f"v1: {text}", "seeds": "0", "omitted_videos": ""}
    found = table.results_table([row | more])
    markdown = table.markdown(found)
    assert "<" not in markdown and "](" not in markdown and "`" not in markdown
    notes = table.latex(found).partition(r"\end{tabular}")[2]
    assert r"\input" not in notes and r"\frac" not in notes
    assert notes.count("$") == notes.count(r"\$") and notes.count("%") == notes.count(r"\%")


def test_pictures(text, tmp_path):
    """Emotions in a timeline and in a figure: text as it is, also where matplotlib would read a formula; sound XML."""
    matrix = pd.DataFrame([[1, 0, 1], [2, 3, 0]], index=[text, "other"], columns=[text, "other", "other"], dtype=float)
    style.save(plots.confusion({text: matrix}), tmp_path / "confusion.svg")
    video = pd.DataFrame({"video_id": ["v1"], "n_frames": [60], "fps": [30.0]}).iloc[0]
    events = pd.DataFrame({"onset": [1], "apex": [5], "offset": [55], "emotion": [text]}).astype({"apex": "Int64"})
    detections = events.assign(confidence=0.5, correct=True)
    picture = np.zeros((224, 224, 3), np.uint8)
    scene = timeline.Scene(video, {text: events}, detections, np.zeros(60), 0.5, np.ones(60, bool), {5: picture})
    style.save(timeline.draw(scene, 15, 0.5), tmp_path / "timeline.svg")
    for name in ("confusion.svg", "timeline.svg"):
        root = ElementTree.parse(tmp_path / name).getroot()
        tags = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert not tags & {"script", "foreignObject", "a"}
        assert not [key for element in root.iter() for key in element.attrib if key.startswith("on")]
