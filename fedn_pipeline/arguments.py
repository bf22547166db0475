"""What can be said on the command line, and what `--help` says of it. cli.py holds what each command does."""

import argparse
from fractions import Fraction
from pathlib import Path

from fedn_pipeline import __version__


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

    def command(name, text):
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument(
            "--settings", metavar="JSON|FILE", help="configuration that differs from the defaults (config.schema.yaml)"
        )
        return sub

    def tables(sub):
        sub.add_argument("--videos", type=Path, required=True, metavar="CSV", help="videos.csv of the data set")
        sub.add_argument("--events", type=Path, required=True, metavar="CSV", help="events.csv of the data set")

    def batch(sub):
        sub.add_argument("--videos", type=Path, metavar="CSV")
        sub.add_argument("--only", nargs="+", metavar="VIDEO_ID")
        sub.add_argument("--faces", type=Path, metavar="DIR", help="folder with alignment/ and crops/")
        sub.add_argument("--merge", type=Path, nargs="+", metavar="PART")
        sub.add_argument("--out", type=Path, required=True, metavar="H5")

    def of_experiment(sub):
        sub.add_argument("--experiment", metavar="NAME", help="of config/experiments/ (default: --settings, or FEDN)")
        sub.add_argument("--config", type=Path, default=Path("config"), metavar="DIR", help="default: config")
        sub.add_argument("--json", action="store_true", help="one line of JSON")

    def scored(sub):
        sub.add_argument(
            "--folder", type=Path, required=True, metavar="DIR",
            help="holds EXPERIMENT/seedN/folds/NAME/; with run.by_type DIR.micro, DIR.both ... beside it, too",
        )  # fmt: skip
        sub.add_argument(
            "--not-run", nargs=2, action="append", default=[], metavar=("NAME", "WHY"),
            help="an experiment that could not run (of another ground truth: NAME.micro): an empty row that says why",
        )  # fmt: skip

    sub = command("dataset", "make a data set's canonical tables; for the demo also its videos and stills")
    sub.add_argument("reader", choices=["demo", "casme2", "casme3", "samm", "custom"])
    sub.add_argument("--root", type=Path, metavar="DIR", help="folder of the raw release, or of your own videos")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR")
    sub.add_argument("--labels", metavar="SET", help="only this label set: annotated or self_reported (default: all)")
    sub.add_argument("--types", choices=["macro", "micro", "both"], default="macro", help="default: macro")
    sub.add_argument("--annotations-only", action="store_true", help="read, check and count; the frames may be absent")
    sub.add_argument(
        "--part", default="all", metavar="PART", help="demo: `tables`, `stills`, a video id, or `all` (the default)"
    )

    sub = command(
        "rehearse", "make up tables and features of a data set's size, to try everything after them: no result"
    )
    sub.add_argument("--like", choices=["casme2", "casme3"], help="whose sizes (default casme3)")
    sub.add_argument("--share", type=share, metavar="SHARE", help="of its size, e.g. 1/16 (default 1)")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR")

    sub = command("faces", "align one video: DIR/alignment/NAME.csv, NAME.json and DIR/crops/NAME.mp4")
    sub.add_argument("video", type=Path, help="a video file, or a folder of numbered images")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR")
    sub.add_argument("--fps", type=float, help="frame rate of a folder of images")
    sub.add_argument("--first-number", type=int, metavar="N", help="number in the name of the image that is frame 0")
    sub.add_argument("--video-id", metavar="NAME", help="name of the outputs (default: the file's stem)")
    sub.add_argument(
        "--leave-out", action="store_true",
        help="a video that cannot be decoded is no error: it is left out of what follows, which the tables say",
    )  # fmt: skip

    sub = command("pretrain", "train the ResNet18 backbone on labelled stills")
    sub.add_argument("--stills", type=Path, required=True, metavar="DIR", help="folder with stills.csv, or AffectNet's")
    sub.add_argument("--out", type=Path, required=True, metavar="FILE", help="weights, safetensors")
    sub.add_argument("--exclude", metavar="PHOTOGRAPH", help="leave out the stills made from this photograph")

    sub = command("backbone", "check your own ResNet18 or I3D weights, in any usual layout, and convert them")
    weights = sub.add_mutually_exclusive_group(required=True)
    weights.add_argument("--checkpoint", type=Path, metavar="FILE", help="of a ResNet18")
    weights.add_argument("--i3d", type=Path, nargs=2, metavar=("RGB", "FLOW"), help="of both streams of I3D")
    sub.add_argument("--out", type=Path, required=True, metavar="FILE", help="weights, safetensors")

    sub = command("features", "embed crops with the frozen backbone, or merge parts into one cache")
    batch(sub)
    network = sub.add_mutually_exclusive_group()
    network.add_argument("--weights", type=Path, metavar="FILE", help="they tell which network it is")
    network.add_argument("--blendshapes", action="store_true", help="the landmark model's own reading of the face")
    network.add_argument("--motion", type=Path, metavar="H5", help="a merged flow or region cache, as features")

    sub = command("flow", "optical flow of crops a fixed gap apart, or merge parts into one cache")
    batch(sub)
    sub.add_argument("--gap", type=int, metavar="K", help="steps (30 per second) between the two pictures")
    sub.add_argument("--regions", action="store_true", help="its mean around landmarks (peers) instead of pictures")

    sub = command("folds", "train without one held-out group and predict it (or run a reference method)")
    tables(sub)
    sub.add_argument("--features", type=Path, metavar="H5", help="merged feature cache (all methods but str)")
    sub.add_argument("--flow", type=Path, metavar="H5", help="merged flow cache: str, and cascades with its recogniser")
    sub.add_argument("--motion", type=Path, nargs="+", metavar="H5", help="peers: merged flow or region caches by gap")
    sub.add_argument("--spotter", type=Path, metavar="DIR", help="cascade: the same fold of the experiment that spots")
    sub.add_argument("--faces", type=Path, metavar="DIR", help="cefl.end_to_end: folder with crops/")
    sub.add_argument("--weights", type=Path, metavar="FILE", help="cefl.end_to_end: the backbone it starts from")
    sub.add_argument("--held-out", required=True, metavar="NAME", help="value of the group column, e.g. a subject")
    sub.add_argument("--seed", type=int, default=0, help="of the weights and the order of windows (default 0)")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR")

    sub = command("detections", "decode a fold's raw predictions, suppress, choose the threshold")
    tables(sub)
    sub.add_argument("--predictions", type=Path, required=True, metavar="H5")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR")

    sub = command("results", "score all folds of all experiments: the results table")
    tables(sub)
    sub.add_argument("--dataset", required=True, metavar="NAME")
    scored(sub)
    sub.add_argument("--out", type=Path, required=True, metavar="STEM", help="writes STEM.csv, STEM.md, STEM.tex")

    sub = command("report", "the paper's tables and figures, and one page with all of them: DIR/index.html")
    tables(sub)
    scored(sub)
    sub.add_argument("--dataset", required=True, metavar="NAME")
    sub.add_argument("--table", type=Path, required=True, metavar="STEM", help="what `results` wrote with --out")
    sub.add_argument("--faces", type=Path, required=True, metavar="DIR", help="folder with alignment/ and crops/")
    sub.add_argument("--config", type=Path, default=Path("config"), metavar="DIR", help="default: config")
    sub.add_argument("--benchmarks", type=Path, metavar="DIR", help="Snakemake's measurements of the data set, if any")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR")

    sub = command("detect", "find the expressions in your own videos with a ready model; writes tables and a page")
    sub.add_argument("video", type=Path, metavar="VIDEO_OR_FOLDER", help="a file, or a folder: all in and below it")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder per video, and DIR/index.html")
    sub.add_argument("--model", type=Path, metavar="BUNDLE", help="default: what `make demo` leaves (detect.model)")
    sub.add_argument("--threshold", type=float, metavar="P", help="keep detections from this confidence on")
    sub.add_argument(
        "--person", default="largest", metavar="WHO", help="largest (the default), left, right, or 1, 2, ... by size"
    )
    sub.add_argument("--crops", action="store_true", help="also write the face crops, in a second pass (slower)")

    sub = command("evaluate", "score any detections file by the project's strict protocol")
    tables(sub)
    sub.add_argument("--detections", type=Path, required=True, metavar="CSV", help="see README, Score your own")
    sub.add_argument("--threshold", type=float, help="keep detections from this confidence on (default: column `kept`)")
    sub.add_argument("--json", action="store_true", help="one line of JSON; undefined metrics are null")

    sub = command("doctor", "what is there and what is not: machine, OpenFace, weights, data sets, disk, commands")
    sub.add_argument("--config", type=Path, default=Path("config"), metavar="DIR", help="default: config")

    sub = command(
        "forget", "erase a subject from everything written, list the models trained on it, prove that none is left"
    )
    sub.add_argument("subject", metavar="SUBJECT", help="as in videos.csv")
    sub.add_argument("--dataset", required=True, metavar="NAME", help="of config/datasets/")
    sub.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="default: data")
    sub.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    sub.add_argument("--config", type=Path, default=Path("config"), metavar="DIR", help="default: config")
    sub.add_argument("--video", nargs="+", default=[], metavar="ID", help="videos of it that the table lists no more")
    sub.add_argument("--dry-run", action="store_true", help="only list its videos and the models trained on it")

    sub = command("verify", "compare every file with the checksum that was written beside it")
    sub.add_argument("folder", type=Path, nargs="*", metavar="DIR", help="default: data and results")

    sub = command("ceiling", "how much of the ground truth a configuration can find at all, before any training")
    tables(sub)
    of_experiment(sub)

    sub = command("flops", "GFLOP, GMAC and parameters per window, counted as in the paper")
    of_experiment(sub)

    sub = command("final", "train one network on all subjects of a data set, none held out (for `bundle`)")
    tables(sub)
    sub.add_argument("--features", type=Path, required=True, metavar="H5", help="merged feature cache")
    sub.add_argument("--seed", type=int, default=0, help="of the weights and the order of windows (default 0)")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR")

    sub = command("bundle", "one folder with the final model, its threshold, backbone, quality, data and licence")
    sub.add_argument("results", type=Path, metavar="RESULTS_DIR", help="results/DATASET")
    sub.add_argument("--experiment", metavar="NAME", help="default: bundle.experiment of the configuration")
    sub.add_argument("--data", type=Path, metavar="DIR", help="default: data/DATASET")
    sub.add_argument("--config", type=Path, default=Path("config"), metavar="DIR", help="default: config")
    sub.add_argument("--out", type=Path, metavar="DIR", help="default: RESULTS_DIR/bundle")

    sub = command("onnx", "export a bundle's detector (features -> raw predictions) and compare it with PyTorch")
    sub.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder of a model bundle")
    sub.add_argument("--out", type=Path, required=True, metavar="FILE", help="e.g. detector.onnx")

    formats = ["elan", "boris", "activitynet", "textgrid"]
    sub = command("export", "detections or annotations as files of ELAN, BORIS, ActivityNet's JSON or Praat")
    sub.add_argument("source", type=Path, metavar="SOURCE", help="folder that detect wrote, or events.csv")
    sub.add_argument("--to", choices=formats, required=True)
    sub.add_argument("--out", type=Path, required=True, metavar="DIR|FILE")
    videos = "your videos, their videos.csv, or what detect wrote of them"
    sub.add_argument("--videos", type=Path, metavar="DIR|CSV", help=f"of events.csv or detections.csv: {videos}")
    sub.add_argument("--threshold", type=float, help="detections from this confidence on (default: the kept ones)")
    sub.add_argument("--force", action="store_true", help="overwrite files that are there")

    sub = command("import", "annotations of these tools as events.csv of your own videos")
    sub.add_argument("files", type=Path, nargs="+", metavar="FILE")
    sub.add_argument("--out", type=Path, required=True, metavar="CSV")
    sub.add_argument(
        "--videos", type=Path, metavar="DIR|CSV", help=f"{videos}: names are checked, times become frames",
    )  # fmt: skip
    sub.add_argument("--from", dest="form", choices=formats, help="default: by the file's name or content")
    sub.add_argument("--tier", action="append", default=[], metavar="NAME", help="ELAN, Praat: read this tier")
    sub.add_argument("--force", action="store_true", help="overwrite the table if it is there")

    sub = command("init", "look into a folder of videos with annotations and write the configuration for it")
    sub.add_argument("folder", type=Path, metavar="DIR")
    sub.add_argument("--name", default="custom", help="of the data set: a-z 0-9 _ (default: custom)")
    sub.add_argument("--config", type=Path, default=Path("config"), metavar="DIR", help="default: config")
    sub.add_argument("--force", action="store_true", help="overwrite a configuration that somebody has edited")
    return top
