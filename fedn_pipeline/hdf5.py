"""HDF5 files that appear whole or not at all, whatever the disk does. Used wherever the pipeline writes one.

The HDF5 library does not survive a failed write: on a full disk it ends the process by a segmentation fault, at the
latest while closing the file, without a word and with the half-written file left behind. Here it never sees one.
"""

import io
from contextlib import contextmanager

import h5py

from fedn_pipeline import files


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
