"""A rehearsal: made-up tables and features of the size and shape of a licensed data set, to run everything after them.

Stands in for the stages dataset, faces and features: writes videos.csv, events.csv, data_issues.csv and a merged
feature cache, none of it from pictures; every row of a results table then says `rehearsal`. Sizes: datasets.md.

An expression moves the features of its frames along a direction of its emotion, from onset over apex to offset. The
directions share a part (emotions are confusable) and are tilted by subject; under them lie a constant of the subject, a
slow background and noise. A video's features depend on the settings, its subject and its own events alone.
"""

import hashlib
import json
import zlib
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from fedn_pipeline import __version__, files, hdf5
from fedn_pipeline.dataset import counts, tables
from fedn_pipeline.dataset.release import ISSUE_COLUMNS
from fedn_pipeline.features import cache
from fedn_pipeline.files import InputError
from fedn_pipeline.intervals import FEATURE_FPS

ORIGIN = "rehearsal"
BACKBONE = "resnet18"  # names the cache
WIDTH = 512
LABELS = "annotated"
LEAST_SUBJECTS = 3  # one trains, one chooses the threshold, one is tested


class Sizes(NamedTuple):
    """Of a whole data set. `lengths`: points (share of the expressions, frames) of their distribution."""

    subjects: int
    subjects_with_expressions: int
    videos: int
    videos_with_expressions: int
    frames: int
    lengths: tuple


LIKE = {
    "casme2": Sizes(22, 20, 98, 89, 440_000, ((0, 15), (0.5, 36), (1, 120))),  # 0.5 to 4 s [C]
    # datasets.md: half below 72 frames, 924 above 128, 378 above 256, the longest 4336; the others make the mean 150
    "casme3": Sizes(
        100, 98, 1300, 956, 3_900_000, ((0, 6), (0.5, 72), (0.7238, 128), (0.887, 256), (0.98, 770), (1, 4336))
    ),
}


def _stream(settings, *names):
    """A random generator of its own for each name."""
    return np.random.default_rng([settings["seed"], *(zlib.crc32(name.encode()) for name in names)])


def plan(settings):
    """The tables `(videos, events)`; `settings` is section `rehearsal`. Raises InputError for a share without events.

    At least LEAST_SUBJECTS subjects, each with a video, whatever the share.
    """
    sizes, share, random = LIKE[settings["like"]], settings["share"], _stream(settings, "plan")
    n_subjects = max(LEAST_SUBJECTS, round(share * sizes.subjects))
    n_videos = max(n_subjects, round(share * sizes.videos))
    subject = np.sort(np.arange(n_videos) % n_subjects)
    number = np.arange(n_videos) - np.searchsorted(subject, subject)
    weight = random.lognormal(0, settings["video_spread"], n_videos)
    ends = np.rint(np.cumsum(weight) / weight.sum() * n_videos / sizes.videos * sizes.frames)
    videos = pd.DataFrame({
        "video_id": [f"p{s + 1:03d}_{n + 1:02d}" for s, n in zip(subject, number, strict=True)],
        "subject": [f"p{s + 1:03d}" for s in subject],
        "source": ORIGIN,
        "n_frames": np.diff(ends, prepend=0).astype(np.int64),
        "fps": float(FEATURE_FPS),
    })  # fmt: skip
    expressive = np.flatnonzero(subject < round(sizes.subjects_with_expressions / sizes.subjects * n_subjects))
    wanted = round(sizes.videos_with_expressions / sizes.videos * n_videos)
    expressive = random.choice(expressive, min(wanted, len(expressive)), replace=False)
    return videos.reindex(columns=tables.VIDEO_COLUMNS), _events(videos, expressive, settings, random)


def _events(videos, expressive, settings, random):
    """events.csv: expressions that never overlap, in the videos at the places `expressive`; each gets one if possible.

    Lengths and emotions are even quantiles in random order, so that their statistics hold at every share; but a length
    that no video has room for is cut.
    """
    emotions = counts.published(settings["like"], LABELS)
    n_events = round(settings["share"] * sum(emotions.values()))
    if not n_events:
        raise InputError(f"rehearsal: a share of {settings['share']:g} leaves no expression; give a larger one")
    quantile = (np.arange(n_events) + 0.5) / n_events
    share, frames = np.transpose(LIKE[settings["like"]].lengths)
    length = np.rint(np.exp(np.interp(quantile, share, np.log(frames)))).astype(np.int64)
    ends = np.cumsum(list(emotions.values())) / sum(emotions.values())
    emotion = random.permutation(np.array(list(emotions), dtype=object)[np.searchsorted(ends, quantile)])

    # The longest choose their videos first; each then takes its frames and one that parts it from the next.
    wish = random.integers(len(expressive), size=n_events)
    wish[: len(expressive)] = np.arange(len(expressive))[:n_events]
    wish, room = expressive[random.permutation(wish)], videos.n_frames.to_numpy().copy()
    for i in range(n_events)[::-1]:
        if room[wish[i]] <= length[i]:
            wish[i] = expressive[np.argmax(room[expressive])]
            length[i] = min(length[i], room[wish[i]] - 1)
        room[wish[i]] -= length[i] + 1

    rows = []
    for place in np.sort(expressive):
        own = random.permutation(np.flatnonzero(wish == place))
        free = np.sort(random.integers(room[place] + 1, size=len(own)))
        onset = free + np.cumsum(length[own] + 1) - length[own] - 1
        apex = onset + np.rint(random.uniform(*settings["apex"], len(own)) * (length[own] - 1)).astype(np.int64)
        rows.append(pd.DataFrame({
            "video_id": videos.video_id[place],
            "onset": onset,
            "apex": apex,
            "offset": onset + length[own] - 1,
            "expression_type": "macro",
            "emotion": emotion[own],
            "label_set": LABELS,
            "provenance": ORIGIN,
        }))  # fmt: skip
    return pd.concat(rows, ignore_index=True)


