"""`fedn-pipeline doctor`: one page that says what is there, what is not, and which commands are possible now.

Looks at the machine, OpenFace, the weights, every data set of `config/datasets/`, and the disk that each stage will
need. Computes nothing and writes nothing. Beside the flow: it calls the readers and checks of the stages themselves.
"""

import os
import platform
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from fedn_pipeline import config, intervals
from fedn_pipeline.files import InputError
from fedn_pipeline.training import split

# Bytes per frame, measured: crops at the upper end (15 to 32 kB with the content), faces per source frame, the others
# per step of the 30 fps axis.
BYTES = {"crops": 32_000, "alignment": 1_000, "features": 1_100, "predictions": 800}
CHECKPOINT_BYTES = 94_000_000  # one fold's network
GIB = 2**30
GOOD, ABSENT, BAD = "ok", "--", "!!"


@dataclass
class Finding:
    """One line of the page: its mark (ok; -- absent but not needed; !! needed and absent), what, and in words."""

    mark: str
    name: str
    text: str


@dataclass
class DataSet:
    """A data set as found: videos, source frames, 30 fps steps and subjects (None: not known), what it lacks."""

    name: str
    text: str
    lacks: list
    videos: int | None = None
    frames: int | None = None
    steps: int | None = None
    subjects: int | None = None


