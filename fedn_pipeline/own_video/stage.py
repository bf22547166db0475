"""Command `detect`: a video or a folder of them, one after another; an index page, and one table with all detections.

A video that cannot be read does not stop the others: it is named in the index, and at the end.
"""

import os
import sys
from pathlib import Path

import pandas as pd

from fedn_pipeline import compute, files
from fedn_pipeline.bundle import load
from fedn_pipeline.dataset.search import VIDEO_SUFFIXES
from fedn_pipeline.files import InputError
from fedn_pipeline.own_video import detect, people
from fedn_pipeline.own_video.layout import CSV, GONE_ON, PAGE, SUMMARY
from fedn_pipeline.viewer import page


def videos(source):
    """`{video id: path}` of a video file, or of all below a folder; ids are file names without suffix where these are
    unique, else paths. InputError if there is none."""
    if source.is_file():
        return {source.stem: source}
    if not source.is_dir():
        raise InputError(f"{source}: no such video file or folder")
    found = sorted(path for path in _files(source) if path.name.lower().endswith(VIDEO_SUFFIXES))
    if not found:
        raise InputError(f"{source}: no video file in this folder ({', '.join(VIDEO_SUFFIXES)})")
    stems = [path.stem for path in found]
    return {
        path.stem if stems.count(path.stem) == 1 else "-".join(path.relative_to(source).parts): path for path in found
    }


def _files(source):
    """Every file below a folder but hidden ones and those in hidden folders."""
    for folder, folders, names in os.walk(source):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(folder) / name for name in names if not name.startswith("."))


def run(source, model, out, settings, person=people.LARGEST, crops=False, progress=True):
    """Detect in `source`, write into the folder `out`; the exit status: 0, or 1 if a video could not be read.

    `model` is a bundle's folder, `settings` section `detect`. Raises InputError if nothing could be done at all.
    """
    people.check(person)
    found = videos(Path(source))
    bundle = load.load(model)
    compute.prepare(0, len(os.sched_getaffinity(0)))
    entries, failed = [], {}
    for number, (video_id, path) in enumerate(found.items(), start=1):
        if len(found) > 1:
            print(f"[{number} of {len(found)}] {path}", flush=True)
        try:
            content = detect.run(path, video_id, bundle, out / video_id, settings, person, crops, progress)
        except InputError as error:
            failed[str(path)] = " ".join(str(error).split())
            print(f"fedn-pipeline detect: {failed[str(path)]}", file=sys.stderr, flush=True)
            entries.append({"name": path.name, "failure": failed[str(path)]})
            continue
        entries.append({"name": path.name, "page": f"{video_id}/{PAGE}", "data": content})
        _tell(path, content, out / video_id)
    done = [entry["data"] for entry in entries if "data" in entry]
    rows = [row for content in done for row in detect.rows(content)]
    table = pd.DataFrame(rows, columns=detect.columns(bundle.classes))
    files.write_csv(out / CSV, table, float_format=None, checksum=False)
    files.write_json(
        out / SUMMARY, {"videos": [content["video"]["id"] for content in done], "failed": failed}, checksum=False
    )
    page.write_index(out / PAGE, entries)
    if failed:
        print(f"{len(failed)} of {len(found)} videos could not be read:", *failed.values(), sep="\n  ", file=sys.stderr)
    return GONE_ON if failed else 0


def _tell(path, content, folder):
    """Say what was found, and where it is."""
    for warning in content["warnings"]:
        print(f"WARNING: {path}: {warning}", file=sys.stderr, flush=True)
    kept = [one for one in content["detections"] if one["kept"]]
    for one in sorted(kept, key=lambda one: one["onset"]):
        print(f"  {one['onset_s']:9.2f} - {one['offset_s']:8.2f} s  {one['emotion']:12} {one['confidence']:.2f}")
    print(f"{len(kept)} expressions: {folder / PAGE}", flush=True)
