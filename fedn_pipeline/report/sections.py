"""What the report says, section by section, in the reading order of a paper; `page.py` makes HTML of it.

Every sentence with a number is written from the tables; nothing is concluded by hand.
"""

from dataclasses import dataclass
from html import escape
from pathlib import Path

import pandas as pd
import yaml

from fedn_pipeline import config
from fedn_pipeline.evaluation.curves import duration_bins
from fedn_pipeline.evaluation.metrics import evaluate
from fedn_pipeline.files import sha256
from fedn_pipeline.report import claims, methods, page, provenance
from fedn_pipeline.report.results import of_videos, weights_text
from fedn_pipeline.report.table import DASH, FURTHER_SCORES, SCORES, cell, compared, demo_note, left_out_note
from fedn_pipeline.report.tables import DIFFERENCES_NOTE
from fedn_pipeline.sources import digest

CAPTIONS = {
    "ap_by_iou": "Average precision against the IoU from which a prediction is true, all methods, with 95 % bootstrap "
    "bands over subjects; heavier: the method that all are compared with. A curve's mean is the table's mAP.",
    "ap_each": "The same, one method at a time, where the bands can be told apart; thin grey: the first method.",
    "confusion": "Spotted true positives: true emotion (rows) against the predicted one (columns); shade: share of the "
    "row; in brackets their number, a mean where a method has several runs.",
    "ranking": "What a method finds against what it takes from aligned crops to detections, its input included: "
    "parameters and GFLOP per minute of video of all its networks (ResNet18 or I3D is one; at 0: no network; optical "
    "flow has no FLOP count), and frames per second measured, flow included. Not known costs are not drawn; methods of "
    "equal cost are set a little apart. Bars: the 95 % paired bootstrap interval of the difference to the method that "
    "all are compared with (large, dashed); a bar that does not reach the dashed line is a clear difference.",
    "recall_by_duration": "Expressions by duration, and the share of them that each method found at the table's IoU, "
    "with 95 % bootstrap intervals over subjects.",
    "training": "Training loss, and the loss on training subjects held out of the gradient; thin: each fold of each "
    "seed, thick: their mean.",
}
NO_TRAINING_NOISE = (
    "Intervals say how much the choice of subjects matters, not how much the training's own randomness does: several "
    "seeds (run.seeds) average over that, and each one's own score then stands in the last section. They are not "
    "corrected for the number of comparisons."
)


@dataclass(frozen=True)
class Content:
    """All that the page is written from; see `stage.run`."""

    inputs: methods.Inputs
    settings: dict
    videos: pd.DataFrame
    events: pd.DataFrame
    results: pd.DataFrame
    methods: list
    reference: str
    tables: dict
    figures: dict
    ceilings: dict
    timelines: list
    sheet: Path

    @property
    def names(self):
        return [method.name for method in self.methods]


def lead(content):
    """One line under the title."""
    videos = content.videos
    return (
        f"{len(content.methods)} methods on {len(videos)} videos of {videos.subject.nunique()} subjects with "
        f"{len(content.events)} expressions; FEDN after Fang et al. 2025, arXiv 2504.07660."
    )


def _yaml(value):
    return yaml.safe_dump(value, default_flow_style=None, allow_unicode=True, width=100).strip() if value else "none"


def summary(content):
    """The headline numbers and, in a word each, what becomes of the paper's claims."""
    rows = content.results.set_index("method").to_dict("index")
    row, first = rows[content.reference], content.reference

    def score(name):
        return cell(name, row[name], row[f"{name}_low"], row[f"{name}_high"])

    text = (
        f"{first}: spotting F1 {score('spotting_f1')} %, detection mAP ×1000 {score('detection_map')}, recognition F1 "
        f"{score('recognition_f1_micro')} % over {cell('tp', row['tp'])} true positives of "
        f"{cell('tp', row['n_predictions'])} predictions and {cell('tp', row['n_ground_truth'])} expressions."
    )
    items = []
    if "claims" in content.tables:
        for claim, word, lacking in claims.conclusions(content.tables["claims"].numbers):
            rest = f" (no numbers here: {', '.join(lacking)})" if lacking else ""
            items.append(f"<li>{escape(claim)}: {page.verdict(word)}{escape(rest)}</li>")
    listed = f"<p>The paper's claims on this data:</p><ul>{''.join(items)}</ul>" if items else ""
    note, lost = demo_note(content.results), left_out_note(content.results)
    return (
        f'{page.paragraph(lost, "warning") if lost else ""}<div class="summary">{page.paragraph(text)}{listed}</div>'
        f"{page.paragraph(note, 'note') if note else ''}"
    )


