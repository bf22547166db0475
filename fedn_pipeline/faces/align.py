"""The faces stage: one source -> its alignment table, its file of face crops and a summary (summary.py).

Two passes over the source, a frame at a time: landmarks first (`faces.aligner` says whose), and, once it is known whom
to follow and which gaps can be bridged, the warp. The crops are a function of the source and the table as written.
Damage, truncation and absence of faces: see video.py and images.py for what a user is promised; a damaged frame of a
video file counts as one without a face (bridged or missing), since its picture is a repeat.
"""

from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fedn_pipeline.faces import alignment, crops, following, gaps, landmarks, openface, openface_run, source, summary
from fedn_pipeline.files import InputError


def process(
    source_path, alignment_path, crops_path, settings, fps=None, first_number=None, progress=True, leave_out=False
):
    """Run the faces stage on a video file or a folder of numbered images; write its files whole.

    `settings` holds the sections `faces` and `openface` of the configuration; `fps` and `first_number` are for folders;
    the video's id is the stem of `alignment_path`. A source that cannot be decoded at all raises InputError, or, with
    `leave_out`, is left out (summary.py). Returns a summary: `aligner, n_frames, header_frames, fps, width,
    height, n_faces` (tracked frames), `n_bridged, n_missing, n_damaged, n_several` (frames with more than one face) and
    `warnings`, a list of sentences. Raises InputError for a source that cannot be decoded at all, and for output of
    OpenFace that does not fit it.
    """
    cv2.setNumThreads(1)
    try:
        info = source.probe(source_path, fps, first_number)
    except InputError as error:
        if not leave_out or not Path(source_path).exists():
            raise
        source.read_through(source_path)  # what the disk does not give is not the video's fault
        return summary.leave_out(alignment_path, crops_path, str(error).removeprefix(f"{source_path}: "))
    find = ALIGNERS[settings["faces"]["aligner"]]
    found = find(source_path, info, Path(alignment_path).stem, settings, progress)
    aligned = align(found, info, settings["faces"], bridged=not openface.is_cropped(source_path, settings))
    alignment.write(alignment_path, aligned)
    write_crops(source_path, info, alignment_path, crops_path, settings, progress)
    warnings = [] if openface.is_cropped(source_path, settings) else info.warnings()
    told = describe(info, found, aligned, settings["faces"]["aligner"], warnings)
    summary.write(alignment_path, told)
    return told


def builtin(source_path, info, _video_id, settings, progress=True):
    """Aligner `builtin`: detect faces in each frame and choose the person to follow; returns alignment.Found."""
    followed = find_faces(source_path, info, settings["faces"], progress)
    points, similarities = np.full((info.n_frames, landmarks.N_IBUG, 2), np.nan), np.full((info.n_frames, 4), np.nan)
    for frame, face in enumerate(followed.faces):
        if face is not None:
            points[frame], similarities[frame] = face.points, face.similarity
    confidence = np.isfinite(similarities[:, 0]).astype(float)
    return alignment.Found(points, similarities, confidence, followed.n_several, _following_warnings(followed))


# Each: (source_path, info, video_id, settings, progress) -> alignment.Found.
ALIGNERS = {"builtin": builtin, "openface": openface_run.run, "openface_output": openface.from_output}


def find_faces(source_path, info, settings, progress=True):
    """Detect faces and link them; returns following.Followed. `settings` is the section `faces`."""
    size = settings["crop_size"]
    unseen = np.zeros_like(info.damaged) if info.filled else info.damaged
    linker = following.Linker(settings, patience=round(settings["max_gap_s"] * info.fps))
    with landmarks.Landmarker(settings["max_faces"], settings["min_confidence"], video=True) as landmarker:
        pictures = source.frames(source_path, info)
        pictures = tqdm(pictures, "landmarks", info.n_frames, disable=not progress, unit="frame")
        for picture, blind in zip(pictures, unseen, strict=True):
            meshes = [] if blind else landmarker.detect(picture)
            linker.add([following.Face.from_mesh(picture, mesh, size) for mesh in meshes])
    return following.follow(linker, settings)


def align(found, info, settings, bridged=True):
    """The alignment table of what an aligner found: gaps bridged, the built-in aligner's similarity smoothed.

    OpenFace's similarities stay as they are, so that the crops are its own. `settings` is the section `faces`.
    """
    values = np.concatenate([found.points.reshape(info.n_frames, -1), found.similarities], axis=1)
    max_gap = round(settings["max_gap_s"] * info.fps) if bridged else 0
    values, status = gaps.bridge(values, np.isfinite(found.similarities[:, 0]), max_gap)
    points, similarities = values[:, :-4].reshape(info.n_frames, landmarks.N_IBUG, 2), values[:, -4:]
    if settings["aligner"] == "builtin":
        similarities = gaps.smooth(similarities, settings["smoothing_s"] * info.fps)
    return alignment.table(points, similarities, status, info.damaged, found.confidence)


def write_crops(source_path, info, alignment_path, crops_path, settings, progress=True):
    """Second pass: warp each frame by the alignment table on disk, and encode; OpenFace's own crops are only scaled."""
    similarities = alignment.similarities(alignment.read(alignment_path))
    if len(similarities) != info.n_frames:
        raise InputError(f"{alignment_path}: {len(similarities)} rows, but {source_path} has {info.n_frames} frames")
    size = settings["faces"]["crop_size"]
    pictures = source.frames(source_path, info)
    pictures = tqdm(pictures, "crops", info.n_frames, disable=not progress, unit="frame")
    if openface.is_cropped(source_path, settings):
        cut = crops.scaled(pictures, np.isfinite(similarities).all(axis=1), size)
    else:
        cut = crops.warped(pictures, similarities, size)
    crops.write(crops_path, cut, info.fps, settings["faces"])


def describe(info, found, aligned, aligner, warnings):
    """What a user should know about one video (see `process`); `warnings` about its pictures come first."""
    counts = aligned["status"].value_counts()
    n_faces, n_bridged, n_missing = (
        int(counts.get(status, 0)) for status in (gaps.TRACKED, gaps.BRIDGED, gaps.MISSING)
    )
    warnings = list(warnings)
    if not n_faces:
        warnings.append("no face was found in any frame: the crops are black")
    elif n_missing:
        warnings.append(f"{n_missing} of {info.n_frames} frames are without the person's face: their crops are black")
    if found.n_several:
        warnings.append(f"{found.n_several} frames show more than one face; one person was followed")
    warnings += found.warnings
    return {
        "aligner": aligner,
        "n_frames": info.n_frames,
        "header_frames": info.header_frames,
        "fps": info.fps,
        "width": info.width,
        "height": info.height,
        "n_faces": n_faces,
        "n_bridged": n_bridged,
        "n_missing": n_missing,
        "n_damaged": info.n_damaged,
        "n_several": found.n_several,
        "warnings": warnings,
    }


def _following_warnings(followed):
    """Sentences on how one person was told from others."""
    warnings = []
    if followed.n_unused:
        warnings.append(f"{followed.n_unused} frames show only faces that are not known to be the person's: not used")
    if followed.close:
        warnings.append(
            f"in {len(followed.close)} frames (first: {followed.close[0]}) another face overlaps the person's: "
            "look at the crops there"
        )
    return warnings
