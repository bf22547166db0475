"""Figures that compare methods: AP against IoU, confusions, recall by duration, training curves.

Each takes tables of `evaluation/curves.py` (or training_log.csv) by method and returns a figure; nothing is computed
here. Colours, markers and lines: `style.py`.
"""

import numpy as np
from matplotlib.ticker import MaxNLocator, NullLocator
from scipy.optimize import isotonic_regression

from fedn_pipeline.report.style import COLOURS, look, subplots

WIDTH = 12  # inches: that of the page
COLUMNS = 4  # small figures side by side
APART = 0.025  # of a cost's range: markers nearer to each other would hide one another
NOTHING = 4  # a cost of 0 is drawn this factor left of the least other one


def _panels(names, height, x, y):
    """`(figure, axes)` of small figures, one per name, with common labels; superfluous places are blank."""
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure, axes = subplots(rows, columns, figsize=(WIDTH / COLUMNS * columns, height * rows))
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    for axis, name in zip(axes.flat, names, strict=False):
        axis.set_title(name, fontsize=9)
    figure.supxlabel(x, fontsize=9)
    figure.supylabel(y, fontsize=9)
    return figure, axes.flat


def _curves(axis, top=None):
    """What panels with curves share: from 0 to `top` (None: as high as they are), a grid behind."""
    axis.set_ylim(0, top)
    axis.grid(alpha=0.3, lw=0.5)


def _beside(figure, axis):
    """All methods by name, right of the axes."""
    handles = axis.get_legend_handles_labels()
    figure.legend(*handles, loc="outside right upper", fontsize=8, handlelength=4, frameon=False)


def ap_by_iou(curves):
    """AP against the IoU threshold, left spotting, right detection; all methods with their bands.

    `curves`: method -> table of `ap_curves`; the first method is drawn heavier.
    """
    figure, axes = subplots(1, 2, figsize=(WIDTH, 4.8), sharex=True)
    for axis, kind in zip(axes[0], ("spotting", "detection"), strict=True):
        for number, (method, table) in enumerate(curves.items()):
            mine = table[table.kind == kind]
            if not len(mine):
                continue
            style = look(number)
            axis.plot(mine.iou, mine.value, label=method, lw=2 if number == 0 else 1.1, zorder=3 - number / 99, **style)
            low, high = mine.low.astype(float), mine.high.astype(float)
            axis.fill_between(mine.iou, low, high, color=style["color"], alpha=0.16 if number == 0 else 0.05, lw=0)
        axis.set(title=f"{kind.capitalize()} AP", xlabel="IoU threshold")
        _curves(axis)
    axes[0, 0].set_ylabel("AP")
    _beside(figure, axes[0, 0])
    return figure


def ap_each(curves):
    """AP against the IoU threshold of one method per small figure with its bands; thin grey: the first method."""
    figure, axes = _panels(list(curves), 2.3, "IoU threshold", "AP")
    kinds = (("spotting", COLOURS[1], "-", "o"), ("detection", COLOURS[2], "--", "s"))
    first = next(iter(curves.values()))
    top = max(table.high.fillna(table.value).max() for table in curves.values())
    for axis, table in zip(axes, curves.values(), strict=False):
        for kind, colour, line, marker in kinds:
            reference, mine = first[first.kind == kind], table[table.kind == kind]
            axis.plot(reference.iou, reference.value, color="#888888", ls=line, lw=0.8)
            axis.plot(mine.iou, mine.value, color=colour, ls=line, marker=marker, ms=3, lw=1.4, label=kind)
            axis.fill_between(mine.iou, mine.low.astype(float), mine.high.astype(float), color=colour, alpha=0.2, lw=0)
        _curves(axis, top)
    axes[0].legend(fontsize=7, frameon=False)
    return figure


