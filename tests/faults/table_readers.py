"""What the child process of the fuzzer runs on tables: each reader beside a simpler reading of the same CSV.

A function returns if the reader accepted the input and gave what stands in it, lets its InputError through, and raises
Wrong for a result that the simpler reading contradicts.
"""

import contextlib
import csv
import io
import json
import re
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from fuzzing import Wrong, agree

# What pandas takes for an empty cell.
MISSING = (
    "",
    "nan",
    "NaN",
    "-nan",
    "-NaN",
    "NA",
    "N/A",
    "n/a",
    "<NA>",
    "#NA",
    "#N/A",
    "NULL",
    "null",
    "None",
    "1.#IND",
)
NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")


def rows_of(path, strict=True, separator=","):
    """Rows as dictionaries, all cells text, by nothing but Python's csv; rows without any text are left out.

    Not `strict`: cells at a row's end may be missing, and of columns with one name the first counts.
    """
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file, delimiter=separator) if any(cell.strip() for cell in row)]
    if not strict:
        rows = [row + [""] * (len(rows[0]) - len(row)) for row in rows]
        first = [rows[0].index(name) for name in dict.fromkeys(rows[0])]
        rows = [[row[i] for i in first] for row in rows]
    if any(len(row) != len(rows[0]) for row in rows) or len(set(rows[0])) != len(rows[0]):
        raise Wrong("accepted, but rows differ in length or columns have one name")
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def number(cell):
    """A cell's number, None if it is empty; Wrong if it is none, for a reader has accepted it."""
    if cell in (None, ""):
        return None
    if not NUMBER.fullmatch(cell):
        raise Wrong(f"accepted as a number: {cell!r:.80}")
    return Decimal(cell.strip())


def same_number(found, cell, what):
    expected = number(cell)
    found = None if pd.isna(found) else found
    if found is None or expected is None:
        agree(found, expected, what)
    elif float(expected) != float(found):
        raise Wrong(f"{what}: {found!r}, but the file says {cell!r:.80}")


def canonical(path, kind, videos):
    """tables.read_videos, read_events or read_detections."""
    from fedn_pipeline.dataset import tables

    known = tables.read_videos(videos)
    if kind == "videos":
        found, numbers = tables.read_videos(path), ("n_frames", "fps", "width", "height")
    elif kind == "events":
        found, numbers = tables.read_events(path, known), ("onset", "apex", "offset")
    else:
        found, numbers = tables.read_detections(path, known), ("onset", "offset", "confidence", "draw")
    rows = rows_of(path)
    agree(len(found), len(rows), "rows")
    for row, own in zip(rows, found.to_dict("records"), strict=True):
        for name, value in own.items():
            if name in numbers:
                same_number(value, row.get(name), name)
            elif name == "kept" and kind == "detections":
                agree(value, row["kept"] in ("True", "true", "1"), "kept")
            else:
                agree(value, row.get(name, ""), name)
    if kind == "videos":
        agree(found["video_id"].is_unique, True, "names of videos are unique")
        return f"{len(found)} videos"
    inside = found.merge(known[["video_id", "n_frames"]], on="video_id", how="left")
    if not ((inside["onset"] >= 0) & (inside["onset"] <= inside["offset"])).all():
        raise Wrong("an interval that begins before 0 or ends before it begins")
    if not (inside["offset"] < inside["n_frames"]).fillna(True).all():
        raise Wrong("an interval past the end")
    return f"{len(found)} rows"


def command(arguments):
    """`fedn-pipeline ARGUMENTS` in this process: its standard output; InputError with its standard error for status 2.

    Any other end of the command is raised as it is.
    """
    from fedn_pipeline import cli
    from fedn_pipeline.files import InputError

    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        status = cli.main(arguments)
    if status == 2:
        raise InputError(errors.getvalue())
    agree(status, 0, "exit status")
    return out.getvalue()


def evaluate(path, videos, events):
    """The command `evaluate`: every metric is a number from 0 to 1, a count, or null."""
    arguments = ["evaluate", "--videos", videos, "--events", events, "--detections", path, "--json"]
    text = command(arguments)
    metrics = json.loads(text, parse_constant=lambda word: agree(word, "a number", "metric"))
    if not all(value is None or value >= 0 for value in metrics.values() if not isinstance(value, dict)):
        raise Wrong(f"negative: {text}")
    return text


