"""The results table: one row per method, every metric with its confidence interval, as CSV, Markdown and
LaTeX.

The last step of the flow. The CSV holds fractions, one number a cell; the printed forms hold percent (F1,
STRS) and x1000 (mAP), each with its interval, as the paper prints them. Columns: evaluation.md, "Details that
must not differ".
"""

import numpy as np
import pandas as pd

from fedn_pipeline import files
from fedn_pipeline.evaluation.metrics import COUNTS, METRICS

IDENTITY = ("dataset", "labels", "method", "source")
FURTHER = ("weights", "protocol", "seeds", "omitted_videos")
DASH = "–"
PRINTED = {  # column: heading, factor, decimals
    "method": ("Method", None, None),
    "dataset": ("Data set", None, None),
    "labels": ("Labels", None, None),
    "source": ("Source", None, None),
    "tp": ("TP", 1, 0),
    "n_predictions": ("Predictions", 1, 0),
    "n_ground_truth": ("Ground truth", 1, 0),
    "spotting_f1": ("Spotting F1 (%)", 100, 1),
    "recognition_f1_micro": ("Recognition F1, micro (%)", 100, 1),
    "recognition_f1_macro": ("Recognition F1, macro (%)", 100, 1),
    "spotting_map": ("Spotting mAP (x1000)", 1000, 1),
    "detection_map": ("Detection mAP (x1000)", 1000, 1),
    "strs": ("STRS (%)", 100, 1),
    "spotting_map_all_point": ("Spotting mAP, all-point (x1000)", 1000, 1),
    "detection_map_all_point": ("Detection mAP, all-point (x1000)", 1000, 1),
    "weights": ("Weights", None, None),
    "protocol": ("Protocol", None, None),
    "seeds": ("Seeds", None, None),
    "omitted_videos": ("Omitted videos", None, None),
}


def columns():
    """The CSV's columns in order; every metric is followed by its `_low` and `_high`, counts have no
    interval.
    """
    measured = [name + suffix for name in METRICS for suffix in ("", "_low", "_high")]
    return [*IDENTITY, *COUNTS, *measured, *FURTHER]


def results_table(rows):
    """One row per method, in the given order, fractions; missing cells are empty.

    `rows`: dictionaries with the keys of IDENTITY and FURTHER, and `metrics`: name -> a number, None, or
    `(value, low, high)`, as `evaluation.bootstrap.summarise` gives it. Raises KeyError for a key that is no
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


def write(table, stem):
    """`{stem}.csv` (fractions), `{stem}.md` and `{stem}.tex` (printed form) from `results_table`'s table."""
    files.write_csv(f"{stem}.csv", table)
    files.write_text(f"{stem}.md", markdown(table))
    files.write_text(f"{stem}.tex", latex(table))


def printed(table):
    """The table as people read it: text cells, method first, intervals in brackets, columns without content
    left out.
    """
    cells = {}
    for name, (heading, factor, decimals) in PRINTED.items():
        if factor is None:
            cells[heading] = [DASH if _missing(value) else str(value) for value in table[name]]
        else:
            cells[heading] = [_number(row, name, factor, decimals) for row in table.to_dict("records")]
    text = pd.DataFrame(cells, dtype=object)
    return text.loc[:, (text != DASH).any(axis=0).to_numpy()] if len(text) else text


def markdown(table):
    """The printed form as a Markdown table."""
    text = printed(table)
    rows = [text.columns, ["---"] * len(text.columns), *text.itertuples(index=False)]
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |\n" for row in rows)


def latex(table):
    """The printed form as a LaTeX tabular with booktabs rules."""
    return printed(table).to_latex(index=False, escape=True)


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


def _number(row, name, factor, decimals):
    """`71.2 [65.0, 78.1]`, `71.2` where there is no interval, a dash where there is no value."""
    values = [row.get(name + suffix) for suffix in ("", "_low", "_high")]
    if _missing(values[0]):
        return DASH
    # a mean count over several runs keeps one decimal, a count of one run is whole
    decimals = 1 if name in COUNTS and values[0] != round(values[0]) else decimals
    shown = [None if _missing(value) else f"{value * factor:.{decimals}f}" for value in values]
    return shown[0] if None in shown[1:] else f"{shown[0]} [{shown[1]}, {shown[2]}]"
