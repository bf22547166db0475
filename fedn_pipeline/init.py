"""The command `init`: look into a folder of one's own videos and write a configuration that can run on it.

Reads the folder by the reader `custom`, with all its checks, and asks of every fold what the workflow will ask before
it computes. Sizes of the training are chosen for a workstation with 8 cores (docs/datasets.md, "What it costs").
"""

import hashlib
import json
import os
import re

from fedn_pipeline import config, files, intervals
from fedn_pipeline.dataset import custom, tables
from fedn_pipeline.files import InputError
from fedn_pipeline.training import classes, split

# Rows for people without weights, the best first; a row counts if its file is in config/experiments/.
WITHOUT_WEIGHTS = ("blendshapes", "fedn")
REFERENCES = ["chance", "classic"]
BY_SPLIT = "fedn_split"
NAME = re.compile("[a-z0-9_]+")
MARK = "# Written by `fedn-pipeline init`, sha256 "
# What the project ships as config/datasets/custom.yaml: nobody's work.
SHIPPED = {
    "dataset": {"reader": "custom", "root": None},
    "backbone": {"checkpoint": None},
    "pretrain": {"stills": "demo"},
}
WINDOW_STRIDE = 32  # windows.train_stride
PASSES, BATCH = 10, 4  # over all windows
FEWEST_STEPS, MOST_STEPS = 150, 3000  # the demo's; 12 minutes of a core
FACES_S = 0.033  # core seconds a frame


def run(folder, name, config_folder, force=False):
    """Write `config_folder`/datasets/`name`.yaml for the videos in `folder`; the text to print. InputError."""
    if not NAME.fullmatch(name):
        raise InputError(f"--name {name!r}: the name of a data set has only a-z, 0-9 and _")
    if not (config_folder / "config.yaml").is_file():
        raise InputError(
            f"{config_folder}/config.yaml: no such file: call this where the project lies, or give --config"
        )
    path = config_folder / "datasets" / f"{name}.yaml"
    if not force and is_edited(path):
        raise InputError(f"{path}: somebody has edited it: give --force to overwrite it, or another --name")
    release = custom.read(folder, config.validate({})["dataset"])
    truth, _ = tables.ground_truth(release.events, ("macro",))
    recognition = bool((truth["emotion"] != "").any())
    experiments, remarks = _experiments(folder, release.videos, truth, recognition, config_folder)
    text = _text(folder, release.videos, experiments, recognition, _backbone(config_folder))
    files.write_text(path, MARK + _digest(text) + "\n" + text, checksum=False)
    config.resolve(config_folder, name)  # says now what Snakemake would say
    cores = os.cpu_count()
    lines = [
        *_found(release.videos, truth),
        *release.notes,
        *remarks,
        f"wrote {path}: rows {', '.join(experiments)}",
        f"the faces will take about {_hours(release.videos):.1g} core hours, each fold's training minutes of a core; "
        f"this machine has {cores}",
        "",
        "Next:",
        f"  snakemake --cores {cores} results/{name}_table.csv",
    ]
    return "\n".join(lines)


def is_edited(path):
    """Whether a configuration holds somebody's work: neither as shipped nor as `init` left it."""
    if not path.is_file():
        return False
    first, _, rest = path.read_text(encoding="utf-8", errors="replace").partition("\n")
    if first.startswith(MARK):
        return first.removeprefix(MARK) != _digest(rest)
    return config.read_yaml(path) != SHIPPED


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _experiments(folder, videos, truth, recognition, config_folder):
    """`(rows that can run, sentences)`: leave-one-subject-out where every fold can be trained, else the split."""
    if not len(truth):
        raise InputError(
            f"{folder}: no expressions are annotated, so there is nothing to train on: annotate some (events.csv, or "
            "ELAN's NAME.eaf beside NAME.mp4), or find expressions with a ready model: fedn-pipeline detect"
        )
    remarks = [] if recognition else ["no emotion is named: model.recognition is off, expressions are only found"]
    if _without_weights(config_folder) == "fedn":
        remarks.append("weights: rendered stills stand in, a makeshift; give your own with backbone.checkpoint")
    why_not = _why_not(videos, truth, recognition, "subject", None)
    if why_not is None:
        # Without recognition the row of another backbone equals `fedn`, since the data set names that backbone.
        return [_without_weights(config_folder) if recognition else "fedn", *REFERENCES], remarks
    why_no_split = _why_not(videos, truth, recognition, "split", ["predict"])
    if why_no_split is None:
        return [BY_SPLIT], [*remarks, f"no leave-one-subject-out: {why_not}"]
    raise InputError(
        f"leave-one-subject-out cannot run: {why_not}\n"
        f"training on the videos with events and predicting the others cannot either: {why_no_split}\n"
        "Put each person's videos into a subfolder of its own, or name the subjects in videos.csv"
    )


