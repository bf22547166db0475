"""ELAN's .eaf, one file per video, through pympi: a tier `expressions` with the emotion as value, whole milliseconds.

XML is not trusted: a first pass by expat refuses a DOCTYPE where it begins, before any entity could be defined or
fetched, and what pympi passes over in silence: names that stand twice, and elements it does not know.
"""

from collections import Counter
from pathlib import Path
from urllib.parse import unquote
from xml.parsers import expat

from pympi.Elan import Eaf

from fedn_pipeline.annotations import spans as shared
from fedn_pipeline.annotations.spans import Span
from fedn_pipeline.files import InputError

SUFFIX = ".eaf"
ONE_VIDEO = True
MILLISECONDS = True
MAX_DEPTH = 16  # ELAN's own documents have 5
MIME = {".mp4": "video/mp4", ".avi": "video/x-msvideo", ".mov": "video/quicktime", ".mpg": "video/mpeg"}
WITHIN = {  # what pympi reads; all else there would be lost
    "TIME_ORDER": ("TIME_SLOT",),
    "TIER": ("ANNOTATION",),
    "ANNOTATION": ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION"),
    "ALIGNABLE_ANNOTATION": ("ANNOTATION_VALUE",),
    "REF_ANNOTATION": ("ANNOTATION_VALUE",),
}
IDS = {"TIER": "TIER_ID", "TIME_SLOT": "TIME_SLOT_ID"}
IDS |= dict.fromkeys(("ALIGNABLE_ANNOTATION", "REF_ANNOTATION"), "ANNOTATION_ID")


def write(path, clips, spans):
    """Write the annotations of one clip; its video is linked as lying in the same folder."""
    (clip,) = clips
    eaf = Eaf(author="fedn-pipeline")
    eaf.header = {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"}
    eaf.remove_tier("default")
    if clip.file:
        link = f"./{shared.base_name(clip.file)}"
        kind = MIME.get(Path(link).suffix.lower(), "video/*")
        eaf.add_linked_file(link, relpath=link, mimetype=kind)
    layers = shared.layers(spans)
    for tier, layer in zip(shared.tier_names(len(layers)), layers, strict=True):
        eaf.add_tier(tier)
        for span in layer:
            onset_ms, offset_ms = (round(1000 * time) for time in (span.onset_s, span.offset_s))
            eaf.add_annotation(tier, onset_ms, offset_ms, span.emotion)
    eaf.to_file(path)


def read(path, tiers=()):
    """The annotations as spans.Found; InputError that names the place. tiers: names, see spans.chosen."""
    _guard(path)
    try:
        eaf = Eaf(str(path), suppress_version_warning=True)
    except (LookupError, ValueError, AttributeError) as error:  # pympi takes ELAN's layout for granted
        raise InputError(f"{path}: not laid out as ELAN's documents are: {type(error).__name__} {error}") from error
    if eaf.header.get("TIME_UNITS", "milliseconds") != "milliseconds":
        raise InputError(f"{path}: its times are {eaf.header['TIME_UNITS']!r}: only milliseconds are read")
    video, origin_s = _video(path, eaf)
    if tiers:  # of other tiers nothing is asked
        unknown = [name for name in tiers if name not in eaf.tiers]
        if unknown:
            raise InputError(f"{path}: no tier {unknown[0]!r}; there are: {', '.join(map(repr, eaf.tiers))}")
    problems, found = [], {}
    for name in tiers or eaf.tiers:
        found[name] = _spans(eaf, name, video, origin_s, problems)
    shared.refuse(path, problems)
    return shared.chosen(path, found, tiers)


def _guard(path):
    """Refuse what is no sound XML, a DOCTYPE, too deep nesting, unknown elements, and names that stand twice."""
    parser, seen, above = expat.ParserCreate(), Counter(), []

    def refuse(why):
        raise InputError(f"{path}: line {parser.CurrentLineNumber}: {why}")

    def start(tag, attributes):
        if not above and tag != "ANNOTATION_DOCUMENT":
            refuse(f"<{tag[:40]}> is no document of ELAN")
        if above and tag not in WITHIN.get(above[-1], (tag,)):
            refuse(f"<{tag[:40]}> within <{above[-1]}> is unknown")
        above.append(tag)
        if len(above) > MAX_DEPTH:
            refuse(f"elements nested more than {MAX_DEPTH} deep")
        if tag in IDS:
            key = IDS[tag], attributes.get(IDS[tag])
            seen[key] += 1
            if seen[key] > 1:
                refuse(f"{key[0]} {key[1]!r} stands there twice")

    parser.StartElementHandler, parser.EndElementHandler = start, lambda _: above.pop()
    parser.StartDoctypeDeclHandler = lambda *_: refuse("a DOCTYPE, which ELAN never writes: refused")
    try:
        parser.Parse(shared.read_bytes(path), True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # the latter for encodings that do not exist
        raise InputError(f"{path}: not sound XML: {error}") from error


def _video(path, eaf):
    """`(name, origin_s)`: which video is annotated, and at which of its seconds the annotations' time 0 lies."""
    media = [
        (shared.base_name(one.get("RELATIVE_MEDIA_URL") or one.get("MEDIA_URL", "")), one.get("TIME_ORIGIN"))
        for one in eaf.media_descriptors
        if not one.get("MIME_TYPE", "").startswith("audio/")
    ]
    own = [one for one in media if Path(path).stem in (Path(one[0]).stem, Path(unquote(one[0])).stem)]
    if not media:
        return Path(path).stem, 0.0
    if not own and len({name for name, _ in media}) > 1:
        names = ", ".join(repr(name) for name, _ in media)
        raise InputError(f"{path}: linked to several videos ({names}): name it after the one that is meant")
    name, origin_ms = (own or media)[0]
    name = Path(path).stem if own else unquote(name)
    try:
        return name, int(origin_ms or 0) / 1000
    except ValueError as error:
        raise InputError(f"{path}: TIME_ORIGIN {origin_ms!r} of {name!r} is no number") from error


def _spans(eaf, tier, video, origin_s, problems):
    """A tier's annotations; those that refer to another tier's have its times."""
    aligned, referring, *_ = eaf.tiers[tier]
    found, parents = [], Counter()
    for name, (first, last, value, _) in aligned.items():
        place = f"tier {tier!r}, annotation {name}"
        onset_ms, offset_ms = eaf.timeslots.get(first), eaf.timeslots.get(last)
        if onset_ms is None or offset_ms is None:
            problems.append(f"{place}: not aligned to a time")
            continue
        times_s = (onset_ms / 1000 + origin_s, offset_ms / 1000 + origin_s)
        found.append(Span(video, *times_s, value.strip(), place=place))
    for name, (_, value, *_) in referring.items():
        place = f"tier {tier!r}, annotation {name}"
        parent = _parent(eaf, name)
        times_ms = [eaf.timeslots.get(slot) for slot in parent[:2]] if parent else [None]
        if None in times_ms:
            problems.append(f"{place}: refers to no annotation with times")
            continue
        parents[parent] += 1
        if parents[parent] == 2:
            problems.append(f"{place}: a second one for the same part of its parent tier: only one-to-one is read")
        found.append(Span(video, *(time / 1000 + origin_s for time in times_ms), value.strip(), place=place))
    return found


def _parent(eaf, name):
    """The aligned annotation to which a reference leads, or None (also if it leads in a circle)."""
    seen = set()
    while name not in seen and name in eaf.annotations:
        seen.add(name)
        aligned, referring, *_ = eaf.tiers[eaf.annotations[name]]
        if name in aligned:
            return aligned[name]
        name = referring[name][0]
    return None
