"""`fedn-pipeline`: one thin command per stage; the workflow's rules call exactly these.

Bad input (InputError), a file that cannot be read and a number that is not finite print one message alone and exit with
status 2. Heavy imports wait until a command needs them.
"""

import json
import os
import sys
from pathlib import Path

from fedn_pipeline import arguments, config
from fedn_pipeline.files import InputError


def dataset(args, settings):
    if args.reader == "demo":
        from fedn_pipeline.dataset.demo import stage

        stage.write(args.out, args.part, settings["demo"])
        return
    from fedn_pipeline.dataset import stage

    if args.root is None:
        raise InputError(f"{args.reader}: give the folder of the raw release with --root (dataset.root)")
    types = ("macro", "micro") if args.types == "both" else (args.types,)
    print(stage.run(args.reader, args.root, args.out, settings["dataset"], args.labels, types, args.annotations_only))


def rehearse(args, settings):
    from fedn_pipeline import rehearsal

    given = {key: value for key, value in (("like", args.like), ("share", args.share)) if value is not None}
    section = config.validate({"rehearsal": settings["rehearsal"] | given}, where="rehearse")["rehearsal"]
    print(rehearsal.write(args.out, section))


def faces(args, settings):
    from fedn_pipeline.dataset.tables import SAFE_NAME
    from fedn_pipeline.faces import align, crops

    name = args.video_id or args.video.stem
    if not SAFE_NAME.fullmatch(name):
        raise InputError(
            f"video id `{name}`: only A-Z a-z 0-9 . _ - may occur, no . or - first; give another with --video-id"
        )
    paths = args.out / "alignment" / f"{name}.csv", args.out / "crops" / f"{name}{crops.CROPS_SUFFIX}"
    summary = align.process(args.video, *paths, settings, args.fps, args.first_number, leave_out=args.leave_out)
    print(json.dumps(summary, indent=2))
    for warning in summary["warnings"]:
        print(f"WARNING: {args.video}: {warning}", file=sys.stderr)


def pretrain(args, settings):
    from fedn_pipeline.features import pretrain as stage

    print(json.dumps(stage.run(args.stills, args.out, settings, args.exclude), indent=2))


def backbone(args, settings):
    if args.i3d:
        from fedn_pipeline.features import i3d

        description = i3d.convert(dict(zip(i3d.CHANNELS, args.i3d, strict=True)), args.out)
    else:
        from fedn_pipeline.features import checkpoint

        description = checkpoint.convert(args.checkpoint, args.out)
    print(json.dumps(description, indent=2))


def _batch(args):
    """The rows of --videos, or those that --only names."""
    from fedn_pipeline.dataset.tables import read_videos

    videos = read_videos(args.videos, known=("n_frames", "fps"))
    unknown = sorted(set(args.only or []) - set(videos.video_id))
    if unknown:
        raise InputError(f"{args.videos}: no video named {', '.join(unknown)}")
    return videos[videos.video_id.isin(args.only)] if args.only else videos


def features(args, settings):
    from fedn_pipeline.features import cache

    if args.merge:
        cache.merge(args.merge, args.out)
        return
    if args.motion:
        from fedn_pipeline.features import motion

        motion.run(args.motion, args.out, settings["flow"])
        return
    from fedn_pipeline.features import backbone, blendshapes, extract, i3d, i3d_extract

    if not (args.videos and args.faces and (args.weights or args.blendshapes)):
        raise InputError("features: give --videos, --faces and --weights or --blendshapes (or --merge, or --motion)")
    videos = _batch(args)
    if args.blendshapes:
        blendshapes.run(videos, args.faces, args.out, settings["faces"])
    elif backbone.network(args.weights) == i3d.NAME:
        i3d_extract.run(videos, args.faces, args.weights, args.out, settings)
    else:
        extract.run(videos, args.faces, args.weights, args.out, settings["backbone"])


