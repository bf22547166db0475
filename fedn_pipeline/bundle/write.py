"""A bundle out of the results of a data set (rule and command `bundle`): `load.py` reads it.

Takes an experiment's final model, the thresholds of its folds, its row of the table and the backbone's weights. Nothing
in it names a person, a video or a path, and the same results give the same bytes.
"""

import statistics

import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from fedn_pipeline import __version__, files, tensor_file
from fedn_pipeline.bundle import choice, layout, words
from fedn_pipeline.dataset import expression_types, tables
from fedn_pipeline.evaluation.metrics import COUNTS, METRICS
from fedn_pipeline.features import backbone
from fedn_pipeline.files import InputError, checked
from fedn_pipeline.training import split


def run(results, data, out, experiment, every):
    """Write the bundle of `experiment` of the data set whose results are in `results` into the folder `out`.

    `data`: the folder that holds `backbones/`; `every`: all settings of data set and experiment. Raises InputError
    naming what is missing and how to make it, or why no bundle can be made.
    """
    choice.check_bundle(experiment, every)
    dataset, seed = results.name, every["run"]["seeds"][0]
    run_folder = results / every["dataset"]["labels"] / experiment / f"seed{seed}"
    final, trained, tensors = _final(run_folder / "final")
    row = _row(results.with_name(f"{dataset}_table.csv"), experiment, every["dataset"]["expression_types"])
    used, initial = _backbone(final, data)
    reader = every["dataset"]["reader"]
    settings = {name: _section(name, every, trained, final) for name in layout.SETTINGS}
    content = {
        "format": layout.FORMAT,
        "version": __version__,
        "description": words.data(reader, dataset, final["learnt_from"], row["weights"]),
        "dataset": dataset,
        "experiment": experiment,
        **{name: final[name] for name in ("learnt_from", "training", "seed", "classes", "names")},
        "settings": settings,
        "threshold": _threshold(run_folder / "folds", _groups(data / "videos.csv", every["folds"]), final, every),
        "quality": {
            "of": words.quality(every["folds"]),
            "group": every["folds"]["group"],
            **{name: str(row[name]) for name in ("protocol", "seeds")},
            "confidence_level": every["evaluation"]["confidence_level"],
            "counts": {name: _number(row[name]) for name in COUNTS},
            "metrics": {
                name: {"value": _number(row[name])} | {end: _number(row[f"{name}_{end}"]) for end in ("low", "high")}
                for name in METRICS
            },
        },
        "backbone": used,
        "licence": every["bundle"]["licence"] or words.licence(reader, used["network"], used["origin"], initial),
    }
    fault = layout.fault(content | {"files": {}, "checksum": "0" * 64})  # those are known when all is written
    if fault:
        raise InputError(f"{run_folder / 'final/final.json'}: cannot become a bundle: {fault}")
    weights = _weights(final, data) if used["network"] == layout.RESNET18 else None
    _put(out, content, tensors, weights)


def _put(out, content, tensors, weights):
    """The files of a bundle: `bundle.json` comes last and goes first, so that it never describes others."""
    for name in (layout.DESCRIPTION, layout.BACKBONE):
        (out / name).unlink(missing_ok=True)
    carried = {layout.DETECTOR: to_bytes(tensors)} | ({layout.BACKBONE: weights.read_bytes()} if weights else {})
    for name, data in carried.items():
        with files.whole(out / name, checksum=False) as partial:
            partial.write_bytes(data)
    content = {**content, "files": {name: files.sha256(out / name) for name in carried}}
    content["checksum"] = layout.checksum(content)
    files.write_text(out / layout.DESCRIPTION, layout.text(content), checksum=False)


def _make(target):
    return f"to make it: snakemake --cores all {target}"


def _final(folder):
    """`(final.json, the settings it was trained with, tensors)` of a final model."""
    record, checkpoint = folder / "final.json", folder / "checkpoint.safetensors"
    for path in (record, checkpoint):
        if not path.is_file():
            raise InputError(f"{path}: no final model trained on all subjects; {_make(record)}")
    try:
        with safe_open(checked(checkpoint), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            trained = tensor_file.description(file)["settings"]
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{checkpoint}: cannot be read ({error}); {files.rebuild(checkpoint)}") from error
    return files.read_json(record), trained, tensors


def _row(path, experiment, types):
    """The experiment's row of the results table, with the data set's own ground truth."""
    if not path.is_file():
        raise InputError(f"{path}: no table, so that nothing says how good the model is; {_make(path)}")
    table = pd.read_csv(checked(path), dtype={"seeds": str, "weights": str, "protocol": str})
    rows = table[(table.method == experiment) & (table.expression_types == expression_types.words(types))]
    if len(rows) != 1 or pd.isna(rows.protocol.iloc[0]):
        raise InputError(
            f"{path}: no row of `{experiment}` with numbers: it could not run, or is none of run.experiments"
        )
    return rows.iloc[0]


def _number(cell):
    """A cell as JSON has it: None where the table is empty."""
    return None if pd.isna(cell) else float(cell)


def _groups(path, folds):
    """The held-out groups of the data set as it is now: beside their folds may lie folds of earlier ones."""
    return split.groups(tables.read_videos(path), folds["group"], folds["held_out"])


def _threshold(folder, groups, final, every):
    """Median, rounded, of the thresholds of the groups' folds, which must have seen the final model's features."""
    paths = [folder / group / "threshold.json" for group in groups]
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: missing, so that the model's threshold is not known; {_make(path)}")
        found = files.read_json(path.with_name("fold.json"))["weights_sha256"]
        if found != final["weights_sha256"]:
            raise InputError(
                f"{path.parent}: its fold has seen features of other weights ({found[:8]}) than the final model "
                f"({final['weights_sha256'][:8]}): run both again"
            )
    values, iou = sorted(float(files.read_json(path)["threshold"]) for path in paths), every["evaluation"]["iou"]
    return {
        "value": round(statistics.median(values), layout.THRESHOLD_DIGITS),
        "of_folds": values,
        "chosen": words.THRESHOLD.format(iou=iou),
    }


def _weights(final, data):
    return data / "backbones" / f"{final['backbone']}.safetensors"


def _backbone(final, data):
    """`(what bundle.json says of the backbone, what its training started from)`, by the cache's attributes."""
    network, initial = layout.BLENDSHAPES, ""
    if final["backbone"] != layout.BLENDSHAPES:
        path = _weights(final, data)
        network, initial = backbone.network(path), backbone.read(path)[1].get("initial", "")
        if network != layout.RESNET18:
            raise InputError(f"{path}: weights of {network}: only a ResNet18 can be carried in a bundle")
        if files.sha256(path) != final["weights_sha256"]:
            raise InputError(f"{path}: not the weights whose features the final model learnt from; run it again")
    return {
        "network": network,
        "name": final["backbone"],
        "sha256": final["weights_sha256"],
        "origin": final["weights_origin"],
        "width": final["feature_width"],
        "computed_by": final["backend"],
        "precision": final["precision"],
    }, initial


def _section(name, every, trained, final):
    """A section of the settings: as the model was trained with, as its cache was embedded with, or as configured."""
    section = trained.get(name, every[name])
    keys = layout.SETTINGS[name]
    chosen = {key: section[key] for key in keys} if keys else dict(section)
    return chosen | (final["embedding"] if name == "backbone" else {})
