"""`fedn-pipeline`: one thin command per stage; the workflow's rules call exactly these.

Bad input (InputError), a file that cannot be read and a number that is not finite print one message alone and exit with
status 2. Heavy imports wait until a command needs them.
"""

import argparse
import json
import os
import sys
from fractions import Fraction
from pathlib import Path

from fedn_pipeline import __version__, config
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
    from fedn_pipeline.features import backbone, extract, i3d, i3d_extract

    if not (args.videos and args.faces and args.weights):
        raise InputError("features: give --videos, --faces and --weights (or --merge)")
    videos = _batch(args)
    if backbone.network(args.weights) == i3d.NAME:
        i3d_extract.run(videos, args.faces, args.weights, args.out, settings)
    else:
        extract.run(videos, args.faces, args.weights, args.out, settings["backbone"])


def flow(args, settings):
    from fedn_pipeline.features import cache

    if args.merge:
        cache.merge(args.merge, args.out)
        return
    from fedn_pipeline.features import flow as stage

    if not (args.videos and args.faces and args.gap):
        raise InputError("flow: give --videos, --faces and --gap (or --merge)")
    stage.run(_batch(args), args.faces, args.gap, args.out, settings["flow"])


def _all_tables(args, settings, known=("n_frames", "fps")):
    """Checked tables for a stage: videos, ground truth of the configured label set and types, all other events."""
    from fedn_pipeline.dataset.tables import ground_truth, of_label_set, read_events, read_videos

    videos = read_videos(args.videos, known=known)
    events = of_label_set(read_events(args.events, videos), settings["dataset"]["labels"], args.events)
    return videos, *ground_truth(events, settings["dataset"]["expression_types"])


def _tables(args, settings):
    return _all_tables(args, settings)[:2]


def folds(args, settings):
    method = settings["folds"]["method"]
    if method in ("cascade", "str"):
        from fedn_pipeline.cascades import fold

        inputs = fold.Inputs(args.features, args.flow, args.spotter, args.faces, args.weights)
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

    stage.run(args.dataset, *_tables(args, settings), args.folder, args.out, settings, dict(args.not_run))


def report(args, settings):
    from fedn_pipeline.report import methods, stage

    inputs = methods.Inputs(
        args.dataset, args.videos, args.events, args.faces, args.folder, args.table, args.config, args.benchmarks,
        dict(args.not_run),
    )  # fmt: skip
    stage.run(inputs, *_all_tables(args, settings), args.out, settings)


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


def share(text):
    """`1/16` or `0.0625` as a number."""
    try:
        return float(Fraction(text))
    except ZeroDivisionError as error:
        raise ValueError(text) from error  # argparse reports a ValueError as bad usage


