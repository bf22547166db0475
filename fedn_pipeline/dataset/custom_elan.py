"""ELAN's files as the annotations of one's own videos: NAME.eaf beside NAME.mp4, where there is no events.csv.

Their annotations become rows like those of events.csv in seconds, and pass the same checks (custom_tables.py). A row's
number is the annotation's among those of its file; `provenance` names tier and annotation.
"""

from fedn_pipeline.annotations import elan
from fedn_pipeline.dataset import custom_tables
from fedn_pipeline.files import InputError


def read_events(root, paths, names, axes, problems, notes):
    """`(events, subjects)` as custom_tables.read_events gives them; paths: .eaf files relative to `root`.

    Each is of the video beside it, whatever media file it links to; or of the one video with its name. Two files of one
    video are refused: they would count each expression twice.
    """
    rows, first = [], {}
    for path in paths:
        beside, name = path.with_suffix("").as_posix(), path.stem
        video = beside if custom_tables.plain(beside) in names.ids else name
        meant = tuple(sorted(names.ids.get(custom_tables.plain(video), {video})))
        if first.setdefault(meant, path) != path:
            problems.refuse(root / path, None, f"also for video {name!r}: {first[meant].as_posix()}; move one away")
            continue
        try:
            found = elan.read(root / path)
        except InputError as error:
            text = f"{error}\n{root / path}: or make events.csv of it: fedn-pipeline import"
            problems.include(InputError(text))
            continue
        notes += [f"{path.as_posix()}: {note}" for note in found.notes]
        if not found.spans:
            notes.append(f"{path.as_posix()}: no annotations")
        for line, span in enumerate(found.spans, 1):
            row = dict.fromkeys(("expression_type", "subject", "label_set"), "")
            row |= {"video_id": video, "onset_s": span.onset_s, "offset_s": span.offset_s, "apex": None}
            row |= {"emotion": span.emotion, "provenance": f"{path.as_posix()}:{span.place}"}
            rows.append((root / path, line, row))
    return custom_tables.collect(rows, custom_tables.SECONDS, names, axes, problems)