def _unit(vectors):
    """Rows of length 1."""
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def directions(settings, subject):
    """Direction of each emotion in one subject's features: `{name: [WIDTH]}` float32, of length 1."""
    names = list(counts.published(settings["like"], LABELS))
    shared, tilt = _stream(settings, "directions"), _stream(settings, "tilt", subject)
    common, own = _unit(shared.standard_normal((1, WIDTH))), _unit(shared.standard_normal((len(names), WIDTH)))
    tilted = common + own + settings["tilt"] * _unit(tilt.standard_normal((len(names), WIDTH)))
    return dict(zip(names, _unit(tilted), strict=True))


def video_features(video, events, settings):
    """Features `[n_frames, WIDTH]` float16 of one row of videos.csv with its `events`; the noise has deviation 1."""
    random, n, rank = _stream(settings, "video", video.video_id), video.n_frames, settings["background_rank"]
    x = random.standard_normal((n, WIDTH), dtype=np.float32)
    x += _stream(settings, "subject", video.subject).standard_normal(WIDTH, dtype=np.float32)
    steps, knots = np.arange(n), np.arange(0, n + FEATURE_FPS, FEATURE_FPS)  # a knot each second
    slow = [np.interp(steps, knots, random.standard_normal(len(knots))) for _ in range(rank)]
    basis = random.standard_normal((rank, WIDTH), dtype=np.float32) * (settings["background"] / np.sqrt(rank))
    x += np.transpose(slow).astype(np.float32) @ basis.astype(np.float32)
    of_emotion = directions(settings, video.subject)
    for event in events.itertuples():
        span = np.arange(event.onset, event.offset + 1)
        ramp = np.interp(span, [event.onset - 1, event.apex, event.offset + 1], [0, 1, 0])
        size = settings["expression"] * random.uniform(*settings["strength"]) * np.sqrt(ramp)  # its ends are visible
        x[span] += np.outer(size, of_emotion[event.emotion]).astype(np.float32)
    return x.astype(np.float16)


def _write_features(path, videos, events, settings):
    """The merged cache (`cache.merge`), one video in memory at a time."""
    made_by = hashlib.sha256(json.dumps([settings, __version__], sort_keys=True).encode()).hexdigest()
    of_all = {**dict.fromkeys(cache.OF_THE_WHOLE, ORIGIN), "weights_sha256": made_by, "version": __version__}
    further = {"frame_stride": 1, "source_sha256": made_by, "input_size": 0, "mean": [0.0] * 3, "std": [1.0] * 3}
    own = events.groupby("video_id").indices
    total, none = int(videos.n_frames.sum()), np.zeros(0, dtype=np.int64)
    with (
        hdf5.whole(path) as file,
        tqdm(total=total, desc="rehearsal", unit="frame", unit_scale=True) as progress,
    ):
        for video in videos.sort_values("video_id").itertuples():
            features = video_features(video, events.iloc[own.get(video.video_id, none)], settings)
            entry = cache.Features(features, np.ones(len(features), dtype=bool), {**of_all, **further})
            cache.write_group(file, video.video_id, entry)
            progress.update(len(features))
        cache.finish(file, path)


def write(folder, settings):
    """Tables and `features/BACKBONE.h5` in `folder`; the text to print. `settings` is section `rehearsal`."""
    videos, events = plan(settings)
    _write_features(folder / "features" / f"{BACKBONE}.h5", videos, events, settings)
    tables.write_events(folder / "events.csv", events)
    files.write_csv(folder / "data_issues.csv", pd.DataFrame(columns=ISSUE_COLUMNS))  # nothing to repair
    tables.write_videos(folder / "videos.csv", videos)
    length = events.offset - events.onset + 1
    return (
        f"Rehearsal like {settings['like']}, share {settings['share']:g}; made up, no result: "
        f"{videos.subject.nunique()} subjects, {len(videos)} videos, {videos.n_frames.sum():,} frames, {len(events)} "
        f"expressions; median {length.median():g}, mean {length.mean():.0f}, at most {length.max()} frames."
    )
