"""The aligner `openface`: run the user's FeatureExtraction on one source, for landmarks only.

Its exit status proves nothing (it is 0 without output, and after half a video), so its rows are compared with the
decoded frames (openface.py) and what it said is shown where they do not fit. It writes into a temporary folder; crops
are warped from the source by ourselves, which needs none of its images.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fedn_pipeline.faces import openface, openface_csv, openface_shape, source
from fedn_pipeline.files import InputError

OUTPUTS = ["-2Dfp", "-pdmparams"]  # landmarks and the model's place: all that an alignment needs
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "VECLIB_MAXIMUM_THREADS": "1"}
TAIL_LINES, TAIL_WIDTH = 12, 200  # of what OpenFace said, in an error


def run(source_path, info, _video_id, settings, progress=True):
    """Aligner `openface`: Found of one source. `settings` holds `faces` and `openface`. Raises InputError."""
    chosen = settings["openface"]
    mean_shape = openface_shape.find(chosen, [])
    with tempfile.TemporaryDirectory(prefix="fedn_openface_") as folder:
        folder = Path(folder).resolve()
        program(chosen, [])  # told before pictures are written
        given, needed = _input(source_path, info, folder / "pictures", progress)
        written = folder / "written"
        written.mkdir()
        command = [*program(chosen, [*needed, folder]), *given, "-out_dir", str(written), *OUTPUTS]
        status, said = _call(command, folder)
        name = f"OpenFace's csv of {source_path}"
        try:
            tables = sorted(written.glob("*.csv"))
            if len(tables) != 1:
                raise InputError(f"{source_path}: OpenFace wrote {len(tables)} csv files, not one")
            rows = openface_csv.read(tables[0], name)
            frame_of = np.arange(info.n_frames)
            found = openface.found(rows, frame_of, info, settings, (name, source_path), mean_shape)
        except InputError as error:
            raise InputError(f"{error}\nOpenFace ended with status {status} and said last:\n{_tail(said)}") from error
    if status:
        found.warnings.append(f"OpenFace ended with status {status}, but its rows are whole")
    return found


def program(chosen, folders):
    """The command that starts FeatureExtraction, with `folders` visible inside a container. Raises InputError."""
    binary, image = chosen["binary"], chosen["container"]
    if not image:
        return [_executable(binary)]
    if not shutil.which("apptainer"):
        raise InputError("openface.container is set, but apptainer is not on the PATH")
    if "://" not in image:
        image = str(Path(image).expanduser().resolve())
        if not Path(image).exists():
            raise InputError(f"{image}: no such container image (openface.container)")
    return ["apptainer", "exec", "--bind", ",".join(map(str, dict.fromkeys(folders))), image, binary]


def _executable(binary):
    """Resolved path of the binary: OpenFace looks for its models beside the path by which it was called."""
    path = os.path.expanduser(binary)
    found = shutil.which(path)
    if found:
        return str(Path(found).resolve())
    if os.path.isfile(path):
        raise InputError(f"{path}: not executable (openface.binary); chmod +x it")
    where = "no such program" if os.path.dirname(path) else "no such program on the PATH"
    raise InputError(f"{binary}: {where}; set openface.binary to OpenFace's FeatureExtraction")


def _input(source_path, info, images, progress):
    """The arguments that name OpenFace's input, and the folders that hold it.

    A sound video is given as it is. Otherwise OpenFace would lose frames without a word (it sorts names as text, stops
    at an image that it cannot read and skips pictures of a video), so `images` is made, with one image per frame.
    """
    if not info.filled and not info.n_damaged:
        path = Path(source_path).resolve()
        return ["-f", str(path)], [path.parent]
    images.mkdir()
    linkable = info.filled and all(path.suffix.lower() in openface.IMAGE_SUFFIXES for path in info.files)
    if linkable:
        paths = [path.resolve() for path in info.files]
        for frame, path in enumerate(paths):
            (images / f"{frame:08d}{path.suffix.lower()}").symlink_to(path)
        return ["-fdir", str(images)], sorted({path.parent for path in paths})
    pictures = tqdm(source.frames(source_path, info), "pictures", info.n_frames, disable=not progress, unit="frame")
    for frame, picture in enumerate(pictures):
        path = images / f"{frame:08d}.png"
        if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
            raise OSError(f"{path}: cannot be written")
    return ["-fdir", str(images)], []


def _call(command, folder):
    """Exit status, and everything the program said."""
    log = folder / "said.txt"
    with open(log, "wb") as said:
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=os.environ | ONE_THREAD,
                check=False,
            )
        except OSError as error:
            raise InputError(f"{command[0]}: cannot be started (openface.binary): {error.strerror}") from error
    return done.returncode, log.read_text(encoding="utf-8", errors="replace")


def _tail(said):
    lines = [line.strip()[:TAIL_WIDTH] for line in said.splitlines() if line.strip()]
    return "\n".join(f"  {line}" for line in lines[-TAIL_LINES:]) or "  nothing"
