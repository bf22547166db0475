# Functions of all stages: resolved settings, the table of videos, the code that each stage depends on.
import gc
import json
import os
import re
import shutil
from functools import cache
from pathlib import Path

from fedn_pipeline import config as configuration
from fedn_pipeline import sources
from fedn_pipeline.dataset import expression_types, search
from fedn_pipeline.cascades.gap import gap_of
from fedn_pipeline.dataset.tables import SAFE_NAME, ground_truth, of_label_set, read_events, read_videos
from fedn_pipeline.files import InputError
from fedn_pipeline.peers import needs
from fedn_pipeline.training import classes, split
from snakemake.exceptions import WorkflowError

gc.set_threshold(100_000)  # a graph of jobs is no garbage, and looking for some in it takes long
CONFIG = Path(workflow.basedir).parent / "config"
# Slots of the GPU that a job of the network takes (the profile has their number); none on a machine without one, so that
# nothing is limited there. A driver brings its command; asking torch would take longer than a dry run of the demo.
GPU_SLOTS = int(
    os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1") and any(map(shutil.which, ("nvidia-smi", "rocm-smi")))
)
EXPERIMENTS = sorted(path.stem for path in (CONFIG / "experiments").glob("*.yaml"))
FOLD = "results/{dataset}/{labels}/{experiment}/seed{seed}/folds/{held_out}"
REFERENCES = ("chance", "classic")  # methods without training
THRESHOLD = ("evaluation.iou", "evaluation.fallback_threshold")  # what choosing a threshold depends on
READING = ("dataset.missing_offset", "dataset.strict", "dataset.fps")  # what a reader depends on, beside its root
EMBEDDING = tuple(
    f"backbone.{key}" for key in ("input_size", "backend", "precision", "batch_size", "threads", "mean", "std")
)
I3D = (
    *(f"backbone.{key}" for key in ("input_size", "precision", "threads")),
    *(f"i3d.{key}" for key in configuration.validate({})["i3d"] if key not in ("rgb", "flow")),
)
BLENDSHAPES = ("faces.crop_size", "faces.min_confidence", "faces.max_gap_s")
EMBEDDINGS = {"i3d": ("i3d_extract", I3D), "blendshapes": ("blendshapes", BLENDSHAPES)}  # all others: a ResNet18
RESNET = "(?!i3d$)[A-Za-z0-9._-]+"  # every backbone but the one of two weights files
OF_CROPS = f"(?!({needs.FLOW}|{needs.REGIONS})_gap)[A-Za-z0-9._-]+"  # every backbone but those that are motion
TRUTH = ("dataset.labels", "dataset.expression_types")  # which events are ground truth
PEER = (  # what every peer depends on, beside its own section
    *TRUTH,
    *THRESHOLD,
    *(f"training.{key}" for key in ("threads", "precision", "held_out_fraction", "held_out_windows")),
    *(f"folds.{key}" for key in ("method", "group", "held_out")),
    "windows",
    "detections",
)
BY_EXPERIMENT = (
    "windows",
    "model",
    "training",
    "folds",
    "detections",
    "cascade",
    "cefl",
    "str",
    *needs.METHODS,
)  # the stages before are shared


@cache
def resolved(dataset, experiment=None, labels=None):
    """All settings of a data set (and experiment); `snakemake --config` wins.

    `labels`: the wildcard, which names a ground truth of its own (`annotated.micro`); None: the data set's.
    """
    if labels is not None:
        every = resolved(dataset, experiment)
        return {**every, "dataset": expression_types.named(labels, every["dataset"])}
    every = configuration.resolve(CONFIG, dataset, experiment, config)
    if experiment is None:
        return every
    shared = resolved(dataset)
    shared = {**shared, "backbone": {**shared["backbone"], "name": every["backbone"]["name"]}}  # it may name another
    changed = [section for section in every if section not in BY_EXPERIMENT and every[section] != shared[section]]
    if changed:
        raise WorkflowError(
            f"config/experiments/{experiment}.yaml: {changed} cannot differ by experiment, only by data set"
        )
    if every["folds"]["method"] != method(experiment):
        raise WorkflowError(f"folds.method can only be set in config/experiments/{experiment}.yaml")
    return every


def settings(*places, experiment=lambda wildcards: wildcards.get("experiment")):
    """A params function: JSON of the named sections and `section.key`s only, so that no other key triggers a re-run.

    `experiment(wildcards)`: whose settings they are, None for the data set's.
    """

    @cache
    def of(dataset, experiment, labels):
        every, chosen = resolved(dataset, experiment, labels), {}
        for place in places:
            section, _, key = place.partition(".")
            chosen.setdefault(section, {}).update({key: every[section][key]} if key else every[section])
        return json.dumps(chosen, sort_keys=True)

    return lambda wildcards: of(wildcards.dataset, experiment(wildcards), wildcards.get("labels"))


@cache
def method(experiment):
    """`folds.method` of an experiment."""
    return configuration.method(CONFIG, experiment)


@cache
def code(place):
    """Digest of the package's files that a stage runs, as a parameter: editing one re-runs the stage."""
    return sources.digest(place)


