"""One video and a model bundle -> detections.csv, detections.json and index.html in a folder (command `detect`).

The numbers are those of the stages faces, features, folds and detections; only the crops are not written and read again
in between (stream.py).
"""

from functools import partial

import numpy as np
import pandas as pd
import torch

from fedn_pipeline import __version__, compute, files, intervals
from fedn_pipeline.bundle.layout import THRESHOLD_DIGITS
from fedn_pipeline.detection import candidates
from fedn_pipeline.faces import align, alignment, following, gaps, landmarks
from fedn_pipeline.faces.crops import CROPS_SUFFIX
from fedn_pipeline.model.outputs import OBJECTNESS
from fedn_pipeline.own_video import embedding, keepsakes, people, stream
from fedn_pipeline.own_video.layout import CSV, JSON, PAGE, shown
from fedn_pipeline.report.timeline import highest
from fedn_pipeline.training import data
from fedn_pipeline.training.fold import raw_predictions
from fedn_pipeline.viewer import page

CURVE_EVERY = 3  # steps of the 30 fps axis between two values of the confidence curve
SHORTEST_S = 1  # a shorter video has no resting face to compare with
BOX_EVERY = 5  # frames between two boxes of the person
QUALITY = {"spotting_f1": "spotting F1", "recognition_f1_micro": "recognition F1"}  # metrics that the page names


def run(path, video_id, bundle, folder, settings, person=people.LARGEST, crops=False, progress=True, name=None):
    """Detect in the video file `path`, write the three files into `folder`; returns what detections.json holds.

    `crops`: also the files of the stage faces, in a second pass. `settings` is section `detect`; its `threshold` (None:
    the bundle's) decides what is kept. `name`: how the file is called in what is written (default: its name). Raises
    InputError for a file that cannot be decoded, Unwritable (an InputError) where `folder` cannot be written; a video
    without a face is no error: its table is empty, and a warning says so.
    """
    faces = bundle.settings["faces"]
    with (
        files.scratch(folder / "proxy.mp4") as proxy_path,
        embedding.OPENERS[bundle.backbone](bundle) as (embed, finish, width),
        keepsakes.Faces(settings["face_size"]) as kept,
    ):
        for earlier in (CSV, JSON, PAGE):
            (folder / earlier).unlink(missing_ok=True)
        copy = partial(keepsakes.Proxy, proxy_path, settings)
        watched = stream.watch(path, faces, embed, kept, copy, progress)
        keepsakes.retime(proxy_path, watched.axis.edges_s)
        everybody = people.notable(following.people(watched.linker, faces))
        chain = people.choose(everybody, person, path)
        followed = following.follow(watched.linker, faces, chain)
        has_face = np.array([face is not None for face in followed.faces])
        absent = gaps.unbridged(has_face, round(faces["max_gap_s"] * watched.info.fps))
        features, valid = features_of(watched, chain or [], absent, width, finish)
        found = _found(bundle, features, valid, watched.axis, settings["threshold"])
        content = _content(name or shown(path.name), video_id, bundle, watched, followed, absent, found)
        content["person"] = {"n_people": len(everybody), "chosen": person, "boxes": _boxes(followed.faces)}
        thumbnails = {one["apex"]: kept.nearest(chain or [], one["apex"]) for one in content["detections"]}
        if crops:
            _write_crops(path, video_id, bundle, watched, followed, folder, progress)
        table = pd.DataFrame(rows(content), columns=columns(bundle.classes))
        files.write_csv(folder / CSV, table, float_format=None, checksum=False)  # people carry these files elsewhere
        files.write_json(folder / JSON, content, checksum=False)
        page.write(folder / PAGE, content, proxy_path, {frame: jpeg for frame, jpeg in thumbnails.items() if jpeg})
    return content