def flow(args, settings):
    from fedn_pipeline.features import cache

    if args.merge:
        cache.merge(args.merge, args.out)
        return
    from fedn_pipeline.features import flow as stage
    from fedn_pipeline.features import regions

    if not (args.videos and args.faces and args.gap):
        raise InputError("flow: give --videos, --faces and --gap (or --merge)")
    if args.regions:
        regions.run(_batch(args), args.faces, args.gap, args.out, settings)
    else:
        stage.run(_batch(args), args.faces, args.gap, args.out, settings["flow"])


def _labelled(args, settings, known=("n_frames", "fps")):
    """Checked tables for a stage: videos, events of the configured label set, whatever their type."""
    from fedn_pipeline.dataset.tables import of_label_set, read_events, read_videos

    videos = read_videos(args.videos, known=known)
    return videos, of_label_set(read_events(args.events, videos), settings["dataset"]["labels"], args.events)


def _all_tables(args, settings, **known):
    """The same with the events apart: ground truth of the configured expression types, all others."""
    from fedn_pipeline.dataset.tables import ground_truth

    videos, events = _labelled(args, settings, **known)
    return videos, *ground_truth(events, settings["dataset"]["expression_types"])


def _tables(args, settings):
    return _all_tables(args, settings)[:2]


def folds(args, settings):
    from fedn_pipeline.peers import needs

    method = settings["folds"]["method"]
    if method in ("cascade", "str"):
        from fedn_pipeline.cascades import fold

        inputs = fold.Inputs(args.features, args.flow, args.spotter, args.faces, args.weights)
        fold.run(*_all_tables(args, settings), inputs, args.held_out, args.out, settings, args.seed)
        return
    if method in needs.METHODS:
        from fedn_pipeline.peers import fold, task

        inputs = task.Inputs(args.features, task.by_gap(args.motion or []))
        fold.run(*_all_tables(args, settings), inputs, args.held_out, args.out, settings, args.seed)
        return
    if args.features is None:
        raise InputError(f"folds, {method}: give --features")
    if method == "fedn":
        from fedn_pipeline.training import fold

        fold.run(*_all_tables(args, settings), args.features, args.held_out, args.out, settings, args.seed)
    else:
        from fedn_pipeline.references import fold

        fold.run(*_tables(args, settings), args.features, args.held_out, args.out, settings, args.seed)


def detections(args, settings):
    from fedn_pipeline.detection import fold

    print(json.dumps(fold.run(args.predictions, *_tables(args, settings), args.out, settings), indent=2))


def results(args, settings):
    from fedn_pipeline.report import results as stage

    stage.run(args.dataset, *_labelled(args, settings), args.folder, args.out, settings, dict(args.not_run))


def report(args, settings):
    from fedn_pipeline.report import methods, stage

    inputs = methods.Inputs(
        args.dataset, args.videos, args.events, args.faces, args.folder, args.table, args.config, args.benchmarks,
        dict(args.not_run),
    )  # fmt: skip
    stage.run(inputs, *_all_tables(args, settings), args.out, settings)


def detect(args, settings):
    from fedn_pipeline.own_video import stage

    section = settings["detect"] | ({} if args.threshold is None else {"threshold": args.threshold})
    section = config.validate({"detect": section}, where="detect")["detect"]
    return stage.run(args.video, args.model or section["model"], args.out, section, args.person, args.crops)


def evaluate(args, settings):
    from fedn_pipeline.dataset.tables import emotions, read_detections, read_events, read_videos
    from fedn_pipeline.evaluation.metrics import evaluate as score

    videos = read_videos(args.videos)
    events, detections = read_events(args.events, videos), read_detections(args.detections, videos)
    if args.threshold is None and "kept" not in detections:
        raise InputError(f"{args.detections}: no column `kept`; give --threshold, or mark the rows that F1 counts")
    never = sorted(set(emotions(detections)) - set(emotions(events)))
    if never:
        print(f"WARNING: {args.detections}: emotions without ground truth: {', '.join(never)}", file=sys.stderr)
    metrics = score(videos, events, detections, args.threshold, settings["evaluation"])
    if args.json:
        print(json.dumps(metrics))
    else:
        for name, value in metrics.items():
            print(f"{name:24} {'-' if value is None else value}")


def doctor(args, settings):
    from fedn_pipeline import doctor as checks

    print(checks.page(args.config), end="")


