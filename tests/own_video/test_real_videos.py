"""The default model on real faces, where `make demo` has left it and the videos are.

Neither its weights nor its threshold depend on them; head_motion.avi shaped its recipe (docs/model.md, "Variants").
"""

from pathlib import Path

import pytest

from fedn_pipeline import config, intervals
from fedn_pipeline.bundle import load
from fedn_pipeline.own_video import detect

DEFAULT = config.validate({})["detect"]
MODEL = Path(__file__).resolve().parent.parent.parent / DEFAULT["model"]
SMILE = (225, 275)  # frames of default.wmv in which the man smiles


@pytest.fixture(scope="module")
def kept(shared_data, tmp_path_factory):
    """Function `file name -> kept detections` with the default model."""
    if not (MODEL / "bundle.json").is_file():
        pytest.skip("no default model: `make demo` leaves it")
    bundle, folder = load.load(MODEL), tmp_path_factory.mktemp("seen")

    def run(name):
        path = shared_data / "real_videos" / name
        content = detect.run(path, path.stem, bundle, folder / path.stem, DEFAULT)
        return [one for one in content["detections"] if one["kept"]]

    return run


def test_the_smile_is_found_as_happiness(kept):
    smile = intervals.half_open(*SMILE)
    ious = [
        float(intervals.iou(intervals.half_open(one["onset"], one["offset"]), smile))
        for one in kept("default.wmv")
        if one["emotion"] == "happiness"
    ]
    assert max(ious, default=0) >= 0.5


def test_a_turning_neutral_head_gives_at_most_two_detections(kept):
    assert len(kept("head_motion.avi")) <= 2
