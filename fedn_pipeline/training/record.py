"""`fold.json`: what a fold held out, tested and used; written by the network's folds and the references' alike."""

from fedn_pipeline.features import cache
from fedn_pipeline.files import write_json


def write_record(folder, parts, held_out, features_path, seed, recipe=""):
    """Write `folder/fold.json`; `parts` is the fold's Split, `recipe` says in words how it was trained.

    The results stage checks by it that every video was tested once.
    """
    attributes = cache.provenance(features_path)
    record = {"held_out": held_out, "seed": seed, "test_videos": sorted(parts.test), "training": recipe, **attributes}
    write_json(folder / "fold.json", record)
