"""A project with short videos of one's own and a small network: every stage in seconds, for faults to be done to."""

import csv
from fractions import Fraction

import av
import numpy as np
import torch
import yaml
from skimage.data import astronaut
from torchvision.models import resnet18
from workflow.project import copied

FPS, FRAMES = 30, 60
EVENTS = ((8, 22, "joy"), (34, 49, "anger"))
TABLE = "results/custom_table.csv"
SMALL = {
    "backbone": {"checkpoint": "raw.pth", "input_size": 32, "videos_per_job": 2},
    "training": {"steps": 6, "batch_size": 2, "log_every": 2, "save_every_s": 0},
    "model": {"embedding": 32, "channels": 32, "head_width": 16},
    "evaluation": {"bootstrap_draws": 20},
    "folds": {"chance_draws": 2},
}


def write_video(path, number, n_frames=FRAMES):
    """A face (astronaut, public domain) that moves and, during EVENTS, changes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    face = astronaut()[0:240, 104:344]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS), options={"g": "10"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in range(n_frames):
            picture = np.full((240, 320, 3), 90 + 5 * number, dtype=np.uint8)
            shift = (2 * number + frame // 3) % 80
            picture[:, shift : shift + 240] = face
            if any(onset <= frame <= offset for onset, offset, _ in EVENTS):
                picture[150:190, shift + 90 : shift + 150, number % 3] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def write_videos(root, n_subjects, of_each=1):
    """`root/s00/s00_0.mp4`, ..., and events.csv."""
    rows = [["video_id", "onset", "offset", "emotion"]]
    for number in range(n_subjects * of_each):
        subject = f"s{number // of_each:02}"
        name = f"{subject}_{number % of_each}"
        write_video(root / subject / f"{name}.mp4", number)
        rows += [[name, *event] for event in EVENTS]
    with open(root / "events.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def project(folder, n_subjects=3, of_each=1, **sections):
    """A copy of the project whose data set `custom` is such videos; `sections` of the configuration win over SMALL."""
    copied(folder)
    write_videos(folder / "raw", n_subjects, of_each)
    torch.manual_seed(0)
    torch.save(resnet18().state_dict(), folder / "raw.pth")
    settings = {"dataset": {"reader": "custom", "root": "raw"}, **SMALL}
    for section, keys in sections.items():
        settings[section] = {**settings.get(section, {}), **keys}
    (folder / "config/datasets/custom.yaml").write_text(yaml.safe_dump(settings))
    return folder
