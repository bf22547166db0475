"""What a bundle's folder holds: `bundle.json`, its checksum over itself, and the weights' files that it lists.

`bundle.json` is written in one way only (`text`), and holds the SHA-256 of that and of every other file, so a flipped
byte anywhere is told wherever the folder has been carried. No torch.
"""

import hashlib
import json

import jsonschema

FORMAT = 1  # raised when a reader of before would misread a bundle
DESCRIPTION, DETECTOR, BACKBONE = "bundle.json", "detector.safetensors", "backbone.safetensors"
SETTINGS = {  # section: its keys that inference needs, None for all of them
    "windows": None,
    "model": None,
    "training": ("precision", "predict_batch_size", "threads"),
    "backbone": ("input_size", "mean", "std", "backend", "precision", "batch_size", "threads"),
    "faces": None,
    "detections": None,
}
BLENDSHAPES = "blendshapes"  # the backbone that is the landmark model itself, so that a bundle carries no weights of it
RESNET18 = "resnet18"
THRESHOLD_DIGITS = 3  # so that the slider on the page of `detect` can show a threshold, and come back to it

_TEXT, _NUMBER, _COUNT = {"type": "string"}, {"type": "number"}, {"type": "integer", "minimum": 0}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_HASH = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_METRIC = {"type": ["number", "null"]}
# An emotion comes to stand in tables and on terminals: no control characters, and no formula of a spreadsheet.
_WORDS = {"type": "array", "minItems": 1, "uniqueItems": True, "items": {
    "type": "string", "pattern": r"^(?![=+@-])[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]*\Z",
}}  # fmt: skip


def _exactly(properties):
    """Schema of an object with these keys and no others."""
    return {"type": "object", "additionalProperties": False, "required": list(properties), "properties": properties}


def _each(schema):
    return {"type": "object", "additionalProperties": schema}


SCHEMA = _exactly({
    "format": _COUNT,
    "version": _TEXT,  # of the package that wrote it
    "description": _TEXT,
    "dataset": _TEXT,
    "experiment": _TEXT,
    "learnt_from": _exactly({
        "subjects": _COUNT, "videos": _COUNT, "minutes": _NUMBER, "expressions": _each(_COUNT),
        "expressions_without_emotion": _COUNT,
    }),
    "training": _TEXT,
    "seed": _COUNT,
    "classes": _WORDS,
    "names": _WORDS,  # of the logits
    "settings": _exactly({section: {"type": "object"} for section in SETTINGS}),
    "threshold": _exactly({
        "value": _SHARE, "of_folds": {"type": "array", "items": _SHARE, "minItems": 1}, "chosen": _TEXT,
    }),
    "quality": _exactly({
        "of": _TEXT, "group": _TEXT, "protocol": _TEXT, "seeds": _TEXT, "confidence_level": _SHARE,
        "counts": _each(_METRIC), "metrics": _each(_exactly({"value": _METRIC, "low": _METRIC, "high": _METRIC})),
    }),
    "backbone": _exactly({
        "network": _TEXT, "name": _TEXT, "sha256": _HASH, "origin": _TEXT, "width": _COUNT,
        "computed_by": _TEXT, "precision": _TEXT,
    }),
    "licence": _TEXT,
    "files": _each(_HASH),
    "checksum": _HASH,
})  # fmt: skip


def fault(content):
    """What is wrong with a description by SCHEMA, in words; None if nothing is."""
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(SCHEMA).iter_errors(content))
    return error and f"`{'.'.join(map(str, error.absolute_path))}`: {error.message}"


def text(content):
    """The one way in which `bundle.json` is written. ValueError for what JSON cannot hold."""
    return json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"


def checksum(content):
    """SHA-256 (hex) of a description without its key `checksum`."""
    rest = {key: value for key, value in content.items() if key != "checksum"}
    return hashlib.sha256(text(rest).encode()).hexdigest()
