"""Stage `report`: draws and writes its figures: comparisons of all methods, timelines and a contact sheet of one.

Curves, recalls and confusions are computed here from the folds' detections by the evaluation's own code, and written as
CSV beside each figure.
"""

import numpy as np
import pandas as pd
from tqdm import tqdm

from fedn_pipeline.evaluation import curves
from fedn_pipeline.faces import alignment, crops, summary
from fedn_pipeline.files import InputError, read_json, write_csv
from fedn_pipeline.matching import UNMATCHED, match
from fedn_pipeline.report import plots, running_costs, style, timeline
from fedn_pipeline.report.results import of_videos

RANKED = {"spotting_f1": "Spotting F1", "spotting_map": "Spotting mAP"}
PLOTS = {
    "ap_by_iou": plots.ap_by_iou,
    "ap_each": plots.ap_each,
    "recall_by_duration": plots.recall_by_duration,
    "confusion": plots.confusion,
    "training": plots.training,
}


def compare(done, videos, events, evaluation, folder):
    """Write every comparing figure and its numbers; name -> path of those there are. `done`: methods with folds."""
    measured = {name: {} for name in ("ap_by_iou", "recall_by_duration", "confusion")}
    for method in tqdm(done, desc="curves", unit="row"):
        mine = *of_videos(method.experiment.tested, videos, events), method.experiment.tables, evaluation
        measured["ap_by_iou"][method.name] = curves.ap_curves(*mine)
        measured["recall_by_duration"][method.name] = curves.recall_by_duration(*mine)
        confusion = curves.confusion(*mine)
        if confusion is not None and confusion.to_numpy().any():
            measured["confusion"][method.name] = confusion
    for name, by_method in measured.items():
        if by_method:
            long = pd.concat(by_method, names=["method"]).reset_index()
            write_csv(folder / f"{name}.csv", long.drop(columns="level_1", errors="ignore"))  # a mere row number
    measured["ap_each"] = measured["ap_by_iou"]
    measured["training"] = {
        " ".join(filter(None, (method.name, network))): logs for method in done for network, logs in method.logs.items()
    }
    paths = {name: folder / f"{name}.svg" for name, by_method in measured.items() if by_method}
    for name, path in paths.items():
        style.save(PLOTS[name](measured[name]), path)
    return paths


def ranking(results, differences, methods):
    """What the ranking figure draws, a row for each method, metric (RANKED) and running cost from crops that is known.

    `results`, `differences`: the tables' (fractions); `methods`: the first one is what others are compared with.
    """
    scores, rows = results.set_index("method"), []
    first = methods[0].name
    paired = differences[differences.method == first].set_index(["minus", "metric"])
    for metric, heading in RANKED.items():
        for method in (method for method in methods if method.running):
            value, low, high = scores[metric][method.name], np.nan, np.nan
            if (method.name, metric) in paired.index:
                low, high = scores[metric][first] - paired.loc[(method.name, metric), ["high", "low"]].astype(float)
            for cost, (words, factor) in running_costs.UNITS.items():
                at = method.running[cost + running_costs.FROM_CROPS] * factor
                rows.append((method.name, heading, f"{words}, from crops", value, low, high, at))
    found = pd.DataFrame(rows, columns=["method", "metric", "cost", "value", "low", "high", "at"])
    return found.dropna(subset=["value", "at"])


def rank(results, differences, methods, folder):
    """Write the ranking figure and its numbers, as `compare`; nothing unless costs of the first method and others are
    known."""
    found = ranking(results, differences, methods)
    if found.method.nunique() < 2 or methods[0].name not in set(found.method):
        return {}
    write_csv(folder / "ranking.csv", found)
    style.save(plots.ranking(found), folder / "ranking.svg")
    return {"ranking": folder / "ranking.svg"}


def chosen_videos(videos, report):
    """The videos that get a timeline: those named, or the first ones."""
    wanted = report["timelines"]
    unknown = sorted(set(wanted or []) - set(videos.video_id))
    if unknown:
        raise InputError(f"report.timelines: no video named {', '.join(unknown)}")
    chosen = videos if wanted is None else videos[videos.video_id.isin(wanted)]
    return chosen.head(report["max_timelines"])


def _fold_of(folder):
    """Video -> folder of the fold that tested it, of one seed's `folder`."""
    return {
        video: path.parent
        for path in sorted(folder.glob("folds/*/fold.json"))
        for video in read_json(path)["test_videos"]
    }


def timelines(method, inputs, chosen, events, every, settings, out):
    """Draw the `chosen` videos with a method's first seed, and a contact sheet (None without videos); paths of both.

    Videos left out have no picture. `events` is the ground truth, `every` that of all label sets.
    """
    report, iou, labels = settings["report"], settings["evaluation"]["iou"], settings["dataset"]["labels"]
    sets = sorted(set(every.label_set) - {"", labels})
    table = method.experiment.tables[0]
    kept = table[table.kept].reset_index(drop=True)
    kept["correct"] = match(kept, events, [iou])[0] != UNMATCHED
    folds = _fold_of(inputs.folder / method.name / f"seed{settings['run']['seeds'][0]}")
    paths, pictures = [], {}
    chosen = chosen[[not summary.left_out(inputs.faces, name) for name in chosen.video_id]]
    for video in tqdm(list(chosen.itertuples()), desc="timelines", unit="video"):
        name = video.video_id
        mine, kept_here, found = (part[part.video_id == name] for part in (events, kept, table))
        frames = sorted({0, *timeline.apexes(mine)})
        images = crops.read_frames(inputs.faces / "crops" / f"{name}{crops.CROPS_SUFFIX}", frames)
        pictures[name] = dict(zip(frames, images, strict=True))
        if name not in folds:  # a plain split tests only some
            continue
        threshold = read_json(folds[name] / "threshold.json")["threshold"]
        face = alignment.read(inputs.faces / "alignment" / f"{name}.csv").status != "missing"
        truths = {labels: mine} | {one: every[(every.video_id == name) & (every.label_set == one)] for one in sets}
        curve = timeline.confidence_curve(folds[name], video, found)
        scene = timeline.Scene(video, truths, kept_here, curve, threshold, face.to_numpy(), pictures[name])
        paths.append(out / "timelines" / f"{name}.png")
        style.save(timeline.draw(scene, report["timeline_rows_s"], iou), paths[-1])
    if not pictures:
        return paths, None
    columns = report["contact_sheet_columns"]
    sheet = timeline.contact_sheet(chosen, events, lambda name, frame: pictures[name][frame], columns)
    style.save(sheet, out / "contact_sheet.jpg")
    return paths, out / "contact_sheet.jpg"
