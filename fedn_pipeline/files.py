"""Files that appear whole or not at all, checksums, and the one error for bad input.

Every output of every stage is written beside its place and renamed into it, so a killed job never leaves half a
file under the final name. Used by all stages.
"""

import hashlib
import json
import os
from contextlib import contextmanager
from pathlib import Path


class InputError(Exception):
    """Bad input: the message names file, place and rule. The command line prints it alone and exits with 2."""


@contextmanager
def whole(path):
    """Give a temporary path beside `path` (same suffix); rename it into place only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial{os.getpid()}{path.suffix}")
    try:
        yield partial
        os.chmod(partial, 0o666 & ~_umask())  # some writers (safetensors) make files that only their owner can read
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _umask():
    """The process's mask of permissions; the system tells it only by setting another."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_text(path, text):
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path, value):
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n")


def write_csv(path, table, float_format="%.6g"):
    """A pandas table as CSV, without its index."""
    with whole(path) as partial:
        table.to_csv(partial, index=False, float_format=float_format)


def sha256(path):
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
