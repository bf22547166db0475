"""Command `forget`: erase one subject of a data set from data/, results/ and Snakemake's records, and prove it.

What the networks have learnt of it cannot be taken out of them: they are listed, and the next run of Snakemake trains
them again without the subject, because the tables have changed. docs/privacy.md.
"""

import shlex
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from fedn_pipeline import files
from fedn_pipeline.dataset import forgotten
from fedn_pipeline.dataset.tables import SAFE_NAME, read_videos
from fedn_pipeline.files import InputError
from fedn_pipeline.forget.erase import Eraser, files_in, in_record
from fedn_pipeline.forget.traces import Traces, named_in, opened

CACHES = ("features", "flow", "regions")  # folders of a data set in which a video's rows are pieces of it
UNKNOWN = (
    "no subject `{subject}`: nothing was erased. There are: {known}. If its videos are gone from the table already, "
)
UNKNOWN += "name them with --video"


def run(subject, dataset, data, results, root, named=(), dry_run=False):
    """Erase and prove; the text to print. `root`: the folder of the release, or None; `named`: further video ids.

    Paths are relative to the folder in which Snakemake runs. Raises InputError with a list if anything is left.
    """
    if not SAFE_NAME.fullmatch(dataset):
        raise InputError(f"--dataset {dataset!r}: no name of a data set")
    data, results = Path(data), Path(results)
    folder, snakemake = data / dataset, Path(".snakemake")
    if any(files_in(snakemake / "locks")):
        raise InputError(f"{snakemake}/locks: Snakemake is running here, or was killed (then: snakemake --unlock)")
    traces, sources = _traces(subject, folder, named)
    kept = Path(root).resolve() if root and Path(root).resolve() != folder.resolve() else None
    models, computed = _learnt(results / dataset, traces), sorted(results.glob(f"{dataset}_table*.csv"))
    if dry_run:
        return "\n".join([f"{subject} of {dataset}: videos {' '.join(sources)}", *_listed(models, computed, dataset)])
    _fingerprint(folder, sources, traces)
    eraser = Eraser(traces, kept)
    eraser.of_results(results, dataset)
    eraser.of_data(folder)
    eraser.of_snakemake(snakemake, dataset)
    forgotten.add(folder, subject)
    eraser.of_tables(folder)
    n_files, n_bytes, left = _left(folder, results, dataset, snakemake, traces)
    lines = [
        f"erased {subject} of {dataset}, videos {' '.join(sources)}: {len(eraser.deleted)} files deleted, "
        f"{len(eraser.rewritten)} written anew without it",
        *_listed([(path, role) for path, role in models if path.is_file()], computed, dataset),
    ]
    if kept or root is None:  # else the pipeline has rendered them itself
        theirs = [str(Path(root or "") / source) for source in sources.values() if source]
        barred = folder / forgotten.NAME
        lines += [f"videos that are yours, not touched: remove them; until then {barred} keeps them out:", *theirs]
    proof = (
        f"{n_files} files with {n_bytes} bytes scanned for {len(traces.names)} names and {len(traces.pieces)} pieces "
        "of erased pictures and features"
    )
    if left:
        raise InputError("\n".join([*lines, f"{proof}: LEFT:", *left]))
    return "\n".join([*lines, f"{proof}: nothing is left"])


def _traces(subject, folder, named):
    """`(Traces, {video: source})` by videos.csv and the ids that were named beside it."""
    table = folder / "videos.csv"
    videos = read_videos(files.checked(table))
    mine = videos[(videos.subject == subject) | videos.video_id.isin(named)]
    unsafe = [name for name in (subject, *named) if not SAFE_NAME.fullmatch(name)]
    if unsafe:
        raise InputError(f"{unsafe[0]!r} can be no name of a subject or video: letters, digits, `.`, `_`, `-` only")
    if not len(mine) and not named:
        known = " ".join(sorted(set(videos.subject)))
        raise InputError(f"{table}: {UNKNOWN.format(subject=subject, known=known)}")
    words = _ordinary_words(folder, videos)
    if taken := sorted({subject, *mine.video_id} & words):
        raise InputError(
            f"{table}: {', '.join(taken)} is also an emotion, a type or a group here, so that no proof is possible; "
            "rename the subject in the release, let Snakemake read it again, and forget it by its new name"
        )
    strangers = sorted(set(mine.subject) - {subject})
    if strangers:
        raise InputError(f"{table}: --video: {' '.join(named)} belong to {' '.join(strangers)}, not to {subject}")
    sources = dict.fromkeys(named, "") | dict(zip(mine.video_id, mine.source, strict=True))
    names = sorted({subject, *sources, *filter(None, sources.values())})
    others = videos.drop(mine.index)
    return Traces(tuple(names), tuple(sorted({*others.video_id, *others.subject} - {*names}))), sources


