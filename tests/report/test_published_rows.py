"""Published rows: every number of the paper's tables, in fractions, beside the experiment that is the same row."""

import pandas as pd
import pytest

from fedn_pipeline.dataset.counts import PUBLISHED
from fedn_pipeline.report import published


@pytest.mark.parametrize("dataset", ["casme2", "casme3"])
@pytest.mark.parametrize("labels", ["annotated", "self_reported"])
def test_no_published_number_is_lost(dataset, labels):
    numbers = pd.read_csv(PUBLISHED, keep_default_na=False)
    numbers = numbers[(numbers.dataset == dataset) & (numbers.labels == labels) & (numbers.table != "labels")]
    tables = [published.rows(name, dataset, labels) for name in published.TABLES]
    shown = sum(int(table.select_dtypes("number").notna().sum().sum()) for table in tables)
    assert shown == len(numbers)


def test_rows_are_fractions_marked_and_named():
    table = published.rows("performance", "casme2", "annotated").set_index("method")
    assert table.loc["FEDN", ["spotting_f1", "detection_map", "tp"]].tolist() == pytest.approx([0.511, 0.0516, 129])
    assert table.loc["FEDN (w/o rec) + STR", "experiment"] == "without_recognition+str"
    assert table.loc["LGSNet", "source"] == "recomputed" and table.loc["LGSNet", "spotting_f1"] == pytest.approx(0.43)
    assert set(table.source) == {"published", "recomputed"} and table.spotting_f1_low.isna().all()
    variations = published.rows("variations", "casme2", "annotated").set_index("experiment")
    assert variations.loc["giou_loss", "fn"] == 186 and variations.loc["fedn", "fn"] == 171
    assert published.rows("ablation", "casme2", "annotated").set_index("experiment").gflop["i3d"] == 3420
    assert len(published.rows("performance", "demo", "annotated")) == 0


def test_every_experiment_of_the_paper_has_its_row():
    for experiment, (table, *_) in published.PAPER.items():
        assert experiment in set(published.rows(table, "casme2", "annotated").experiment)
    for table in published.TABLES:  # and no row of the paper is without an experiment of ours
        assert "" not in set(published.rows(table, "casme2", "annotated").experiment)


def test_differences_and_members():
    assert published.difference("coupled_head", "spotting_f1", "casme2", "annotated") == pytest.approx(0.511 - 0.465)
    assert published.difference("coupled_head", "strs", "casme2", "annotated") is None
    assert published.difference("mine", "spotting_f1", "casme2", "annotated") is None
    names = ["fedn", "mine", "fedn+str", "i3d", "iou_loss"]
    assert published.members("performance", names) == ["fedn", "mine", "fedn+str"]
    assert published.members("ablation", names) == ["fedn", "i3d"]