def what_was_run(content):
    """Data set, counts, machine, versions, and the settings that differ from the defaults."""
    inputs, settings, videos = content.inputs, content.settings, content.videos
    minutes = float((videos.n_frames / videos.fps).sum() / 60)
    counts = content.events.emotion.replace("", "(none)").value_counts().sort_index()
    changed = provenance.differences(settings, config.validate({}))
    pairs = [
        ("Data set", f"{inputs.dataset}, label set {settings['dataset']['labels']}, "
         f"{' and '.join(settings['dataset']['expression_types'])} expressions"),
        ("Videos", f"{len(videos)} of {videos.subject.nunique()} subjects, {minutes:.1f} minutes, "
         f"{', '.join(f'{fps:g}' for fps in sorted(videos.fps.unique()))} frames per second"),
        ("Expressions", f"{len(content.events)}: " + ", ".join(f"{name} {n}" for name, n in counts.items())),
        ("Seeds", " ".join(map(str, settings["run"]["seeds"]))),
        ("Data hashes", "\n".join(f"{path.name} sha256 {sha256(path)}" for path in (inputs.videos, inputs.events))),
        ("Settings", _yaml({key: value for key, value in changed.items() if key != "run"})),
        *provenance.machine().items(),
    ]  # fmt: skip
    note = "Settings: those that differ from the defaults of config.schema.yaml. Machine: the one that made this page."
    return page.definitions(pairs) + page.paragraph(note, "note")


def table(content, name):
    """One of the tables with its paired differences."""
    if name not in content.tables:
        return ""
    found = content.tables[name]
    body = page.table(found.printed, found.note, content.names, f"tables/{name}.csv, .md, .tex")
    if len(found.differences):
        body += page.table(compared(found.differences), DIFFERENCES_NOTE, (), f"tables/{name}_differences.csv")
    return body


def figures(content, *names):
    """Those of the comparing figures that there are."""
    return "".join(page.picture(content.figures[name], CAPTIONS[name]) for name in names if name in content.figures)


def performance(content):
    theirs = content.tables["performance"].numbers.source != "ours"
    words = "" if theirs.any() else "Nothing is published on this data set and label set."
    if theirs.any() and content.settings["dataset"]["expression_types"] != ["macro"]:
        words = "The published rows count macro-expressions alone; ours do not, so the two are not comparable."
    return (page.paragraph(words) if words else "") + table(content, "performance")


def claims_section(content):
    return table(content, "claims") + page.paragraph(NO_TRAINING_NOISE, "note") if "claims" in content.tables else ""


def _bound(name, part):
    """One row of a ceiling's table."""
    shares = part["geometric"]["share"], part["geometric"]["mean_share"], part["assignable"]["share"]
    return [name, str(part["ground_truth"]), *(DASH if share is None else f"{100 * share:.1f}" for share in shares)]


def ceiling(content):
    """How much of the ground truth each configuration can find at all, by duration."""
    columns = ["Duration (s)", "Expressions", "Reachable", "Reachable, mean IoU", "Assignable"]
    body = ""
    for name, result in content.ceilings.items():
        bins = zip(
            duration_bins(content.settings["evaluation"]["duration_edges_s"]), result["by_duration"], strict=True
        )
        rows = [*(_bound(*part) for part in bins), _bound("all", result)]
        note = (
            f"{result['longer_than_window']} expressions are longer than the finest window, "
            f"{result['longer_than_longest_window']} longer than the longest; of {result['shorter_than_first_stride']} "
            f"shorter than the first level's stride {result['shorter_than_first_stride_unassigned']} are unassignable."
        )
        rates = ", ".join(map(str, result["rates"]))
        title = f"{name}: windows of {result['window_frames']} frames, frame strides {rates}"
        body += page.part(title, page.table(pd.DataFrame(rows, columns=columns), note), f"ceiling-{page.anchor(name)}")
    note = (
        "Percent of the ground truth, from the annotations alone, before any training. Reachable: by some prediction "
        "inside a window, at the IoU of F1; mean IoU: on average over the IoUs of mAP. Assignable: some prediction is "
        "trained to answer for it."
    )
    return page.paragraph(note) + body if body else ""


def training(content):
    """Curves, and what the logs warn of."""
    found = [text for method in content.methods for text in methods.warnings(method)]
    listed = "".join(page.paragraph(text, "warning") for text in found)
    curves = figures(content, "training")
    return f"{listed or page.paragraph('No warnings.')}{curves}" if curves else ""