def forget(args, settings):
    from fedn_pipeline.forget import stage

    every = config.resolve(args.config, args.dataset)["dataset"]
    root = args.data / args.dataset if every["reader"] == "demo" else every["root"]
    print(stage.run(args.subject, args.dataset, args.data, args.results, root, args.video, args.dry_run))


def verify(args, settings):
    from fedn_pipeline import verify as checks

    folders = args.folder or checks.default_folders()
    print(checks.run(folders))


def _of_experiment(args, settings):
    """The settings, or those of `--experiment`."""
    if not args.experiment:
        return settings
    if args.settings:
        raise InputError("give --experiment or --settings, not both")
    return config.resolve(args.config, experiment=args.experiment)


def ceiling(args, settings):
    from fedn_pipeline.training import ceiling as stage

    settings = _of_experiment(args, settings)
    result = stage.compute(*_all_tables(args, settings, known=("fps",)), settings)
    print(json.dumps(result) if args.json else stage.describe(result))


def flops(args, settings):
    from fedn_pipeline.model.flops import count

    cost = count(_of_experiment(args, settings))
    if args.json:
        print(json.dumps(cost))
        return
    for name in ("total", "backbone", "rest"):
        print(f"{name:10} {cost[name]:9.3f} GFLOP per window (2 FLOP per MAC)")
    print(f"{'total':10} {cost['gmac']:9.3f} GMAC per window")
    for name, number in cost["parameters"].items():
        print(f"{name:10} {number / 1e6:9.3f} million parameters")


def final(args, settings):
    from fedn_pipeline.training import final as stage

    stage.run(*_all_tables(args, settings), args.features, args.out, settings, args.seed)


def bundle(args, settings):
    from fedn_pipeline.bundle import write

    found, experiment = args.results.resolve(), args.experiment
    if Path.cwd() in found.parents:
        found = found.relative_to(Path.cwd())  # as Snakemake, whose targets messages name, knows it
    dataset = found.name
    if not args.settings:
        experiment = experiment or config.resolve(args.config, dataset)["bundle"]["experiment"]
        settings = config.resolve(args.config, dataset, experiment)
    experiment = experiment or settings["bundle"]["experiment"]
    out = args.out or found / "bundle"
    write.run(found, args.data or Path("data") / dataset, out, experiment, settings)
    print(out)


def onnx(args, settings):
    from fedn_pipeline.bundle import load, onnx_export

    print(onnx_export.run(load.load(args.bundle), args.out))


def export(args, settings):
    from fedn_pipeline.exchange import stage

    given = args.threshold, settings["dataset"]["labels"], settings["dataset"], args.force
    print(stage.export(args.source, args.to, args.out, args.videos, *given))


def import_(args, settings):
    from fedn_pipeline.exchange import stage

    given = args.form, args.tier, settings["dataset"], args.force
    print(stage.import_files(args.files, args.out, args.videos, *given))


def init(args, settings):
    from fedn_pipeline import init as stage

    print(stage.run(args.folder, args.name, args.config, args.force))


RUN = (dataset, rehearse, faces, pretrain, backbone, features, flow, folds, detections, results, report)
RUN += (final, bundle, detect, export, import_, init, evaluate, doctor, verify, forget, ceiling, flops, onnx)
COMMANDS = {run.__name__.rstrip("_"): run for run in RUN}  # `import` is a word of Python's


def main(argv=None):
    """Run a command; the process's exit status (a command that went on after a failure returns its own)."""
    args = arguments.parser().parse_args(argv)
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_MININTERVAL", "10")  # in a log a line every ten seconds is enough
    try:
        return COMMANDS[args.command](args, config.from_argument(args.settings)) or 0
    except (InputError, FloatingPointError) as error:  # the second is raised on purpose, with the place
        why = str(error)
    except OSError as error:
        if error.filename is None:  # of no use without its traceback
            raise
        why = f"{error.filename}: {error.strerror}"
    # Only now is the error gone, and with it the progress bar that it kept open in the middle of a line.
    print(f"fedn-pipeline {args.command}: {why}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
