"""Erases a subject from the pipeline's files: whole files that are its own, and its part of those that hold others too.

A file that holds others is written anew and renamed into its place, so nothing of the subject stays between its bytes
(HDF5 keeps deleted ones). What can only be made again (pages, logs, records of Snakemake) is deleted.
"""

import base64
import binascii
import csv
import io
import re
import shutil
from pathlib import Path

import h5py

from fedn_pipeline import files, hdf5
from fedn_pipeline.forget.traces import is_text, named_in, opened

TABLES = ("videos.csv", "events.csv", "data_issues.csv")  # of a data set; they say who it is, so they come last
PAGES = ("summary", "report")  # show faces and embed them
TRAINING = "resume.safetensors"  # the state of a training that was killed, perhaps on the subject
UNFINISHED = ".partial-"  # in the names of files that a killed job has left


class Eraser:
    """Erases, and remembers what: `deleted` and `rewritten` paths. `kept`: a folder in which nothing is touched."""

    def __init__(self, traces, kept=None):
        self.traces, self.kept = traces, kept
        self.deleted, self.rewritten = [], []

    def delete(self, path):
        """A file with its checksum, or a folder."""
        if path.is_dir() and not path.is_symlink():
            self.deleted += files_in(path)
            shutil.rmtree(path)
            return
        for each in (path, files.checksum_path(path)):
            if each.is_file() or each.is_symlink():
                each.unlink()
                self.deleted.append(each)

    def of_data(self, folder):
        """Everything in `data/{dataset}` but its three tables."""
        for path in self._files(folder):
            if UNFINISHED in path.name or self.traces.in_file_name(path.name):
                self.delete(path)
            elif path.name not in TABLES:
                self._content(path)

    def of_results(self, folder, dataset):
        """Pages, the subject's folds, logs and benchmarks, its part of other folds, tables that name it."""
        for page in PAGES:
            if (folder / dataset / page).is_dir():
                self.delete(folder / dataset / page)
        for fold in sorted((folder / dataset).glob("*/*/seed*/folds/*")):
            unfinished = not (fold / "fold.json").is_file()  # it is written last; who was in it is not known
            if unfinished or self.traces.in_file_name(fold.name) or self._tests_nobody_else(fold):
                self.delete(fold)
        for final in sorted((folder / dataset).glob("*/*/seed*/final")):
            if not (final / "final.json").is_file():
                self.delete(final)
        for path in [*self._files(folder / dataset), *sorted(folder.glob(f"{dataset}_table*"))]:
            if UNFINISHED in path.name or path.name == TRAINING or self.traces.in_file_name(path.name):
                self.delete(path)
            else:
                self._content(path)

    def of_tables(self, folder):
        """The subject's rows of the data set's own tables, videos.csv last: it says which videos are the subject's."""
        for name in reversed(TABLES):
            if (folder / name).is_file():
                self._rows(folder / name)

    def of_snakemake(self, folder, dataset):
        """Records and logs of Snakemake about this data set that name the subject; data sets may share names.

        Also those of all batches: one video less shifts them, and Snakemake would embed every video again.
        """
        batch = re.compile(rf"data/{re.escape(dataset)}/(?:features|flow|regions)/.+/part\d+\.h5")
        for path in self._files(folder):
            shifted = batch.fullmatch(recorded_path(path.relative_to(folder)))
            if path.is_file() and (shifted or in_record(path, folder, dataset, self.traces)):
                self.delete(path)

    def _files(self, folder):
        return [path for path in files_in(folder) if self.kept is None or self.kept not in path.resolve().parents]

    def _tests_nobody_else(self, fold):
        tested = files.read_json(fold / "fold.json")["test_videos"]
        return bool(tested) and {*tested} <= {*self.traces.names}

    def _content(self, path):
        """The subject's part of a file that is named after something else."""
        if not path.is_file() or path.suffix == files.CHECKSUM_SUFFIX or not named_in(path, self.traces):
            return
        if h5py.is_hdf5(path):
            self._groups(path)
        elif path.suffix == ".json":
            files.write_json(path, self._without(files.read_json(path)))
            self.rewritten.append(path)
        elif path.name == "detections.csv":
            self._rows(path)
        elif is_text(path) and path.suffix != ".safetensors":  # a checkpoint is not ours to delete: it is listed
            self.delete(path)

    def _groups(self, path):
        """An HDF5 file without the groups of the subject's videos, at whatever depth."""

        def copy(source, target):
            target.attrs.update(source.attrs)
            for name, node in source.items():
                if name in self.traces.names:
                    continue
                if isinstance(node, h5py.Group) and not any(isinstance(part, h5py.Dataset) for part in node.values()):
                    copy(node, target.create_group(name))
                else:
                    source.copy(name, target)

        with opened(files.checked(path)) as source:
            others = {*source} - {*self.traces.names}
            if others:
                with hdf5.whole(path) as target:
                    copy(source, target)
        if others:
            self.rewritten.append(path)
        else:
            self.delete(path)

    def _rows(self, path):
        """A table without the subject's rows; of data_issues.csv, every row that names it anywhere."""
        with open(files.checked(path), encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        whose = [header.index(name) for name in ("video_id", "subject") if name in header]
        names = {*self.traces.names}

        def is_theirs(row):
            said = path.name == "data_issues.csv" and any(map(self.traces.in_file_name, row))
            return said or any(row[column] in names for column in whose)

        left = [row for row in rows if not is_theirs(row)]
        if len(left) < len(rows):
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows([header, *left])
            files.write_text(path, text.getvalue())
            self.rewritten.append(path)

    def _without(self, value):
        """JSON without the list items and keys that are names of the subject."""
        if isinstance(value, list):
            return [self._without(item) for item in value if item not in self.traces.names]
        if isinstance(value, dict):
            return {key: self._without(item) for key, item in value.items() if key not in self.traces.names}
        return value


def files_in(folder):
    """All files below a folder, sorted; none if it is absent."""
    return sorted(path for path in Path(folder).rglob("*") if path.is_file() or path.is_symlink())


def in_record(path, folder, dataset, traces):
    """Whether a file below `.snakemake` is about this data set and names the subject, in its own name or inside."""
    described = recorded_path(path.relative_to(folder))
    content = path.read_bytes()
    about = [f"data/{dataset}/", f"results/{dataset}/", f"results/{dataset}_table"]
    ours = any(described.startswith(place) for place in about) or any(place.encode() in content for place in about)
    return ours and (traces.in_words(described) or traces.in_text(content))


def recorded_path(path):
    """The output that a record below `.snakemake/metadata` or `incomplete` describes: its name in base64, or ``."""
    name = "".join(part.removeprefix("@") for part in path.parts[1:])
    try:
        return base64.urlsafe_b64decode(name).decode()
    except (binascii.Error, UnicodeDecodeError):  # another file
        return ""
