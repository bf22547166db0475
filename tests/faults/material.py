"""Small inputs of every command that writes, and the command lines: for tests of full disks and permissions."""

import json
from dataclasses import dataclass, field

import av
import cv2
import h5py
import numpy as np
import pandas as pd
import torch
from faults.commands import REPOSITORY
from skimage.data import astronaut
from torchvision.models import resnet18

from fedn_pipeline import config, tensor_file
from fedn_pipeline.faces import alignment, crops
from fedn_pipeline.features import cache, flow, stills

N_FRAMES, STEPS, GAP, SIDE = 24, 260, 4, 12
EMOTIONS = ["anger", "happiness"]
NARROW = {"feature_width": 64, "embedding": 32, "channels": 32, "head_width": 16}
SMALL = {
    "model": NARROW,
    "demo": {"subjects_per_photograph": 1, "seconds": 2, "width": 160, "height": 120, "duration_s": [0.4, 0.6],
             "stills_per_photograph": 8, "still_identities_per_photograph": 2, "still_validation_identities": 1},
    "rehearsal": {"like": "casme2", "share": 0.01},
    "backbone": {"input_size": 32, "backend": "torch", "batch_size": 8},
    "pretrain": {"steps": 2, "batch_size": 4, "workers": 0},
    "flow": {"gaps": [GAP], "work_size": 32, "size": SIDE},
    "windows": {"train_stride": 64},
    "training": {"steps": 2, "batch_size": 2, "log_every": 2},
    "cefl": {"epochs": 1, "clips": 2, "frames_per_clip": 2, "attention_heads": 2},
    "str": {"spotter_epochs": 1, "recogniser_epochs": 1},
    "evaluation": {"bootstrap_draws": 20},
    "run": {"experiments": ["fedn", "chance"]},
    "report": {"experiments": ["fedn", "chance"]},
}  # fmt: skip

NAMES = [
    *("dataset demo", "dataset custom", "rehearse", "faces", "pretrain", "backbone"),
    *("features", "features --merge", "flow", "flow --regions", "flow --merge"),
    *("folds", "folds chance", "folds classic", "folds cascade", "folds str", "detections", "results", "report"),
]


def settings(**sections):
    """`--settings` of SMALL with further sections."""
    return ["--settings", json.dumps({**SMALL, **sections})]


@dataclass
class Command:
    """Arguments of a command that writes below `out/` of its folder; `inputs`: files that it cannot do without,
    `optional`: that it reads if they are there."""

    arguments: list
    inputs: list = field(default_factory=list)
    optional: list = field(default_factory=list)


def tables(folder, subjects=4, n_frames=STEPS):
    """videos.csv and events.csv of subjects p0, p1, ... with a video v0, v1, ... each; all three as tables."""
    videos = pd.DataFrame({
        "video_id": [f"v{n}" for n in range(subjects)], "subject": [f"p{n}" for n in range(subjects)],
        "source": [f"v{n}.mp4" for n in range(subjects)], "kind": "video", "n_frames": n_frames, "fps": 30.0,
        "width": 64, "height": 64,
    })  # fmt: skip
    events = pd.DataFrame([
        {"video_id": f"v{n}", "onset": onset, "apex": onset + 5, "offset": onset + length - 1,
         "expression_type": "macro", "emotion": EMOTIONS[i % 2], "label_set": "annotated", "provenance": "planted"}
        for n in range(subjects) for i, (onset, length) in enumerate(((20, 24), (90, 45), (180, 30)))
        if onset + length <= n_frames
    ])  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    videos.to_csv(folder / "videos.csv", index=False)
    events.to_csv(folder / "events.csv", index=False)
    return videos, events


