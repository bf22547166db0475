"""Stage dataset for real data: run a reader, check its counts, write videos.csv, events.csv and data_issues.csv.

The three files are written after every check has passed, or not at all. The text that the command prints says what
was found, how it compares to the published counts, and how many rows each rule repaired.
"""

import dataclasses
from pathlib import Path

from fedn_pipeline import files
from fedn_pipeline.dataset import casme2, casme3, counts, custom, forgotten, samm, tables
from fedn_pipeline.files import InputError

READERS = {"casme2": casme2.read, "casme3": casme3.read, "samm": samm.read, "custom": custom.read}
RULES_SHOWN = 20


def run(reader, root, out, settings, labels=None, types=("macro",), annotations_only=False):
    """Read the release in folder `root`, write its tables into folder `out`; the text to print.

    settings: section `dataset` of the configuration. labels: only this label set, else all. types: only these
    expression types. Raises InputError, and has written nothing then.
    """
    out = Path(out)
    if out.resolve() == Path(root).resolve():
        raise InputError(f"{out}: --out must not be the release's own folder: it would overwrite tables of yours")
    for path in (out, *out.parents):
        if path.exists() and not path.is_dir():
            raise InputError(f"{path}: a file, but --out needs a folder: give another one")
    release = READERS[reader](Path(root), settings, annotations_only)
    if not len(release.videos):
        rules = ", ".join(f"{count} {rule}" for rule, count in release.issues["rule"].value_counts().items())
        raise InputError(f"{root}: no video is left, everything was dropped: {rules}")
    n_subjects = release.videos["subject"].nunique()
    tables_left = forgotten.without(out, release.videos, release.events, release.issues)
    release = dataclasses.replace(release, **dict(zip(("videos", "events", "issues"), tables_left, strict=True)))
    n_out = n_subjects - release.videos["subject"].nunique()
    if n_out:
        release.notes.append(f"subjects left out because they were forgotten ({out / forgotten.NAME}): {n_out}")
    label_sets = list(dict.fromkeys(release.events["label_set"]))
    if labels is not None and label_sets and not {labels, ""} & set(label_sets):
        raise InputError(f"{reader}: no label set `{labels}` (--labels); there are: {', '.join(label_sets)}")
    chosen = [name for name in label_sets if labels is None or name in (labels, "")]
    events = release.events[release.events["label_set"].isin(chosen)]
    written, _ = tables.ground_truth(events, types)
    text = _text(reader, release, events, written, chosen, types)
    tables.write_videos(out / "videos.csv", release.videos)
    tables.write_events(out / "events.csv", written)
    files.write_csv(out / "data_issues.csv", release.issues)
    return text


def _text(reader, release, events, written, label_sets, types):
    """What was found, in the order in which a user wants to know it."""
    videos = release.videos
    annotated = videos["video_id"].isin(written["video_id"]).sum()
    shown = " and ".join(types)
    lines = [*release.notes, ""]
    for label_set in label_sets:
        here = events[events["label_set"] == label_set]
        macro = here["expression_type"].isin(["macro", ""])
        if "macro" in types:
            lines += [counts.compare(reader, label_set, here.loc[macro, "emotion"]), ""]
    lines.append(
        f"{videos['subject'].nunique()} subjects, {len(videos)} videos, {annotated} of them with {shown}-expressions."
    )
    for label_set in label_sets:
        kinds = written.loc[written["label_set"] == label_set, "expression_type"].value_counts()
        listed = ", ".join(f"{kinds[kind]} {kind or 'expressions'}" for kind in sorted(kinds.index)) or "none"
        lines.append(f"events.csv, label set {label_set or '(none)'}: {listed}.")
    rules = release.issues["rule"].value_counts()
    lines.append(f"data_issues.csv: {len(release.issues)} rows" + (":" if len(rules) else "."))
    lines += [f"  {count:6d} {rule}" for rule, count in list(rules.items())[:RULES_SHOWN]]
    if len(rules) > RULES_SHOWN:
        lines.append(f"         and {len(rules) - RULES_SHOWN} more rules")
    return "\n".join(lines)
