# What a job asks a cluster for. A local run ignores `runtime` and, without `--resources mem_mb=...`, `mem_mb`.
#
# Where the numbers come from: seconds are of one core of a slow processor without a GPU, from docs/datasets.md ("What
# it costs"), docs/performance.md (scale, streaming), docs/experiments.md ("Time"), the smallest demo (flow) and a
# rehearsal of a sixteenth of CAS(ME)^3 (references); memory is `max_rss` of the jobs' benchmark files, with room for
# Snakemake itself (350 MB), which runs twice in a job of a cluster, beside its command. Not measured: I3D (taken as
# 10 times ResNet18), STR and CEFLNet at full size (as FEDN's folds, which took longer on the demo), how fast a shared
# disk is.
import functools
import math

from snakemake.exceptions import IncompleteCheckpointException

FACES_S = 0.036  # per source frame
DEMO_FRAME_S = 1 / 24  # to render one
STILL_S = 0.02  # to render one
IMAGE_S = 1 / 4  # of training the backbone, 224 px, validation included
EMBED_S = 1 / 14  # per frame of 224 px
WINDOW_S = 1 / 17  # of training a fold
STEPS_PER_WINDOW = 178  # frames at 30 fps for each training window of a pass
PREDICT_S = 1 / 1600  # per frame at 30 fps, a fifth of which are a fold's test and held-out videos
FLOW_S = 0.01  # per frame at 30 fps
REFERENCE_S = 2e-5  # per frame at 30 fps
STEP_MB, FLOW_MB = 1024 / 1e6, 10.6e-3  # of features and of flow per frame at 30 fps
REGIONS_MB = 60e-6  # per frame at 30 fps
DISK_MB_S = 50  # of merging parts


def once_read(function):
    """A resource that needs the data set's tables: 1 until they are read. Snakemake cannot wait for them in a dry run of
    a target behind them, and asks again before the job."""

    @functools.wraps(function)
    def known(*arguments, **named):
        try:
            return function(*arguments, **named)
        except IncompleteCheckpointException:
            return 1

    return known


def minutes(seconds):
    """A limit for a job that is expected to take `seconds`: twice that, and two minutes to start."""
    return 2 + math.ceil(2 * seconds / 60)


def n_steps(wildcards, videos=None):
    """Frames at 30 fps of these videos, default all."""
    table = rows(wildcards.dataset)
    return sum(table[video].n_frames * 30 / table[video].fps for video in videos or table)


def area(wildcards):
    """Pixels of a picture that the backbone sees, in pictures of 224 px."""
    return (resolved(wildcards.dataset)["backbone"]["input_size"] / 224) ** 2


def demo_video_minutes(wildcards):
    demo = resolved(wildcards.dataset)["demo"]
    return minutes(demo["seconds"] * demo["fps"] * DEMO_FRAME_S)


def demo_stills_minutes(wildcards):
    return minutes(2 * resolved(wildcards.dataset)["demo"]["stills_per_photograph"] * STILL_S)


@once_read
def faces_minutes(wildcards):
    return minutes(rows(wildcards.dataset)[wildcards.video].n_frames * FACES_S)


def pretrain_minutes(wildcards):
    pretrain = resolved(wildcards.dataset)["pretrain"]
    return minutes(pretrain["steps"] * pretrain["batch_size"] * IMAGE_S * area(wildcards))


@once_read
def features_minutes(wildcards):
    size = 10 if wildcards.backbone == "i3d" else 1
    return minutes(n_steps(wildcards, part_videos(wildcards)) * EMBED_S * area(wildcards) * size)


@once_read
def fold_minutes(wildcards):
    every = resolved(wildcards.dataset, wildcards.experiment)
    training, all_steps = every["training"], n_steps(wildcards) * sum(1 / rate for rate in every["windows"]["rates"])
    windows = (training["steps"] or 0) * training["batch_size"] or training["epochs"] * all_steps / STEPS_PER_WINDOW
    return minutes(windows * WINDOW_S / training["threads"] + all_steps * PREDICT_S / 5)


@once_read
def flow_minutes(wildcards):
    return minutes(n_steps(wildcards, part_videos(wildcards)) * FLOW_S)


@once_read
def merge_minutes(wildcards):
    return minutes(n_steps(wildcards) * STEP_MB / DISK_MB_S)


@once_read
def flow_merge_minutes(wildcards):
    return minutes(n_steps(wildcards) * FLOW_MB / DISK_MB_S)


@once_read
def regions_merge_minutes(wildcards):
    return minutes(n_steps(wildcards) * REGIONS_MB / DISK_MB_S)


@once_read
def reference_minutes(wildcards):
    return minutes(n_steps(wildcards) * REFERENCE_S)


@once_read
def memory(wildcards, input):
    """MB of a job that holds the features of all videos: theirs with room, and its own (benchmarks/scale.py)."""
    return round(2000 + 1.5 * STEP_MB * n_steps(wildcards) * bool(input.get("features")))


# Many small jobs as one, where the profile's `group-components` says how many. Not by its own counting: with a
# checkpoint Snakemake groups twice, joins the groups of the first time and submits jobs twice (snakemake issues 1217
# and 1628, plugin-slurm 253). So each part has a name of its own here, and everything of one name is one job however
# often it is grouped.
def _part(group, number, *names):
    size = workflow.group_settings.group_components.get(group)
    if size is None:
        return None
    part = "_".join([group, *names, str(number // size)])
    workflow.parent_groupids[part] = group  # where Snakemake looks for the number of components of a part
    return part


@cache
def _places(dataset):
    return {video: place for place, video in enumerate(sorted(rows(dataset)))}


def faces_group(wildcards):
    dataset = wildcards["dataset"]
    return _part("faces", _places(dataset)[wildcards["video"]], dataset)


def reference_group(wildcards):
    dataset, experiment, held_out = (wildcards[name] for name in ("dataset", "experiment", "held_out"))
    names = (wildcards[name] for name in ("dataset", "labels", "experiment", "seed"))
    return _part("reference", groups(dataset, experiment).index(held_out), *names)
