"""How time and memory of what follows the features grow up to CAS(ME)^3's size, on rehearsals; projected: all folds.

    python benchmarks/scale.py [--quick]

Shares 1/16, 1/8, ... 1 of its subjects and videos, each stage in a process of its own as its rule runs it, the fold on
all cores. The target: of no part does the time per frame grow faster than frames^0.1, so that nothing is quadratic.
Every second test window is left out; the projection counts it. Draws docs/scale.png; 5 GB in the temporary folder.
`--quick`: 1/64 and 1/16, one thread, small batches, few test windows, no figure.
"""

import os
import resource
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from common import detections_near, options, report
from tqdm import tqdm

from fedn_pipeline import config, rehearsal
from fedn_pipeline.dataset.tables import read_events, read_videos, write_detections
from fedn_pipeline.files import write_json
from fedn_pipeline.training.split import split

PLOT = Path(__file__).resolve().parent.parent / "docs/scale.png"
CACHE = f"features/{rehearsal.BACKBONE}.h5"
STEPS, MOST_STEPS = 6, 200  # of training; the latter at the full size
DEFAULTS = config.validate({})
FULL = {"training": {"threads": os.cpu_count()}, "windows": {"test_stride": 2 * DEFAULTS["windows"]["test_stride"]}}
QUICK = {"training": {"batch_size": 8, "held_out_windows": 32}, "windows": {"test_stride": 256}}
METHODS = ("fedn", "second", "third")  # rows of the table
MOST_GROWTH = 0.1  # exponent of the time per frame
FIXED = ("step", "held-out loss")  # parts that do not depend on the amount of data


class Cost(NamedTuple):
    """What a part took: seconds, the frames that it worked on, and the most memory (MB) of its process by its end."""

    seconds: float
    frames: int
    peak_mb: float


class Parts(dict):
    """Cost of each part of a stage, by name; several calls of a part add up."""

    def add(self, part, seconds, frames):
        before = self[part].seconds if part in self else 0
        self[part] = Cost(before + seconds, frames, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)

    def timed(self, part, frames, function):
        """The function, which adds what each call takes."""

        def call(*given, **named):
            started = time.perf_counter()
            result = function(*given, **named)
            self.add(part, time.perf_counter() - started, frames)
            return result

        return call


class Data:
    """A written rehearsal and the fold that tests its first subject."""

    def __init__(self, folder, settings):
        self.videos = read_videos(folder / "videos.csv", known=("n_frames", "fps"))
        self.events = read_events(folder / "events.csv", self.videos)
        self.subject = self.videos.subject[0]
        self.parts = split(self.videos, "subject", self.subject, settings["training"]["held_out_fraction"])

    def frames(self, *roles):
        """Frames of the videos of the fold's roles."""
        ids = [video for role in roles for video in getattr(self.parts, role)]
        return int(self.videos.n_frames[self.videos.video_id.isin(ids)].sum())


ROLES = ("train", "held_out", "test")


def write(folder, settings):
    parts = Parts()
    videos, _ = rehearsal.plan(settings["rehearsal"])
    parts.timed("write", int(videos.n_frames.sum()), rehearsal.write)(folder, settings["rehearsal"])
    return parts


def fold(folder, settings):
    """Stage `folds`, its parts timed where they are called. Of `windows of a pass` the seconds are the number."""
    from fedn_pipeline.training import fold as stage
    from fedn_pipeline.training import loop

    data, parts, windows, prepare = Data(folder, settings), Parts(), [], loop.prepare

    def prepared(*given):
        windows.append(prepare(*given))
        return windows[-1]

    def each_step(steps, **_):
        """In place of the loop's progress bar: the last step ends with the held-out loss."""
        taken = []
        for step in steps:
            started = time.perf_counter()
            yield step
            taken.append(time.perf_counter() - started)
        usual = statistics.median(taken[1:-1])
        parts.add("step", usual, data.frames("train"))
        parts.add("held-out loss", max(taken[-1] - usual, 0), data.frames("held_out"))

    loop.tqdm, loop.prepare = each_step, parts.timed("prepare", data.frames("train", "held_out"), prepared)
    stage._load = parts.timed("load", data.frames(*ROLES), stage._load)
    stage._raw = parts.timed("predict", data.frames("held_out", "test"), stage._raw)
    none = data.events[:0]
    stage.run(data.videos, data.events, none, folder / CACHE, data.subject, folder / "fold", settings, seed=0)
    parts["windows of a pass"] = Cost(len(windows[0][0]), data.frames("train"), 0)
    return parts


def detections(folder, settings):
    """Stage `detections` of that fold: decoding, NMS, threshold."""
    from fedn_pipeline.detection import fold as stage

    data, parts = Data(folder, settings), Parts()
    run = parts.timed("detections", data.frames("held_out", "test"), stage.run)
    run(folder / "fold/predictions.h5", data.videos, data.events, folder / "fold", settings)
    return parts


