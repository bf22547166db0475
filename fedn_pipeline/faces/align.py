"""The faces stage: one video -> its alignment table and its file of face crops.

Two passes over the video, a frame at a time: landmarks first, and, once it is known whom to follow and which gaps can
be bridged, the warp. The crops are a function of the video and the table as written, so that a table from another
aligner gives crops in the same way. Damage, truncation and absence of faces: see video.py for what a user is promised;
a damaged frame counts as one without a face (bridged or missing), since its picture is a repeat.
"""

import cv2
import numpy as np
from tqdm import tqdm

from fedn_pipeline.faces import alignment, crops, following, gaps, landmarks, video


def process(video_path, alignment_path, crops_path, settings, progress=True):
    """Run the faces stage on one video; write both files whole.

    `settings` is the section `faces` of the configuration. Returns a summary: `n_frames, header_frames, fps, width,
    height, n_faces` (tracked frames), `n_bridged, n_missing, n_damaged, n_several` (frames with more than one face) and
    `warnings`, a list of sentences. Raises InputError for a video that cannot be decoded at all.
    """
    cv2.setNumThreads(1)
    info = video.probe(video_path)
    followed = find_faces(video_path, info, settings, progress)
    aligned = align(followed, info, settings)
    alignment.write(alignment_path, aligned)
    write_crops(video_path, alignment_path, crops_path, settings, info, progress)
    return summary(info, followed, aligned)


def find_faces(video_path, info, settings, progress=True):
    """First pass: detect faces in each frame and choose the person to follow; returns following.Followed."""
    size = settings["crop_size"]
    linker = following.Linker(settings, patience=round(settings["max_gap_s"] * info.fps))
    with landmarks.Landmarker(settings["max_faces"], settings["min_confidence"], video=True) as landmarker:
        pictures = tqdm(video.frames(video_path, info), "landmarks", info.n_frames, disable=not progress, unit="frame")
        for picture, damaged in zip(pictures, info.damaged, strict=True):
            meshes = [] if damaged else landmarker.detect(picture)
            linker.add([following.Face.from_mesh(picture, mesh, size) for mesh in meshes])
    return following.follow(linker, settings)


def align(followed, info, settings):
    """The alignment table of a followed person: gaps bridged, the similarity smoothed if configured."""
    found = np.array([face is not None for face in followed.faces])
    values = np.full((info.n_frames, 2 * landmarks.N_IBUG + 4), np.nan)
    for frame, face in enumerate(followed.faces):
        if face is not None:
            values[frame] = np.concatenate([face.points.ravel(), face.similarity])
    values, status = gaps.bridge(values, found, round(settings["max_gap_s"] * info.fps))
    points = values[:, :-4].reshape(info.n_frames, landmarks.N_IBUG, 2)
    similarities = gaps.smooth(values[:, -4:], settings["smoothing_s"] * info.fps)
    return alignment.table(points, similarities, status, info.damaged)


def write_crops(video_path, alignment_path, crops_path, settings, info=None, progress=True):
    """Second pass: warp each frame by the alignment table on disk, and encode."""
    info = info or video.probe(video_path)
    similarities = alignment.similarities(alignment.read(alignment_path))
    if len(similarities) != info.n_frames:
        raise crops.InputError(
            f"{alignment_path}: {len(similarities)} rows, but {video_path} has {info.n_frames} frames"
        )
    pictures = tqdm(video.frames(video_path, info), "crops", info.n_frames, disable=not progress, unit="frame")
    crops.write(crops_path, crops.warped(pictures, similarities, settings["crop_size"]), info.fps, settings)


def summary(info, followed, aligned):
    """What a user should know about one video (see `process`)."""
    counts = aligned["status"].value_counts()
    n_faces, n_bridged, n_missing = (
        int(counts.get(status, 0)) for status in (gaps.TRACKED, gaps.BRIDGED, gaps.MISSING)
    )
    warnings = info.warnings()
    if not n_faces:
        warnings.append("no face was found in any frame: the crops are black")
    elif n_missing:
        warnings.append(f"{n_missing} of {info.n_frames} frames are without the person's face: their crops are black")
    if followed.n_several:
        warnings.append(f"{followed.n_several} frames show more than one face; one person was followed")
    if followed.n_unused:
        warnings.append(f"{followed.n_unused} frames show only faces that are not known to be the person's: not used")
    if followed.close:
        warnings.append(
            f"in {len(followed.close)} frames (first: {followed.close[0]}) another face overlaps the person's: "
            "look at the crops there"
        )
    return {
        "n_frames": info.n_frames,
        "header_frames": info.header_frames,
        "fps": info.fps,
        "width": info.width,
        "height": info.height,
        "n_faces": n_faces,
        "n_bridged": n_bridged,
        "n_missing": n_missing,
        "n_damaged": info.n_damaged,
        "n_several": followed.n_several,
        "warnings": warnings,
    }
