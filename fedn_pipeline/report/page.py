"""The pieces of the report's one HTML file: tables, pictures as data URIs, lists; `page.html` is its frame and style.

No network, no script; light and dark, print and phone by style alone. Every text is escaped here.
"""

import base64
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

from fedn_pipeline.report import claims

FRAME = Path(__file__).with_name("page.html")
MIME = {".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg"}
INTERVAL = re.compile(r"^(.*?) (\[.*\])(.*)$")
NAME_COLUMNS = ("Method", "FEDN minus", "Difference")
TEXT_COLUMNS = (*NAME_COLUMNS[:2], "Source", "Claim", "Metric", "Labels", "Emotion", "Verdict", "Expression types")
TEXT_COLUMNS += ("Input", "Measured on")
VERDICT_CLASS = {claims.HOLDS: "holds", claims.FAILS: "fails", claims.OPEN: "open", claims.UNTESTED: "open"}


@dataclass(frozen=True)
class Section:
    """One part of the page; `body` is HTML."""

    name: str
    title: str
    body: str


def anchor(experiment):
    """The id of an experiment's provenance."""
    return f"run-{experiment.replace('+', '-with-')}"


def paragraph(text, kind=""):
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def verdict(word):
    return f'<span class="{VERDICT_CLASS[word]}">{word}</span>'


def _cell(column, text, linked):
    """A table cell; an interval goes below its value, a method of ours points to where it comes from."""
    kind = ' class="text"' if column in TEXT_COLUMNS else ""
    found = INTERVAL.match(text)
    if found:
        value, interval, mark = map(escape, found.groups())
        inner = f'{value}{mark}<span class="ci">{interval}</span>'
    elif text in VERDICT_CLASS:
        inner = verdict(text)
    else:
        inner = re.sub("([_+])", r"\1<wbr>", escape(text)) if column in NAME_COLUMNS else escape(text)
        if text in linked and column in NAME_COLUMNS:
            inner = f'<a href="#{escape(anchor(text))}">{inner}</a>'
    return f"<td{kind}>{inner}</td>"


def table(printed, note="", linked=(), place=""):
    """A table of text; `linked`: names of our experiments, `place`: where the same numbers lie as files."""
    head = "".join(
        f'<th scope="col"{" class=text" if name in TEXT_COLUMNS else ""}>{escape(name)}</th>' for name in printed
    )
    rows = []
    for row in printed.to_dict("records"):
        ours = row.get("Source", "ours") not in ("published", "recomputed")
        cells = "".join(_cell(name, str(text), linked if ours else ()) for name, text in row.items())
        rows.append(f"<tr>{cells}</tr>" if ours else f'<tr class="other">{cells}</tr>')
    where = f" Files: <code>{escape(place)}</code>." if place else ""
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        f'<p class="note">{escape(note)}{where}</p>'
    )


def picture(path, caption, kind="chart"):
    """An image as a data URI with its caption; `kind`: `chart` (inverted on dark pages) or `photo`."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return (
        f'<figure><div class="scroll"><img class="{kind}" loading="lazy" alt="{escape(caption)}" '
        f'src="data:{MIME[path.suffix]};base64,{data}"></div><figcaption>{escape(caption)}</figcaption></figure>'
    )


def definitions(pairs):
    """A list of `(term, text)`; a text of several lines keeps them."""
    body = "".join(
        f"<dt>{escape(term)}</dt><dd>{f'<pre>{escape(text)}</pre>' if chr(10) in text else escape(text)}</dd>"
        for term, text in pairs
    )
    return f"<dl>{body}</dl>"


def part(title, body, name):
    """A part of a section, with an id to point to."""
    return f'<div class="part" id="{escape(name)}"><h3>{escape(title)}</h3>{body}</div>'


def render(title, lead, sections):
    """The whole page from its sections; those without a body are left out."""
    shown = [section for section in sections if section.body]
    nav = "".join(f'<a href="#{section.name}">{escape(section.title)}</a>' for section in shown)
    main = "\n".join(
        f'<section id="{section.name}"><h2>{escape(section.title)}</h2>\n{section.body}</section>' for section in shown
    )
    frame = Template(FRAME.read_text(encoding="utf-8"))
    return frame.substitute(title=escape(title), lead=escape(lead), nav=nav, main=main)
