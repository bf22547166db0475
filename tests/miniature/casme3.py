"""A miniature CAS(ME)^3 Part A: `part_A/spNO.1/a/color/37.jpg`, one old binary workbook, two with the emotions.

Traps: the first 7 files missing, an inner file missing, a truncated and an empty image, `J` for `j`, a folder `spNo.2`
for the label `spNO.2`, emotions spelt in two ways, a subject and a video without annotations, depth images.
"""

from pathlib import Path

import cv2
import numpy as np

from fedn_pipeline.dataset.demo.planning import RECIPES

from .books import write_xls, write_xlsx
from .faces import jpegs, write_images
from .plan import backwards, blink, frame_count, planted, script

WORKBOOK, SHEETS = "CAS(ME)3_part_A_v2.xls", ("AU+Emotion", "eye blink")
MACRO_EMOTIONS = "cas(me)3_part_A_MaE_label_JpgIndex_v2_emotion.xlsx"
MICRO_EMOTIONS = "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"
HEADER = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Expression type", "Objective class"]
FPS = 30
# Subject as the labels spell it, its folder, video, what the frames show.
CLIPS = (
    ("spNO.1", "spNO.1", "a", "forwards"),
    ("spNO.1", "spNO.1", "b", "backwards"),
    ("spNO.2", "spNo.2", "a", "forwards"),
    ("spNO.2", "spNo.2", "j", "backwards"),
    ("spNO.3", "spNO.3", "a", "forwards"),
    ("spNO.3", "spNO.3", "b", "rest"),
    ("spNO.4", "spNO.4", "c", "rest"),
)
SUBJECTS = ("spNO.1", "spNO.2", "spNO.3", "spNO.4")
LEADING, INNER, TRUNCATED, EMPTY = ("spNO.1", "a"), ("spNO.1", "b"), ("spNO.3", "a"), ("spNO.3", "b")
N_LEADING, INNER_FRAME, TRUNCATED_FRAME, EMPTY_FRAME = 7, 60, 41, 21
CAPITAL_J_ROW = 1  # the second expression of video j
OBJECTIVE = {"happiness": "I", "surprise": "II", "anger": "III", "disgust": "IV"}
MACRO_SPELLING = {"happiness": "happiness", "surprise": "surprise", "anger": "anger", "disgust": "Others"}
MICRO_SPELLING = {"happiness": "happy", "surprise": "surprise", "anger": "anger", "disgust": "others"}
EMOTION = {"happiness": "happiness", "surprise": "surprise", "anger": "anger", "disgust": "others"}
_DEPTH_PX = (64, 36)


def write_casme3(folder, seconds=5, size=(1280, 720), emotions=True):
    """Write the release in `folder` and return what was `Planted`: 4 subjects, 7 videos, 20 expressions.

    `seconds` per video (at least 4.5), `size` (width, height) in px; `emotions=False` leaves out the two workbooks with
    the emotions. At the defaults about 1050 files, 140 MB.
    """
    folder, n_frames = Path(folder), frame_count(seconds, FPS)
    videos, events, issues, rows, blinks, named = [], [], [], [], [], {"macro": [], "micro": []}
    clips = {}
    for subject, own_folder, video, way in CLIPS:
        person = SUBJECTS.index(subject)
        source = f"part_A/{own_folder}/{video}/color"
        moving = way != "rest"
        if (subject, moving) not in clips:
            shown = script(person, n_frames, FPS) if moving else []
            clips[subject, moving] = shown, jpegs(person, shown, n_frames, FPS, size)
        expressions, frames = clips[subject, moving]
        closed = blink(n_frames, FPS)
        if way == "backwards":
            expressions, frames = backwards(expressions, n_frames), frames[::-1]
            closed = n_frames - 1 - closed[1], n_frames - 1 - closed[0]
        issues += [(source, None, trap) for trap in _write_frames(folder / source, subject, video, frames)]
        videos.append((source, subject, "frames", n_frames, FPS, *size, 0))
        blinks.append([subject, video, closed[0], sum(closed) // 2, closed[1]])
        for place, e in enumerate(expressions):
            capital = video == "j" and place == CAPITAL_J_ROW
            interval = [e.onset, e.apex, e.offset]  # the number of a file is the project's frame
            units = "+".join(RECIPES[e.kind])
            letter = "J" if capital else video
            rows.append([subject, letter, *interval, units, f"{e.type.capitalize()}-expression", OBJECTIVE[e.kind]])
            named[e.type].append((subject, video, *interval, units, e.kind))
            provenance = f"{WORKBOOK}:{SHEETS[0]}:row {len(rows) + 1}"
            emotion = EMOTION[e.kind] if emotions else ""
            events.append((source, *interval, e.type, emotion, "annotated", provenance))
            if capital:
                issues.append((source, len(rows) + 1, "J for j"))
    notes = folder / "annotation"
    notes.mkdir()
    write_xls(notes / WORKBOOK, dict(zip(SHEETS, ([HEADER, *rows], [HEADER[:5], *blinks]), strict=True)))
    if emotions:
        header = ["sub", "seq", "onset", "apex", "offset", "au", "emotion"]
        table = [[*row[:-1], MACRO_SPELLING[row[-1]]] for row in named["macro"]]
        write_xlsx(notes / MACRO_EMOTIONS, {"Sheet1": [header, *table]})
        table = [[*row[:-1], OBJECTIVE[row[-1]], MICRO_SPELLING[row[-1]]] for row in named["micro"]]
        write_xlsx(notes / MICRO_EMOTIONS, {"label": [[*HEADER[:6], HEADER[7], "emotion"], *table]})
    return planted(videos, events, issues)


def _write_frames(folder, subject, video, frames):
    """The images of one video with its faults, and some of depth; returns the faults' names."""
    frames, skipped, faults = list(frames), (), []
    if (subject, video) == LEADING:
        skipped, faults = range(N_LEADING), ["leading files missing"]
    elif (subject, video) == INNER:
        skipped, faults = (INNER_FRAME,), ["inner file missing"]
    elif (subject, video) == EMPTY:
        frames[EMPTY_FRAME], faults = b"", ["empty image"]
    elif (subject, video) == TRUNCATED:  # found when it is decoded, by stage faces
        frames[TRUNCATED_FRAME] = frames[TRUNCATED_FRAME][: len(frames[TRUNCATED_FRAME]) // 2]
    write_images(folder, frames, "{}.jpg".format, skipped)
    depth = cv2.imencode(".png", np.full(_DEPTH_PX[::-1], 1200, np.uint16))[1].tobytes()
    write_images(folder.parent / "depth", [depth] * 3, lambda i: f"{i + 37}.png")
    return faults
