"""`fold.json`: what a fold held out, tested and used; written by the network's folds and the references' alike."""

from fedn_pipeline.features import cache
from fedn_pipeline.files import write_json


def write_record(folder, parts, held_out, features_path, seed):
    """Write `folder/fold.json`; `parts` is the fold's Split. The results stage checks by it that all were tested."""
    attributes = cache.provenance(features_path)
    record = {"held_out": held_out, "seed": seed, "test_videos": sorted(parts.test), **attributes}
    write_json(folder / "fold.json", record)
