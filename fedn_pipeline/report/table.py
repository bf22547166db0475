"""The results table: one row per method, every metric with its confidence interval, as CSV, Markdown and
LaTeX.

The CSV holds fractions, one number a cell; the printed forms hold percent (F1,
STRS) and x1000 (mAP), each with its interval, as the paper prints them. Columns: evaluation.md, "Details that
must not differ".
"""

import numpy as np
import pandas as pd

from fedn_pipeline import files
from fedn_pipeline.evaluation.metrics import COUNTS, METRICS

IDENTITY = ("dataset", "labels", "method", "source")
OWN = "own_spotting_f1"  # a peer's F1 by its own published protocol, which `own_protocol` names
TYPES = "expression_types"  # what is ground truth of a row: macro, micro, macro+micro
FURTHER = (TYPES, "own_protocol", "left_out", "weights", "protocol", "seeds", "omitted_videos")
DASH = "–"
SCORES = {  # column: heading, factor, decimals
    "tp": ("TP", 1, 0),
    "n_predictions": ("Predictions", 1, 0),
    "n_ground_truth": ("Ground truth", 1, 0),
    "spotting_f1": ("Spotting F1", 100, 1),
    "recognition_f1_micro": ("Recognition F1 micro", 100, 1),
    "recognition_f1_macro": ("Recognition F1 macro", 100, 1),
    "spotting_map": ("Spotting mAP", 1000, 1),
    "detection_map": ("Detection mAP", 1000, 1),
    "strs": ("STRS", 100, 1),
}
OWN_SCORES = {OWN: ("F1, own protocol", 100, 1)}  # of tables with peers
FURTHER_SCORES = {  # of the report's tables alone
    "fn": ("FN", 1, 0),
    "gflop": ("GFLOP", 1, 1),
    "gmac": ("GMAC", 1, 1),
    "parameters": ("Parameters (M)", 1e-6, 2),
    "frames_per_second": ("Frames/s", 1, 1),
    "fold_s": ("Fold (s)", 1, 0),
}
ALL_SCORES = SCORES | OWN_SCORES | FURTHER_SCORES
UNITS = "F1 and STRS in percent, mAP x1000; in brackets 95 % bootstrap intervals over subjects."
DEMO_WEIGHTS = "demo weights"
DEMO_NOTE = (
    f"{DEMO_WEIGHTS.capitalize()}: a ResNet18 that has only seen rendered stills of the demo's faces. Such a row shows "
    "that the pipeline runs, not what the method can do: {methods}."
)
WORDS_OF_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX = str.maketrans({mark: f"\\{mark}" for mark in "&%$#_{}"} | WORDS_OF_LATEX)
DIFFERENCES = ["method", "minus", TYPES, "metric", "value", "low", "high"]
COMPARED = ("spotting_f1", "spotting_map", "detection_map", "strs")


def columns():
    """The CSV's columns in order; every metric is followed by its `_low` and `_high`, counts have no
    interval.
    """
    measured = [name + suffix for name in METRICS for suffix in ("", "_low", "_high")]
    return [*IDENTITY, *COUNTS, *measured, OWN, *FURTHER]


def results_table(rows):
    """One row per method, in the given order, fractions; missing cells are empty.

    `rows`: dictionaries with the keys of IDENTITY and FURTHER, and `metrics`: name -> a number, None, or
    `(value, low, high)`, as `evaluation.bootstrap.summary` gives it. Raises KeyError for a key that is no
    column.
    """
    order = columns()
    flat = [_flat(row) for row in rows]
    unknown = sorted({key for row in flat for key in row} - set(order))
    if unknown:
        raise KeyError(f"no column of the results table: {', '.join(unknown)}")
    table = pd.DataFrame(flat, columns=order)
    numbers = [name for name in order if name not in IDENTITY + FURTHER]
    return table.astype({name: np.float64 for name in numbers})


def write(table, stem, differences=None):
    """`{stem}.csv` (fractions), `{stem}.md` and `{stem}.tex` (printed forms) from `results_table`'s table.

    `differences`: columns DIFFERENCES; appended to the Markdown form.
    """
    files.write_csv(f"{stem}.csv", table)
    files.write_text(f"{stem}.md", markdown(table, differences))
    files.write_text(f"{stem}.tex", latex(table))


def scores(table, names=tuple(SCORES)):
    """The table's columns `names` as people read them: text cells, method first, intervals in brackets."""
    rows = table.to_dict("records")
    cells = {"Method": [str(row["method"]) for row in rows]}
    if table[TYPES].nunique() > 1:
        cells[heading(TYPES)] = [DASH if _missing(row[TYPES]) else row[TYPES] for row in rows]
    if any(_left_out(row) for row in rows):
        cells["Videos left out"] = [str(len(_left_out(row))) for row in rows]
    peers = any(not _missing(row.get(OWN)) for row in rows)
    for name in (*names, *([OWN] if peers and OWN not in names else [])):
        cells[ALL_SCORES[name][0]] = [
            cell(name, *(row.get(name + suffix) for suffix in ("", "_low", "_high"))) for row in rows
        ]
    return pd.DataFrame(cells, dtype=object)