def _ordinary_words(folder, videos):
    """What the tables say beside names: columns, emotions, types, label sets, kinds, splits and other groups."""
    path = folder / "events.csv"
    events = pd.read_csv(files.checked(path), dtype=str, keep_default_na=False) if path.is_file() else pd.DataFrame()
    said = [events[name] for name in ("emotion", "expression_type", "label_set") if name in events]
    said += [videos[name] for name in videos if name not in ("video_id", "subject", "source")]
    return {*videos, *events, *(str(cell) for column in said for cell in column.unique())}


def _fingerprint(folder, videos, traces):
    """Pieces of what is about to be erased: crops, videos that lie in the data set's folder, features, flow."""
    for video, source in videos.items():
        for path in {folder / "crops" / f"{video}.mp4", folder / (source or "none")}:
            if path.is_file():
                traces.add_video(path)
    for path in sorted(path for cache in CACHES for path in folder.glob(f"{cache}/**/[!.]*.h5")):
        with opened(path) as file:
            for video in {*videos} & {*file}:
                traces.add_features(file[video])


def _learnt(folder, traces):
    """`[(checkpoint or threshold.json, which part the subject had in it)]` of every fold that did not leave it out, and
    the weights of final models and of the bundle, which leave nobody out."""
    found = []
    for path in sorted(folder.glob("*/*/seed*/folds/*/fold.json")):
        names = {*traces.names}
        if names & {*files.read_json(path)["test_videos"]}:
            continue
        chosen = path.with_name("threshold.json")
        held_out = chosen.is_file() and bool(names & {*files.read_json(chosen).get("chosen_on", [])})
        role = "its threshold was chosen on the subject" if held_out else "trained on the subject"
        checkpoint = path.with_name("checkpoint.safetensors")
        found.append((checkpoint if checkpoint.is_file() else path, role))
    of_all = [*folder.glob("*/*/seed*/final/checkpoint.safetensors"), *folder.glob("bundle/detector.safetensors")]
    return found + [(path, "trained on the subject, as on all") for path in sorted(of_all)]


def _listed(models, computed, dataset):
    """What has learnt from the subject and stays, and what to do about it."""
    if not models and not computed:
        return ["no model was trained on it"]
    folders = sorted({str(path.parents[1] if path.parents[1].name == "folds" else path.parent) for path, _ in models})
    bundled = any(path.parent.name == "bundle" for path, _ in models)
    targets = [f"results/{dataset}_table.csv"] + [f"results/{dataset}/bundle/bundle.json"] * bundled
    lines = [f"models that learnt from it, {len(models)}; what they learnt cannot be taken out of them:"]
    lines += [f"  {path}: {role}" for path, role in models]
    if computed:
        lines.append(f"numbers computed with it: {' '.join(map(str, computed))}")
    lines.append(f"to make all of them again without it: snakemake --cores all {' '.join(targets)}")
    if folders:
        lines.append(f"or to delete the models: rm -r {shlex.join(folders)}")
    return lines


def _left(folder, results, dataset, snakemake, traces):
    """`(files, bytes, [what names the subject or holds a piece of it])` of everything that is still there."""
    index, n_bytes, left = traces.index(), 0, []
    records = files_in(snakemake)
    ours = [*files_in(folder), *files_in(results / dataset), *sorted(results.glob(f"{dataset}_table*"))]
    every = [path for path in [*ours, *records] if path.is_file()]
    for path in tqdm(every, "proof", unit="file"):
        n_bytes += path.stat().st_size
        if path in records:
            named = in_record(path, snakemake, dataset, traces)
        else:
            named = traces.in_file_name(path.name) or named_in(path, traces)
        if named:
            left.append(f"  {path}: names it")
        if traces.in_bytes(path, index):
            left.append(f"  {path}: holds a piece of its pictures or features")
    return len(every), n_bytes, left
