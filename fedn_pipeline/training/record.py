"""`fold.json`: what a fold held out, tested and used; written by the network's folds and the references' alike."""

from fedn_pipeline import sources
from fedn_pipeline.features import cache
from fedn_pipeline.files import write_json


def write_record(folder, parts, held_out, features_path, seed, folds, code, recipe=""):
    """Write `folder/fold.json`; `parts` is the fold's Split, `recipe` says in words how it was trained.

    `folds`: that section of the configuration; `code`: the package file that runs the fold ("training/fold.py"). The
    results stage checks by the record that every video was tested once, or, in a plain split (`folds.held_out`), which
    ones were.
    """
    record = {
        "held_out": held_out,
        "seed": seed,
        "test_videos": sorted(parts.test),
        "plain_split": folds["held_out"] is not None,
        "training": recipe,
        "code": code,
        "code_sha256": sources.digest(code),
        "left_out": cache.left_out(features_path, parts.test),
        **cache.provenance(features_path),
    }
    write_json(folder / "fold.json", record)
