"""Follow one person through a video in which several faces may appear.

Fourth step of the faces stage. Faces are linked from frame to frame by distance and size into tracks; the person is the
track with the largest area over time, and tracks before and after it belong to the same person only if they resume near
the place where it was lost, with like size and shape. Nobody else's face ever stands in: without the person, frames are
without a face. What cannot be certain is reported.
"""

from dataclasses import dataclass, field

import numpy as np

from fedn_pipeline.faces import geometry, landmarks


@dataclass
class Face:
    """One face in one frame: iBUG points `[68, 2]` px float32, similarity `[4]`, centre `[2]` px and width px."""

    points: np.ndarray
    similarity: np.ndarray
    centre: np.ndarray
    width: float

    @classmethod
    def from_mesh(cls, mesh, size):
        similarity = geometry.mesh_similarity(mesh, size)
        centre = geometry.transform(geometry.inverse(similarity), np.full(2, size / 2))
        points = landmarks.to_ibug(mesh).astype(np.float32)
        return cls(points, similarity, centre, float(geometry.side_px(similarity) * size))


@dataclass
class Track:
    """One face without interruption longer than the patience: `faces` by frame, in order."""

    frames: list = field(default_factory=list)
    faces: list = field(default_factory=list)

    def add(self, frame, face):
        self.frames.append(frame)
        self.faces.append(face)

    @property
    def weight(self):
        """Area over time, px^2 frames: a large face for long outweighs a small or brief one."""
        return sum(face.width**2 for face in self.faces)

    def shape(self, size):
        """Mean shape `[68, 2]` in shares of the crop's side: what is left after place, size and rotation."""
        # A few dozen frames average pose and expression out as well as all of them would.
        chosen = self.faces[:: max(1, len(self.faces) // 50)]
        return np.mean([geometry.transform(face.similarity, face.points) for face in chosen], axis=0) / size


@dataclass
class Followed:
    """The person's faces, `[n_frames]` of Face or None, and what a user should know about how they were told apart."""

    faces: list
    n_several: int  # frames with more than one face
    n_unused: int  # frames without the person in which somebody else's (or an unidentified) face was seen
    close: list  # frames in which another face came within reach of the person's


def _gap(earlier, later):
    """Distance of two faces in widths of the earlier one, and the ratio of their sizes (>= 1)."""
    distance = np.linalg.norm(later.centre - earlier.centre) / earlier.width
    ratio = later.width / earlier.width
    return distance, max(ratio, 1 / ratio)


class Linker:
    """Builds tracks frame by frame. `add` takes a frame's faces; `tracks` holds all tracks so far."""

    def __init__(self, settings, patience):
        self._settings = settings
        self._patience = patience  # frames that a face may be absent within a track
        self.tracks = []
        self._open = []
        self._n_frames = 0
        self.n_faces = []

    def _cost(self, track, face, frame):
        """Distance to the track's last face in widths, or infinity where the step is too large to be a motion."""
        distance, ratio = _gap(track.faces[-1], face)
        absent = frame - track.frames[-1]
        reach = min(self._settings["max_jump"] * absent, self._settings["max_reappear"])
        return distance if distance <= reach and ratio <= self._settings["max_size_change"] else np.inf

    def add(self, faces):
        """Link one frame's faces, nearest pair first, to the tracks seen at most `patience` frames ago."""
        frame = self._n_frames
        self._open = [track for track in self._open if frame - track.frames[-1] <= self._patience + 1]
        costs = [
            (self._cost(track, face, frame), i, j)
            for i, track in enumerate(self._open)
            for j, face in enumerate(faces)
        ]
        taken_tracks, taken_faces = set(), set()
        for cost, i, j in sorted(costs):
            if np.isfinite(cost) and i not in taken_tracks and j not in taken_faces:
                self._open[i].add(frame, faces[j])
                taken_tracks.add(i)
                taken_faces.add(j)
        for j, face in enumerate(faces):
            if j not in taken_faces:
                track = Track()
                track.add(frame, face)
                self.tracks.append(track)
                self._open.append(track)
        self._n_frames += 1
        self.n_faces.append(len(faces))


def _same_person(earlier, later, settings, size):
    """May `later` (a Track) be the person of `earlier`, who was lost before it begins?"""
    distance, ratio = _gap(earlier.faces[-1], later.faces[0])
    if distance > settings["max_reappear"] or ratio > settings["max_size_change"]:
        return False
    difference = np.linalg.norm(earlier.shape(size) - later.shape(size), axis=1).mean()
    return difference <= settings["max_shape_change"]


def _chain(tracks, settings, size):
    """The weightiest track, with the tracks that continue it after its end and before its start."""
    main = max(tracks, key=lambda track: track.weight)
    chain = [main]
    for track in sorted(tracks, key=lambda track: track.frames[0]):
        if track.frames[0] > chain[-1].frames[-1] and _same_person(chain[-1], track, settings, size):
            chain.append(track)
    for track in sorted(tracks, key=lambda track: -track.frames[-1]):
        if track.frames[-1] < chain[0].frames[0] and _same_person(track, chain[0], settings, size):
            chain.insert(0, track)
    return chain


def follow(linker, settings, size):
    """Choose the person among the linker's tracks; returns Followed."""
    n_frames = len(linker.n_faces)
    faces = [None] * n_frames
    if not linker.tracks:
        return Followed(faces, 0, 0, [])
    chain = _chain(linker.tracks, settings, size)
    for track in chain:
        for frame, face in zip(track.frames, track.faces, strict=True):
            faces[frame] = face
    close = set()
    for track in linker.tracks:
        if all(track is not link for link in chain):
            for frame, face in zip(track.frames, track.faces, strict=True):
                if faces[frame] is not None and _gap(faces[frame], face)[0] <= settings["max_jump"]:
                    close.add(frame)
    n_unused = sum(face is None and n > 0 for face, n in zip(faces, linker.n_faces, strict=True))
    return Followed(faces, sum(n > 1 for n in linker.n_faces), n_unused, sorted(close))