def custom(root, out, settings, strict, annotations_only):
    """The command `dataset custom`, whose tables the next stage must accept; in strict mode every row is in them."""
    arguments = ["dataset", "custom", "--root", root, "--out", out, "--types", "both", "--settings", settings]
    command(arguments + (["--annotations-only"] if annotations_only else []))
    written = released(out, annotations_only)
    given = Path(root) / "events.csv"
    if strict and given.is_file():
        rows = rows_of(given)
        n_left_out = (pd.read_csv(Path(out) / "data_issues.csv")["rule"] == "video_left_out").sum()
        agree(len(written) + n_left_out, len(rows), "events")
        for row, event in zip(rows, written.to_dict("records"), strict=False) if not n_left_out else ():
            if "onset" in row:
                same_number(event["onset"], row["onset"], "onset")
                same_number(event["offset"], row["offset"], "offset")
            else:
                number(row["onset_s"]), number(row["offset_s"])
            agree(event["emotion"].casefold(), row["emotion"].strip().casefold(), "emotion")
    return f"{len(written)} events"


def released(out, annotations_only):
    """The events that a data set's command has written, after the next stage's checks of both tables."""
    from fedn_pipeline.dataset import tables
    from fedn_pipeline.files import InputError

    try:
        videos = tables.read_videos(Path(out) / "videos.csv", known=() if annotations_only else ("n_frames", "fps"))
        return tables.read_events(Path(out) / "events.csv", videos)
    except InputError as error:
        raise Wrong(f"the next stage refuses the tables: {error}") from error


def openface(path):
    """openface_csv.read."""
    from fedn_pipeline.faces import openface_csv

    found = openface_csv.read(path)
    lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    header = [cell.strip() for cell in lines[0].split(",")]
    rows = [dict(zip(header, line.split(","), strict=True)) for line in lines[1:] if line.strip()]
    agree(len(found.number), len(rows), "rows")
    for i, row in enumerate(rows):
        same_number(found.number[i], row["frame"], "frame")
        same_number(found.confidence[i], row["confidence"], "confidence")
        agree(bool(found.success[i]), number(row["success"]) == 1, "success")
        if found.success[i]:
            for j in range(68):
                same_number(found.points[i, j, 0], row[f"x_{j}"], f"x_{j}")
                same_number(found.points[i, j, 1], row[f"y_{j}"], f"y_{j}")
    return f"{len(rows)} rows"


def shape(path):
    """openface_shape.read, of a CSV or of a model file."""
    from fedn_pipeline.faces import openface_shape

    found = openface_shape.read(path)
    agree((found.shape, bool(np.isfinite(found).all())), ((24, 2), True), "mean shape")
    text = Path(path).read_text(encoding="utf-8-sig")
    if path.endswith(".csv"):
        rows = {int(float(row["point"])): row for row in csv.DictReader(io.StringIO(text), skipinitialspace=True)}
        for point, values in zip(openface_shape.STABLE.tolist(), found, strict=True):
            same_number(values[0], rows[point]["x_mm"], "x_mm")
            same_number(values[1], rows[point]["y_mm"], "y_mm")
    return "24 points"


def alignment(path):
    """alignment.read."""
    from fedn_pipeline.faces import alignment as reader

    found = reader.read(path)
    rows = rows_of(path, strict=False)
    agree(len(found), len(rows), "rows")
    similarities, points = reader.similarities(found), reader.points(found)
    missing = (found["status"] == "missing").to_numpy()
    if not np.isfinite(similarities[~missing]).all():
        raise Wrong("a frame with a face, whose similarity is not finite")
    for i, row in enumerate(rows):
        agree(found["status"].iloc[i], row["status"], "status")
        cells = [row[name] for name in reader.SIMILARITY_COLUMNS] + [row["x_0"], row["y_67"]]
        for value, cell in zip([*similarities[i], points[i, 0, 0], points[i, 67, 1]], cells, strict=True):
            if not (np.isnan(value) and cell in MISSING):
                same_number(value, cell, "similarity")
    return f"{len(rows)} rows"


def stills(folder):
    """stills.read: the table and every picture of it."""
    from fedn_pipeline.features import stills as reader

    found = reader.read(Path(folder), None, 1)
    rows = rows_of(Path(folder) / reader.TABLE)
    agree(len(found.paths), len(rows), "rows")
    for i, row in enumerate(rows):
        agree((found.paths[i].name, found.emotions[found.labels[i]]), (Path(row["path"]).name, row["emotion"]), "row")
        agree(bool(found.training[i]), row["split"] == "train", "split")
        picture = reader.picture(found.paths[i], found.similarities[i], 32)
        agree(picture.shape, (32, 32, 3), "picture")
    return f"{len(rows)} rows"


