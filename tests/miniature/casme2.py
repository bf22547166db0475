"""A miniature CAS(ME)^2: `rawpic/s15/15_0401girlcrashing/img001.jpg` and the three-sheet workbook without headers.

Traps: offset 0, an offset before the apex, apex 0, an overlap, `happyiness`, film codes without their leading zero,
annotations that count from 1, a video without annotations.
"""

from pathlib import Path

from fedn_pipeline.dataset.demo.planning import RECIPES

from .books import write_xlsx
from .faces import jpegs, write_images
from .plan import backwards, frame_count, planted, script

WORKBOOK = "CAS(ME)^2code_final(Updated).xlsx"
SHEETS = ("CASFEcode_final", "naming rule1", "naming rule2")
FPS = 30
SUBJECTS = {1: 15, 2: 16, 3: 19}  # number in the annotations -> number in the folders' names
FILMS = {"disgust1": "0101disgustingteeth", "disgust2": "0102eatingworms", "anger1": "0401girlcrashing"}
FILMS |= {"happy1": "0502funnyerrors", "happy2": "0503unnyfarting"}
# Subject, clip, what the frames show, and {place of the expression in the clip: trap}.
CLIPS = (
    (1, "anger1", "forwards", {2: "offset 0"}),
    (1, "disgust1", "backwards", {0: "apex 0"}),
    (2, "happy1", "forwards", {3: "offset before apex"}),
    (2, "anger1", "backwards", {}),
    (3, "disgust2", "forwards", {3: "happyiness"}),
    (3, "happy2", "rest", {}),
)
ANNOTATED = {"happiness": "positive", "surprise": "surprise", "anger": "negative", "disgust": "others"}
MISSING_OFFSET_FRAMES = 20  # missing_offset: apex_plus_20
LAYOUTS = {"rawpic": "img{:03d}.jpg", "longVideoFaceCropped": "img_{}.jpg"}


def write_casme2(folder, seconds=5, size=(640, 480), layout="rawpic"):
    """Write the release in `folder` and return what was `Planted`: 3 subjects, 6 videos, 20 expressions.

    `seconds` per video (at least 4.5), `size` (width, height) in px, `layout` one of LAYOUTS. At the defaults about
    900 files, 50 MB. The overlap is in subject 1.
    """
    folder, n_frames = Path(folder), frame_count(seconds, FPS)
    videos, events, issues, rows = [], [], [], []
    shown = {n: script(i, n_frames, FPS, overlap=i == 0) for i, n in enumerate(SUBJECTS)}
    encoded = {n: jpegs(i, shown[n], n_frames, FPS, size) for i, n in enumerate(SUBJECTS)}
    for subject, stem, way, traps in CLIPS:
        number = SUBJECTS[subject]
        source = f"{layout}/s{number}/{number}_{FILMS[stem]}"
        expressions, frames = shown[subject], encoded[subject]
        if way == "backwards":
            expressions, frames = backwards(expressions, n_frames), frames[::-1]
        elif way == "rest":
            expressions = []
            frames = jpegs(list(SUBJECTS).index(subject), [], n_frames, FPS, size)
        write_images(folder / source, frames, lambda i: LAYOUTS[layout].format(i + 1))
        videos.append((source, f"s{number}", "frames", n_frames, FPS, *size, 1))
        for place, expression in enumerate(expressions):
            trap = traps.get(place)
            row, truth = _row(f"{stem}_{place + 1}", subject, expression, trap)
            rows.append(row)
            provenance = f"{WORKBOOK}:{SHEETS[0]}:row {len(rows)}"
            for label_set, emotion in (("annotated", ANNOTATED[expression.kind]), ("self_reported", expression.kind)):
                events.append((source, *truth, expression.type, emotion, label_set, provenance))
            if trap:
                issues.append((source, len(rows), trap))
    rules = [[number, f"s{number}", n] for n, number in SUBJECTS.items()]
    codes = [[int(film[:4]), stem] for stem, film in FILMS.items()]  # a number: the leading zero is lost
    write_xlsx(folder / WORKBOOK, dict(zip(SHEETS, (rows, rules, codes), strict=True)))
    return planted(videos, events, issues)


def _row(clip, subject, expression, trap):
    """The sheet's row (frames from 1) and the true `(onset, apex, offset)` (frames from 0) after the repair."""
    e = expression
    onset, apex, offset = e.onset + 1, e.apex + 1, e.offset + 1
    truth = (e.onset, e.apex, e.offset)
    if trap == "offset 0":
        if e.offset != e.apex + MISSING_OFFSET_FRAMES:
            raise ValueError(f"{clip}: the repaired offset would not be where the expression ends")
        offset = 0
    elif trap == "offset before apex":
        apex, truth = offset + 5, (e.onset, None, e.offset)  # the ends are right, the apex is unknown
    elif trap == "apex 0":
        apex, truth = 0, (e.onset, None, e.offset)
    reported = "happyiness" if trap == "happyiness" else e.kind
    units = "+".join(RECIPES[e.kind])
    row = [subject, clip, onset, apex, offset, units, ANNOTATED[e.kind], f"{e.type}-expression", reported]
    return row, truth