def write_features(path, videos, width=NARROW["feature_width"], change=None):
    """A merged cache of noise; `change`: video -> function that is given its features `[n_steps, width]`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name("part.h5")
    with h5py.File(part, "w") as file:
        for number, row in enumerate(videos.itertuples()):
            values = np.random.default_rng(number).normal(size=(row.n_frames, width)).astype(np.float16)
            valid = np.ones(row.n_frames, dtype=bool)
            if change and row.video_id in change:
                change[row.video_id](values, valid)
            attributes = {"frame_stride": 1, "source_sha256": "", "weights_sha256": "abc", "precision": "fp32"}
            cache.write_group(file, row.video_id, cache.Features(values, valid, attributes))
    cache.merge([part], path)
    part.unlink()


def rehearsal(project, subjects=3):
    """The tables and features of data set `rehearsal` in a copy of the project, so that a run starts at its folds."""
    videos, _ = tables(project / "data/rehearsal", subjects=subjects)
    (project / "data/rehearsal/data_issues.csv").write_text("video_id,row,rule,before,after\n")
    write_features(project / "data/rehearsal/features/resnet18.h5", videos)
    return project


def write_flow(path, videos):
    """A merged flow cache of noise."""
    part = path.with_name("flow_part.h5")
    with h5py.File(part, "w") as file:
        for number, row in enumerate(videos.itertuples()):
            values = np.random.default_rng(number).normal(size=(row.n_frames, 3, SIDE, SIDE)).astype(np.float16)
            valid = np.arange(row.n_frames) < row.n_frames - GAP
            attributes = {"frame_stride": 1, "gap": GAP, "weights_sha256": "none", "weights_origin": "planted flow"}
            flow.write_group(file, row.video_id, cache.Features(values, valid, attributes))
    cache.merge([part], path)


def write_video(path):
    """A face that stays where it is."""
    face = np.ascontiguousarray(astronaut()[0:240, 104:344])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 240, 240, "yuv420p"
        for number in range(N_FRAMES):
            picture = np.roll(face, number % 5, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def write_faces(folder, videos):
    """Alignment and crops of each video, of noise that a codec cannot make small."""
    n = int(videos.n_frames.iloc[0])
    for video in videos.video_id:
        similarities, status = np.tile([1.0, 0, 0, 0], (n, 1)), np.full(n, "tracked", dtype=object)
        table = alignment.table(np.zeros((n, 68, 2)), similarities, status, np.zeros(n, dtype=bool))
        alignment.write(folder / f"alignment/{video}.csv", table)
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        images = (np.roll(noise, number, axis=1) for number in range(n))
        chosen = {**config.validate({})["faces"], "crop_size": 64}
        crops.write(folder / f"crops/{video}{crops.CROPS_SUFFIX}", images, 30.0, chosen)


def _stills(folder):
    folder.mkdir()
    rows = []
    for number in range(12):
        picture = np.random.default_rng(number).integers(0, 256, (48, 48, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), picture)
        split = "validation" if number >= 8 else "train"
        rows.append((f"{number}.jpg", ("neutral", "happiness")[number % 2], f"{split}{number}", "a", split))
    pd.DataFrame(rows, columns=stills.COLUMNS).to_csv(folder / "stills.csv", index=False)


def prepared(folder, commands):
    """Everything that the command lines read, in `folder`; Command by name, in the order of the flow."""
    videos, _ = tables(folder)
    few = videos[:2].assign(n_frames=N_FRAMES)
    (folder / "few").mkdir()
    few.to_csv(folder / "few/videos.csv", index=False)
    write_faces(folder / "few", few)
    write_faces(folder, videos)
    write_features(folder / "features.h5", videos)
    write_flow(folder / "flow.h5", videos)
    (folder / "own").mkdir()
    write_video(folder / "own/clip.mp4")
    _stills(folder / "stills")
    torch.manual_seed(0)
    weights = resnet18(num_classes=7).state_dict()
    tensor_file.save(folder / "weights.safetensors", weights, {"origin": "demo stills"})
    torch.save(weights, folder / "mine.pth")

    described = ["--videos", folder / "videos.csv", "--events", folder / "events.csv"]
    fold = ["folds", *described, "--held-out", "p0", "--out", "out"]
    of_few = ["--videos", folder / "few/videos.csv", "--faces", folder / "few"]
    features = folder / "features.h5"
    for held_out in videos.subject:
        for experiment, method in (("fedn", "fedn"), ("chance", "chance")):
            place = folder / f"folds/{experiment}/seed0/folds/{held_out}"
            run(commands, folder, "folds", *described, "--features", features, "--held-out", held_out, "--out", place,
                *settings(folds={"method": method}))  # fmt: skip
            if method == "fedn":
                run(commands, folder, "detections", *described, "--predictions", place / "predictions.h5",
                    "--out", place, *settings())  # fmt: skip
    spotter = folder / "folds/fedn/seed0/folds/p0"
    scored = [*described, "--dataset", "x", "--folder", folder / "folds"]
    run(commands, folder, "results", *scored, "--out", folder / "x_table", *settings())

    predictions, few_csv, own = spotter / "predictions.h5", folder / "few/videos.csv", folder / "own"
    of_tables = [folder / "videos.csv", folder / "events.csv"]
    return {
        "dataset demo": Command(["dataset", "demo", "--out", "out", *settings()]),
        "dataset custom": Command(["dataset", "custom", "--root", own, "--out", "out", *settings()]),
        "rehearse": Command(["rehearse", "--out", "out", *settings()]),
        "faces": Command(["faces", own / "clip.mp4", "--out", "out", *settings()], [own / "clip.mp4"]),
        "pretrain": Command(
            ["pretrain", "--stills", folder / "stills", "--out", "out/w.safetensors", *settings()],
            [folder / "stills/stills.csv", folder / "stills/3.jpg"],
        ),
        "backbone": Command(
            ["backbone", "--checkpoint", folder / "mine.pth", "--out", "out/w.safetensors", *settings()],
            [folder / "mine.pth"],
        ),
        "features": Command(
            ["features", *of_few, "--weights", folder / "weights.safetensors", "--out", "out/f.h5", *settings()],
            [few_csv, folder / "weights.safetensors", folder / "few/crops/v1.mp4", folder / "few/alignment/v1.csv"],
        ),
        "features --merge": Command(
            ["features", "--merge", features, "--out", "out/f.h5", *settings()], [features]
        ),
        "flow": Command(
            ["flow", *of_few, "--gap", GAP, "--out", "out/g.h5", *settings()],
            [few_csv, folder / "few/crops/v1.mp4", folder / "few/alignment/v1.csv"],
        ),
        "flow --regions": Command(
            ["flow", "--regions", *of_few, "--gap", GAP, "--out", "out/r.h5", *settings()],
            [few_csv, folder / "few/crops/v1.mp4", folder / "few/alignment/v1.csv"],
        ),
        "flow --merge": Command(
            ["flow", "--merge", folder / "flow.h5", "--out", "out/g.h5", *settings()], [folder / "flow.h5"]
        ),
        "folds": Command([*fold, "--features", features, *settings()], [*of_tables, features]),
        "folds chance": Command(
            [*fold, "--features", features, *settings(folds={"method": "chance"})], [*of_tables, features]
        ),
        "folds classic": Command(
            [*fold, "--features", features, *settings(folds={"method": "classic"})], [*of_tables, features]
        ),
        "folds cascade": Command(
            [*fold, "--features", features, "--spotter", spotter, *settings(folds={"method": "cascade"})],
            [*of_tables, features, spotter / "detections.csv", spotter / "fold.json"],
        ),
        "folds str": Command(
            [*fold, "--flow", folder / "flow.h5", *settings(folds={"method": "str"})], [*of_tables, folder / "flow.h5"]
        ),
        "detections": Command(
            ["detections", *described, "--predictions", predictions, "--out", "out", *settings()],
            [*of_tables, predictions],
        ),
        "results": Command(
            ["results", *scored, "--out", "out/x_table", *settings()],
            [*of_tables, spotter / "detections.csv", spotter / "threshold.json", spotter / "fold.json"],
        ),
        "report": Command(
            ["report", *scored, "--faces", folder, "--table", folder / "x_table", "--config",
             REPOSITORY / "config", "--out", "out", *settings()],
            [*of_tables, folder / "x_table.csv", spotter / "threshold.json", folder / "crops/v1.mp4",
             folder / "alignment/v1.csv"],
            [spotter / "predictions.h5", spotter / "training_log.csv"],
        ),
    }  # fmt: skip


def run(commands, folder, *arguments):
    done = commands.run(*arguments, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
