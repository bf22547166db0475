"""Somebody's own videos: a subfolder per subject, and events.csv with times in seconds.

One subject was filmed at 25 fps; one video has no expressions.
"""

import csv
from pathlib import Path

from .faces import pictures, write_video
from .plan import backwards, frame_count, planted, script

SUBJECTS = {"anna": 30, "ben": 25, "cora": 30}  # frames a second
HEADER = ["video_id", "onset_s", "offset_s", "emotion"]
NO_EXPRESSIONS = "cora_2"


def write_custom(folder, seconds=5, size=(640, 480)):
    """Write the videos in `folder` and return what was `Planted`: 3 subjects, 6 videos, 15 expressions.

    `seconds` per video (at least 4.5), `size` (width, height) in px. Only macro expressions are labelled, without
    naming their type; the micro ones in the videos are distractors here.
    """
    folder = Path(folder)
    videos, events, rows = [], [], [HEADER]
    for person, (subject, fps) in enumerate(SUBJECTS.items()):
        n_frames = frame_count(seconds, fps)
        shown = script(person, n_frames, fps)
        frames = list(pictures(person, shown, n_frames, fps, size))
        ways = [(f"{subject}_1", shown, frames), (f"{subject}_2", backwards(shown, n_frames), frames[::-1])]
        if ways[1][0] == NO_EXPRESSIONS:
            ways[1] = NO_EXPRESSIONS, [], list(pictures(person, [], n_frames, fps, size))
        for name, expressions, clip in ways:
            source = f"{subject}/{name}.mp4"
            write_video(folder / source, clip, fps)
            videos.append((source, subject, "video", n_frames, fps, *size, None))
            for e in (e for e in expressions if e.type == "macro"):
                rows.append([name, f"{e.onset / fps:.3f}", f"{(e.offset + 1) / fps:.3f}", e.kind])
                provenance = f"events.csv:row {len(rows)}"
                events.append((source, e.onset, None, e.offset, "", e.kind, "annotated", provenance))
    with open(folder / "events.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return planted(videos, events, [])
