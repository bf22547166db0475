"""Named tensors and their description in one safetensors file, written whole. Used for weights, checkpoints, resuming.

The library would write to a temporary file of its own, which a killed process leaves behind for ever; so it only makes
the bytes here.
"""

import json

from safetensors.torch import save as to_bytes

from fedn_pipeline.files import whole

METADATA_KEY = "fedn_pipeline"


def save(path, tensors, description):
    """Write `{name: tensor}` (any device) and `description` (JSON values)."""
    tensors = {name: value.detach().contiguous().cpu() for name, value in tensors.items()}
    with whole(path) as partial:
        partial.write_bytes(to_bytes(tensors, {METADATA_KEY: json.dumps(description, sort_keys=True)}))


def description(file):
    """What `save` was told, of a file opened by `safe_open`; empty in strangers' files. ValueError, TypeError if it is
    no description."""
    return dict(json.loads((file.metadata() or {}).get(METADATA_KEY, "{}")))
