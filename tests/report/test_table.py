"""The results table: column order, fractions in the CSV, percent and x1000 in print."""

import numpy as np
import pandas as pd
import pytest

from fedn_pipeline.evaluation.bootstrap import Interval
from fedn_pipeline.evaluation.metrics import COUNTS, METRICS
from fedn_pipeline.report import table as report

MEASURED = {
    **{name: Interval(40.0, 31.0, 49.0) for name in COUNTS},
    **{name: Interval(0.5, 0.25, 0.75) for name in METRICS},
    "detection_map": Interval(0.0516, 0.0401, 0.0622),
}
FEDN = {
    "dataset": "demo", "labels": "annotated", "method": "fedn_no_attention", "source": "ours",
    "metrics": MEASURED, "seeds": "0 1", "protocol": "held_out",
}  # fmt: skip
WITHOUT_EMOTION = {"tp": Interval(12.5, 9.0, 15.0), "strs": Interval(None, None, None), "detection_map": None}
CLASSIC = FEDN | {"method": "classic", "metrics": MEASURED | WITHOUT_EMOTION}
PUBLISHED = {
    "dataset": "casme2", "labels": "annotated", "method": "A | B", "source": "published",
    "metrics": {"spotting_f1": 0.511},
}  # fmt: skip


@pytest.fixture
def table():
    return report.results_table([FEDN, CLASSIC, PUBLISHED])


def test_columns_follow_the_specification(table):
    assert list(table)[:10] == [
        "dataset", "labels", "method", "source", "tp", "n_predictions", "n_ground_truth",
        "spotting_f1", "spotting_f1_low", "spotting_f1_high",
    ]  # fmt: skip
    assert [name for name in table if name in METRICS][:6] == [
        "spotting_f1", "recognition_f1_micro", "recognition_f1_macro", "spotting_map", "detection_map", "strs",
    ]  # fmt: skip
    for name in METRICS:
        place = list(table).index(name)
        assert list(table)[place + 1 : place + 3] == [f"{name}_low", f"{name}_high"]
    assert list(table)[-4:] == ["weights", "protocol", "seeds", "omitted_videos"]


def test_csv_holds_fractions_and_empty_cells(table, tmp_path):
    report.write(table, tmp_path / "demo_table")
    read = pd.read_csv(tmp_path / "demo_table.csv")
    assert list(read) == report.columns()
    assert read["method"].tolist() == ["fedn_no_attention", "classic", "A | B"]
    assert read["detection_map"].tolist() == pytest.approx([0.0516, np.nan, np.nan], nan_ok=True)
    assert read.loc[0, ["spotting_f1", "spotting_f1_low", "spotting_f1_high"]].tolist() == [0.5, 0.25, 0.75]
    assert read["strs"].isna().tolist() == [False, True, True]
    assert read["tp"].tolist() == pytest.approx([40, 12.5, np.nan], nan_ok=True)


def test_print_has_percent_and_thousandths_with_intervals(table):
    text = report.scores(table).set_index("Method")
    assert text.loc["fedn_no_attention", "Spotting F1"] == "50.0 [25.0, 75.0]"
    assert text.loc["fedn_no_attention", "Detection mAP"] == "51.6 [40.1, 62.2]"
    assert text.loc["fedn_no_attention", "TP"] == "40" and text.loc["classic", "TP"] == "12.5"
    assert text.loc["A | B", "Spotting F1"] == "51.1"
    assert text.loc["classic", "STRS"] == text.loc["classic", "Detection mAP"] == report.DASH
    assert list(report.provenance(table)) == ["Method", "Dataset", "Labels", "Source", "Protocol", "Seeds"]


def test_markdown_is_aligned_and_escaped(table, tmp_path):
    report.write(table, tmp_path / "t")
    lines = (tmp_path / "t.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 2 * (2 + 3) and len({len(row) for row in rows[:5]}) == 1
    assert {row.count("|") for row in rows[:5]} == {len(report.scores(table).columns) + 1}
    assert "A &#124; B" in rows[4] and report.UNITS in lines


def test_differences_whose_interval_excludes_zero_are_starred(table):
    values = {"spotting_f1": (0.2, 0.1, 0.3), "spotting_map": (0.1, -0.1, 0.3), "detection_map": (-0.1, -0.2, -0.01)}
    rows = [("fedn", "classic", "macro", name, *value) for name, value in values.items()]
    rows.append(("fedn", "classic", "macro", "strs", None, None, None))
    differences = pd.DataFrame(rows, columns=report.DIFFERENCES)
    text = report.compared(differences).iloc[0]
    assert text["Difference"] == "fedn - classic" and text["Spotting F1"] == "20.0 [10.0, 30.0] *"
    assert text["Spotting mAP"] == "100.0 [-100.0, 300.0]" and text["Detection mAP"].endswith("*")
    assert text["STRS"] == report.DASH and report.cell("spotting_f1", -1e-9, -0.1, 0.1) == "0.0 [-10.0, 10.0]"
    assert "fedn - classic" in report.markdown(table, differences)


def test_latex_escapes_and_has_one_cell_per_column(table, tmp_path):
    report.write(table, tmp_path / "t")
    text = (tmp_path / "t.tex").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + 3
    assert {row.count("&") for row in rows} == {len(report.scores(table).columns) - 1}
    assert r"fedn\_no\_attention" in text


def test_same_rows_same_bytes(table, tmp_path):
    report.write(table, tmp_path / "a")
    report.write(report.results_table([FEDN, CLASSIC, PUBLISHED]), tmp_path / "b")
    for suffix in (".csv", ".md", ".tex"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize("row", [FEDN | {"spoting_f1": 1}, FEDN | {"metrics": {"spoting_f1": 1}}])
def test_unknown_key_is_refused(row):
    with pytest.raises(KeyError, match="spoting_f1"):
        report.results_table([row])


def test_no_rows(tmp_path):
    report.write(report.results_table([]), tmp_path / "t")
    assert (tmp_path / "t.csv").read_text() == ",".join(report.columns()) + "\n"