def _why_not(videos, truth, recognition, group, held_out):
    """Why some fold of these could not be trained; None if all can."""
    fraction = config.validate({})["training"]["held_out_fraction"]
    try:
        for name in split.check(videos, {"group": group, "held_out": held_out}, fraction):
            parts = split.split(videos, group, name, fraction)
            classes.check_positives(truth, parts, f"without {name}", recognition)
    except InputError as error:
        return str(error)
    return None


def _without_weights(config_folder):
    there = [name for name in WITHOUT_WEIGHTS if (config_folder / "experiments" / f"{name}.yaml").is_file()]
    if not there:
        raise InputError(f"{config_folder}/experiments: none of {', '.join(WITHOUT_WEIGHTS)}: not this project's")
    return there[0]


def _backbone(config_folder):
    """The sections `backbone` and `model` of the row without weights, so that every row uses its features."""
    layer = config.read_yaml(config_folder / "experiments" / f"{_without_weights(config_folder)}.yaml")
    return {section: layer.get(section, {}) for section in ("backbone", "model")}


def _found(videos, truth):
    """What was found, as sentences."""
    per_subject = videos["subject"].value_counts()
    subjects = ", ".join(f"{name} ({per_subject[name]})" for name in sorted(per_subject.index)[:8])
    words = truth["emotion"][truth["emotion"] != ""].value_counts()
    emotions = ", ".join(f"{word} {count}" for word, count in words.items())
    minutes = (videos["n_frames"] / videos["fps"]).sum() / 60
    annotated = videos["video_id"].isin(truth["video_id"])
    return [
        f"{len(videos)} videos, {minutes:.1f} minutes, of {len(per_subject)} subject(s): {subjects}"
        + (", ..." if len(per_subject) > 8 else ""),
        f"{len(truth)} expressions in {annotated.sum()} of the videos"
        + (f": {emotions}" if emotions else ""),
    ]  # fmt: skip


def _hours(videos):
    return float(videos["n_frames"].sum()) * FACES_S / 3600


def _steps(videos):
    """Training steps: some passes over all windows, within what a workstation does in an hour."""
    windows = (videos["n_frames"] / videos["fps"]).sum() * intervals.FEATURE_FPS / WINDOW_STRIDE
    return int(min(max(PASSES * windows / BATCH, FEWEST_STEPS), MOST_STEPS))


def _text(folder, videos, experiments, recognition, sections):
    """The configuration, without its first line."""
    model = sections["model"] | ({} if recognition else {"recognition": False})
    return f"""\
# Every key, its default and its meaning: fedn_pipeline/config.schema.yaml. Yours to edit.
run:
  experiments: {_flow(experiments)} # rows of the table, files of config/experiments/
bundle: {_flow({"experiment": experiments[0]})} # whose model becomes results/NAME/bundle (docs/bundles.md)
dataset:
  reader: custom
  root: {_flow(str(folder))} # your videos; a relative path starts where Snakemake runs
backbone: {_flow(sections["backbone"] | {"input_size": 112})}
  # Your own ResNet18 trained on faces: {{checkpoint: FILE}} instead, and the row fedn (docs/datasets.md)
model: {_flow(model)} # recognition: false where no emotion is named
# Without weights of yours a ResNet18, where a row needs one, learns from rendered stills, a makeshift:
demo: {{stills_per_photograph: 1200, still_identities_per_photograph: 40, still_validation_identities: 4}}
pretrain: {{stills: demo, steps: 148}}
# Some minutes a fold on one core. The paper trains longer: steps: null, epochs: 30, batch_size: 32.
training:
  steps: {_steps(videos)}
  batch_size: {BATCH}
  learning_rate: 0.0004
  warmup_steps: 20
  final_learning_rate: 0.05
"""


def _flow(value):
    """JSON is YAML too, and quotes what must be quoted."""
    return json.dumps(value, ensure_ascii=False)