def table(folder, settings):
    """Stage `results`: METHODS with 100 made-up detections a video, one fold per subject."""
    from fedn_pipeline.report import results

    data, parts, random = Data(folder, settings), Parts(), np.random.default_rng(0)
    last = data.videos.set_index("video_id").n_frames - 1
    record = {"training": "", "backbone": rehearsal.BACKBONE, "weights_sha256": "", "weights_origin": rehearsal.ORIGIN}
    for method in METHODS:
        found = detections_near(random, data.videos, data.events)
        end = found.video_id.map(last)
        onset = np.minimum(found.onset, end)
        found = found.assign(onset=onset, offset=np.clip(found.offset, onset, end), kept=found.kept.astype(int))
        for subject, videos in data.videos.groupby("subject"):
            out = folder / "table" / method / "seed0/folds" / subject
            write_detections(out / "detections.csv", found[found.video_id.isin(videos.video_id)])
            write_json(out / "threshold.json", {"protocol": "made up"})
            write_json(out / "fold.json", {**record, "test_videos": sorted(videos.video_id)})
    settings = config.merge(settings, {"run": {"experiments": list(METHODS)}})
    run = parts.timed("table", int(data.videos.n_frames.sum()), results.run)
    run("rehearsal", data.videos, data.events, folder / "table", folder / "table/table", settings)
    return parts


def measure(share, steps, changes):
    """`{part: Cost}` of all stages at one share."""
    its = {"rehearsal": {"share": share}, "training": {"steps": steps, "log_every": steps}}
    settings = config.validate(config.merge(its, changes))
    with tempfile.TemporaryDirectory() as folder:
        costs = {}
        for stage in tqdm((write, fold, detections, table), desc=f"share {share:g}", unit="stage"):
            # a process for each stage; this one stays small, because a child's peak begins with its parent's
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                costs |= pool.submit(stage, Path(folder), settings).result()
    return costs


def growth(costs):
    """Exponent of the frames with which a part's seconds grow from its first Cost to its last."""
    first, last = costs[0], costs[-1]
    return np.log(last.seconds / first.seconds) / np.log(last.frames / first.frames)


def print_table(shares, by_part):
    """A row for each part: seconds and peak memory at each share, and the growth."""
    print(
        f"{'seconds (peak MB)':18}" + "".join(f"{f'share 1/{round(1 / share)}':>18}" for share in shares) + "  exponent"
    )
    for part, costs in by_part.items():
        cells = "".join(f"{f'{cost.seconds:.3g} ({cost.peak_mb:.0f})':>18}" for cost in costs)
        print(f"{part:18}{cells}" + (f"{growth(costs):10.2f}" if part not in FIXED else f"{'fixed':>10}"))


def print_projection(costs, windows, share, settings):
    """One fold of `training.epochs` at the largest share, by part, with all test windows; and all folds."""
    training, left_out = settings["training"], settings["windows"]["test_stride"] / DEFAULTS["windows"]["test_stride"]
    steps = training["epochs"] * max(1, windows // training["batch_size"])
    split_of = {part: costs[part].seconds for part in ("load", "prepare")}
    split_of |= {part: left_out * costs[part].seconds for part in ("predict", "detections")}
    split_of["steps"] = steps * costs["step"].seconds
    split_of["held-out loss"] = steps / training["log_every"] * costs["held-out loss"].seconds
    total, n_folds = sum(split_of.values()), round(share * rehearsal.LIKE["casme3"].subjects)
    schedule = f"{training['epochs']} epochs = {steps} steps of {training['batch_size']} windows"
    print(f"one fold, {schedule}: {total / 3600:.1f} h (projected, with all test windows)")
    for part, seconds in sorted(split_of.items(), key=lambda item: -item[1]):
        print(f"  {part:16}{seconds:12.1f} s{seconds / total:8.1%}")
    threads = training["threads"]
    print(
        f"{n_folds} folds, one after the other with {threads} threads: {n_folds * total / 86400:.1f} days (projected)"
    )


def draw(by_part):
    """docs/scale.png: time and memory over frames."""
    from fedn_pipeline.report import style

    figure, axes = style.subplots(1, 2, figsize=(9, 3.6))
    for axis, name, label in zip(axes[0], ("seconds", "peak_mb"), ("seconds", "peak memory, MB"), strict=True):
        for number, (part, costs) in enumerate(by_part.items()):
            axis.plot([c.frames for c in costs], [getattr(c, name) for c in costs], label=part, **style.look(number))
        axis.set(xscale="log", yscale="log", xlabel="frames that the part works on", ylabel=label)
        axis.axline((1e5, 1), (1e6, 10), color="0.7", lw=0.8, zorder=0, label="linear")
    axes[0, 1].set_ylim(100, None)
    axes[0, 1].legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    style.save(figure, PLOT)


def main():
    quick = options(__doc__.splitlines()[0]).quick
    shares = [1 / 64, 1 / 16] if quick else [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1]
    changes = QUICK if quick else FULL
    measured = []
    for share in shares:
        measured.append(measure(share, MOST_STEPS if share == 1 else STEPS, changes))
    windows = measured[-1]["windows of a pass"].seconds
    by_part = {part: [costs[part] for costs in measured] for part in measured[0] if part != "windows of a pass"}
    print_table(shares, by_part)
    print_projection(measured[-1], windows, shares[-1], config.validate(changes))
    if not quick:
        draw(by_part)
    steepest = max((part for part in by_part if part not in FIXED), key=lambda part: growth(by_part[part]))
    first, last = by_part[steepest][0], by_part[steepest][-1]
    target = (last.frames / first.frames) ** -MOST_GROWTH
    per_frame = (1e6 * cost.seconds / cost.frames for cost in (last, first))
    report(f"time per million frames at the largest share, against the smallest: {steepest}", *per_frame, target, "s")


if __name__ == "__main__":
    main()