def machine():
    """Python, packages, processor, memory, GPU and the built-in landmark model."""
    import torch

    from fedn_pipeline.faces.landmarks import Landmarker

    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    found = [
        Finding(GOOD, "python", platform.python_version()),
        Finding(GOOD, "torch", f"{torch.__version__}, snakemake {metadata.version('snakemake')}"),
        Finding(GOOD, "processor", f"{os.cpu_count()} cores, {pages * size / GIB:.0f} GiB of memory"),
    ]
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / GIB
        found.append(Finding(GOOD, "GPU", f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB; used by itself"))
    else:
        found.append(Finding(ABSENT, "GPU", "none that torch can use; everything runs on the processor, slower"))
    try:
        Landmarker(max_faces=1, min_confidence=0.5, video=False).close()
        found.append(Finding(GOOD, "face landmarks", "the built-in aligner starts"))
    except InputError as error:
        found.append(Finding(BAD, "face landmarks", str(error)))
    return found


def openface(name, settings):
    """Whether OpenFace can be called, or its output read, as a data set is configured."""
    from fedn_pipeline.faces import openface_run

    chosen, aligner = settings["openface"], settings["faces"]["aligner"]
    title = f"{name}: OpenFace" if name else "OpenFace"
    if aligner == "openface_output":
        folder = chosen["output"]
        if folder and not Path(folder).is_dir():
            return Finding(BAD, title, f"openface.output: no such folder: {folder}")
        return Finding(GOOD, title, f"output written before, in {folder or 'the folders of the videos'}")
    try:
        return Finding(GOOD, title, " ".join(openface_run.program(chosen, [])))
    except InputError as error:
        needed = aligner == "openface"
        note = "" if needed else " (only needed for faces.aligner: openface)"
        return Finding(BAD if needed else ABSENT, title, f"{error}{note}")


def embedding(settings):
    """What will compute the features, and in which precision; `settings` is section `backbone`."""
    from fedn_pipeline import compute
    from fedn_pipeline.features import backends

    try:
        backend, precision, device = backends.choose(settings, compute.device())
    except InputError as error:
        return Finding(BAD, "features", str(error))
    slower = backend == "torch" and settings["backend"] == "auto" and backends.fits_openvino(device)
    hint = f"; OpenVINO is faster: {backends.EXTRA}" if slower else ""
    return Finding(GOOD, "features", f"computed by {backend} in {precision}{hint}")


def weights(name, settings):
    """Which backbone weights a data set would use, and whether they can be read."""
    from fedn_pipeline.features import affectnet, checkpoint

    backbone, pretrain = settings["backbone"], settings["pretrain"]
    title = f"{name}: weights"
    if backbone["checkpoint"]:
        try:
            checkpoint.read(Path(backbone["checkpoint"]))
        except InputError as error:
            return Finding(BAD, title, str(error))
        return Finding(GOOD, title, f"your checkpoint {backbone['checkpoint']}")
    if pretrain["stills"] == "affectnet":
        if not pretrain["affectnet"] or not Path(pretrain["affectnet"]).is_dir():
            return Finding(BAD, title, f"pretrain.affectnet: no such folder: {pretrain['affectnet']}")
        if not affectnet.layouts(Path(pretrain["affectnet"])):
            return Finding(BAD, title, f"{pretrain['affectnet']}: AffectNet in neither of its layouts")
        return Finding(GOOD, title, f"will be trained on AffectNet in {pretrain['affectnet']}")
    if settings["dataset"]["reader"] == "demo":
        return Finding(GOOD, title, "trained on rendered stills")
    text = "none of yours: rendered stills stand in, marked `demo weights` in every table (backbone.checkpoint)"
    return Finding(ABSENT, title, text)


def _unready(videos, settings, folder, root):
    """What stops a run of these videos after the data set is read: folds that cannot be trained, csv not there."""
    lacks = []
    for experiment in settings["run"]["experiments"]:
        own = config.read_yaml(folder / "experiments" / f"{experiment}.yaml")
        folds = config.validate(config.merge({"folds": settings["folds"]}, own))["folds"]
        try:
            split.check(videos, folds, settings["training"]["held_out_fraction"])
        except InputError as error:
            lacks.append(f"{experiment}: {error}")
    if settings["faces"]["aligner"] == "openface_output":
        from fedn_pipeline.faces import openface

        for video in videos.itertuples():
            try:
                openface.find_csv(root / video.source, video.video_id, settings["openface"]["output"])
            except InputError as error:
                lacks.append(str(error))
                break  # one is enough to know what is missing
    return list(dict.fromkeys(lacks))


def data_set(name, settings, data, folder):
    """A data set as found in its root, or as the stage `dataset` has already written it (`data/NAME/videos.csv`)."""
    from fedn_pipeline.dataset import stage
    from fedn_pipeline.dataset.tables import emotions, ground_truth, of_label_set, read_events, read_videos

    section = settings["dataset"]
    if section["reader"] == "demo":
        demo = settings["demo"]
        subjects = 2 * demo["subjects_per_photograph"]
        frames = round(subjects * demo["seconds"] * demo["fps"])
        steps = intervals.n_steps(frames, demo["fps"])
        return DataSet(name, f"rendered here: {subjects} videos", [], subjects, frames, steps, subjects)
    if section["reader"] == "rehearsal":
        return DataSet(name, "made up here, no result", [])
    if section["root"] is None:
        return DataSet(name, "not configured", [f"dataset.root in config/datasets/{name}.yaml"])
    root = Path(section["root"])
    if not root.is_dir():
        return DataSet(name, f"root {root}: no such folder", [f"the folder {root} (dataset.root)"])
    try:
        written = data / name / "videos.csv"
        if written.is_file():
            videos, origin = read_videos(written, known=("n_frames", "fps")), f"as read before ({written})"
            events = read_events(written.with_name("events.csv"), videos)
        else:
            release, origin = stage.READERS[section["reader"]](root, section, False), "as found now"
            videos, events = release.videos, release.events
        events = of_label_set(events, section["labels"], written.with_name("events.csv"))
    except InputError as error:
        lines = str(error).splitlines()
        more = f" (and {len(lines) - 1} more problems)" if len(lines) > 1 else ""
        return DataSet(name, f"root {root}: {lines[0]}{more}", ["a data set without the problems above"])
    frames = int(videos.n_frames.sum())
    steps = sum(intervals.n_steps(n, fps) for n, fps in zip(videos.n_frames, videos.fps, strict=True))
    subjects = videos.subject.nunique()
    expressions = len(ground_truth(events, section["expression_types"])[0])
    counts = f"{subjects} subjects, {len(videos)} videos, {frames:,} frames, {expressions} expressions"
    text = f"root {root}: {counts}, {origin}"
    lacks = [] if section["reader"] == "demo" else _unready(videos, settings, folder, root)
    if expressions and settings["model"]["recognition"] and not emotions(events):
        lacks.append("emotions in the annotations (or model: {recognition: false} to spot only)")
    return DataSet(name, text, lacks, len(videos), frames, steps, subjects)


def disk(found, settings, folder):
    """GiB that each stage will need for a data set."""
    fraction = settings["training"]["held_out_fraction"]
    networks = [name for name in settings["run"]["experiments"] if config.method(folder, name) == "fedn"]
    folds = found.subjects * len(networks) * len(settings["run"]["seeds"])
    predicted = found.steps / found.subjects * (1 + fraction * (found.subjects - 1))
    return {
        "faces": found.frames * (BYTES["crops"] + BYTES["alignment"]) / GIB,
        "features": found.steps * BYTES["features"] * 2 / GIB,  # the parts and the merged file
        "folds": folds * (CHECKPOINT_BYTES + predicted * BYTES["predictions"]) / GIB,
    }


def _section(title, findings):
    width = max(len(finding.name) for finding in findings)
    return "\n".join([title, *(f"  {f.mark}  {f.name:{width}}  {f.text}" for f in findings)])


def page(folder, data=Path("data")):
    """The whole page as text. `folder` is `config/`; `data` is where the stages write."""
    names = sorted(path.stem for path in (folder / "datasets").glob("*.yaml"))
    if not names:
        raise InputError(f"{folder}/datasets: no data sets; run this in the project's folder")
    every = {name: config.resolve(folder, name) for name in names}
    found = {name: data_set(name, every[name], data, folder) for name in names}
    free = shutil.disk_usage(data if data.is_dir() else Path.cwd()).free / GIB
    base = machine()
    broken = [finding.name for finding in base if finding.mark == BAD]

    sets, sizes, commands, origins = [], [], [], []
    for name, settings in every.items():
        one, origin, program = found[name], weights(name, settings), openface(name, settings)
        unset = settings["dataset"]["root"] is None
        sets.append(Finding(GOOD if not one.lacks else ABSENT if unset else BAD, name, one.text))
        lacks = one.lacks + broken
        if one.videos is not None:
            need = disk(one, settings, folder)
            total = sum(need.values())
            text = ", ".join(f"{stage} {size:.1f}" for stage, size in need.items())
            sizes.append(Finding(GOOD if total < free else BAD, name, f"{total:.1f} GiB ({text})"))
            lacks += [f"{total - free:.0f} GiB more disk"] if total > free else []
            origins.append(origin)
            lacks += [origin.text] if origin.mark == BAD else []
            lacks += [program.text] if program.mark == BAD else []
        command = f"snakemake --cores {os.cpu_count()} results/{name}_table.csv"
        commands.append(
            Finding(ABSENT if lacks else GOOD, command, "lacks: " + "; ".join(lacks) if lacks else "possible")
        )
    settings = config.validate(config.read_yaml(folder / "config.yaml"))
    general = [embedding(settings["backbone"]), openface("", settings)]
    return "\n\n".join([
        _section("This machine", [*base, *general]),
        _section("Data sets (config/datasets/)", sets),
        _section("Weights of the backbone", origins),
        _section(f"Disk: {free:.1f} GiB free", sizes),
        _section("Commands", commands),
    ]) + "\n"  # fmt: skip
