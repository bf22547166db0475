"""Put the annotated events of a release onto the frames that are on disk.

Last step of a reader, left out with `--annotations-only`: every annotated video needs its folder, every folder is
surveyed (frames.py), gaps are recorded, and no interval may end after its video's last frame.
"""

import av

from fedn_pipeline.dataset import frames


def place(root, found, events, first_number, fps, problems):
    """`(rows of release.videos_table, events)` of the videos `found` {video_id: (subject, path)} below `root`.

    A path is a folder of numbered images, or a video file (its fps counts then). Videos without events stay: they
    count false positives. Faults: an annotated video without folder, a folder that cannot be used, an interval past
    the end (repaired: its events dropped, the video dropped, the interval clipped or, wholly outside, dropped).
    """
    if not found:  # refused by the reader: one line instead of one for each video
        return [], []
    absent = {event.video_id: event for event in reversed(events) if event.video_id not in found}
    for _, event in sorted(absent.items()):
        problems.fault(event.sheet.file, event.row, "no_such_video_folder", event.video_id, event.video_id, "dropped")
    folders = {video_id: path for video_id, (_, path) in sorted(found.items()) if path.is_dir()}
    surveys = frames.survey(folders, first_number)
    rows = []
    for video_id, (subject, path) in sorted(found.items()):
        row = {"video_id": video_id, "subject": subject, "source": path.relative_to(root).as_posix()}
        if video_id in surveys:
            seen = surveys[video_id]
            fault = seen.problem
            row |= {"kind": "frames", "fps": fps, "first_number": first_number}
            row |= {"n_frames": seen.n_frames, "width": seen.width, "height": seen.height}
            _record_gaps(video_id, seen, first_number, problems)
        else:
            header, fault = _header(path)
            row |= {"kind": "video", **header}
        if fault:
            problems.fault(path, None, "unusable_video", video_id, fault.removeprefix(f"{path}: "), "dropped")
        else:
            rows.append(row)
    lengths = {row["video_id"]: row["n_frames"] for row in rows}
    inside = []
    for event in events:
        if event.video_id in lengths:
            inside.append(_clipped(event, lengths[event.video_id], first_number, problems))
        else:  # its video is a fault of its own
            problems.repair(event.video_id, event.row, "lost_with_its_video", "", "dropped")
    return rows, [event for event in inside if event]


def unique_folders(pairs, problems):
    """{video_id: (subject, path)} of `(video_id, subject, path)`; a second path for one id is a fault, and left out."""
    found = {}
    for video_id, subject, path in pairs:
        if video_id in found:
            before = f"{video_id}: {found[video_id][1].name}"
            problems.fault(path, None, "two_videos_with_one_id", video_id, before, "the first is used")
        else:
            found[video_id] = subject, path
    return found


def _record_gaps(video_id, seen, first_number, problems):
    """Rows of data_issues.csv for missing and empty files, by the numbers in the files' names."""
    for start, end in seen.gaps:
        source = end if start == 0 else start - 1
        shown = f"{start + first_number}-{end - 1 + first_number}"
        problems.repair(video_id, "", "missing_frame_files", shown, f"filled from {source + first_number}")
    if seen.empty:
        shown = " ".join(str(frame + first_number) for frame in seen.empty)
        problems.repair(video_id, "", "empty_frame_files", shown, "counted as missing")


def _header(path):
    """What a video file's header says `{n_frames, fps, width, height}`, and a sentence if it cannot be used."""
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream = container.streams.video[0]
            if stream.codec_context is None:
                return {}, "not a readable video: no decoder for its codec"
            rate = stream.average_rate or stream.guessed_rate
            found = {
                "n_frames": stream.frames or None,
                "fps": float(rate),
                "width": stream.width,
                "height": stream.height,
            }
    except (av.FFmpegError, IndexError, TypeError) as error:
        return {}, f"not a readable video: {error}"
    return found, None


def _clipped(event, n_frames, first_number, problems):
    """The event within its video; None if it lies wholly outside. Shown frames are numbered as in the sheet."""
    if n_frames is None or event.offset < n_frames:
        return event
    outside = event.onset >= n_frames
    last = n_frames - 1 + first_number
    before = f"frames {event.onset + first_number}-{event.offset + first_number}, the last is {last}"
    after = "dropped" if outside else f"offset {last}"
    if event.offset_filled and not outside:
        problems.repair(event.video_id, event.row, "filled_offset_past_the_end", before, after)
    else:
        problems.fault(event.sheet.file, event.row, "past_the_end", event.video_id, before, after)
    if outside:
        return None
    event.offset = n_frames - 1
    if event.apex is not None and event.apex > event.offset:
        event.apex = None
    return event
