"""What gives a subject away in a file: its names as whole words, and pieces of the bytes of its pictures and features.

Names are looked for in paths and in text, in what HDF5 and safetensors files call their parts, and where HDF5 keeps the
names of deleted parts. In the bytes of a picture a short name means nothing; there, and everywhere else, an intact copy
of 583 bytes (SEEN) or more of an erased piece is found at any position.
"""

import mmap
import re
from dataclasses import dataclass, field

import h5py
import numpy as np

from fedn_pipeline.files import InputError

PIECE, STEP, WINDOW = 1024, 512, 8  # bytes: a copy's windows at multiples of STEP are looked up
AGREE = 32  # bytes on each side of a window that must agree, too, before it counts
SEEN = STEP + WINDOW + 2 * AGREE - 1  # so many bytes in a row surely hold such a window with its sides
VARIED = 0.5  # share of a piece's windows that must differ: black pictures and empty rows are nobody's
DISTINCT = 4  # byte values in a window that is looked up; runs of zeros are everywhere
PIECES = 32  # per video, and per video of an HDF5 file
TEXT_HEAD = 1 << 16
SHORTEST = 3  # letters of a name that is looked for among the bytes of an HDF5 file; shorter ones are numbers there
BLOCK, OVERLAP = 1 << 24, 1 << 10  # bytes of text that are searched at a time
WORD = "[A-Za-z0-9_-]"


@dataclass
class Traces:
    """`names` of the subject; `others`: names of everybody else, of which a name may be a part; pieces of bytes."""

    names: tuple
    others: tuple = ()
    pieces: list = field(default_factory=list)

    def __post_init__(self):
        names = sorted({*self.names, *self.others}, key=len, reverse=True)
        lettered = [re.escape(name) for name in names if not name.isdigit()]
        numbers = [re.escape(name) for name in names if name.isdigit()]
        found = [f"(?<!{WORD})(?:{'|'.join(lettered)})(?!{WORD})"] if lettered else []
        if numbers:  # a bare number says nothing; it is a name in a path, in quotes or after such an option
            before = r"(?:(?<=[/\"'=])|(?<=--held-out )|(?<=--video-id ))"
            found.append(rf"{before}(?:{'|'.join(numbers)})(?=[/\"'.\s]|$)")
        self._words = re.compile("|".join(found))
        self._byte_words = re.compile("|".join(found).encode())

    def in_words(self, text):
        """Whether a text names the subject."""
        return any(found[0] in self.names for found in self._words.finditer(text))

    def in_file_name(self, name):
        return self.in_words(f"/{name}")

    def in_text(self, data):
        """Whether the bytes of a text name it."""
        return any(found[0].decode() in self.names for found in self._byte_words.finditer(data))

    def add_video(self, path):
        """Keep pieces of a video file's pictures; its ends hold what is alike in all files of one encoder."""
        data = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.empty(0, np.uint8)
        last = len(data) * 3 // 4 - PIECE
        for start in np.linspace(len(data) // 4, max(last, 0), PIECES).astype(int):
            self._add(data[start : start + PIECE].tobytes())

    def add_features(self, group):
        """Keep pieces of the rows with a face in an open HDF5 group, as they lie in the file."""
        rows, valid = group["features"], group["valid"][:]
        if not len(rows):  # its video could not be read
            return
        for number in np.unique(np.linspace(0, rows.id.get_num_chunks() - 1, PIECES).astype(int)):
            start = rows.id.get_chunk_info(int(number)).chunk_offset
            if valid[start[0] : start[0] + rows.chunks[0]].all():
                stored = rows.id.read_direct_chunk(start)[1]
                self._add(stored[len(stored) // 2 :][:PIECE])

    def _add(self, piece):
        if len(piece) == PIECE and len({piece[i : i + WINDOW] for i in range(PIECE)}) >= VARIED * PIECE:
            self.pieces.append(piece)

    def index(self):
        """The windows of all pieces, to be given to `in_bytes`: sorted values, and the piece and place of each."""
        count = PIECE - WINDOW + 1
        pieces = np.frombuffer(b"".join(self.pieces), np.uint8).reshape(-1, PIECE)
        windows = np.lib.stride_tricks.sliding_window_view(pieces, WINDOW, axis=1).reshape(-1, WINDOW)
        varied = np.flatnonzero((np.diff(np.sort(windows, axis=1), axis=1) != 0).sum(axis=1) >= DISTINCT - 1)
        values = _numbers(windows[varied])
        order = np.argsort(values, kind="stable")
        return values[order], varied[order] // count, varied[order] % count

    def in_bytes(self, path, index):
        """Whether a file holds a copy of a piece, at any position."""
        values, pieces, places = index
        if not len(values) or path.stat().st_size < STEP:
            return False
        data = np.memmap(path, np.uint8, "r")
        whole = data[: len(data) // STEP * STEP].reshape(-1, STEP)
        for first in range(0, len(whole), BLOCK // STEP):
            here = _numbers(whole[first : first + BLOCK // STEP, :WINDOW])
            left, right = (np.searchsorted(values, here, side) for side in ("left", "right"))
            for row in np.flatnonzero(left < right):
                position = (first + row) * STEP
                for entry in range(left[row], right[row]):
                    if _agrees(data, position, self.pieces[pieces[entry]], int(places[entry])):
                        return True
        return False


def _numbers(windows):
    return np.ascontiguousarray(windows).view("<u8").ravel()


def _agrees(data, position, piece, place):
    """Whether more than the window agrees: AGREE bytes on each side of it, as far as the piece goes."""
    before, after = min(place, AGREE), min(PIECE - place, WINDOW + AGREE)
    return data[position - before : position + after].tobytes() == piece[place - before : place + after]


def is_text(path):
    with open(path, "rb") as file:
        head = file.read(TEXT_HEAD)
    return b"\0" not in head


def opened(path):
    """An HDF5 file to be read; InputError if it is damaged."""
    try:
        return h5py.File(path)
    except OSError as error:
        raise InputError(
            f"{path}: damaged, so it cannot be looked through ({error}): delete it and run again"
        ) from error


def named_in(path, traces):
    """Whether a file's content names the subject, by the kind of the file."""
    if h5py.is_hdf5(path):
        return _named_in_hdf5(path, traces)
    with open(path, "rb") as file:
        if path.suffix == ".safetensors":
            return traces.in_text(file.read(int.from_bytes(file.read(8), "little")))
        if not is_text(path):
            return False
        kept = b""
        while block := file.read(BLOCK):
            if traces.in_text(kept + block):
                return True
            kept = block[-OVERLAP:]
    return False


def _named_in_hdf5(path, traces):
    found = []

    def visit(name, node):
        attributes = " ".join(f'"{value}"' for value in node.attrs.values() if isinstance(value, str))
        if {*name.split("/")} & {*traces.names} or traces.in_text(attributes.encode()):
            found.append(name)

    with opened(path) as file:
        visit("", file)
        file.visititems(visit)
    return bool(found) or any(_kept_name(path, name) for name in traces.names if len(name) >= SHORTEST)


def _kept_name(path, name):
    """Whether an HDF5 file still holds a name, perhaps of a deleted part: zeros fill it up to a multiple of 8 bytes."""
    wanted = name.encode().ljust(len(name) // 8 * 8 + 8, b"\0")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        position = data.find(wanted)
        while position >= 0 and position % 8:
            position = data.find(wanted, position + 1)
    return position >= 0
