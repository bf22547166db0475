"""One fold of a cascade (`folds.method` cascade) or of STR (str): the same split and files as a fold of the network.

A cascade takes the detections of another experiment's fold as they are, with their confidences and its threshold, and
lets a recogniser, trained on the fold's own ground truth, name each one's emotion; its spotting results are therefore
the spotter's. Fang et al. 2025, Table 2: FEDN's intervals re-labelled by CEFLNet or by STR's recogniser.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fedn_pipeline import __version__, compute, cost, tensor_file
from fedn_pipeline.cascades import cefl, samples, str_network, str_recogniser, str_spotter, str_windows
from fedn_pipeline.cascades.gap import training_half_length
from fedn_pipeline.dataset.tables import read_detections, write_detections
from fedn_pipeline.detection import fold as detection_fold
from fedn_pipeline.features import cache
from fedn_pipeline.files import InputError, read_json, write_csv, write_json
from fedn_pipeline.training.classes import check_positives, emotions_of_fold
from fedn_pipeline.training.record import write_record
from fedn_pipeline.training.split import split


@dataclass
class Inputs:
    """Paths: the feature cache, the flow cache, the spotter's fold folder, the folder with crops/, the backbone's
    weights; None where the method does not read it."""

    features: object = None
    flow: object = None
    spotter: object = None
    faces: object = None
    weights: object = None

    def require(self, method, *names):
        """Raise InputError naming the absent ones."""
        absent = [f"--{name}" for name in names if getattr(self, name) is None]
        if absent:
            raise InputError(f"folds, {method}: give {', '.join(absent)}")


@dataclass
class Task:
    """A fold's data: videos, events (ground truth), others (annotated, no ground truth), Split, emotions to tell apart,
    settings, NumPy generator, torch device, and a name for logs."""

    videos: pd.DataFrame
    events: pd.DataFrame
    others: pd.DataFrame
    parts: object
    classes: list
    settings: dict
    generator: np.random.Generator
    device: object
    label: str

    def truth(self, ids):
        """The ground truth of the videos `ids` as Samples."""
        return samples.of_events(self.events, self.videos, ids, self.classes)


@dataclass
class Trained:
    """A recogniser: network, rows of its training log, class number of each detection, and what it is in words."""

    network: object
    log: list
    numbers: np.ndarray
    words: str


def _cefl(task, inputs, table):
    """CEFLNet, trained, and what it says of the detections in `table`."""
    settings = task.settings["cefl"]
    end_to_end = settings["end_to_end"]
    inputs.require("cefl", *(("faces", "weights") if end_to_end else ("features",)))
    train, held_out = task.truth(task.parts.train), task.truth(task.parts.held_out)
    test = samples.of_table(table, task.videos)
    everything = samples.joined(train, held_out, test)
    frames = cefl.load_frames(inputs.features, inputs.faces, everything, task.videos, task.settings, task.device)
    recogniser = cefl.Recogniser(
        frames, len(task.classes), task.settings, task.device, inputs.weights if end_to_end else None
    )
    log = recogniser.train(train, held_out, task.generator, f"CEFLNet {task.label}")
    eyes = "end to end" if end_to_end else "on frozen features"
    words = f"CEFLNet {eyes}, {log[-1]['step']} steps of {settings['batch_size']} intervals"
    return Trained(recogniser.network, log, recogniser.scores(test).argmax(1), words)


def _str_spotter(task, inputs):
    """STR's network with its spotter trained, the FlowCache, half an expression (steps), and the log."""
    inputs.require("str", "flow")
    parts, settings = task.parts, task.settings["str"]
    flow = str_windows.load(inputs.flow, parts.train + parts.held_out + parts.test)
    half = training_half_length(task.videos, task.events, parts)
    network = str_network.STR(flow.side, len(task.classes), settings).to(task.device)
    windows = [
        str_windows.labelled(flow, task.videos, task.events, task.others, ids, settings["window_stride"])
        for ids in (parts.train, parts.held_out)
    ]
    log = str_spotter.train(network, flow, *windows, settings, task.generator, task.device, f"STR spots {task.label}")
    return network, flow, half, log


def _str_recogniser(task, network, flow, spotter_log, table):
    """STR's recogniser on its trained spotter, and what it says of the detections in `table`."""
    train, held_out = task.truth(task.parts.train), task.truth(task.parts.held_out)
    settings = task.settings["str"]
    log = str_recogniser.train(
        network, flow, train, held_out, settings, task.generator, task.device, f"STR names {task.label}"
    )
    origin = cache.provenance(flow.path)["weights_origin"]
    words = (
        f"STR on {origin}, {spotter_log[-1]['step']} and {log[-1]['step']} steps of {settings['batch_size']} windows"
    )
    rows = [{"network": name, **row} for name, rows in (("spotter", spotter_log), ("recogniser", log)) for row in rows]
    return Trained(network, rows, _str_numbers(task, network, flow, table), words)


def _str_numbers(task, network, flow, table):
    """Class number of each detection in `table` by STR's trained recogniser."""
    return str_recogniser.scores(network, flow, samples.of_table(table, task.videos), task.device).argmax(1)