def settings(path):
    """config.from_argument of a file, or of JSON text."""
    import yaml

    from fedn_pipeline import config

    text = Path(path).read_bytes().decode(errors="replace") if path.endswith(".txt") else path
    if path.endswith(".txt") and not text.lstrip().startswith("{"):
        return "not JSON: it would name a file"
    found = config.from_argument(text)
    given = json.loads(text) if path.endswith(".txt") else yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    agree(config.merge(found, given), found, "settings")
    agree(config.validate(found), found, "complete settings")
    return "valid"


def release(reader, root, out, settings, strict, sheet=None, columns=None):
    """The command `dataset READER --annotations-only`, whose tables the next stage must accept.

    `sheet`: rows of the sheet of annotations, where only cells were changed. Then every event must stand in the row
    that it names, and every expression be an event or a recorded issue. `columns`: {name: column}; `first`: the number
    of the first frame.
    """
    arguments = ["dataset", reader, "--root", root, "--out", out, "--types", "both", "--settings", settings]
    command([*arguments, "--annotations-only"])
    events = released(out, annotations_only=True)
    issues = pd.read_csv(Path(out) / "data_issues.csv", dtype=str, keep_default_na=False)
    if sheet is None:
        return f"{len(events)} events"
    recorded = {int(row) for row in issues["row"] if row}
    named = {int(event["provenance"].rpartition("row ")[2]): event for event in events.to_dict("records")}
    for line, row in enumerate(sheet, 1):
        cell = {name: row[column] if column < len(row) else None for name, column in columns.items() if name != "first"}
        if line in recorded:
            continue
        if line in named:
            for name in ("onset", "offset"):
                same_number(named[line][name] + columns["first"], str(cell[name]).strip(), f"row {line}: {name}")
        elif strict and all(isinstance(cell[name], int) for name in ("onset", "offset")) and _is_type(cell["type"]):
            raise Wrong(f"row {line} is neither an event nor an issue: {row}")
    return f"{len(events)} events"


def _is_type(cell):
    return isinstance(cell, str) and cell.lower().startswith(("macro", "micro"))


def exchanged(path, form, folder):
    """A file of an annotation tool: what was read comes back by the same format, and by events.csv."""
    from fedn_pipeline.annotations import spans
    from fedn_pipeline.exchange import stage

    found = stage.read(path, form).spans
    times = [(span.onset_s, span.offset_s, span.emotion) for span in found]
    if not all(0 <= start_s < end_s < float("inf") for start_s, end_s, _ in times):
        raise Wrong("an interval that no video can have")
    if form == "boris":
        separator = "\t" if "\t" in Path(path).read_text(encoding="utf-8-sig").partition("\n")[0] else ","
        rows = [
            {name.strip(): cell.strip() for name, cell in row.items()} for row in rows_of(path, separator=separator)
        ]
        states = [row for row in rows if row["Behavior type"].upper() == "STATE"]
        agree(len(times), len(states), "STATE events")
        for (start_s, end_s, _), row in zip(times, states, strict=True):
            same_number(start_s, row["Start (s)"], "Start (s)"), same_number(end_s, row["Stop (s)"], "Stop (s)")
    if form == "elan":
        root = ElementTree.parse(path).getroot()
        entries = root.findall("TIER[@TIER_ID='expressions']/ANNOTATION/*")
        if entries:  # else another tier was taken
            slots = {slot.get("TIME_SLOT_ID"): slot.get("TIME_VALUE") for slot in root.iter("TIME_SLOT")}
            agree(len(times), len(entries), "annotations")
            for (start_s, _, emotion), entry in zip(times, entries, strict=True):
                agree(
                    (start_s, emotion), (int(slots[entry.get("TIME_SLOT_REF1")]) / 1000, entry[0].text.strip()), "entry"
                )
    written = Path(folder) / f"events_{form}.csv"
    stage.import_files([path], written, form=form, force=True)
    table = pd.read_csv(written, keep_default_na=False, dtype={"emotion": str})
    agree(list(table[["onset_s", "offset_s", "emotion"]].itertuples(index=False, name=None)), times, "events.csv")
    if form not in ("activitynet", "textgrid") or any(end_s > 1e6 for _, end_s, _ in times):
        return f"{len(found)} spans"
    clip = spans.Clip("clip", "clip.mp4", 30, 10)
    again = Path(folder) / f"again{stage.FORMATS[form].SUFFIX}"
    stage.FORMATS[form].write(again, [clip], [spans.Span("clip", *row) for row in times])
    back = [(span.onset_s, span.offset_s, span.emotion) for span in stage.read(again, form).spans]
    if form == "activitynet":
        agree(sorted(back), sorted(times), "written and read again")
    else:
        agree(len(back), len(times), "written and read again")
    return f"{len(found)} spans"