def _write_crops(path, video_id, bundle, watched, followed, folder, progress):
    """The alignment table and the crops of the person, as the stage faces writes them."""
    found, n_frames = [face is not None for face in followed.faces], watched.info.n_frames
    points, similarities = np.full((n_frames, landmarks.N_IBUG, 2), np.nan), np.full((n_frames, 4), np.nan)
    points[found] = np.reshape([face.points for face in followed.faces if face is not None], (-1, *points.shape[1:]))
    similarities[found] = np.reshape([face.similarity for face in followed.faces if face is not None], (-1, 4))
    of_person = alignment.Found(points, similarities, np.array(found, dtype=float), followed.n_several)
    alignment_path = folder / "faces" / "alignment" / f"{video_id}.csv"
    alignment.write(alignment_path, align.align(of_person, watched.info, bundle.settings["faces"]))
    crops_path = folder / "faces" / "crops" / f"{video_id}{CROPS_SUFFIX}"
    align.write_crops(path, watched.info, alignment_path, crops_path, bundle.settings, progress)


def columns(classes):
    """Columns of detections.csv."""
    times = ["onset", "offset", "onset_s", "offset_s", "apex"]
    return ["video_id", *times, "confidence", "emotion", "kept", *(f"score_{name}" for name in classes if name)]


def rows(content):
    """The rows of detections.csv."""
    for one in content["detections"]:
        scores = {f"score_{name}": value for name, value in one["scores"].items()}
        yield {"video_id": content["video"]["id"], **one, "kept": int(one["kept"]), **scores}


def features_of(watched, chain, absent, width, finish):
    """`(features [n_steps, D], valid [n_steps])` of the person that a chain of tracks is; `absent`: gaps.unbridged.

    A frame that the pass did not expect to be needed takes the vector of the track's nearest one within a step.
    """
    has_face = np.ones(watched.info.n_frames, dtype=bool)
    for start, end in absent:
        has_face[start:end] = False
    raw = np.full((watched.info.n_frames, width), np.nan, dtype=np.float32)
    source = watched.axis.source_frames()
    for track in chain:
        frames, vectors = (np.array(one) for one in watched.vectors.get(id(track), ([], [])))
        if len(frames):
            vectors = vectors.reshape(len(frames), width)
            shown = np.unique(source[(source >= track.frames[0]) & (source <= track.frames[-1])])
            near, distance_s = watched.axis.nearest(frames, shown)
            close = np.round(distance_s * intervals.FEATURE_FPS, 3) <= 1  # time stamps are rounded
            raw[shown[close]] = vectors[near[close]]
    return finish(raw[source], has_face[source])


def _found(bundle, features, valid, axis, threshold):
    """Detections of one video, highest confidence first: `detections` of detections.json, `curve`, `threshold`."""
    threshold = round(bundle.threshold if threshold is None else threshold, THRESHOLD_DIGITS)
    video = pd.DataFrame({"video_id": ["video"], "fps": [axis.fps], "n_frames": [axis.n_frames]})
    device = compute.device()
    loaded = data.Videos(("video",), np.array([len(features)]), torch.from_numpy(features).to(device), {"video": valid})
    network = bundle.network.to(device)
    raw = raw_predictions(network, loaded, video, bundle.settings, device)["video"]
    spans, confidence, label, logits = candidates.chosen(raw, bundle.names, bundle.settings["detections"])
    onset, offset = candidates.frames(axis.from_steps(spans), axis.n_frames)
    onset_s, offset_s = axis.seconds(onset, offset)
    written = [round(float(value), 6) for value in confidence]  # `kept` is what the page makes of these
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    source = axis.source_frames()
    apexes = [apex(features, valid, span, source) for span in spans]
    named = [(number, name) for number, name in enumerate(bundle.names) if name not in ("", OBJECTNESS)]
    detections = [
        {
            "onset": int(onset[i]),
            "offset": int(offset[i]),
            "apex": int(np.clip(apexes[i], onset[i], offset[i])),
            "onset_s": round(float(onset_s[i]), 6),
            "offset_s": round(float(offset_s[i]), 6),
            "confidence": written[i],
            "emotion": bundle.names[label[i]],
            "scores": {name: round(float(scores[i, number]), 6) for number, name in named},
            "kept": written[i] >= threshold,
        }
        for i in range(len(spans))
    ]
    curve = highest(spans, confidence, len(valid))[::CURVE_EVERY]
    return {
        "detections": detections,
        "threshold": threshold,
        "curve": {"every_s": CURVE_EVERY / intervals.FEATURE_FPS, "confidence": [round(float(c), 4) for c in curve]},
    }


