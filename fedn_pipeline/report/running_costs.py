"""What it takes to run a method on video, from aligned crops to detections, beside what the paper counts per window.

Out of what the folds measured (`cost.py`), the network that made their input (`model/flops.py`), and the wall clock of
the stages before (Snakemake's benchmark files). Used by the report.
"""

import json
from functools import cache

import numpy as np
import pandas as pd

from fedn_pipeline import cost, intervals
from fedn_pipeline.files import read_json
from fedn_pipeline.model import flops
from fedn_pipeline.peers import needs
from fedn_pipeline.report import provenance, tables
from fedn_pipeline.report.table import DASH

COUNTED, MEASURED = ("parameters", "gflop_per_minute"), "frames_per_second"
OF_INPUT, FROM_CROPS = "_of_input", "_from_crops"  # column endings; without one: of the method on its cached input
FACES, FROM_VIDEO = f"{MEASURED}_of_faces", f"{MEASURED}_from_video"
UNITS = {  # cost: heading, and what a value is multiplied by
    "parameters": ("Parameters (M)", 1e-6),
    "gflop_per_minute": ("GFLOP per minute", 1),
    MEASURED: ("Frames/s", 1),
}
PRINTED = {
    **{what + end: UNITS[what][0] + words for what in UNITS for end, words in (("", ""), (OF_INPUT, ", input"))},
    FACES: "Frames/s, faces",
    MEASURED + FROM_CROPS: "Frames/s from crops",
    FROM_VIDEO: "Frames/s from video",
    "fold_s": "Fold (s)",
}
COLUMNS = ("method", "inputs", "device", *PRINTED, *(what + FROM_CROPS for what in COUNTED))


@cache
def _network_of_input(name, sections):
    """`flops.of_input` of settings as JSON."""
    return flops.of_input(name, json.loads(sections))


def _made_from(name):
    """The cache that costs: motion as features (`features/flow_gap8`) is the cache of motion itself (`flow/gap8`)."""
    motion = needs.AS_FEATURES.fullmatch(name.removeprefix("features/"))
    return f"{motion[1]}/gap{motion[2]}" if motion else name


def _folds(folder, seeds):
    """`cost.json` of each fold that has predicted something, with the seconds of decoding."""
    found = []
    for path in provenance.of_seeds(folder, seeds, cost.NAME):
        record, decoding = read_json(path), path.with_name(cost.DECODING)
        if record["seconds"]:
            record["seconds"] += read_json(decoding)["seconds"] if decoding.is_file() else 0
            record["inputs"] = [_made_from(name) for name in record["inputs"]]
            found.append(record)
    return found


def of_method(settings, folder, videos, benchmarks):
    """Values by COLUMNS of a method with folds in `folder`; {} where none of them measured its cost.

    Means over folds, of speeds over frames. NaN: not known. `settings`: all of the experiment's; `benchmarks`: the
    folder of Snakemake's, or None.
    """
    folds = _folds(folder, settings["run"]["seeds"])
    if not folds:
        return {}
    n_steps = sum(intervals.n_steps(video.n_frames, video.fps) for video in videos.itertuples())
    names = sorted({name for fold in folds for name in fold["inputs"]})
    sections = json.dumps({name: settings[name] for name in flops.OF_INPUT}, sort_keys=True)
    network = {name: _network_of_input(name, sections) for name in names}

    def made(stage, jobs):
        """Seconds per frame of jobs that processed all videos; NaN where no benchmark tells."""
        files = sorted((benchmarks / stage).glob(jobs)) if benchmarks else []
        return sum(provenance.seconds(files)) / n_steps if files else np.nan

    seconds, faces = {name: made(name, "part*.tsv") for name in names}, made("faces", "*.tsv")
    frames = [fold["frames"] for fold in folds]
    own = np.average([fold["seconds"] / fold["frames"] for fold in folds], weights=frames)
    before = np.average([sum(seconds[name] for name in fold["inputs"]) for fold in folds], weights=frames)
    found = {
        "inputs": " ".join(names),
        "device": "; ".join(sorted({f"{fold['device']}, {fold['threads']} thread(s)" for fold in folds})),
    }
    for what in COUNTED:
        found[what] = np.mean([fold[what] for fold in folds if fold[what] is not None] or [np.nan])
        found[what + OF_INPUT] = np.mean([sum(network[name][what] for name in fold["inputs"]) for fold in folds])
        found[what + FROM_CROPS] = found[what] + found[what + OF_INPUT]
    per_frame = {"": own, OF_INPUT: before, FROM_CROPS: before + own}
    found |= {MEASURED + end: 1 / value for end, value in per_frame.items()}
    return found | {FACES: 1 / faces, FROM_VIDEO: 1 / (faces + before + own)}


def table(methods):
    """The Table `costs` of the methods whose cost was measured, or None."""
    rows = [{"method": m.name, **m.running, "fold_s": m.costs.get("fold_s")} for m in methods if m.running]
    if not rows:
        return None
    numbers = pd.DataFrame(rows, columns=list(COLUMNS))
    printed = {"Method": numbers.method, "Input": numbers.inputs.str.replace(" ", ", "), "Measured on": numbers.device}
    for name, heading in PRINTED.items():
        _, factor = UNITS.get(name.removesuffix(OF_INPUT), ("", 1))
        printed[heading] = [_cell(value * factor) for value in numbers[name].astype(float)]
    return tables.Table("costs", numbers, pd.DataFrame(printed, dtype=object))


def _cell(value):
    """Three digits, whole from a hundred on."""
    if not np.isfinite(value):
        return DASH
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