def timelines(content):
    if not content.timelines:
        return ""
    rest = len(content.videos) - len(content.timelines)
    text = (
        f"Of {content.reference}, first seed. Above the apex of each expression, then the labels, the kept detections, "
        "and the highest confidence of any prediction at each frame with the fold's threshold (dashed); grey: no face."
    )
    more = (
        f" Not drawn: {rest} of {len(content.videos)} videos (report.timelines, report.max_timelines)." if rest else ""
    )
    pictures = [page.picture(path, path.stem, "photo") for path in content.timelines]
    sheet = page.picture(content.sheet, "First frame and first apexes of each of these videos.", "photo")
    faces = "The pictures show faces: the data set's licence decides who may see this page."
    return page.paragraph(text + more) + page.paragraph(faces, "note") + "".join(pictures) + sheet


def sources(content):
    """Where each row comes from."""
    body = ""
    for method in content.methods:
        pairs = [("Experiment", str(method.file)), ("Its settings", _yaml(method.layer))]
        if method.experiment is None:
            pairs.append(("Not run", content.inputs.not_run[method.name]))
        else:
            pairs.append(("Folds", str(content.inputs.folder / method.name)))
            pairs += [*_recorded(method.experiment.records), *_by_seed(content, method.experiment)]
        if method.costs:
            known = [f"{FURTHER_SCORES[name][0]} {cell(name, value)}" for name, value in method.costs.items()]
            pairs.append(("Cost", ", ".join(known)))
        body += page.part(method.name, page.definitions(pairs), page.anchor(method.name))
    return body


def _recorded(records):
    """What the folds of an experiment wrote down, each value once."""

    def distinct(text):
        return "\n".join(sorted({text(record) for record in records}))

    thresholds = [record["threshold"] for record in records]
    between = f"in the folds {min(thresholds):.3g} to {max(thresholds):.3g}"
    return [
        ("Seeds, folds", f"{' '.join(map(str, sorted({r['seed'] for r in records})))}; {len(records)} folds"),
        ("Code", distinct(_code)),
        ("Weights", distinct(lambda record: f"{weights_text(record)}, sha256 {record['weights_sha256']}")),
        ("Training", distinct(lambda record: record["training"] or "none")),
        ("Threshold", f"{distinct(lambda record: record['protocol'])}; {between}"),
    ]


def _code(record):
    """The code that made a fold, and whether it is the one that made this page."""
    now = record["code_sha256"] == digest(record["code"])
    edited = "" if now else " (edited since; this page is newer)"
    return f"fedn-pipeline {record.get('version', 'unknown')}, {record['code']} {record['code_sha256'][:12]}{edited}"


def _by_seed(content, experiment):
    """Each seed's own scores where there are several (the draws of `chance` are no seeds)."""
    seeds = content.settings["run"]["seeds"]
    if len(seeds) < 2 or len(experiment.tables) != len(seeds):
        return []
    videos, events = of_videos(experiment.tested, content.videos, content.events)
    found = [evaluate(videos, events, run, settings=content.settings["evaluation"]) for run in experiment.tables]
    names = [name for name in ("spotting_f1", "detection_map") if any(scores[name] is not None for scores in found)]
    scores = (f"{SCORES[name][0]} {', '.join(cell(name, scores[name]) for scores in found)}" for name in names)
    return [("By seed", "; ".join(scores))]


def all_of(content):
    """Every section in order; one without content has no body and is left out."""
    ranked = figures(content, "ranking") + table(content, "costs")
    comparing = figures(content, "ap_by_iou", "ap_each", "recall_by_duration", "confusion")
    return [
        page.Section("summary", "In short", summary(content)),
        page.Section("run", "What was run", what_was_run(content)),
        page.Section("labels", "Labels", table(content, "labels")),
        page.Section("performance", "Performance", performance(content)),
        page.Section("by_type", "By expression type", table(content, "by_type")),
        page.Section("costs", "Ranking and cost", ranked),
        page.Section("comparison", "Methods compared", comparing),
        page.Section("ablation", "Ablation", table(content, "ablation")),
        page.Section("variations", "Variations", table(content, "variations")),
        page.Section("claims", "The paper's claims", claims_section(content)),
        page.Section("ceiling", "Recall ceiling", ceiling(content)),
        page.Section("training", "Training", training(content)),
        page.Section("timelines", "Timelines", timelines(content)),
        page.Section("sources", "Where each row comes from", sources(content)),
    ]