def apex(features, valid, span, source):
    """The frame in a span of steps whose features, smoothed over three steps, are farthest from those at its ends.

    source: the frame shown at each step, `[n_steps]`. Steps without a face (`valid` is False) are passed over, unless
    there are no others.
    """
    start, end = int(span[0]), max(int(span[0]) + 1, int(np.ceil(span[1])))
    steps = np.arange(start, min(end, len(features)))
    steps = steps[valid[steps]] if valid[steps].any() else steps
    inside = features[steps].astype(np.float64)
    padded = np.pad(inside, ((1, 1), (0, 0)), mode="edge")
    inside = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    far = np.linalg.norm(inside - inside[0], axis=1) + np.linalg.norm(inside - inside[-1], axis=1)
    return source[steps[np.argmax(far)]]


def _model(bundle):
    """What the page says of the model."""
    said, metrics = bundle.description, bundle.description["quality"]["metrics"]
    scores = ", ".join(filter(None, (_score(words, metrics.get(name, {})) for name, words in QUALITY.items())))
    return {
        "name": f"{said['experiment']} ({said['dataset']})",
        "backbone": bundle.backbone,
        "trained_on": said["description"],
        "expected": f"{scores}: {said['quality']['of']}" if scores else said["quality"]["of"],
    }


def _score(words, metric):
    """A metric of a bundle's quality as `spotting F1 43.6 % [29.8, 58.5]`; None where it has no value."""
    value, *ends = (metric.get(name) for name in ("value", "low", "high"))
    if value is None:
        return None
    interval = "" if None in ends else " [{:.1f}, {:.1f}]".format(*(100 * end for end in ends))
    return f"{words} {100 * value:.1f} %{interval}"


def _boxes(faces):
    """Where the person's face is in every BOX_EVERY-th frame: x, y, width, height in px of the source, or None."""
    boxes = []
    for face in faces[::BOX_EVERY]:
        corner = None if face is None else face.centre - face.width / 2
        boxes.append(None if face is None else [round(float(v), 1) for v in (*corner, face.width, face.width)])
    return {"every": BOX_EVERY, "xywh": boxes}


def _content(name, video_id, bundle, watched, followed, absent, found):
    """What detections.json holds (docs/viewer.md), but for the person."""
    info, axis = watched.info, watched.axis
    warnings = info.warnings() + axis.warnings
    if not any(followed.faces):
        warnings.append("no face was found in any frame")
    if axis.duration_s < SHORTEST_S:
        warnings.append(f"{axis.duration_s:.2g} s are too short to tell an expression from a resting face")
    if followed.n_several:
        warnings.append(f"{followed.n_several} frames show more than one face; one person was followed")
    return {
        "version": __version__,
        "video": {
            "id": video_id,
            "file": name,
            "n_frames": info.n_frames,
            "fps": info.fps,
            "width": info.width,
            "height": info.height,
            "duration_s": round(axis.duration_s, 6),
            "variable_rate": axis.variable,
        },
        "times_s": [round(float(time), 6) for time in axis.edges_s[:-1]] if axis.variable else None,
        "model": _model(bundle),
        "classes": [name for name in bundle.classes if name],
        "missing": [[start, end - 1] for start, end in absent],
        "missing_s": [[round(float(axis.edges_s[k]), 6) for k in run] for run in absent],
        "warnings": warnings,
        **found,
    }