def confusion(tables):
    """One matrix per method: true (rows) against predicted emotion of spotted true positives, shaded by row share."""
    figure, axes = _panels(list(tables), 2.9, "predicted", "true")
    for axis, (method, table) in zip(axes, tables.items(), strict=False):
        shown = table if table.iloc[:, -1].any() else table.iloc[:, :-1]  # the last one: an emotion may be `other`, too
        counts = shown.to_numpy()
        share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-9)
        axis.imshow(share, cmap="Greys", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if share[row, column] > 0.55 else "black"
            axis.text(column, row, f"{round(count, 1):g}", ha="center", va="center", color=colour, fontsize=8)
        axis.set_xticks(range(shown.shape[1]), shown.columns, rotation=45, ha="right", fontsize=7)
        axis.set_yticks(range(shown.shape[0]), shown.index, fontsize=7)
        axis.set_title(f"{method} ({round(counts.sum(), 1):g})", fontsize=9)
    return figure


def recall_by_duration(tables):
    """Above how many expressions each duration has, below the recall of each method in it with its interval."""
    first = next(iter(tables.values()))
    there = (first.n_ground_truth > 0).to_numpy()
    tables, first = {method: table[there] for method, table in tables.items()}, first[there]
    places = np.arange(len(first))
    figure, axes = subplots(2, 1, figsize=(WIDTH, 5.4), sharex=True, height_ratios=[1, 2.6])
    bars = axes[0, 0].bar(places, first.n_ground_truth, width=0.8, color="#bbbbbb", edgecolor="black", lw=0.6)
    axes[0, 0].bar_label(bars, fontsize=8)
    axes[0, 0].set(ylabel="expressions")
    axes[0, 0].margins(y=0.25)
    width = 0.8 / len(tables)
    for number, (method, table) in enumerate(tables.items()):
        value, low, high = (table[name].astype(float).to_numpy() for name in ("value", "low", "high"))
        error = np.nan_to_num([np.maximum(value - low, 0), np.maximum(high - value, 0)])
        axes[1, 0].errorbar(
            places + (number - (len(tables) - 1) / 2) * width, value, error, label=method, lw=0, elinewidth=0.9,
            **look(number),
        )  # fmt: skip
    axes[1, 0].set(ylabel="recall", ylim=(0, 1.05), xlabel="duration, seconds")
    axes[1, 0].set_xticks(places, first.duration_s)
    axes[1, 0].grid(axis="y", alpha=0.3, lw=0.5)
    _beside(figure, axes[1, 0])
    return figure


def _apart(values):
    """Places `[n]` on a logarithmic axis as near to `values [n]` as can be, in their order but APART."""
    order = np.argsort(values, kind="stable")
    places = np.log(np.asarray(values, dtype=float)[order])
    shifts = APART * max(np.ptp(places), 1.0) * np.arange(len(places))
    apart = np.empty(len(places))
    apart[order] = np.exp(isotonic_regression(places - shifts).x + shifts)
    return apart


def _round(least, most):
    """Round numbers from `least` to `most`: powers of ten, or, within a decade and a half, some of one distance."""
    if least == most:
        ticks = [least]
    elif most / least > 30:
        ticks = 10.0 ** np.arange(np.floor(np.log10(least)), np.log10(most) + 1)
    else:
        ticks = MaxNLocator(4).tick_values(least, most)
    return [float(tick) for tick in ticks if 0.8 * least <= tick <= 1.25 * most]


def _logarithmic(axis, costs):
    """A logarithmic x axis for `costs [n]` with plain numbers, and where 0 is on it."""
    least = costs[costs > 0].min() if (costs > 0).any() else 1.0
    nothing = [least / NOTHING] if (costs == 0).any() else []
    ticks = _round(least, max(costs.max(), least))
    axis.set_xscale("log")
    axis.set_xticks([*nothing, *ticks], ["0" for _ in nothing] + [f"{tick:,.12g}" for tick in ticks])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.margins(x=0.12)
    return least / NOTHING


def ranking(table):
    """Rows: spotting F1 and mAP; columns: costs. Each method's score against its cost, bars: the paired interval of its
    difference to the first method, which is larger and whose score is the dashed line.

    `table`: columns method, metric, cost, value, low, high (low, high: NaN of the first method), at.
    """
    metrics, costs = table.metric.unique(), table.cost.unique()
    shape = {"figsize": (WIDTH, 3.6 * len(metrics)), "sharex": "col", "sharey": "row"}
    figure, axes = subplots(len(metrics), len(costs), **shape)
    numbers = {method: number for number, method in enumerate(table.method.unique())}
    for row, metric in zip(axes, metrics, strict=True):
        scores = table[table.metric == metric]
        top = scores[["value", "high"]].max(axis=None)
        for axis, cost in zip(row, costs, strict=True):
            mine = scores[scores.cost == cost]
            zero = _logarithmic(axis, table["at"][table.cost == cost])  # of both rows, which share it
            for one, at in zip(mine.itertuples(), _apart(mine["at"].where(mine["at"] > 0, zero)), strict=True):
                error = np.nan_to_num([[one.value - one.low], [one.high - one.value]]).clip(0)
                first = numbers[one.method] == 0
                style = look(numbers[one.method]) | {"linestyle": "", "markersize": 10 if first else 6}
                axis.errorbar(at, one.value, error, label=one.method, elinewidth=1, capsize=2, zorder=3, **style)
            axis.axhline(scores.value.iloc[0], color="#888888", ls="--", lw=0.8)
            _curves(axis, 1.06 * top)
            axis.set_ylim(-0.03 * top)  # a marker at 0 is whole
    for axis, cost in zip(axes[-1], costs, strict=True):
        axis.set_xlabel(cost)
    for axis, metric in zip(axes[:, 0], metrics, strict=True):
        axis.set_ylabel(metric)
    every = {handle.get_label(): handle for axis in axes.flat for handle in axis.get_legend_handles_labels()[0]}
    named = {name: every[name] for name in numbers}
    figure.legend(named.values(), named, loc="outside right upper", fontsize=8, frameon=False)
    return figure


def training(logs):
    """Loss of training and of held-out training subjects against the step; thin: each fold, thick: their mean.

    `logs`: method -> list of training_log tables, one per fold and seed.
    """
    figure, axes = _panels(list(logs), 2.4, "step", "loss")
    kinds = (("loss", "training", COLOURS[1], "-", "o"), ("held_out_loss", "held out", COLOURS[2], "--", "s"))
    for axis, folds in zip(axes, logs.values(), strict=False):
        for column, label, colour, line, marker in kinds:
            there = [fold for fold in folds if column in fold and fold[column].notna().any()]
            if not there:  # held-out subjects without an expression have no loss
                continue
            for fold in there:
                axis.plot(fold.step, fold[column], color=colour, ls=line, lw=0.5, alpha=0.45)
            steps = min((fold.step for fold in there), key=len)  # folds differ in steps where epochs decide
            mean = np.mean([fold[column][: len(steps)] for fold in there], axis=0)
            axis.plot(steps, mean, color=colour, ls=line, lw=2, marker=marker, ms=4, label=label)
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        _curves(axis)
    axes[0].legend(fontsize=7, frameon=False)
    return figure