# The tables of the checkpoint `dataset` (of a rehearsal, `rehearsal` writes the same paths). Until it has made them, `get`
# raises what Snakemake understands; after that they stay as they are while this process lives, so each is read once,
# however many jobs ask.
@cache
def videos(dataset):
    """videos.csv as a table."""
    return read_videos(checkpoints.dataset.get(dataset=dataset).output.videos)


@cache
def rows(dataset):
    """The rows of videos.csv by video_id."""
    return {row.video_id: row for row in videos(dataset).itertuples()}


@cache
def events(dataset):
    """events.csv as a table."""
    return read_events(checkpoints.dataset.get(dataset=dataset).output.events, videos(dataset))


@cache
def truth(dataset, labels):
    """`(ground truth, other events)` of the folds in a folder named `labels`."""
    section = resolved(dataset, labels=labels)["dataset"]
    try:
        return ground_truth(of_label_set(events(dataset), section["labels"], "events.csv"), section["expression_types"])
    except InputError as error:
        raise WorkflowError(f"data/{dataset}/{error}") from error


@cache
def groups(dataset, experiment):
    """The folds of an experiment: the held-out values of its group column."""
    check_emotions(dataset, experiment)
    every = resolved(dataset, experiment)
    folds = every["folds"]
    checked = folds["method"] not in REFERENCES and not every["run"]["by_type"]  # else `unlearnable` makes a row of it
    return _groups(
        dataset,
        folds["group"],
        tuple(folds["held_out"] or ()),
        every["training"]["held_out_fraction"],
        label_set(dataset) if checked else None,
        recognises(every),
    )


@cache  # experiments share it
def _groups(dataset, group, held_out, fraction, labels, recognition):
    """The groups, each of which leaves something of the ground truth `labels` to train on (None: whether or not)."""
    try:
        names = split.check(videos(dataset), {"group": group, "held_out": list(held_out)}, fraction)
        for name in names if labels else []:
            parts = split.split(videos(dataset), group, name, fraction)
            classes.check_positives(truth(dataset, labels)[0], parts, f"without {name}", recognition)
        return names
    except InputError as error:
        raise WorkflowError(f"data/{dataset}/{error}") from error


@cache
def unlearnable(dataset, experiment, labels):
    """Why a data set's events give an experiment nothing to train on with the ground truth `labels`; None if they do."""
    every, chosen = resolved(dataset, experiment, labels), truth(dataset, labels)[0]
    absent = sorted(set(every["dataset"]["expression_types"]) - set(chosen.expression_type))
    if absent and labels != label_set(dataset):  # its own types may be left unnamed
        return f"no {absent[0]}-expression annotated"
    names = [] if every["folds"]["method"] in REFERENCES else groups(dataset, experiment)
    for name in names:
        parts = split.split(videos(dataset), every["folds"]["group"], name, every["training"]["held_out_fraction"])
        if not classes.teaches(chosen, parts, recognises(every)):
            return f"without {name}: no {classes.taught(recognises(every))} to train on"
    return None


def recognises(every):
    """Whether the settings are of a method that learns emotions."""
    method = every["folds"]["method"]
    return method in ("cascade", "str") or (method == "fedn" and every["model"]["recognition"])


def check_emotions(dataset, experiment):
    """Recognition needs emotions: said before anything is computed, not by the folds at the end."""
    every = resolved(dataset, experiment)
    if not recognises(every):
        return
    chosen = events(dataset)
    chosen = chosen[chosen.label_set.isin(["", every["dataset"]["labels"]])]
    if len(chosen) and not (chosen.emotion != "").any():
        raise WorkflowError(
            f"data/{dataset}/events.csv: no expression names an emotion: results/{dataset}/logs/dataset.log says which "
            f"file is missing; to spot only, set model: {{recognition: false}} in config/datasets/{dataset}.yaml"
        )


def label_set(dataset):
    return resolved(dataset)["dataset"]["labels"]


def datasets(condition):
    """Data sets whose settings meet a condition, as a wildcard constraint (one that nothing matches for none)."""
    names = sorted(path.stem for path in (CONFIG / "datasets").glob("*.yaml"))
    return "|".join(name for name in names if condition(resolved(name))) or "(?!)"


@cache
def root(dataset):
    """The folder of the raw release; the demo renders its own."""
    if resolved(dataset)["dataset"]["reader"] == "demo":
        return Path(f"data/{dataset}")
    if resolved(dataset)["dataset"]["reader"] == "rehearsal":
        raise WorkflowError(f"{dataset}: a rehearsal has no pictures; results/{dataset}_table.csv is all that it gives")
    folder = resolved(dataset)["dataset"]["root"]
    if folder is None:
        raise WorkflowError(f"config/datasets/{dataset}.yaml: dataset.root is empty: give the folder of your copy")
    if not Path(folder).is_dir():
        raise WorkflowError(f"config/datasets/{dataset}.yaml: dataset.root: no such folder: {folder}")
    return Path(folder)