def heading(column):
    """A column of text as people read it."""
    return column.replace("_", " ").capitalize()


def provenance(table):
    """Where each row comes from: its data, source, weights, protocol and seeds; empty columns are left out."""
    names = ["method", *(name for name in (*IDENTITY, *FURTHER) if name != "method")]
    cells = {heading(name): [DASH if _missing(value) else str(value) for value in table[name]] for name in names}
    text = pd.DataFrame(cells, dtype=object)
    return text.loc[:, (text != DASH).any(axis=0).to_numpy()] if len(text) else text


def compared(differences):
    """Paired differences as text; an interval that excludes 0 is marked with a star."""
    rows, several = [], differences[TYPES].nunique() > 1
    for (method, minus, types), part in differences.groupby(["method", "minus", TYPES], sort=False):
        found = part.set_index("metric").to_dict("index")
        row = {"Difference": f"{method} - {minus}", **({heading(TYPES): types} if several else {})}
        for name in COMPARED:
            value, low, high = (found[name][part] for part in ("value", "low", "high"))
            sure = not _missing(low) and (low > 0 or high < 0)
            row[SCORES[name][0]] = cell(name, value, low, high) + (" *" if sure else "")
        rows.append(row)
    return pd.DataFrame(rows, dtype=object)


def demo_note(table):
    """A line that names the methods whose weights are the demo's, or nothing."""
    used = table.weights.astype(str).str.contains(f", {DEMO_WEIGHTS}", regex=False)
    return DEMO_NOTE.format(methods=", ".join(table.method[used].astype(str))) if used.any() else ""


def _left_out(row):
    """The videos of a row that could not be processed, each with its reason."""
    cell = row.get("left_out")
    return [] if _missing(cell) else str(cell).split("; ")


def left_out_note(table):
    """A line that names every video that could not be processed, with its reason, or nothing."""
    found = sorted({video for row in table.to_dict("records") for video in _left_out(row)})
    if not found:
        return ""
    names = "; ".join(found)
    return f"LEFT OUT: {len(found)} video(s) could not be processed; their expressions count as missed: {names}."


def latex(table):
    """The scores as a LaTeX table, the notes on videos left out and demo weights below it."""
    notes = [note for note in (left_out_note(table), demo_note(table)) if note]
    note = "\n\n".join(notes).translate(LATEX)
    return scores(table).to_latex(index=False, escape=True) + (f"\n{note}\n" if note else "")


def markdown(table, differences=None):
    """All printed forms as Markdown tables, columns aligned for a terminal."""
    notes = [f"{_in_markdown(note)}\n" for note in (left_out_note(table), demo_note(table)) if note]
    parts = [aligned(scores(table)), f"{UNITS}\n", *notes, aligned(provenance(table))]
    if differences is not None and len(differences):
        parts += [aligned(compared(differences)), "Paired differences on the same draws; * interval excludes 0.\n"]
    return "\n".join(parts)


def aligned(text):
    """A table of text as Markdown, columns aligned for a terminal."""
    escaped = text.map(_in_markdown) if len(text) else text
    return escaped.rename(columns=_in_markdown).to_markdown(index=False, disable_numparse=True) + "\n"


def _in_markdown(text):
    """A cell that stays a cell, without HTML, code or links; what people read in a terminal stays as it is."""
    for mark, code in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "&#124;"), ("`", "&#96;"), ("](", "]&#40;")):
        text = text.replace(mark, code)
    return " ".join(text.split())


def _flat(row):
    """The row's cells by column; an interval becomes three cells, of a count only the value stays."""
    flat = {name: value for name, value in row.items() if name != "metrics"}
    for name, value in row.get("metrics", {}).items():
        value, low, high = value if isinstance(value, tuple) else (value, None, None)
        flat[name] = value
        if name in METRICS:
            flat |= {f"{name}_low": low, f"{name}_high": high}
    return flat


def _missing(value):
    return value is None or value == "" or (isinstance(value, float) and np.isnan(value))


def cell(name, value, low=None, high=None):
    """`71.2 [65.0, 78.1]` in the unit of column `name`, `71.2` without an interval, a dash without a value."""
    _, factor, decimals = ALL_SCORES[name]
    if _missing(value):
        return DASH
    # a mean count over several runs keeps one decimal, a count of one run is whole
    decimals = 1 if name in (*COUNTS, "fn") and value != round(value) else decimals
    shown = [None if _missing(part) else f"{part * factor:z.{decimals}f}" for part in (value, low, high)]  # z: no -0.0
    return shown[0] if None in shown[1:] else f"{shown[0]} [{shown[1]}, {shown[2]}]"
