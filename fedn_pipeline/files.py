"""Files that appear whole or not at all, each with its checksum beside it, and the one error for bad input.

Every output of every stage is written beside its place and renamed into it, so a killed job never leaves half a
file under the final name. `NAME.sha256` beside it, in the format of `sha256sum`, tells a later reader of a flipped
byte. Used by all stages.
"""

import errno
import hashlib
import json
import os
import re
import socket
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

CHECKSUM_SUFFIX = ".sha256"
UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")  # Unicode categories: control, surrogate, line and paragraph separators
# What keeps any program from writing, whatever library says so and in which words.
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG)
UNWRITABLE += (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG)
_PARTIAL = re.compile(r"\..+\.partial-(?P<host>.+)-(?P<process>\d+)(?:\.[^.]*)?")


class InputError(Exception):
    """Bad input: the message names file, place and rule. The command line prints it alone and exits with 2."""


class Unwritable(InputError):
    """An output cannot be written, whatever the input."""


@contextmanager
def whole(path, checksum=True):
    """Give a temporary path beside `path` (same suffix); put it in its place only if the block succeeds.

    `checksum=False` is for figures and pages, which nothing computes with, and for the demo's thousands of stills.
    Raises Unwritable naming the file and the cause if it cannot be written (disk full, read-only, no permission).
    """
    path = Path(path)
    with scratch(path) as partial:
        yield partial
        os.chmod(partial, 0o666 & ~_umask())  # some writers (safetensors) make files that only their owner can read
        if checksum:
            _settle(partial, path)
        else:
            os.replace(partial, path)


@contextmanager
def scratch(path):
    """Give a temporary path beside `path` (same suffix) whose file is gone after the block. Unwritable as `whole`.

    What a killed process leaves, the next writer into that folder deletes.
    """
    path = Path(path)
    host = re.sub(r"[^A-Za-z0-9.]", "", socket.gethostname())
    partial = path.with_name(f".{path.stem}.partial-{host}-{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent, host)
        yield partial
    except InputError:
        raise
    except Exception as error:
        cause = _unwritable(error, path.parent)
        if cause is None:
            raise
        raise Unwritable(f"{path}: cannot be written: {cause}; nothing of it was kept") from error
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            partial.unlink()


def _settle(partial, path):
    """Rename `partial` to `path`, its bytes safely on the disk, and write the checksum beside it.

    In between there is no checksum, never one of other bytes: a job killed here leaves a whole file. Of two processes
    that write it at once, the later one's file stays, with its own checksum.
    """
    with open(partial, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
        described = _version(os.stat(file.fileno()))
    beside = checksum_path(path)
    partial_checksum = partial.with_name(partial.name + CHECKSUM_SUFFIX)
    try:
        partial_checksum.write_text(f"{digest}  {path.name}\n", encoding="utf-8")
        beside.unlink(missing_ok=True)
        os.replace(partial, path)
        os.replace(partial_checksum, beside)
        while (found := _version(os.stat(path))) != described:  # another process has put its file there since
            partial_checksum.write_text(f"{sha256(path)}  {path.name}\n", encoding="utf-8")
            os.replace(partial_checksum, beside)
            described = found
    finally:
        partial_checksum.unlink(missing_ok=True)


def is_partial(path):
    """Whether a file is one that a writer had not finished."""
    return bool(_PARTIAL.fullmatch(Path(path).name.removesuffix(CHECKSUM_SUFFIX)))


def _version(stat):
    """What tells a file from another one, or a later state of it, under the same name."""
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _sweep(folder, host):
    """Delete what processes of this machine that live no more (killed) have left unfinished in a folder."""
    for path in folder.glob(".*.partial-*"):
        found = _PARTIAL.fullmatch(path.name.removesuffix(CHECKSUM_SUFFIX))
        if found and found["host"] == host and not _lives(int(found["process"])):
            path.unlink(missing_ok=True)


def _lives(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _unwritable(error, folder):
    """Why nothing can be written into `folder`, in the system's words, if an exception (of any library) says that."""
    while error is not None:
        name = getattr(error, "filename", None)
        if (
            isinstance(name, str)
            and folder not in (Path(name), *Path(name).parents)
            and Path(name) not in folder.parents
        ):
            return None  # something that was to be read
        number = getattr(error, "errno", None)
        if number in UNWRITABLE:
            return os.strerror(number)
        text = str(error).lower()
        for number in UNWRITABLE:  # HDF5 and safetensors only tell in their texts
            if os.strerror(number).lower() in text:
                return os.strerror(number)
        error = error.__cause__ or error.__context__
    return None


def _umask():
    """The process's mask of permissions; the system tells it only by setting another."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def write_text(path, text, checksum=True):
    with whole(path, checksum) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path, value, checksum=True):
    write_text(path, json.dumps(value, indent=2, sort_keys=True) + "\n", checksum)


def read_json(path):
    """A JSON file of the pipeline's own, after `checked`. InputError if it cannot be read."""
    try:
        return json.loads(checked(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); {rebuild(path)}") from error


def write_csv(path, table, float_format="%.6g", checksum=True):
    """A pandas table as CSV, without its index."""
    with whole(path, checksum) as partial:
        table.to_csv(partial, index=False, float_format=float_format)


def sha256(path):
    """Hex SHA-256 of a file's bytes; each version of a file is read through once per process."""
    stat = os.stat(path)
    return _sha256(str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino)


@cache
def _sha256(path, *_version):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum_path(path):
    """Where the checksum of `path` lies."""
    path = Path(path)
    return path.with_name(path.name + CHECKSUM_SUFFIX)


def rebuild(path):
    """How to make a file of the pipeline again, as words for a message."""
    return f"to make it again: snakemake --cores all --force {path}"


def checked(path):
    """`path` as a Path, if its bytes are still those that were written.

    A file without a checksum beside it (a user's own) passes. Raises InputError naming the file and how to make it
    again.
    """
    path = Path(path)
    fault = damage(path) if checksum_path(path).is_file() else None
    if fault:
        raise InputError(f"{path}: {fault}; {rebuild(path)} (or delete {checksum_path(path).name} if you edited it)")
    return path


def damage(path):
    """What is wrong with a file that has a checksum beside it, in words; None if it is as it was written."""
    path = Path(path)
    if not path.is_file():
        return "is gone, its checksum is still there"
    digest, *name = checksum_path(path).read_bytes().split() or [b""]
    if digest == sha256(path).encode() and name in ([], [path.name.encode()], [b"*" + path.name.encode()]):
        return None
    return f"damaged: its bytes are not those that {checksum_path(path).name} was made of"