def literal(path):
    """A path of the user's as an input: Snakemake would take braces in it for wildcards, and a line break for two."""
    if re.search(r"[{}\r\n]", str(path)):
        raise WorkflowError(f"{str(path)!r}: Snakemake cannot read names with braces or line breaks: rename it")
    return str(path)


def annotations(wildcards):
    """The files from which labels are read, as far as they are known before reading: an edited one re-reads all."""
    if resolved(wildcards.dataset)["dataset"]["reader"] == "demo":
        return []
    folder = root(wildcards.dataset)
    if resolved(wildcards.dataset)["dataset"]["reader"] == "custom":
        # A new video changes its folder; another one in its place may have other frames.
        hidden = re.compile(r"(^|.*[/])[.].*")
        seen = (path for path in folder.rglob("*") if not hidden.match(path.relative_to(folder).as_posix()))
        read = (*search.VIDEO_SUFFIXES, ".eaf")
        below = [path for path in seen if path.name.lower().endswith(read) or path.is_dir()]
        return sorted(map(literal, [folder, *below, *folder.glob("*.csv")]))
    return sorted(map(literal, search.workbooks(folder)))


def reading(wildcards):
    """Arguments of the command `dataset`: everything that the release holds; the stages choose labels and types."""
    if resolved(wildcards.dataset)["dataset"]["reader"] == "demo":
        return ["--part", "tables"]
    return ["--root", str(root(wildcards.dataset)), "--types", "both"]


def source(wildcards):
    """The video's file or folder of images; `source` of videos.csv is relative to the data set's root."""
    return literal(root(wildcards.dataset) / rows(wildcards.dataset)[wildcards.video].source)


def aligner(wildcards):
    """Which aligner a data set uses; one that cannot start stops the run before anything is computed."""
    every = resolved(wildcards.dataset)
    if every["faces"]["aligner"] == "openface":
        from fedn_pipeline.faces import openface_run  # every start of Snakemake would wait for its imports

        try:
            openface_run.program(every["openface"], [])
        except InputError as error:
            raise WorkflowError(f"config/datasets/{wildcards.dataset}.yaml: {error}") from error
    return every["faces"]["aligner"]


def facts(wildcards):
    """What features depend on in videos.csv: a table that was merely written again re-runs nothing."""
    table = rows(wildcards.dataset)
    return [f"{video} {table[video].n_frames} {table[video].fps}" for video in part_videos(wildcards)]


def measured(wildcards):
    """What the data set's reader found in a video: another file in its place re-runs, whatever its time."""
    row = rows(wildcards.dataset)[wildcards.video]
    return f"{row.n_frames} {row.fps} {row.width} {row.height}"


def frame_axis(wildcards):
    """For a folder of images: its frame rate, and the number in the name of frame 0."""
    row = rows(wildcards.dataset)[wildcards.video]
    return ["--fps", str(row.fps), "--first-number", str(row.first_number)] if row.kind == "frames" else []


def stills(wildcards):
    """What the backbone is trained on."""
    pretrain = resolved(wildcards.dataset)["pretrain"]
    if pretrain["stills"] == "demo":
        return f"data/{wildcards.dataset}/stills/stills.csv"
    if pretrain["affectnet"] is None:
        raise WorkflowError(f"config/datasets/{wildcards.dataset}.yaml: pretrain.affectnet: give AffectNet's folder")
    return pretrain["affectnet"]


def part_videos(wildcards):
    """The videos of one batch; a batch loads the model once."""
    size = resolved(wildcards.dataset)["backbone"]["videos_per_job"]
    first = int(wildcards.part) * size
    return sorted(rows(wildcards.dataset))[first : first + size]


def _parts(wildcards, folder):
    """Every batch of a data set in `folder`."""
    size = resolved(wildcards.dataset)["backbone"]["videos_per_job"]
    count = -(-len(rows(wildcards.dataset)) // size)
    return [f"data/{wildcards.dataset}/{folder}/part{number}.h5" for number in range(count)]


def embedding(wildcards):
    """`(module of features/, settings that decide)` of a backbone."""
    return EMBEDDINGS.get(wildcards.backbone, ("extract", EMBEDDING))


def backbone_weights(wildcards):
    """A backbone's weights; blendshapes have none of ours."""
    return (
        []
        if wildcards.backbone == "blendshapes"
        else f"data/{wildcards.dataset}/backbones/{wildcards.backbone}.safetensors"
    )


def feature_parts(wildcards):
    return _parts(wildcards, f"features/{wildcards.backbone}")


def flow_parts(wildcards):
    return _parts(wildcards, f"flow/gap{wildcards.gap}")


def regions_parts(wildcards):
    return _parts(wildcards, f"regions/gap{wildcards.gap}")


def excluded(wildcards):
    """A backbone named `..._without_PHOTOGRAPH` is trained without the stills of that photograph."""
    _, without, photograph = wildcards.backbone.partition("_without_")
    return [f"--exclude={photograph}"] if without else []


# Data sets that are rendered here instead of read from a release.
RENDERED = set(datasets(lambda every: every["dataset"]["reader"] == "demo").split("|"))
