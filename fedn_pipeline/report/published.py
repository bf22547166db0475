"""The published numbers (dataset/published.csv) as rows of our tables, and which of our experiments is which row.

Values become fractions and counts, as in our own tables; none has an interval, because none is published. Source of
the numbers: evaluation.md, "Reading the paper's tables".
"""

from functools import cache

import pandas as pd

from fedn_pipeline.dataset.counts import PUBLISHED
from fedn_pipeline.report.table import results_table

UNIT = {"percent": 1 / 100, "x1000": 1 / 1000, "count": 1, "GFLOP": 1}
EXTRA = {"fn": "fn", "flops": "gflop"}  # metrics that are no column of the results table
PAPER = {  # experiment: table, spotter and recogniser of its row in the paper
    "fedn": ("performance", "FEDN", "FEDN"),
    "without_recognition": ("performance", "FEDN (w/o rec)", ""),
    "fedn+cefl": ("performance", "FEDN", "CEFLNet"),
    "fedn+str": ("performance", "FEDN", "STR"),
    "without_recognition+cefl": ("performance", "FEDN (w/o rec)", "CEFLNet"),
    "without_recognition+str": ("performance", "FEDN (w/o rec)", "STR"),
    "str": ("performance", "STR", "STR"),
    "mtsn": ("performance", "MTSN", ""),
    "lssnet": ("performance", "LSSNet", ""),
    "lgsnet": ("performance", "LGSNet", ""),  # recomputed
    "auwgcn": ("performance", "AUW-GCN", ""),
    "tan": ("performance", "Tan et al.", ""),
    "spotformer": ("performance", "SpotFormer", ""),
    "i3d": ("ablation", "I3D", "FEDN"),
    "without_segment_attention": ("ablation", "w/o segment attention", "FEDN"),
    "without_window_attention": ("ablation", "w/o sliding-window attention", "FEDN"),
    "without_both": ("ablation", "w/o both", "FEDN"),
    "confidence_branch": ("variations", "confidence branch", "FEDN"),
    "coupled_head": ("variations", "coupled head", "FEDN"),
    "iou_loss": ("variations", "IoU loss", "FEDN"),
    "giou_loss": ("variations", "GIoU loss", "FEDN"),
}
TABLES = ("performance", "ablation", "variations")


@cache
def _numbers():
    return pd.read_csv(PUBLISHED, keep_default_na=False)


def _label(table, spotter, recognizer):
    return spotter if table != "performance" or recognizer in ("", spotter) else f"{spotter} + {recognizer}"


def members(table, experiments):
    """Those of our experiments that belong into one of TABLES, in the given order: FEDN into each, and a row that the
    paper does not have into `performance`."""
    return [name for name in experiments if name == "fedn" or PAPER.get(name, TABLES)[0] == table]


def rows(table, dataset, labels):
    """Published rows of one of TABLES (`performance`: the `recomputed` ones too), in the paper's order.

    Columns of `table.results_table`, and `fn`, `gflop`, and `experiment`: which of ours the row stands beside, or "".
    """
    names = {place: name for name, place in PAPER.items()} | {(other, "FEDN", "FEDN"): "fedn" for other in TABLES}
    chosen = _numbers()[lambda t: (t.dataset == dataset) & (t.labels == labels)]
    chosen = chosen[chosen.table.isin([table, "recomputed"] if table == "performance" else [table])]
    found, further = [], []
    for (source, spotter, recognizer), part in chosen.groupby(["table", "spotter", "recognizer"], sort=False):
        values = {row.metric: float(row.value) * UNIT[row.unit] for row in part.itertuples()}
        further.append({column: values.pop(metric, None) for metric, column in EXTRA.items()})
        further[-1]["experiment"] = names.get((table, spotter, recognizer), "")
        identity = {"dataset": dataset, "labels": labels, "method": _label(source, spotter, recognizer)}
        identity["source"] = "recomputed" if source == "recomputed" else "published"
        found.append({**identity, "metrics": values})
    return results_table(found).join(pd.DataFrame(further, columns=[*EXTRA.values(), "experiment"]))


def difference(other, metric, dataset, labels):
    """The paper's FEDN minus its row of our experiment `other` in `metric`, a fraction; None if it prints none."""
    if other not in PAPER:
        return None
    table = rows(PAPER[other][0], dataset, labels).set_index("experiment")
    if not {"fedn", other} <= set(table.index):
        return None
    value = table.loc["fedn", metric] - table.loc[other, metric]
    return None if pd.isna(value) else float(value)
