"""Figures from real stage files: drawn whole, right and wrong detections told apart, bad folders named."""

import json

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from fedn_pipeline import config
from fedn_pipeline.faces import alignment, crops
from fedn_pipeline.files import InputError
from fedn_pipeline.report import figures

SETTINGS = config.validate({})
N_FRAMES = 90


@pytest.fixture
def dataset(tmp_path):
    """One video of 90 frames with two expressions and frames 60..74 without a face."""
    videos = pd.DataFrame([{"video_id": "v", "subject": "p", "n_frames": N_FRAMES, "fps": 30.0}])
    events = pd.DataFrame({
        "video_id": "v", "onset": [5, 40], "apex": pd.array([10, pd.NA], dtype="Int64"), "offset": [20, 55],
        "emotion": ["anger", "disgust"],
    })  # fmt: skip
    status = np.full(N_FRAMES, "tracked", dtype=object)
    status[60:75] = "missing"
    similarities = np.tile([1.0, 0.0, 0.0, 0.0], (N_FRAMES, 1))
    points = np.zeros((N_FRAMES, 68, 2))
    similarities[60:75], points[60:75] = np.nan, np.nan
    table = alignment.table(points, similarities, status, np.zeros(N_FRAMES, dtype=bool))
    alignment.write(tmp_path / "alignment/v.csv", table)
    images = (np.full((224, 224, 3), 2 * frame, dtype=np.uint8) for frame in range(N_FRAMES))
    crops.write(tmp_path / f"crops/v{crops.CROPS_SUFFIX}", images, 30.0, SETTINGS["faces"])
    return videos, events, table, tmp_path


def detections():
    rows = [("v", 5, 20, 0.9, "anger", True), ("v", 70, 80, 0.8, "anger", True), ("v", 41, 50, 0.1, "anger", False)]
    return pd.DataFrame(rows, columns=["video_id", "onset", "offset", "confidence", "emotion", "kept"])


def test_timeline_tells_right_from_wrong_and_shades_gaps(dataset):
    videos, events, table, _ = dataset
    kept = detections()[:2].assign(correct=[True, False])
    figure = figures.timeline(
        next(videos.itertuples()),
        events,
        kept,
        table,
        lambda frame: np.zeros((224, 224, 3), np.uint8),
        row_s=30,
        iou=0.5,
    )
    axis = figure.axes[0]
    bars = {round(bar.get_x() * 30): bar for bar in axis.patches}
    colours = {matplotlib.colors.to_hex(bar.get_facecolor()) for bar in axis.patches}
    assert {figures.CORRECT, figures.WRONG, figures.TRUTH, figures.NO_FACE} == colours
    assert bars[60].get_width() * 30 == pytest.approx(15)  # the gap
    assert bars[70].get_hatch() == "///"
    assert "1 of 2 expressions found, 1 false" in figure.get_suptitle()
    plt.close(figure)


def test_run_writes_every_figure(dataset):
    videos, events, _, folder = dataset
    run = folder / "seed0/folds/p"
    run.mkdir(parents=True)
    detections().to_csv(run / "detections.csv", index=False)
    (run / "fold.json").write_text(json.dumps({"test_videos": ["v"]}))
    (run / "threshold.json").write_text(json.dumps({"threshold": 0.5}))
    figures.run(videos, events, folder, folder / "seed0", folder / "out", SETTINGS)
    assert (folder / "out/figures.txt").read_text().split() == ["timelines/v.png", "contact_sheet.png"]
    for name in ("timelines/v.png", "contact_sheet.png"):
        picture = plt.imread(folder / "out" / name)
        assert picture.shape[0] > 100 and picture[..., :3].std() > 0.05


def test_missing_folds_are_named(dataset):
    videos, events, _, folder = dataset
    with pytest.raises(InputError, match="tested not exactly once"):
        figures.run(videos, events, folder, folder / "nothing", folder / "out", SETTINGS)
