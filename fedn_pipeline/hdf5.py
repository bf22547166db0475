"""HDF5 files, written whole or not at all and read with distrust. Used wherever the pipeline writes or reads one.

The library does not survive a failed write: on a full disk it ends the process by a segmentation fault, at the latest
while closing the file, without a word and with the half-written file left behind. Here it never sees one. A reader gets
arrays of numbers that lie in the file itself, or an error; the checksum beside a file (files.py) tells more.
"""

import io
from contextlib import contextmanager

import h5py

from fedn_pipeline import files
from fedn_pipeline.files import InputError

# h5py raises these for damaged structures, names, types and sizes; which one is a matter of the place.
DAMAGED = (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, OverflowError, MemoryError)


class _Sink(io.FileIO):
    """A file whose writes always seem to succeed; `error` is the first failure, after which nothing is written."""

    error = None

    def write(self, data):
        data = memoryview(data).cast("B")
        written = 0
        try:
            while self.error is None and written < len(data):
                written += super().write(data[written:])
        except OSError as error:
            self.error = error
        return len(data)

    def truncate(self, size=None):
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size


@contextmanager
def whole(path):
    """An open, empty h5py.File that is put in its place at `path` only if the block succeeds; errors as `files.whole`.

    After a failed write the block still runs to its end; the failure is raised then.
    """
    with files.whole(path) as partial, _Sink(partial, "w+") as sink:
        try:
            with h5py.File(sink, "w") as file:
                yield file
        except Exception:
            _raise(sink)  # what HDF5 said came of what it could not read back
            raise
        _raise(sink)


def _raise(sink):
    if sink.error is not None:
        raise sink.error


def require_numbers(path, group):
    """InputError if a group holds anything but arrays of numbers: texts, references, objects, other files' data."""
    for name in group:
        link, node = group.get(name, getlink=True), group.get(name)
        inside = isinstance(link, h5py.HardLink) and isinstance(node, h5py.Dataset) and not node.external
        if not inside or node.is_virtual or node.dtype.kind not in "biuf":
            raise InputError(
                f"{path}: {group.name}/{name} is no array of numbers: the pipeline did not write this file"
            )


def array(group, name, kinds, axes):
    """Dataset `name` of a group as an array; ValueError unless its type is one of `kinds` (NumPy's letters) and it has
    so many `axes` (a set).
    """
    found = group[name]
    if not isinstance(found, h5py.Dataset) or found.dtype.kind not in kinds or found.ndim not in axes:
        raise ValueError(f"`{name}` is no array of the right type")
    return found[:]
