"""The counts of a release beside the published ones (published.csv, table `labels`), as text for the user.

Stage `dataset` prints it, so that a wrong version of a file is seen before anything is computed. Published are the
macro-expressions of CAS(ME)^2 (both label sets) and CAS(ME)^3.
"""

from pathlib import Path

import pandas as pd

PUBLISHED = Path(__file__).with_name("published.csv")


def published(dataset, label_set):
    """{emotion: number of macro-expressions} in the published order; empty for a data set without such counts."""
    table = pd.read_csv(PUBLISHED, keep_default_na=False)
    chosen = table[(table["table"] == "labels") & (table["dataset"] == dataset) & (table["labels"] == label_set)]
    return dict(zip(chosen["spotter"], chosen["value"].astype(int), strict=True))


def compare(dataset, label_set, emotions):
    """Text: a table `emotion, found, published, difference` of the macro-expressions' emotions, then what differs.

    emotions: the column of the macro-expressions of one label set; "" where unknown.
    """
    expected, found = published(dataset, label_set), emotions.value_counts()
    known = found.drop("", errors="ignore")
    names = [*expected, *sorted(set(known.index) - set(expected))] if len(known) else []
    rows = [(name, int(found.get(name, 0)), expected.get(name, 0)) for name in names]
    if "" in found.index:
        rows.append(("(none)", int(found[""]), 0 if len(known) else sum(expected.values())))
    rows.append(("total", len(emotions), sum(expected.values())))
    lines = [
        f"{dataset}, {label_set}, macro-expressions:",
        f"  {'emotion':12}{'found':>7}{'published':>11}{'difference':>12}",
    ]
    for name, here, there in rows:
        lines.append(
            f"  {name:12}{here:7d}" + (f"{there:11d}{_signed(here - there):>12}" if expected else f"{'-':>11}")
        )
    return "\n".join([*lines, _verdict(rows, expected, len(known))])


def _verdict(rows, expected, n_known):
    """What differs, in words."""
    if not expected:
        return "Nothing is published to compare with."
    *emotions, (_, here, there) = rows
    total = "" if here == there else f"There are {here} macro-expressions, {there} are published. "
    if not n_known:
        return f"{total or f'All {there} macro-expressions are there. '}No emotion is known to be compared."
    wrong = [f"{name} {_signed(found - wanted)}" for name, found, wanted in emotions if found != wanted]
    return total + (
        f"Beside the published counts: {', '.join(wrong)}." if wrong else "Every count is the published one."
    )


def _signed(difference):
    return f"{difference:+d}" if difference else "0"