def parser():
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="fedn-pipeline", description="Facial expressions in long videos, stage by stage."
    )
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(dest="command", required=True, metavar="STAGE")

    def command(run, text):
        sub = commands.add_parser(run.__name__, help=text, description=text)
        sub.set_defaults(run=run)
        sub.add_argument(
            "--settings", metavar="JSON|FILE", help="configuration that differs from the defaults (config.schema.yaml)"
        )
        return sub

    def tables(sub):
        sub.add_argument("--videos", type=Path, required=True, metavar="CSV", help="videos.csv of the data set")
        sub.add_argument("--events", type=Path, required=True, metavar="CSV", help="events.csv of the data set")

    def of_experiment(sub):
        sub.add_argument("--experiment", metavar="NAME", help="of config/experiments/ (default: --settings, or FEDN)")
        sub.add_argument("--config", type=Path, default=Path("config"), metavar="DIR", help="default: config")
        sub.add_argument("--json", action="store_true", help="one line of JSON")

    def scored(sub):
        sub.add_argument("--folder", type=Path, required=True, metavar="DIR", help="holds EXPERIMENT/seedN/folds/NAME/")
        sub.add_argument(
            "--not-run", nargs=2, action="append", default=[], metavar=("NAME", "WHY"),
            help="an experiment that could not run: an empty row that says why, e.g. i3d `weights missing`",
        )  # fmt: skip

    sub = command(dataset, "make a data set's canonical tables; for the demo also its videos and stills")
    sub.add_argument("reader", choices=["demo", "casme2", "casme3", "samm", "custom"])
    sub.add_argument("--root", type=Path, metavar="DIR", help="folder of the raw release, or of your own videos")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR")
    sub.add_argument("--labels", metavar="SET", help="only this label set: annotated or self_reported (default: all)")
    sub.add_argument("--types", choices=["macro", "micro", "both"], default="macro", help="default: macro")
    sub.add_argument("--annotations-only", action="store_true", help="read, check and count; the frames may be absent")
    sub.add_argument(
        "--part", default="all", metavar="PART", help="demo: `tables`, `stills`, a video id, or `all` (the default)"
    )

    sub = command(rehearse, "make up tables and features of a data set's size, to try everything after them: no result")
    sub.add_argument("--like", choices=["casme2", "casme3"], help="whose sizes (default casme3)")
    sub.add_argument("--share", type=share, metavar="SHARE", help="of its size, e.g. 1/16 (default 1)")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR")

    sub = command(faces, "align one video: DIR/alignment/NAME.csv, NAME.json and DIR/crops/NAME.mp4")
    sub.add_argument("video", type=Path, help="a video file, or a folder of numbered images")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR")
    sub.add_argument("--fps", type=float, help="frame rate of a folder of images")
    sub.add_argument("--first-number", type=int, metavar="N", help="number in the name of the image that is frame 0")
    sub.add_argument("--video-id", metavar="NAME", help="name of the outputs (default: the file's stem)")
    sub.add_argument(
        "--leave-out", action="store_true",
        help="a video that cannot be decoded is no error: it is left out of what follows, which the tables say",
    )  # fmt: skip

    sub = command(pretrain, "train the ResNet18 backbone on labelled stills")
    sub.add_argument("--stills", type=Path, required=True, metavar="DIR", help="folder with stills.csv, or AffectNet's")
    sub.add_argument("--out", type=Path, required=True, metavar="FILE", help="weights, safetensors")
    sub.add_argument("--exclude", metavar="PHOTOGRAPH", help="leave out the stills made from this photograph")

    sub = command(backbone, "check your own ResNet18 or I3D weights, in any usual layout, and convert them")
    weights = sub.add_mutually_exclusive_group(required=True)
    weights.add_argument("--checkpoint", type=Path, metavar="FILE", help="of a ResNet18")
    weights.add_argument("--i3d", type=Path, nargs=2, metavar=("RGB", "FLOW"), help="of both streams of I3D")
    sub.add_argument("--out", type=Path, required=True, metavar="FILE", help="weights, safetensors")

    sub = command(features, "embed crops with the frozen backbone, or merge parts into one cache")
    sub.add_argument("--videos", type=Path, metavar="CSV")
    sub.add_argument("--only", nargs="+", metavar="VIDEO_ID")
    sub.add_argument("--faces", type=Path, metavar="DIR", help="folder with alignment/ and crops/")
    sub.add_argument("--weights", type=Path, metavar="FILE", help="they tell which network it is")
    sub.add_argument("--merge", type=Path, nargs="+", metavar="PART")
    sub.add_argument("--out", type=Path, required=True, metavar="H5")

    sub = command(flow, "optical flow of crops a fixed gap apart, or merge parts into one cache")
    sub.add_argument("--videos", type=Path, metavar="CSV")
    sub.add_argument("--only", nargs="+", metavar="VIDEO_ID")
    sub.add_argument("--faces", type=Path, metavar="DIR", help="folder with alignment/ and crops/")
    sub.add_argument("--gap", type=int, metavar="K", help="steps (30 per second) between the two pictures")
    sub.add_argument("--merge", type=Path, nargs="+", metavar="PART")
    sub.add_argument("--out", type=Path, required=True, metavar="H5")

    sub = command(folds, "train without one held-out group and predict it (or run a reference method)")
    tables(sub)
    sub.add_argument("--features", type=Path, metavar="H5", help="merged feature cache (all methods but str)")
    sub.add_argument("--flow", type=Path, metavar="H5", help="merged flow cache: str, and cascades with its recogniser")
    sub.add_argument("--spotter", type=Path, metavar="DIR", help="cascade: the same fold of the experiment that spots")
    sub.add_argument("--faces", type=Path, metavar="DIR", help="cefl.end_to_end: folder with crops/")
    sub.add_argument("--weights", type=Path, metavar="FILE", help="cefl.end_to_end: the backbone it starts from")
    sub.add_argument("--held-out", required=True, metavar="NAME", help="value of the group column, e.g. a subject")
    sub.add_argument("--seed", type=int, default=0, help="of the weights and the order of windows (default 0)")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR")

    sub = command(detections, "decode a fold's raw predictions, suppress, choose the threshold")
    tables(sub)
    sub.add_argument("--predictions", type=Path, required=True, metavar="H5")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR")

    sub = command(results, "score all folds of all experiments: the results table")
    tables(sub)
    sub.add_argument("--dataset", required=True, metavar="NAME")
    scored(sub)
    sub.add_argument("--out", type=Path, required=True, metavar="STEM", help="writes STEM.csv, STEM.md, STEM.tex")

    sub = command(report, "the paper's tables and figures, and one page with all of them: DIR/index.html")
    tables(sub)
    scored(sub)
    sub.add_argument("--dataset", required=True, metavar="NAME")
    sub.add_argument("--table", type=Path, required=True, metavar="STEM", help="what `results` wrote with --out")
    sub.add_argument("--faces", type=Path, required=True, metavar="DIR", help="folder with alignment/ and crops/")
    sub.add_argument("--config", type=Path, default=Path("config"), metavar="DIR", help="default: config")
    sub.add_argument("--benchmarks", type=Path, metavar="DIR", help="Snakemake's measurements of the data set, if any")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR")

    sub = command(evaluate, "score any detections file by the project's strict protocol")
    tables(sub)
    sub.add_argument("--detections", type=Path, required=True, metavar="CSV", help="see README, Score your own")
    sub.add_argument("--threshold", type=float, help="keep detections from this confidence on (default: column `kept`)")
    sub.add_argument("--json", action="store_true", help="one line of JSON; undefined metrics are null")

    sub = command(doctor, "what is there and what is not: machine, OpenFace, weights, data sets, disk, commands")
    sub.add_argument("--config", type=Path, default=Path("config"), metavar="DIR", help="default: config")

    sub = command(
        forget, "erase a subject from everything written, list the models trained on it, prove that none is left"
    )
    sub.add_argument("subject", metavar="SUBJECT", help="as in videos.csv")
    sub.add_argument("--dataset", required=True, metavar="NAME", help="of config/datasets/")
    sub.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="default: data")
    sub.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    sub.add_argument("--config", type=Path, default=Path("config"), metavar="DIR", help="default: config")
    sub.add_argument("--video", nargs="+", default=[], metavar="ID", help="videos of it that the table lists no more")
    sub.add_argument("--dry-run", action="store_true", help="only list its videos and the models trained on it")

    sub = command(verify, "compare every file with the checksum that was written beside it")
    sub.add_argument("folder", type=Path, nargs="*", metavar="DIR", help="default: data and results")

    sub = command(ceiling, "how much of the ground truth a configuration can find at all, before any training")
    tables(sub)
    of_experiment(sub)

    sub = command(flops, "GFLOP, GMAC and parameters per window, counted as in the paper")
    of_experiment(sub)
    return top


def main(argv=None):
    """Run a command; the process's exit status."""
    args = parser().parse_args(argv)
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_MININTERVAL", "10")  # in a log a line every ten seconds is enough
    try:
        args.run(args, config.from_argument(args.settings))
        return 0
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
