"""ActivityNet's JSON, which networks for temporal action localisation read: `database`, or `results` of a detector."""

import json
import math

from fedn_pipeline.annotations import spans as shared
from fedn_pipeline.annotations.spans import Found, Span
from fedn_pipeline.files import InputError

SUFFIX = ".json"
ONE_VIDEO = False
MILLISECONDS = False
VERSION = "fedn-pipeline 1"
SUBSETS = {"train": "training", "predict": "testing"}
UNNAMED = "expression"


def write(path, clips, spans):
    """Write all clips: as `results` if they are a detector's, else as `database`. Seconds, unrounded."""
    by_video = {clip.video_id: [] for clip in clips}
    for span in sorted(spans, key=lambda span: (span.video, span.onset_s, span.offset_s)):
        entry = {"segment": [span.onset_s, span.offset_s], "label": span.emotion or UNNAMED}
        by_video[span.video].append(entry | ({} if span.confidence is None else {"score": span.confidence}))
    if any(clip.detected for clip in clips):
        document = {"version": VERSION, "results": by_video, "external_data": {}}
    else:
        database = {
            clip.video_id: {
                "duration": clip.duration_s,
                "fps": clip.fps,
                "subset": SUBSETS.get(clip.split, "training"),
                "annotations": by_video[clip.video_id],
            }
            for clip in clips
        }
        document = {"version": VERSION, "database": database}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path, tiers=()):
    """The annotations of `database` or `results` as spans.Found; InputError that names video and number."""
    if tiers:
        raise InputError(f"{path}: ActivityNet's JSON has no tiers: leave out --tier")
    try:
        document = json.loads(shared.read_bytes(path), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is one of the first
        raise InputError(f"{path}: not valid JSON: {error}") from error
    document = document if isinstance(document, dict) else {}
    if "detections" in document:
        raise InputError(f"{path}: what `detect` wrote: turn it into another format with `fedn-pipeline export`")
    forms = [name for name in ("database", "results") if isinstance(document.get(name), dict)]
    if len(forms) != 1:
        raise InputError(f"{path}: one of the keys `database` and `results` must hold the videos, found {forms}")
    problems, found = [], []
    for video, content in document[forms[0]].items():
        entries = content.get("annotations") if forms[0] == "database" and isinstance(content, dict) else content
        if not isinstance(entries, list):
            problems.append(f"video {video[:80]!r}: no list of annotations")
            continue
        for number, entry in enumerate(entries, 1):
            span = _span(video, entry, f"video {video[:80]!r}, annotation {number}", problems)
            found += [span] if span else []
    shared.refuse(path, problems)
    return Found(shared.checked(path, found))


def _span(video, entry, place, problems):
    """An entry as a span; None with its problem noted."""
    entry = entry if isinstance(entry, dict) else {}
    segment, label, score = entry.get("segment"), entry.get("label"), entry.get("score")
    if not (isinstance(segment, list) and len(segment) == 2 and all(map(_is_number, segment))):
        return problems.append(f"{place}: `segment` must be [start, end] in seconds")
    if not isinstance(label, str):
        return problems.append(f"{place}: `label` must be text")
    if score is not None and not _is_number(score):
        return problems.append(f"{place}: `score` must be a number")
    label = label.strip()
    score = None if score is None else float(score)
    return Span(video, *map(float, segment), "" if label == UNNAMED else label, score, place=place)


def _is_number(value):
    """A finite number of a sensible size; JSON may hold integers that no float can."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12 and math.isfinite(value)


def _once(pairs):
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise ValueError(f"key {max(keys, key=keys.count)[:80]!r} stands there twice")
    return dict(pairs)


def _no_number(word):
    raise ValueError(f"{word} is no number")
