"""The commands `export` and `import`: this project's tables <-> files of annotation tools (exchange.md)."""

from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from fedn_pipeline import files
from fedn_pipeline.annotations import activitynet, boris, elan, spans, textgrid
from fedn_pipeline.dataset import custom_tables
from fedn_pipeline.exchange import detected, known
from fedn_pipeline.files import InputError

FORMATS = {"elan": elan, "boris": boris, "activitynet": activitynet, "textgrid": textgrid}
SUFFIXES = {module.SUFFIX.lower(): name for name, module in FORMATS.items()} | {".tsv": "boris"}
MILLISECOND_S = 0.001
# How the files begin, for those whose name does not tell.
STARTS = (("elan", b"<"), ("activitynet", b"{"), ("textgrid", b"File type"), ("boris", b"Observation id"))


def export(source, to, out, videos=None, threshold=None, labels="annotated", settings=None, force=False):
    """Write annotations in the format `to`; the text to print.

    source: folder that `detect` wrote (or one detections.json of it), or events.csv or detections.csv of the `videos`
    (known.py). out: a file, or a folder; for ELAN and Praat with the videos' own subfolders, so that each file lies
    beside its video if `out` is the videos' folder. What exists is only overwritten with `force`. settings: section
    `dataset`. Raises InputError.
    """
    form, source, out = FORMATS[to], Path(source), Path(out)
    if source.suffix.lower() == ".csv":
        if videos is None:
            raise InputError(
                f"{source}: of which videos? Give --videos: their folder, videos.csv, or what `detect` wrote of them"
            )
        found = detected.read_table(source, known.read(videos, settings), labels, threshold)
    elif videos is not None:
        raise InputError(f"{source}: --videos belongs to a table; what `detect` wrote tells its own videos")
    elif source.is_file() or source.is_dir():
        found = detected.read_folder(source, threshold)
    else:
        raise InputError(f"{source}: no such file or folder")
    if form.MILLISECONDS:
        for clip, axis, of_video in found.values():
            if of_video:
                _check_milliseconds(clip, axis, to)
    targets = _targets(form, out, [clip for clip, *_ in found.values()])
    for path in targets:
        if path.exists() and not force:
            raise InputError(f"{path}: is there already, perhaps with corrections: give another --out, or --force")
    for path, clips in targets.items():
        of_clips = [span for clip in clips for span in found[clip.video_id][2]]
        with files.whole(path, checksum=False) as partial:
            form.write(partial, clips, of_clips)
    count = sum(len(of_video) for *_, of_video in found.values())
    return f"{count} expressions of {len(found)} videos in {len(targets)} file(s): {out}"


def _check_milliseconds(clip, axis, tool):
    """InputError where frames are so short that whole milliseconds cannot tell them apart."""
    shortest_s = float(np.diff(axis.edges_s).min()) if axis.variable else 1 / axis.fps
    if shortest_s <= MILLISECOND_S:
        raise InputError(
            f"{clip.video_id}: {tool} keeps whole milliseconds, but its frames are {shortest_s * 1000:.3g} ms apart: "
            "use activitynet or textgrid"
        )


def _targets(form, out, clips):
    """`{path: clips}` of the files to write."""
    if not form.ONE_VIDEO:
        return {out if out.suffix else out / f"annotations{form.SUFFIX}": clips}
    if out.suffix.lower() == form.SUFFIX.lower():
        if len(clips) > 1:
            raise InputError(f"{out}: {len(clips)} videos need a file each: give a folder")
        return {out: clips}
    found = {}
    for clip in clips:
        place = PurePosixPath(clip.file or clip.video_id)
        inside = not place.is_absolute() and ".." not in place.parts
        place = place if inside else PurePosixPath(place.name)
        path = out / (place.with_suffix(form.SUFFIX) if clip.file else place.with_name(place.name + form.SUFFIX))
        if path in found:
            raise InputError(f"{path}: videos {found[path][0].video_id!r} and {clip.video_id!r} would share this file")
        found[path] = [clip]
    return found


def read(path, form=None, tiers=()):
    """The annotations of one file as spans.Found; `form`: a name of FORMATS, else told by suffix or content."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    name = form or recognised(path)
    return FORMATS[name].read(path, tuple(tiers))


def recognised(path):
    """The name of a file's format. InputError if it cannot be told."""
    name = SUFFIXES.get(Path(path).suffix.lower())
    if name:
        return name
    with open(path, "rb") as file:
        start = file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").replace(b'"', b"")
    name = next((name for name, mark in STARTS if start.startswith(mark)), None)
    if name is None:
        raise InputError(f"{path}: which format? Say --from {'|'.join(FORMATS)}")
    return name


