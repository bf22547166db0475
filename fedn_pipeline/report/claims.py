"""The paper's claims as paired differences FEDN minus its variant, and whether ours bear them out.

A claim's first metric decides, chosen here before any result is seen; the others stand beside it. Its comparison holds
where the 95 % interval of the paired difference lies above 0, does not hold where it lies below, and is not decided
where it holds 0. The claim holds if all its comparisons do, does not if any does not.
"""

from dataclasses import dataclass

import pandas as pd

from fedn_pipeline.report import published
from fedn_pipeline.report.table import SCORES, cell
from fedn_pipeline.report.tables import Table

HOLDS, FAILS, OPEN, UNTESTED = "holds", "does not hold", "not decided", "not tested"
PAPER_DATA = ("casme2", "annotated")  # whose published differences are shown beside data sets that have none
COLUMNS = ["claim", "minus", "metric", "decides", "value", "low", "high", "verdict", "paper", "paper_data"]


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper; the rows that FEDN must beat; the metrics, of which the first decides."""

    text: str
    others: tuple
    metrics: tuple


SPOTTING = ("spotting_f1", "spotting_map", "detection_map")
CLAIMS = (
    Claim(
        "Spotting and recognising jointly beats a cascade",
        ("fedn+cefl", "fedn+str", "without_recognition+cefl", "without_recognition+str", "str"),
        ("detection_map", "strs"),
    ),
    Claim("Learning to recognise helps spotting", ("without_recognition",), SPOTTING[:2]),
    Claim("Both attentions help", ("without_segment_attention", "without_window_attention", "without_both"), SPOTTING),
    Claim("DIoU is the best interval loss", ("iou_loss", "giou_loss"), SPOTTING),
    Claim("Decoupled layers are best", ("coupled_head",), SPOTTING),
    Claim("A confidence branch of its own is not needed", ("confidence_branch",), SPOTTING),
    Claim("Frame features of faces beat I3D", ("i3d",), SPOTTING),
)


def verdict(low, high):
    """HOLDS, FAILS or OPEN for FEDN minus another; an undefined interval decides nothing."""
    return HOLDS if low > 0 else FAILS if high < 0 else OPEN


def judge(differences, dataset, labels):
    """One row per claim, comparison and metric that the paired differences hold; COLUMNS, fractions.

    `differences`: `results`' table of FEDN minus each other. Column `paper`: the published difference on this data and
    label set, or on PAPER_DATA where nothing is published on it; `paper_data` says which.
    """
    known = differences[differences.method == "fedn"].set_index(["minus", "metric"])
    place = (dataset, labels) if len(published.rows("performance", dataset, labels)) else PAPER_DATA
    rows = []
    for claim in CLAIMS:
        for other in claim.others:
            for metric in claim.metrics:
                if (other, metric) in known.index and pd.notna(known.value[other, metric]):
                    value, low, high = known.loc[(other, metric), ["value", "low", "high"]].astype(float)
                    paper = published.difference(other, metric, *place)
                    ours = metric == claim.metrics[0], value, low, high, verdict(low, high)
                    rows.append((claim.text, other, metric, *ours, paper, " ".join(place)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _conclusion(rows):
    """Verdict of one claim from its rows of `judge`."""
    verdicts = set(rows.verdict[rows.decides])
    if not len(rows):
        return UNTESTED
    return FAILS if FAILS in verdicts else OPEN if OPEN in verdicts or not verdicts else HOLDS


def conclusions(judged):
    """`(claim, verdict, lacking)` of every claim; `lacking`: its comparisons without a row. None at all: UNTESTED."""
    found = []
    for claim in CLAIMS:
        rows = judged[judged.claim == claim.text]
        lacking = [other for other in claim.others if other not in set(rows.minus)]
        found.append((claim.text, _conclusion(rows), lacking))
    return found


def table(judged):
    """The judged rows, to be written like the other tables; printed are those that decide, each claim named once."""
    shown = judged[judged.decides]
    rows = list(shown.itertuples())
    printed = pd.DataFrame({
        "Claim": shown.claim.where(~shown.claim.duplicated(), ""),
        "FEDN minus": shown.minus,
        "Metric": [SCORES[row.metric][0] for row in rows],
        "Difference": [cell(row.metric, row.value, row.low, row.high) for row in rows],
        "Verdict": shown.verdict,
        f"In the paper ({judged.paper_data.iloc[0]})": [cell(row.metric, row.paper) for row in rows],
    }, dtype=object)  # fmt: skip
    return Table("claims", judged, printed)
