"""Command `detect`: a video or a folder of them, one after another; an index page, and one table with all detections.

A video that cannot be used does not stop the others: it is named in the index, and at the end. Table, index and summary
are written after each video, so that a run that is killed keeps what it has done.
"""

import os
import sys
import traceback
from itertools import count
from pathlib import Path

import pandas as pd

from fedn_pipeline import compute, files
from fedn_pipeline.bundle import layout, load
from fedn_pipeline.dataset import custom, custom_tables
from fedn_pipeline.dataset.search import VIDEO_SUFFIXES
from fedn_pipeline.files import InputError
from fedn_pipeline.own_video import detect, people
from fedn_pipeline.own_video.layout import CSV, GONE_ON, PAGE, SUMMARY, shown
from fedn_pipeline.viewer import page

USED = ("video", "classes", "detections", "missing_s", "warnings")  # what index and table need of a video


def videos(source, out):
    """`{video id: path}` of a video file, or of all below a folder but in `out`; InputError if there is none.

    The ids are those of the reader `custom`, so that it takes the page's events.csv. Each is also a folder in `out`:
    where two would be one, or one of the files there, the file's whole name stands in, or a number is added.
    """
    if source.is_file():
        found = [(custom_tables.safe(source.stem), Path(source.name))]
        source = source.parent
    elif source.is_dir():
        found = custom.files_in(source, out)
    else:
        raise InputError(f"{shown(source)}: no such video file or folder")
    if not found:
        raise InputError(f"{shown(source)}: no video file in this folder ({', '.join(VIDEO_SUFFIXES)})")
    named, taken = {}, {CSV, PAGE, SUMMARY}
    for video_id, path in found:
        further = (f"{video_id}_{number}" for number in count(2))
        while video_id.casefold() in taken:  # some file systems know no capitals
            whole_name = custom_tables.safe(path.name)
            video_id = whole_name if whole_name.casefold() not in taken else next(further)
        taken.add(video_id.casefold())
        named[video_id] = source / path
    return named


def run(source, model, out, settings, person=people.LARGEST, crops=False, progress=True):
    """Detect in `source`, write into the folder `out`; the exit status: 0, or 1 if a video could not be used.

    `model` is a bundle's folder, `settings` section `detect`. Raises InputError if nothing could be done at all, or if
    `out` cannot be written.
    """
    people.check(person)
    source, out = Path(source), Path(out)
    found = videos(source, out)
    bundle = _bundle(model, settings)
    with files.scratch(out / SUMMARY) as probe:  # now, not after an hour's first video
        probe.touch()
        (out / SUMMARY).unlink(missing_ok=True)
    compute.prepare(0, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    entries, failed = [], {}
    for number, (video_id, path) in enumerate(found.items(), start=1):
        name = shown(path.relative_to(source).as_posix() if source.is_dir() else path.name)
        if len(found) > 1:
            print(f"[{number} of {len(found)}] {shown(path)}", flush=True)
        try:
            content = detect.run(path, video_id, bundle, out / video_id, settings, person, crops, progress, name)
        except files.Unwritable:
            raise
        except Exception as error:  # of any library: the other videos may be sound
            if not isinstance(error, InputError):  # nobody has foreseen it: say where
                traceback.print_exc()
            failed[shown(path)] = why = _why(path, error)
            print(f"fedn-pipeline detect: {why}", file=sys.stderr, flush=True)
            entries.append({"name": name, "failure": why})
            _remove_if_empty(out / video_id)
        else:
            entries.append({"name": name, "page": f"{video_id}/{PAGE}", "data": {key: content[key] for key in USED}})
            _tell(path, content, out / video_id)
        _write(out, entries, failed, bundle.classes)
    if failed:
        print(f"{len(failed)} of {len(found)} videos could not be used:", *failed.values(), sep="\n  ", file=sys.stderr)
    return GONE_ON if failed else 0


def _bundle(model, settings):
    if str(model) == settings["model"] and not (Path(model) / layout.DESCRIPTION).is_file():
        raise InputError(f"{model}: no model bundle there: `make demo` makes one, or give --model")
    return load.load(model)


def _remove_if_empty(folder):
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _why(path, error):
    """What went wrong with a video, in one line."""
    said = error if isinstance(error, InputError) else f"{path}: {type(error).__name__}: {error}"
    return shown(" ".join(str(said).split()))


def _write(out, entries, failed, classes):
    """Table, index and summary of the videos so far."""
    done = [entry["data"] for entry in entries if "data" in entry]
    table = pd.DataFrame([row for content in done for row in detect.rows(content)], columns=detect.columns(classes))
    files.write_csv(out / CSV, table, float_format=None, checksum=False)
    page.write_index(out / PAGE, entries)
    summary = {"videos": [content["video"]["id"] for content in done], "failed": failed}
    files.write_json(out / SUMMARY, summary, checksum=False)


def _tell(path, content, folder):
    """Say what was found, and where it is."""
    for warning in content["warnings"]:
        print(f"WARNING: {shown(path)}: {warning}", file=sys.stderr, flush=True)
    kept = [one for one in content["detections"] if one["kept"]]
    for one in sorted(kept, key=lambda one: one["onset"]):
        print(f"  {one['onset_s']:9.2f} - {one['offset_s']:8.2f} s  {one['emotion']:12} {one['confidence']:.2f}")
    print(f"{len(kept)} expressions: {shown(folder / PAGE)}", flush=True)
