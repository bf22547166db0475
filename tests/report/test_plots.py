"""Figures that compare methods: told apart without colour, complete, the same bytes each time."""

from types import SimpleNamespace

import pandas as pd
import pytest
from matplotlib import pyplot as plt

from fedn_pipeline.report import figures, plots, running_costs, style

IOUS = [0.5, 0.75, 0.95]
KINDS = ("spotting", "detection")
AP = pd.DataFrame([(kind, iou, 1 - iou, 0.9 - iou, 1.1 - iou) for kind in KINDS for iou in IOUS],
                  columns=["kind", "iou", "value", "low", "high"])  # fmt: skip
RECALL = pd.DataFrame({
    "duration_s": ["< 1", "≥ 1", "never"], "n_ground_truth": [3, 4, 0], "value": [0.5, 1, None], "low": [0.2, 1, None],
    "high": [0.8, 1, None],
})  # fmt: skip
CONFUSION = pd.DataFrame([[3.0, 1, 0], [0, 2, 0]], index=["anger", "fear"], columns=["anger", "fear", "other"])
LOG = pd.DataFrame({"step": [10, 20, 30], "loss": [3.0, 2, 1], "held_out_loss": [3.0, 2.5, 2]})


def test_no_two_methods_look_alike():
    looks = [tuple(map(str, style.look(number).values())) for number in range(60)]
    assert len(set(looks)) == 60
    without_colour = {(look["linestyle"], look["marker"]) for look in map(style.look, range(10))}
    assert len(without_colour) == 10


def test_ap_has_every_method_with_its_band():
    figure = plots.ap_by_iou({"fedn": AP, "classic": AP[AP.kind == "spotting"]})
    spotting, detection = figure.axes
    assert [len(axis.lines) for axis in (spotting, detection)] == [2, 1] and len(spotting.collections) == 2
    assert spotting.lines[0].get_ydata() == pytest.approx([0.5, 0.25, 0.05])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["fedn", "classic"]


def test_recall_leaves_out_durations_that_nothing_has():
    figure = plots.recall_by_duration({"fedn": RECALL, "classic": RECALL})
    above, below = figure.axes
    assert [bar.get_height() for bar in above.patches] == [3, 4]
    assert [tick.get_text() for tick in below.get_xticklabels()] == ["< 1", "≥ 1"]
    assert below.containers[0].lines[0].get_ydata().tolist() == [0.5, 1]


def test_confusion_and_training_have_a_place_for_each_method():
    figure = plots.confusion({name: CONFUSION for name in "abcde"})
    assert sum(axis.axison for axis in figure.axes) == 5
    assert {text.get_text() for text in figure.axes[0].texts} == {"3", "1", "0", "2"}
    figure = plots.training({"fedn": [LOG, LOG[:2]], "str spotter": [LOG.drop(columns="held_out_loss")]})
    mean = [line for line in figure.axes[0].lines if line.get_label() == "held out"]
    assert mean[0].get_ydata().tolist() == [3, 2.5] and len(figure.axes[1].lines) == 2


@pytest.mark.filterwarnings("error")
def test_folds_without_a_held_out_loss_are_left_out():
    """A fold whose held-out subjects show no expression has no loss there, be it an empty or no column."""
    empty, none = LOG.assign(held_out_loss=float("nan")), LOG.drop(columns="held_out_loss")
    for first in (empty, none):
        (axis,) = (axis for axis in plots.training({"fedn": [first, LOG, LOG[:2]]}).axes if axis.axison)
        means = {line.get_label(): line.get_ydata().tolist() for line in axis.lines}
        assert means["held out"] == [3, 2.5] and means["training"] == [3, 2]
    assert len(plots.training({"fedn": [none, empty]}).axes[0].lines) == 3


@pytest.mark.parametrize("suffix", [".svg", ".png", ".jpg"])
def test_the_same_figure_is_the_same_file(tmp_path, suffix):
    for name in ("a", "b"):
        style.save(plots.ap_each({"fedn": AP, "classic": AP}), tmp_path / name / f"x{suffix}")
    assert (tmp_path / f"a/x{suffix}").read_bytes() == (tmp_path / f"b/x{suffix}").read_bytes()


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def running(*costs):
    return {f"{name}_from_crops": cost for name, cost in zip(running_costs.UNITS, costs, strict=True)}


def test_ranking_has_every_cost_and_paired_intervals():
    results = pd.DataFrame({"method": ["fedn", "mdmd"], "spotting_f1": [0.5, 0.4], "spotting_map": [0.2, None]})
    difference = {"method": "fedn", "minus": "mdmd", "metric": "spotting_f1", "value": 0.1, "low": -0.02, "high": 0.3}
    methods = [
        SimpleNamespace(name="fedn", running=running(2e6, 900.0, 30.0)),
        SimpleNamespace(name="mdmd", running=running(0, 0.0, float("nan"))),
        SimpleNamespace(name="chance", running={}),
    ]
    found = figures.ranking(results, pd.DataFrame([difference]), methods)
    mdmd = found[found.method == "mdmd"]
    names = [f"{name}, from crops" for name in ("Parameters (M)", "GFLOP per minute", "Frames/s")]
    assert mdmd[["metric", "cost", "value", "at"]].to_numpy().tolist() == [
        ["Spotting F1", name, 0.4, 0] for name in names[:2]
    ]
    assert mdmd[["low", "high"]].to_numpy()[0] == pytest.approx([0.2, 0.52])  # fedn's less the difference's
    assert found[found.method == "fedn"]["at"].tolist() == [2, 900, 30] * 2 and found.low.isna().sum() == 6
    drawn = plots.ranking(found)
    assert [axis.get_xlabel() for axis in drawn.axes[3:]] == names
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["fedn", "mdmd"]
    left, *_ = (tick.get_text() for tick in drawn.axes[3].get_xticklabels())
    markers = [container.lines[0].get_xdata()[0] for container in drawn.axes[0].containers]
    assert left == "0" and markers[1] < markers[0] == pytest.approx(2)


def test_markers_of_equal_cost_stand_side_by_side():
    """And the others where they belong, all in order."""
    places = plots._apart([10.0, 1000.0, 10.0, 1.0, 10.0])
    assert places[[1, 3]] == pytest.approx([1000, 1]) and places[2] == pytest.approx(10)
    assert places[0] < places[2] < places[4] < 15


def test_numbers_on_a_logarithmic_axis_are_round():
    assert plots._round(0.04, 30) == pytest.approx([0.1, 1, 10])
    assert plots._round(43, 139) == pytest.approx([50, 75, 100, 125, 150])
    assert plots._round(2, 2) == [2]
