"""Praat's TextGrid, one file per video: interval tiers, seconds with six decimals; an empty text is a gap.

Written through pympi. Read by the rule of Praat's manual, which pympi's reader does not know: only free-standing
numbers, texts in quotes and flags in <> count, everything else is decoration. So long and short files are one format.
"""

import re
from pathlib import Path

from pympi.Praat import TextGrid

from fedn_pipeline.annotations import spans as shared
from fedn_pipeline.annotations.spans import Span
from fedn_pipeline.files import InputError

SUFFIX = ".TextGrid"
ONE_VIDEO = True
MILLISECONDS = False
GAPS = ("", "null")  # BORIS writes the latter
UNNAMED = "expression"  # an empty text would be a gap
# A text, a flag, or a word; a word that is a number counts.
TOKEN = re.compile(r'"([^"]*(?:""[^"]*)*)"|<(\w+)>|([^\s"<]+)')


def write(path, clips, spans):
    """Write the annotations of one clip."""
    (clip,) = clips
    layers = shared.layers(spans)
    grid = TextGrid(xmin=0, xmax=max([clip.duration_s, *(span.offset_s for span in spans)]))
    for name, layer in zip(shared.tier_names(len(layers)), layers, strict=True):
        tier = grid.add_tier(name)
        for span in layer:
            tier.add_interval(span.onset_s, span.offset_s, span.emotion or UNNAMED, check=False)
    grid.to_file(path)


def read(path, tiers=()):
    """The intervals as spans.Found; InputError that names tier and interval. tiers: names, see spans.chosen."""
    tokens = _Tokens(path, _text(path))
    if [tokens.take(str).removesuffix(" short"), tokens.take(str)] != ["ooTextFile", "TextGrid"]:
        raise InputError(f"{path}: not a TextGrid of Praat in a text format")
    tokens.take(float), tokens.take(float)
    found, points, video = {}, {}, Path(path).stem
    n_tiers = tokens.count() if tokens.take(bool) == "exists" else 0
    for _ in range(n_tiers):
        kind, name = tokens.take(str), tokens.take(str)
        if name in found or name in points:
            raise InputError(f"{path}: two tiers named {name!r}: rename one")
        if kind not in ("IntervalTier", "TextTier"):
            raise InputError(f"{path}: tier {name[:40]!r}: unknown class {kind[:40]!r}")
        tokens.take(float), tokens.take(float)
        entries = (found if kind == "IntervalTier" else points)[name] = []
        for number in range(1, tokens.count() + 1):
            place = f"tier {name!r}, interval {number}"
            start_s = tokens.take(float)
            end_s = tokens.take(float) if kind == "IntervalTier" else start_s
            text = tokens.take(str).strip()
            if text not in GAPS:
                entries.append(Span(video, start_s, end_s, "" if text == UNNAMED else text, place=place))
    wrong = [name for name in tiers if name in points]
    if wrong:
        raise InputError(f"{path}: tier {wrong[0]!r} holds points, which have no offset: draw intervals")
    result = shared.chosen(path, found, tiers)
    filled = {name: entries for name, entries in points.items() if entries}
    result.notes += [f"tiers of points, which have no offset, left out: {shared.listed(filled)}"] if filled else []
    return result


def _text(path):
    """Praat writes UTF-8, or UTF-16 with a mark where there is more than ASCII."""
    content = shared.read_bytes(path)
    try:
        return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: neither UTF-8 nor UTF-16 (a binary TextGrid?): save it as a text file") from error


class _Tokens:
    """The texts, flags and numbers of a file, one after the other."""

    def __init__(self, path, text):
        self.path, self.text, self.matches = path, text, TOKEN.finditer(text)

    def take(self, kind):
        """The next value, which must be of this kind: str, float, or bool for a flag."""
        for match in self.matches:
            text, flag, word = match.groups()
            if word is not None and not shared.NUMBER.fullmatch(word):
                continue  # decoration: `xmin =`, `intervals [1]:`
            if kind is str and text is not None:
                return text.replace('""', '"')
            if kind is bool and flag is not None:
                return flag
            if kind is float and word is not None:
                return float(word)
            raise InputError(f"{self.path}: line {self._line(match)}: {match[0][:40]!r} where {NAMES[kind]} must stand")
        raise InputError(f"{self.path}: ends too early: {NAMES[kind]} is missing")

    def count(self):
        number = self.take(float)
        if not (number.is_integer() and 0 <= number <= len(self.text)):
            raise InputError(f"{self.path}: {number:g} is no number of tiers or intervals")
        return int(number)

    def _line(self, match):
        return self.text.count("\n", 0, match.start()) + 1


NAMES = {str: "a text in quotes", bool: "a flag like <exists>", float: "a number"}
