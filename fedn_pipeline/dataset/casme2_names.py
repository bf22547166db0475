"""The naming rules of CAS(ME)^2: which folder is subject 1 (`s15`), and which film is `anger1` (`0401`).

Part of the reader casme2.py. The rules stand in sheets `naming rule1` and `naming rule2` of the annotations' workbook;
sheets of other names and other workbooks are looked at only where these lack a rule. Layout: datasets.md.
"""

import re

from fedn_pipeline.dataset import workbook
from fedn_pipeline.files import InputError

STEM = re.compile(r"[a-z]+ ?[0-9]+")  # anger1
CODE = re.compile(r"([0-9]{3,4})(?![0-9]).*")  # 0401, whose leading zero is lost unless stored as text
SUBJECT_FOLDER = re.compile(r"s([0-9]+)", re.I)


def naming_rules(found, is_annotation, problems):
    """`({subject number: folder}, {clip stem: film code})`, as text; {} for a rule that no sheet holds.

    `is_annotation(sheet)` tells sheets of annotations, which hold no rule. Two meanings of one name are refused.
    """
    rules = []
    for entry_of in (_subject_entry, _film_entry):
        rule = {}
        for sheets, named in _other_sheets(found, is_annotation):
            for sheet in sheets:
                for row, cells in enumerate(sheet.rows, 1):
                    key, value = entry_of(cells, named) or ("", "")
                    if key and rule.setdefault(key, value) != value:
                        problems.refuse(sheet.file, row, f"{key} is {value} here, but {rule[key]} in another row")
            if rule:
                break
        rules.append(rule)
    return rules


def _other_sheets(found, is_annotation):
    """Yield `(sheets, whether their name says that they hold a naming rule)`, the likeliest first.

    Other workbooks are parsed only where this one's sheets hold no rule.
    """
    own = [sheet for sheet in found.book(found.sheet.path) if sheet is not found.sheet]
    yield from _by_name(own)
    others = []
    for path in found.paths:
        try:
            others += found.book(path) if path != found.sheet.path else []
        except InputError:
            if "rule" in path.name.lower():
                raise
            continue  # somebody else's file, which happens to lie there
    yield from _by_name([sheet for sheet in others if not is_annotation(sheet)])


def _by_name(sheets):
    for named in (True, False):
        yield [sheet for sheet in sheets if ("rule" in workbook.word(sheet.name)) == named], named


def _subject_entry(cells, named):
    """`("1", "s15")` of the row 15, s15, 1; None for another one. All three are needed unless the sheet is `named`."""
    numbers = [word for word in map(subject_word, cells) if word.isdecimal()]
    folder = next((match for match in map(SUBJECT_FOLDER.fullmatch, map(workbook.word, cells)) if match), None)
    if not folder or not numbers or not (named or (len(numbers) > 1 and folder[1] in numbers)):
        return None
    return next((number for number in numbers if number != folder[1]), folder[1]), folder[0]


def _film_entry(cells, named):
    """`("disgust1", "0101")` of the row 0101, disgust1; None for another one."""
    words = [workbook.word(cell) for cell in cells]
    stem = next((word.replace(" ", "") for word in words if STEM.fullmatch(word)), None)
    code = next((match[1].zfill(4) for match in map(CODE.fullmatch, words) if match), None)
    return (stem, code) if stem and code and not any(map(SUBJECT_FOLDER.fullmatch, words)) else None


def subject_word(cell):
    """A subject's number or folder in one spelling: `1` of 1, `01` and `1.0`."""
    return f"{workbook.number(cell):g}" if workbook.is_number(cell) else workbook.word(cell)
