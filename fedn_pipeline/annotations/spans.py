"""What all formats share: an annotation in seconds, the video it belongs to, and which tiers of a file are meant."""

import math
import re
import unicodedata
from dataclasses import dataclass, field

from fedn_pipeline.files import UNPRINTABLE, InputError

TIER = "expressions"  # our tier; where annotations overlap also `expressions 2`, ...: a tier cannot hold overlaps
OURS = re.compile(rf"{TIER}( [0-9]+)?")
NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
MAX_BYTES = 64 * 2**20  # of a file of annotations: a hundred times an hour with an annotation each second
MAX_LINES = 50  # problems listed in one message; the rest is counted


@dataclass(frozen=True)
class Clip:
    """A video as the writers need it. `file`: its path as the table has it, or ""."""

    video_id: str
    file: str
    fps: float
    duration_s: float
    subject: str = ""
    split: str = ""
    detected: bool = False  # its annotations are a detector's, with confidences


@dataclass(frozen=True)
class Span:
    """One annotation: [onset_s, offset_s), offset excluded. `video`: a name or path, as the file has it; `place`: where
    in the file it stands, for messages."""

    video: str
    onset_s: float
    offset_s: float
    emotion: str = ""
    confidence: float | None = None
    subject: str = ""
    place: str = ""


@dataclass
class Found:
    """What a file holds: its spans, and sentences on what was left out."""

    spans: list[Span]
    notes: list[str] = field(default_factory=list)


def refuse(path, problems):
    """Raise InputError with a line for each problem (a sentence that names the place); nothing if there is none."""
    if problems:
        lines = [f"{path}: {problem}" for problem in problems[:MAX_LINES]]
        if len(problems) > MAX_LINES:
            lines.append(f"{path}: and {len(problems) - MAX_LINES} more problems")
        raise InputError("\n".join(lines))


def read_bytes(path):
    """The whole file, if it is not absurdly large."""
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InputError(f"{path}: more than {MAX_BYTES // 2**20} MiB: no file of annotations")
    return content


def checked(path, spans):
    """The spans, if every one has sound times and a printable emotion, and either all or none name one."""
    problems = []
    for span in spans:
        if not (math.isfinite(span.onset_s) and math.isfinite(span.offset_s)):
            problems.append(f"{span.place}: a time is no finite number")
        elif span.onset_s < 0:
            problems.append(f"{span.place}: begins at {span.onset_s:g} s, before the video")
        elif span.offset_s <= span.onset_s:
            problems.append(f"{span.place}: ends at {span.offset_s:g} s, but begins at {span.onset_s:g} s")
        if not base_name(span.video):
            problems.append(f"{span.place}: names no video")
        problems += [
            f"{span.place}: {name} {text[:60]!r} holds control characters"
            for name, text in (("emotion", span.emotion), ("subject", span.subject), ("video", span.video))
            if any(unicodedata.category(character) in UNPRINTABLE for character in text)
        ]
    unnamed = [span for span in spans if not span.emotion]
    if len(unnamed) < len(spans):
        problems += [f"{span.place}: no emotion, while others have one: fill it in" for span in unnamed]
    refuse(path, problems)
    return spans


def chosen(path, tiers, names):
    """Spans of the tiers that are meant. tiers: `{name: spans}`; names: `--tier`, or empty for the usual rule.

    The rule: our tiers (TIER); else the only tier that holds anything; else all, if no annotation has a text. In a
    tier whose annotations all have no text, the tier's name is the emotion, but in ours. Raises InputError.
    """
    filled = {name: spans for name, spans in tiers.items() if spans}
    silent = {name for name, spans in filled.items() if not any(span.emotion for span in spans)}
    ours = [name for name in tiers if OURS.fullmatch(name)]
    absent = [name for name in names if name not in tiers]
    if absent:
        raise InputError(f"{path}: no tier {absent[0]!r}; there are: {listed(tiers)}")
    if names:
        used = list(dict.fromkeys(names))
    elif ours:
        used = ours
    elif len(filled) <= 1 or silent == set(filled):
        used = list(filled)
    else:
        raise InputError(f"{path}: which tiers hold the expressions? Choose with --tier NAME: {listed(tiers)}")
    found = []
    for name in used:
        named_by_tier = name in silent and not OURS.fullmatch(name)
        emotion = {"emotion": name.strip()} if named_by_tier else {}
        found += [Span(**{**vars(span), **emotion}) for span in tiers[name]]
    others = {name: spans for name, spans in filled.items() if name not in used}
    notes = [f"tiers that were not read: {listed(others)}"] if others else []
    return Found(checked(path, found), notes)


def listed(tiers):
    """Names and sizes of tiers as words."""
    return ", ".join(f"{name!r} ({len(spans)})" for name, spans in tiers.items()) or "none"


def layers(spans):
    """The spans parted into as few lists as needed so that none holds an overlap; sorted by time, at least one list."""
    found = [[]]
    for span in sorted(spans, key=lambda span: (span.onset_s, span.offset_s, span.emotion)):
        free = next((layer for layer in found if not layer or layer[-1].offset_s <= span.onset_s), None)
        if free is None:
            found.append(free := [])
        free.append(span)
    return found


def tier_names(n):
    """The names of our first `n` tiers."""
    return [TIER, *(f"{TIER} {number}" for number in range(2, n + 1))]


def number(text):
    """A cell's number; ValueError for what only Python takes for one (`1_000`, digits of other scripts)."""
    if not NUMBER.fullmatch(text):
        raise ValueError(text)
    return float(text)


def base_name(path):
    """The file's name in a path or URL of any system (`file:///C:/a/b.mp4`, `..\\\\b.mp4`)."""
    return re.split(r"[/\\]", path.strip())[-1]