def import_files(paths, out, videos=None, form=None, tiers=(), settings=None, force=False):
    """Read annotations and write events.csv of a `custom` data set; the text to print.

    videos: a folder of videos, a videos.csv, or what `detect` wrote (known.py); then the videos' names are checked and
    times become frames. Without: onset_s and offset_s, which the reader `custom` turns into the same frames. settings:
    section `dataset`. Raises InputError with every problem.
    """
    out = Path(out)
    if out.suffix.lower() != ".csv":
        raise InputError(f"{out}: --out must be a table, e.g. {out / 'events.csv'}")
    if out.exists() and not force:
        raise InputError(f"{out}: is there already: give another --out, or --force")
    of_videos = known.read(videos, settings) if videos else None
    rows, problems, notes, first = [], [], [], {}
    for path in paths:
        try:
            found = read(path, form, tiers)
        except InputError as error:
            problems.append(str(error))
            continue
        notes += [f"{path}: {note}" for note in found.notes]
        if not found.spans:
            notes.append(f"{path}: no annotations")
        n_scores = sum(span.confidence is not None for span in found.spans)
        notes += [f"{path}: confidences that events.csv has no place for: {n_scores}"] if n_scores else []
        place = _beside(Path(path), Path(videos), of_videos.names) if videos else None
        rows += [row for span in found.spans if (row := _row(path, span, place, of_videos, problems))]
    for row in rows:
        file = row["provenance"].partition(":")[0]
        if first.setdefault(row["video_id"], file) != file:
            notes.append(
                f"video {row['video_id']!r} is annotated in {first[row['video_id']]} and in {file}: all are taken"
            )
    notes = list(dict.fromkeys(notes))
    if problems:
        raise InputError("\n".join(dict.fromkeys(problems)))
    columns = ["video_id", *(custom_tables.FRAMES if videos else custom_tables.SECONDS), "emotion", "subject"]
    table = pd.DataFrame(rows, columns=[*columns, "provenance"])
    if not table["subject"].any():
        del table["subject"]
    with files.whole(out, checksum=False) as partial:  # the user edits it
        table.to_csv(partial, index=False)
    counts = ", ".join(f"{count} {word or 'unnamed'}" for word, count in Counter(table["emotion"]).most_common())
    n_videos = table["video_id"].nunique()
    return "\n".join([*notes, f"{out}: {len(table)} expressions of {n_videos} videos: {counts or 'none'}"])


def _beside(path, folder, names):
    """The video beside which a file of one video lies, as `names` know it; None if it lies beside none."""
    try:
        name = path.resolve().relative_to(folder.resolve()).with_suffix("").as_posix()
    except ValueError:
        return None
    one = path.suffix.lower() in [form.SUFFIX.lower() for form in FORMATS.values() if form.ONE_VIDEO]
    return name if one and custom_tables.plain(name) in names.ids else None


def _row(path, span, place, of_videos, problems):
    """A span as a row of events.csv, of the video `place` if that is known; None with its problem noted."""
    row = {"emotion": span.emotion, "subject": span.subject, "provenance": f"{Path(path).name}:{span.place}"}
    if of_videos is None:
        return {"video_id": spans.base_name(span.video), "onset_s": span.onset_s, "offset_s": span.offset_s, **row}
    where = f"{path}: {span.place}"
    names = of_videos.names
    is_name = custom_tables.plain(span.video) in names.ids  # else a path of the computer where it was annotated
    try:
        video_id, rule, detail = names.find(place or (span.video if is_name else spans.base_name(span.video)))
    except ValueError as error:
        return problems.append(f"{where}: {error}")
    if rule:
        return problems.append(f"{where}: {rule.replace('_', ' ')}: {detail}")
    try:
        axis = of_videos.axis(video_id)
    except InputError as error:
        return problems.append(str(error))
    onset, offset = axis.frames(span.onset_s, span.offset_s)
    times = f"{span.onset_s:g} to {span.offset_s:g} s"
    if offset < onset:
        return problems.append(f"{where}: {times} is shorter than one frame")
    if offset >= axis.n_frames:
        ends = f"which ends at {axis.duration_s:.3f} s"
        return problems.append(f"{where}: {times} ends after video {video_id!r}, {ends}")
    return {"video_id": video_id, "onset": onset, "offset": offset, **row}