def _spotted(folder, videos, parts, held_out, seed):
    """`(detections, threshold.json, fold.json)` of the spotter's fold. InputError if it is another fold's."""
    record, threshold = (read_json(folder / name) for name in ("fold.json", "threshold.json"))
    theirs = {"held_out": record["held_out"], "seed": record["seed"], "test_videos": sorted(record["test_videos"])}
    ours = {"held_out": held_out, "seed": seed, "test_videos": sorted(parts.test)}
    wrong = [name for name in ours if ours[name] != theirs[name]]
    if wrong:
        raise InputError(f"{folder}/fold.json: not this fold's spotter: {wrong[0]} is {theirs[wrong[0]]}")
    table = read_detections(folder / "detections.csv", videos)
    return table.assign(kept=table.kept.astype(int)), threshold, record


def _named(table, trained, task):
    return table.assign(emotion=np.array(task.classes, dtype=object)[trained.numbers])


def _str_whole(task, inputs, folder):
    """STR's own intervals and emotions, written into `folder`: Trained, the training in words, the cache it read."""
    network, flow, half, log = _str_spotter(task, inputs)
    parts, videos, settings = task.parts, task.videos, task.settings
    test, held_out = (videos[videos.video_id.isin(ids)] for ids in (parts.test, parts.held_out))
    found, theirs = (str_spotter.detect(network, flow, part, half, settings, task.device) for part in (test, held_out))
    trained = _str_recogniser(task, network, flow, log, found)
    further = {"half_expression": half, "gap": flow.gap}
    detection_fold.finish(_named(found, trained, task), theirs, held_out, task.events, folder, settings, further)

    def predict(part):
        return _str_numbers(task, network, flow, str_spotter.detect(network, flow, part, half, settings, task.device))

    n_parameters = sum(value.numel() for value in network.parameters())
    threads = settings["training"]["threads"]
    cost.measured(folder / cost.NAME, predict, test, n_parameters, [inputs.flow], task.device, threads)
    return trained, trained.words, inputs.flow


def _cascade(task, inputs, folder, held_out, seed):
    """The spotter's intervals with a recogniser's emotions, written into `folder`; the same as `_str_whole`."""
    inputs.require("cascade", "spotter", "features")
    table, threshold, record = _spotted(inputs.spotter, task.videos, task.parts, held_out, seed)
    spotter, recogniser = task.settings["cascade"]["spotter"], task.settings["cascade"]["recogniser"]
    if recogniser == "cefl":
        trained = _cefl(task, inputs, table)
    else:
        network, flow, _, log = _str_spotter(task, inputs)
        trained = _str_recogniser(task, network, flow, log, table)
    protocol = {"protocol": f"{threshold['protocol']} by {spotter}", "spotter": spotter}
    write_json(folder / "threshold.json", {**threshold, **protocol})
    write_detections(folder / "detections.csv", _named(table, trained, task))
    cost.unknown(folder / cost.NAME)
    how = f" ({record['training']})" if record["training"] else ""  # a reference row has no training
    return trained, f"intervals: {spotter}{how}; emotions: {trained.words}", inputs.features


def _used(settings):
    """What this method's networks read, to be kept with them: any other key may be a default that nobody chose."""
    recogniser = settings["cascade"]["recogniser"]
    sections = ("folds", "str") if settings["folds"]["method"] == "str" else ("folds", "cascade", recogniser)
    used = {name: settings[name] for name in sections}
    used["training"] = {key: settings["training"][key] for key in ("threads", "held_out_fraction")}
    if "cefl" in used and used["cefl"]["end_to_end"]:
        used["backbone"] = {key: settings["backbone"][key] for key in ("input_size", "mean", "std")}
    return used


def run(videos, events, others, inputs, held_out, folder, settings, seed):
    """Write `detections.csv`, `threshold.json`, `fold.json`, `cost.json`, `checkpoint.safetensors`, `training_log.csv`.

    `events` is the ground truth, `others` annotated events that are none; `inputs` are Inputs; `settings`: those of
    `_used`, detections and evaluation. A cascade's threshold is its spotter's; STR's is chosen on held-out training
    subjects. A cascade's cost is not measured: it spots nothing.
    """
    device, folds = compute.prepare(seed, settings["training"]["threads"]), settings["folds"]
    cached = inputs.flow if folds["method"] == "str" else inputs.features
    left_out = cache.left_out(cached, videos.video_id) if cached else ()  # what is absent is told by its method
    parts = split(videos, folds["group"], held_out, settings["training"]["held_out_fraction"], left_out)
    label = f"without {held_out}"
    check_positives(events, parts, label, recognition=True)
    task = Task(
        videos, events, others, parts, emotions_of_fold(events, parts, label), settings, np.random.default_rng(seed),
        device, label,
    )  # fmt: skip
    if folds["method"] == "str":
        trained, words, provenance = _str_whole(task, inputs, folder)
    else:
        trained, words, provenance = _cascade(task, inputs, folder, held_out, seed)
    write_csv(folder / "training_log.csv", pd.DataFrame(trained.log))
    metadata = {
        "classes": task.classes, "held_out": held_out, "seed": seed, "settings": _used(settings), "version": __version__
    }  # fmt: skip
    tensor_file.save(folder / "checkpoint.safetensors", trained.network.state_dict(), metadata)
    write_record(folder, parts, held_out, provenance, seed, folds, "cascades/fold.py", words)
