"""BORIS's aggregated events as CSV: a row per STATE event, in seconds with three decimals.

Written with the columns of BORIS 9; read with those of versions 7 to 9, also separated by tabs, BORIS's own default.
BORIS reads no events back from tables, so this is for the tools that take its exports.
"""

import csv
import io
import re

from fedn_pipeline.annotations import spans as shared
from fedn_pipeline.annotations.spans import Found, Span
from fedn_pipeline.files import InputError

SUFFIX = ".csv"
ONE_VIDEO = False
MILLISECONDS = True
COLUMNS = (
    "Observation id", "Observation date", "Description", "Observation type", "Source", "Time offset (s)",
    "Coding duration", "Media duration (s)", "FPS (frame/s)", "Subject",
    "Observation duration by subject by observation", "Behavior", "Behavioral category", "Modifiers", "Behavior type",
    "Start (s)", "Stop (s)", "Duration (s)", "Media file name", "Image index start", "Image index stop",
    "Image file path start", "Image file path stop", "Comment start", "Comment stop",
)  # fmt: skip
REQUIRED = ("Behavior", "Behavior type", "Start (s)", "Stop (s)")
MEDIA = ("Media file name", "Media file", "Media file path", "Source", "Observation id")  # the first one filled counts
NOBODY = "No focal subject"
CATEGORY = "expression"
UNNAMED = "expression"  # a row must have a behaviour


def write(path, clips, spans):
    """Write the annotations of all clips into one table; a confidence becomes the start's comment."""
    by_id = {clip.video_id: clip for clip in clips}
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, restval="")
        table.writeheader()
        for span in sorted(spans, key=lambda span: (span.video, span.onset_s, span.offset_s)):
            clip = by_id[span.video]
            cells = {
                "Observation id": clip.video_id,
                "Observation type": "Media file(s)",
                "Source": f"player #1:{clip.file}",
                "Time offset (s)": "0.000",
                "Media duration (s)": f"{clip.duration_s:.3f}",
                "FPS (frame/s)": f"{clip.fps:.6g}",
                "Subject": clip.subject or NOBODY,
                "Behavior": span.emotion or UNNAMED,
                "Behavioral category": CATEGORY,
                "Behavior type": "STATE",
                "Start (s)": f"{span.onset_s:.3f}",
                "Stop (s)": f"{span.offset_s:.3f}",
                "Duration (s)": f"{span.offset_s - span.onset_s:.3f}",
                "Media file name": clip.file or clip.video_id,
                "Comment start": "" if span.confidence is None else f"confidence {span.confidence:.6g}",
            }
            table.writerow(cells)


def read(path, tiers=()):
    """The STATE events as spans.Found; POINT events have no offset and are left out, with a note. InputError."""
    if tiers:
        raise InputError(f"{path}: BORIS has no tiers: leave out --tier")
    try:
        text = shared.read_bytes(path).decode("utf-8-sig")
        separator = "\t" if "\t" in text.partition("\n")[0] else ","
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        lines = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file in UTF-8: {error}") from error
    header = [cell.strip() for cell in lines[0][1]] if lines else []
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise InputError(f"{path}: row 1: no column `{missing[0]}`: not an export of aggregated events by BORIS")
    if not set(header) & set(MEDIA):
        raise InputError(f"{path}: row 1: no column names the video: {', '.join(MEDIA)}")
    twice = [name for name in header if name and header.count(name) > 1]
    if twice:
        raise InputError(f"{path}: row 1: column `{twice[0]}` appears {header.count(twice[0])} times")
    problems, found, points, modified = [], [], [], []
    for line, row in lines[1:]:
        place = f"row {line}"
        if len(row) != len(header):
            problems.append(f"{place}: {len(row)} cells, but the header has {len(header)}")
            continue
        cells = dict(zip(header, (cell.strip() for cell in row), strict=True))
        if cells["Behavior type"].upper() == "POINT":
            points.append(line)
            continue
        modified += [line] if any(cells[name] not in ("", "None") for name in cells if "Modifier" in name) else []
        span = _span(cells, place, problems)
        found += [span] if span else []
    shared.refuse(path, problems)
    notes = [f"POINT events without an offset, left out: {_rows(points)}"] if points else []
    notes += [f"modifiers that were not read: {_rows(modified)}"] if modified else []
    return Found(shared.checked(path, found), notes)


def _span(cells, place, problems):
    """A row as a span; None with its problem noted."""
    if cells["Behavior type"].upper() != "STATE":
        return problems.append(f"{place}: behavior type {cells['Behavior type']!r} is neither STATE nor POINT")
    times = []
    for name in ("Start (s)", "Stop (s)", "Time offset (s)"):
        try:
            times.append(shared.number(cells.get(name) or ("0" if name.startswith("Time") else "")))
        except ValueError:
            return problems.append(f"{place}: {name} {cells[name]!r} is no number of seconds")
    if times[2]:
        return problems.append(f"{place}: a time offset of {times[2]:g} s: export the observation without one")
    source = next((cells[name] for name in MEDIA if cells.get(name)), "")
    files = [re.sub(r"^player #\d+:", "", part.strip()) for part in source.split(";") if part.strip()]
    if len(set(files)) != 1:
        return problems.append(f"{place}: one video is needed, found {source[:80]!r}")
    emotion = "" if (cells["Behavior"], cells.get("Behavioral category")) == (UNNAMED, CATEGORY) else cells["Behavior"]
    subject = cells.get("Subject", "")
    subject = "" if subject == NOBODY else subject
    return Span(files[0], times[0], times[1], emotion, subject=subject, place=place)


def _rows(lines):
    shown = ", ".join(map(str, lines[:10]))
    return f"{len(lines)} (row {shown}{', ...' if len(lines) > 10 else ''})"
