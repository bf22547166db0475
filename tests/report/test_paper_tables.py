"""The paper's tables: published rows beside ours, costs, labels of each set; and the claims judged by intervals."""

import pandas as pd
import pytest

from fedn_pipeline.report import claims, tables
from fedn_pipeline.report.table import DIFFERENCES, results_table

METRICS = {"tp": 50.0, "n_predictions": 80.0, "n_ground_truth": 72.0, "spotting_f1": (0.6, 0.5, 0.7)}
IDENTITY = {"dataset": "casme2", "labels": "annotated", "source": "ours", "seeds": "0"}
NAMES = ("fedn", "iou_loss", "giou_loss", "mine")
RESULTS = results_table([
    *({**IDENTITY, "method": name, "metrics": METRICS, "weights": "net"} for name in NAMES),
    {**IDENTITY, "method": "i3d", "metrics": {}, "weights": "weights missing"},
])  # fmt: skip


def differences(**intervals):
    """FEDN minus each other in every metric that is compared, the same interval for all."""
    rows = [
        ("fedn", other, "macro", metric, (low + high) / 2, low, high)
        for other, (low, high) in intervals.items()
        for metric in ("spotting_f1", "spotting_map", "detection_map", "strs")
    ]
    return pd.DataFrame(rows, columns=DIFFERENCES)


def verdicts(compared):
    """Claim -> its verdict and what it lacks, on a data set without published numbers."""
    found = claims.conclusions(claims.judge(compared, "demo", "annotated"))
    return {claim: (word, lacking) for claim, word, lacking in found}


FOUND = differences(iou_loss=(0.1, 0.3), giou_loss=(-0.1, 0.2), mine=(0.0, 0.1))


def test_published_rows_stand_below_ours():
    table = tables.comparison("performance", RESULTS, FOUND, {}, "casme2", "annotated")
    assert table.printed.Method.tolist()[:3] == ["fedn", "FEDN", "mine"]
    assert table.printed.Source.tolist()[:3] == ["ours", "published", "ours"] and len(table.printed) == 2 + 13
    assert table.printed["Spotting F1"][0] == "60.0 [50.0, 70.0]" and table.printed["Spotting F1"][1] == "51.1"
    assert set(table.differences.minus) == {"mine"} and "experiment" not in table.numbers


def test_a_peer_stands_above_its_published_row_and_says_where_it_failed():
    peers = [
        {**IDENTITY, "method": "spotformer", "metrics": METRICS, "protocol": "x; failed: too short (1 of 2 folds: p)"},
        {**IDENTITY, "method": "lgsnet", "metrics": {}, "weights": "weights missing"},
        {**IDENTITY, "method": "lgsnet_resnet18", "metrics": METRICS, "protocol": "x"},
    ]
    printed = tables.comparison("performance", results_table(peers), FOUND, {}, "casme2", "annotated").printed
    assert printed[["Method", "Source"]].to_numpy().tolist()[:5] == [
        ["spotformer", "ours; failed: too short (1 of 2 folds: p)"],
        ["SpotFormer", "published"],
        ["lgsnet", "not run: weights missing"],
        ["LGSNet", "recomputed"],
        ["lgsnet_resnet18", "ours"],
    ]


def test_ablation_shows_costs_and_what_could_not_run():
    costs = {"fedn": {"gflop": 466.4, "parameters": 3.5e7}, "i3d": {"gflop": 3420.0}}
    table = tables.comparison("ablation", RESULTS, FOUND, costs, "casme2", "annotated").printed.set_index("Method")
    assert table.loc["fedn", ["GFLOP", "Parameters (M)", "Frames/s"]].tolist() == ["466.4", "35.00", "–"]
    assert table.loc["i3d", "Source"] == "not run: weights missing" and table.loc["i3d", "TP"] == "–"
    assert table.loc["I3D", "GFLOP"] == "3420.0"


def test_variations_count_what_was_missed(tmp_path):
    table = tables.comparison("variations", RESULTS, FOUND, {}, "demo", "annotated")
    assert table.printed.FN.tolist() == ["22"] * 3 and table.printed.Method.tolist() == [
        "fedn",
        "iou_loss",
        "giou_loss",
    ]
    tables.write(tmp_path, table)
    assert pd.read_csv(tmp_path / "variations.csv").fn.tolist() == [22, 22, 22]
    assert "fedn - iou_loss" in (tmp_path / "variations.md").read_text(encoding="utf-8")
    assert r"iou\_loss" in (tmp_path / "variations.tex").read_text(encoding="utf-8")
    assert len(pd.read_csv(tmp_path / "variations_differences.csv")) == 8


def test_labels_of_each_set_beside_the_published_ones():
    columns = ["label_set", "emotion", "expression_type"]
    rows = [("annotated", "positive", "macro"), ("annotated", "positive", "micro"), ("self_reported", "fear", "macro")]
    events = pd.DataFrame([*rows, ("", "", "macro")], columns=columns)
    table = tables.labels("casme2", events, ["macro"]).numbers.set_index(["labels", "emotion"])
    assert table.expressions["annotated", "positive"] == 1 and table.published["annotated", "positive"] == 116
    assert table.expressions["annotated", "(none)"] == 1 and table.expressions["annotated", "total"] == 2
    assert table.published["self_reported", "total"] == 300 and table.expressions["self_reported", "sadness"] == 0
    assert tables.labels("casme2", events, ["macro", "micro"]).numbers.published.isna().all()


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ({"iou_loss": (0.1, 0.2), "giou_loss": (0.01, 0.2)}, claims.HOLDS),
        ({"iou_loss": (0.1, 0.2), "giou_loss": (-0.01, 0.2)}, claims.OPEN),
        ({"iou_loss": (-0.2, -0.1), "giou_loss": (0.1, 0.2)}, claims.FAILS),
        ({"iou_loss": (0.0, 0.2), "giou_loss": (0.1, 0.2)}, claims.OPEN),
    ],
)
def test_a_claim_holds_only_if_every_comparison_does(intervals, expected):
    found = verdicts(differences(**intervals))
    assert found.pop("DIoU is the best interval loss") == (expected, [])
    assert {word for word, _ in found.values()} == {claims.UNTESTED} and len(found) == len(claims.CLAIMS) - 1


def test_without_an_interval_nothing_is_decided():
    single = differences(coupled_head=(0.1, 0.2)).assign(low=float("nan"), high=float("nan"))  # one subject
    assert verdicts(single)["Decoupled layers are best"] == (claims.OPEN, [])


def test_claims_show_the_paper_and_name_missing_rows():
    judged = claims.judge(differences(without_both=(0.1, 0.2)), "demo", "annotated")
    assert set(judged.metric) == {"spotting_f1", "spotting_map", "detection_map"} and judged.decides.sum() == 1
    assert judged.paper[0] == pytest.approx(0.511 - 0.475) and judged.paper_data[0] == "casme2 annotated"
    lacking = ["without_segment_attention", "without_window_attention"]
    assert verdicts(differences(without_both=(0.1, 0.2)))["Both attentions help"] == (claims.HOLDS, lacking)
    printed = claims.table(judged).printed
    assert printed.Verdict.tolist() == ["holds"] and printed["In the paper (casme2 annotated)"].tolist() == ["3.6"]
    assert claims.judge(differences(mine=(0.1, 0.2)), "demo", "annotated").empty
