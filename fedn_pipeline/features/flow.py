"""Crops of a batch of videos -> optical flow and strain, cached per video in the same way as features (stage `flow`).

For each step t of the 30 fps axis the flow from t to t + gap, the input of STR (Liong, See, Chan 2023, "Spot-then-
Recognize"), and its mean length, so that whoever looks for motion need not read the flow. Differs from the paper: the
whole aligned crop instead of boxes around brows and mouth, since alignment already puts both at fixed places; values
stay in pixels instead of being stretched to [0, 1] picture by picture, which would make noise look like motion; DIS
(Kroeger et al. 2016) instead of TV-L1, which is 150 times slower; the gap (see `cascades/gap.py`).
"""

from collections import deque

import cv2
import numpy as np
from tqdm import tqdm

from fedn_pipeline import __version__, hdf5, intervals
from fedn_pipeline.faces import alignment, crops, summary
from fedn_pipeline.features import cache
from fedn_pipeline.files import InputError, sha256

# pyramid scale, levels, window, iterations, polynomial neighbourhood and its sigma, flags: OpenCV's documented example
FARNEBACK = (0.5, 3, 15, 3, 5, 1.2, 0)


def _dis():
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return lambda before, after: flow.calc(before, after, None)


def _farneback():
    return lambda before, after: cv2.calcOpticalFlowFarneback(before, after, None, *FARNEBACK)


def _tvl1():
    flow = cv2.optflow.DualTVL1OpticalFlow_create()
    return lambda before, after: flow.calc(before, after, None)


METHODS = {"dis": _dis, "farneback": _farneback, "tvl1": _tvl1}  # each makes `(gray, gray) -> flow [side, side, 2]`


def strain(u, v):
    """Optical strain `[side, side]` of a flow: the norm of its symmetric gradient (Shreve et al. 2011)."""
    (u_y, u_x), (v_y, v_x) = np.gradient(u), np.gradient(v)
    return np.sqrt(u_x**2 + v_y**2 + (u_y + v_x) ** 2 / 2)


def channels(flow, size):
    """Flow `[side, side, 2]` px -> u, v, strain `[3, size, size]` float32, u and v in px of the large picture."""
    u, v = flow[..., 0], flow[..., 1]
    return np.stack(
        [cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA) for part in (u, v, strain(u, v))]
    ).astype(np.float32)


def _grays(path, source, size):
    """Yield the grey picture `[size, size]` of each step up to the last crop; `source [n_steps]` are frames."""
    step = 0
    for frame, crop in enumerate(crops.read(path)):
        gray = None
        while step < len(source) and source[step] == frame:
            if gray is None:
                gray = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
                gray = cv2.resize(gray, (size, size), interpolation=cv2.INTER_AREA)
            yield gray
            step += 1


def between(row, crops_path, alignment_path, gap, settings):
    """The flow of one video (`row` of videos.csv) over `gap` steps: `(valid [n_steps] bool, source [n_steps], flows)`.

    `flows` yields `(step, flow [work_size, work_size, 2])` of each valid step: those with a face both at t and at
    t + gap; `source` are frames. `settings` is section `flow`. Raises InputError if alignment, crops and videos.csv do
    not agree on the number of frames.
    """
    table = alignment.read(alignment_path)
    if len(table) > row.n_frames:
        raise InputError(f"{alignment_path}: {len(table)} rows, videos.csv says {row.n_frames} frames")
    source = intervals.source_frames(row.n_frames, row.fps)
    has_face = np.zeros(row.n_frames, dtype=bool)
    has_face[: len(table)] = table.status != "missing"
    shown, n = has_face[source], len(source)
    valid = np.zeros(n, dtype=bool)
    valid[: max(0, n - gap)] = shown[: max(0, n - gap)] & shown[gap:]

    def flows():
        method, recent, seen = METHODS[settings["method"]](), deque(maxlen=gap + 1), 0
        with tqdm(desc=f"flow {row.video_id}", total=int(valid.sum()), unit="step") as progress:
            for step, gray in enumerate(_grays(crops_path, source, settings["work_size"])):
                recent.append(gray)
                seen += 1
                if step >= gap and valid[step - gap]:
                    yield step - gap, method(recent[0], gray)
                    progress.update()
        if seen != np.count_nonzero(source < len(table)):
            raise InputError(f"{crops_path}: its number of crops is not that of {alignment_path}; make both again")

    return valid, source, flows()


def video_flow(row, crops_path, alignment_path, gap, settings):
    """Flow `[n_steps, 3, size, size]` float16 of one video and `valid [n_steps]`, zeros where it is False; see
    `between`."""
    valid, _, flows = between(row, crops_path, alignment_path, gap, settings)
    flow = np.zeros((len(valid), 3, settings["size"], settings["size"]), dtype=np.float16)
    for step, found in flows:
        flow[step] = channels(found, settings["size"])
    return flow, valid


def write_group(file, video, entry):
    """Add one video's Features (flow) to an open HDF5 file, and beside them `magnitude [n_steps]` float32: the mean
    length of the flow that starts at each step, px."""
    cache.write_group(file, video, entry)
    flow = entry.features[:, :2].astype(np.float32)
    magnitude = np.hypot(flow[:, 0], flow[:, 1]).mean(axis=(1, 2))
    file[video].create_dataset("magnitude", data=magnitude, chunks=magnitude.shape, fletcher32=True)


def run(videos, faces_folder, gap, path, settings):
    """Flow over `gap` steps of all rows of `videos` into one HDF5 file at `path`, groups by `write_group`.

    Crops and alignments are `faces_folder/{crops,alignment}/{video_id}.*`; `settings` is section `flow`.
    """
    recipe = f"optical flow ({settings['method']} at {settings['work_size']} px, gap {gap}, {settings['size']} px)"
    write(path, videos, faces_folder, gap, recipe, settings, video_flow, write_group)


def write(path, videos, faces_folder, gap, recipe, settings, of_video, write_group):
    """Each video's `of_video(row, crops_path, alignment_path, gap, settings) -> (features, valid)` into one HDF5 file,
    by `write_group(file, video_id, cache.Features)`. `recipe`: in words, what the values are."""
    cv2.setNumThreads(1)  # jobs run side by side
    of_all = {
        "frame_stride": 1,
        "gap": gap,
        "weights_sha256": "none",
        "weights_origin": recipe,
        "input_size": settings["work_size"],
        "backend": "opencv",
        "precision": "fp32",
        "version": __version__,
    }
    with hdf5.whole(path) as file:
        for row in videos.itertuples():
            crops_path = faces_folder / "crops" / f"{row.video_id}{crops.CROPS_SUFFIX}"
            alignment_path = faces_folder / "alignment" / f"{row.video_id}.csv"
            features, valid = of_video(row, crops_path, alignment_path, gap, settings)
            attributes = {
                **of_all,
                "source_sha256": sha256(crops_path),
                **summary.left_out(faces_folder, row.video_id),
            }
            write_group(file, row.video_id, cache.Features(features, valid, attributes))
