"""The course that the readers of the licensed releases share: find the sheet, read its rows, put them onto the frames.

Between the readers (casme2.py, casme3.py, samm.py), each of which says by a Layout what is its own, and the modules
search.py, release.py and placement.py, which do the work.
"""

from collections.abc import Callable
from dataclasses import dataclass

from fedn_pipeline.dataset import release, search, workbook
from fedn_pipeline.dataset.workbook_cells import cell_name


@dataclass(frozen=True)
class Layout:
    """What tells one release from another.

    `what`: its name in messages; `names`: patterns of its workbook's name, best first; `known_counts`: {(macro, micro)
    rows of the sheet: whose they are}; frames at `fps`, annotated from `first_number` on. `find(sheet)`:
    search.Annotations or None. `events(found, settings, annotations_only, problems)`: `(events, sentences)`.
    `source(event)`: where its frames would lie. `videos(root, problems)`: `(video_id, subject, path)` of all.
    """

    what: str
    names: tuple
    known_counts: dict
    fps: int
    first_number: int
    find: Callable
    events: Callable
    source: Callable
    videos: Callable


def read(layout, root, settings, annotations_only):
    """The release below `root` (its own folder, or one above). Raises InputError with every problem at once.

    A sheet with known row counts is read as the known release; if a row would be lost, it is none, and is read again.
    """
    root = search.check_root(root)
    found, notes = search.annotations(root, layout.names, layout.find, layout.known_counts, layout.what)
    problems = release.Problems(settings["strict"], known_release=found.counts in layout.known_counts)
    events, further = layout.events(found, settings, annotations_only, problems)
    if problems.n_lost:
        problems = release.Problems(settings["strict"])
        events, further = layout.events(found, settings, annotations_only, problems)
    notes += [*further, f"Pairs of expressions that share frames: {release.overlapping_pairs(events)}; they stay."]
    if annotations_only:
        rows = release.annotated_videos(events, layout.source, layout.first_number)
    else:
        from fedn_pipeline.dataset import placement  # OpenCV and PyAV, which annotations do not need

        folders = placement.unique_folders(layout.videos(root, problems), problems)
        rows, events = placement.place(root, folders, events, layout.first_number, layout.fps, problems)
    problems.check()
    return release.Release(release.videos_table(rows), release.events_table(events), problems.table(), notes)


def rows_of(found, problems):
    """Yield `(row, {column's name: cell}, whether it repeats an earlier row)`; a row with a formula is refused."""
    columns = set(found.columns.values())
    refused = refuse_formulas(found.sheet, columns, found.rows[0], problems)
    repeated = _repeated_rows(found.sheet, columns, found.rows)
    for row in found.rows:
        if row not in refused:
            cells = found.sheet.rows[row - 1]
            yield row, {name: cells[column] for name, column in found.columns.items()}, row in repeated


def refuse_formulas(sheet, columns, first_row, problems):
    """Refuse every formula in `columns` of a sheet from `first_row` on; the set of their rows."""
    found = sorted(cell for cell in sheet.formulas if cell[0] >= first_row and cell[1] in columns)
    for row, column in found:
        shown = cell_name(row, column)
        problems.refuse(sheet.file, row, f"cell {shown} is a formula; annotations must be plain text and numbers")
    return {row for row, _ in found}


def _repeated_rows(sheet, columns, rows):
    """The rows (numbers) that repeat an earlier one of `rows` in all cells from the first to the last used column."""
    first, repeated = {}, set()
    for row in rows:
        key = tuple(workbook.word(cell) for cell in sheet.rows[row - 1][min(columns) : max(columns) + 1])
        if first.setdefault(key, row) != row:
            repeated.add(row)
    return repeated
