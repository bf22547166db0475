"""Subjects that `fedn-pipeline forget` has erased stay out when their data set is read or rendered again.

`forgotten.txt` in the data set's folder has a line `salt digest` for each: it knows a subject that comes back, and
names nobody. Used by stage dataset.
"""

import hashlib
import re
import secrets

from fedn_pipeline.files import InputError, checksum_path, damage, write_text

NAME = "forgotten.txt"


def add(folder, subject):
    """Remember a subject of the data set in `folder`; once is enough."""
    known = _lines(folder)
    if not _is_one_of(known, subject):
        salt = secrets.token_hex(16)
        lines = [f"{salt} {digest}" for salt, digest in [*known, (salt, _digest(salt, subject))]]
        write_text(folder / NAME, "\n".join(lines) + "\n")


def without(folder, videos, *tables):
    """`videos` and further tables with a column `video_id`, without the subjects that were forgotten.

    Repairs (columns `before`, `after`) that name them go, too.
    """
    known = _lines(folder)
    out = {subject for subject in set(videos.subject) if _is_one_of(known, subject)}
    ids = set(videos.video_id[videos.subject.isin(out)])
    if len(ids) == len(videos) and ids:
        raise InputError(f"{folder / NAME}: every subject of this data set was forgotten: nothing is left to read")
    if not ids:
        return [videos, *tables]
    names = "|".join(map(re.escape, sorted(out | ids, key=len, reverse=True)))
    named = re.compile(f"(?<![A-Za-z0-9_-])(?:{names})(?![A-Za-z0-9_-])")

    def is_theirs(table):
        said = [table[column].astype(str).str.contains(named) for column in ("before", "after") if column in table]
        return sum(said, table.video_id.isin(ids).astype(int)) > 0

    return [table[~is_theirs(table)].reset_index(drop=True) for table in (videos, *tables)]


def _lines(folder):
    path = folder / NAME
    if checksum_path(path).is_file() and damage(path):
        raise InputError(f"{path}: {damage(path)}; delete it and its checksum, and forget each erased subject again")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [tuple(line.split()) for line in lines if line.strip()]


def _digest(salt, subject):
    return hashlib.sha256(f"{salt}{subject}".encode()).hexdigest()


def _is_one_of(known, subject):
    return any(_digest(salt, subject) == digest for salt, digest in known)
