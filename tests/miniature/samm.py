"""A miniature SAMM Long Videos: grey images at 200 fps and the workbook with ten lines above its header.

Traps: a row with onset 0, `Micro - 1/2`, subject numbers without their leading zeros; no emotions.
"""

from pathlib import Path

from fedn_pipeline.dataset.demo.planning import RECIPES

from .books import write_xlsx
from .faces import jpegs, write_images
from .plan import backwards, frame_count, planted, script

WORKBOOK, SHEET = "SAMM_LongVideos_V3_Release.xlsx", "MEGC2020"
PREAMBLE = (
    "SAMM Long Videos", "Miniature for tests", None, "Onset, Apex and Offset are numbers of frames at 200 fps", None,
    "Macro: longer than half a second", "Micro - 1/2: up to half a second", None, "Duration in frames", None,
)  # fmt: skip
HEADER = [
    "Subject", "Filename", "Inducement Code", "Onset", "Apex", "Offset", "Duration", "Type", "Action Units", "Notes",
]  # fmt: skip
FPS = 200
SUBJECTS = ("006", "007")
ONSET_0 = ("007_2", 0)  # video, and the place in it of the macro that began before the recording
TYPES = {"macro": "Macro", "micro": "Micro - 1/2"}


def write_samm(folder, seconds=4.5, size=(640, 340)):
    """Write the release in `folder` and return what was `Planted`: 2 subjects, 4 videos, 15 expressions.

    `seconds` per video (at least 4.5), `size` (width, height) in px (2040x1088 in the release). At the defaults 3600
    files, 100 MB. Truth in frames of the source, 200 a second.
    """
    folder, n_frames = Path(folder), frame_count(seconds, FPS)
    videos, events, issues = [], [], []
    rows = [*([line] for line in PREAMBLE), HEADER]
    for person, subject in enumerate(SUBJECTS):
        shown = script(person, n_frames, FPS)
        encoded = jpegs(person, shown, n_frames, FPS, size, grey=True)
        ways = (("1", shown, encoded), ("2", backwards(shown, n_frames), encoded[::-1]))
        for take, expressions, frames in ways:
            video = f"{subject}_{take}"
            source = f"SAMM_longvideos/{video}"
            write_images(folder / source, frames, lambda i, video=video: f"{video}_{i + 1:04d}.jpg")
            videos.append((source, subject, "frames", n_frames, FPS, *size, 1))
            for place, e in enumerate(expressions):
                dropped = (video, place) == ONSET_0
                onset, apex, offset = 0 if dropped else e.onset + 1, e.apex + 1, e.offset + 1
                units = "+".join(RECIPES[e.kind])
                cells = [onset, apex, offset, offset - onset + 1, TYPES[e.type], units, None]
                rows.append([int(subject), f"{video}_{place + 1}", int(take), *cells])
                if dropped:
                    issues.append((source, len(rows), "onset 0"))
                    continue
                provenance = f"{WORKBOOK}:{SHEET}:row {len(rows)}"
                events.append((source, e.onset, e.apex, e.offset, e.type, "", "annotated", provenance))
    write_xlsx(folder / WORKBOOK, {SHEET: rows})
    return planted(videos, events, issues)
