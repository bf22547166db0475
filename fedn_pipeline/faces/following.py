"""Follow one person through a video in which several faces may appear.

Fourth step of the faces stage. Faces are linked from frame to frame by place, size and looks into tracks; tracks before
and after one are the same person only if they resume near the place where it was lost, with like size and looks. The
person is the one with the largest area over time. Nobody else's face ever stands in: without the person, frames are
without a face. What cannot be certain is reported.

Looks are a tiny picture of the aligned face, compared by correlation. Measured on single frames: one person 8 frames
apart, also while turning the head, 0.80 to 1.00 (95 % above 0.88); two people at most 0.81 (median 0.29 to 0.66).
"""

from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np

from fedn_pipeline.faces import geometry, landmarks

LOOK_WARP, LOOK_SIZE = 64, 16  # px: the face is warped, then averaged down
LOOK_INNER = (slice(1, -1), slice(3, -3))  # rows, columns of it that show the face and not what is behind
GALLERY = 32  # looks remembered per track
GALLERY_NEWS = 0.95  # a look joins when it is less like all remembered ones than this
OVERLAP = 1.0  # two faces overlap when their centres are closer than this many widths


@dataclass(slots=True)
class Face:
    """One face in one frame: iBUG points `[68, 2]` px float32, similarity `[4]`, centre `[2]` px, width px, look."""

    points: np.ndarray
    similarity: np.ndarray
    centre: np.ndarray
    width: float
    look: np.ndarray | None  # unit vector `[d]`; dropped once the face is linked

    @classmethod
    def from_mesh(cls, picture, mesh, size):
        """From a mesh `[478, 2]` px in `picture [h, w, 3]`, for crops of `size` px."""
        similarity = geometry.mesh_similarity(mesh, size)
        centre = geometry.transform(geometry.inverse(similarity), np.full(2, size / 2))
        points = landmarks.to_ibug(mesh).astype(np.float32)
        width = float(geometry.source_px(similarity) * size)
        return cls(points, similarity, centre, width, look(picture, similarity * (LOOK_WARP / size)))


def look(picture, similarity):
    """How a face looks, freed of place, light and contrast: unit vector `[d]`."""
    warped = cv2.warpAffine(picture, geometry.matrix(similarity), (LOOK_WARP, LOOK_WARP))
    small = cv2.resize(warped, (LOOK_SIZE, LOOK_SIZE), interpolation=cv2.INTER_AREA)[LOOK_INNER]
    contrast = small.astype(np.float32) - small.mean(axis=(0, 1))
    return (contrast / max(np.linalg.norm(contrast), 1e-6)).ravel()


@dataclass
class Track:
    """One face without interruption longer than the patience: `frames` and `faces`, in order, and its looks."""

    frames: list = field(default_factory=list)
    faces: list = field(default_factory=list)
    gallery: list = field(default_factory=list)
    latest: np.ndarray | None = None

    def add(self, frame, face):
        self.latest, face.look = face.look, None
        if len(self.gallery) < GALLERY and self.likeness(self.latest, self.gallery) < GALLERY_NEWS:
            self.gallery.append(self.latest)
        self.frames.append(frame)
        self.faces.append(face)

    @staticmethod
    def likeness(one, others):
        """Largest correlation of a look with any of `others`; -1 if there are none."""
        return max((float(one @ other) for other in others), default=-1.0)

    @cached_property
    def weight(self):
        """Area over time, px^2 frames: a large face for long outweighs a small or brief one. Of a finished track."""
        return sum(face.width**2 for face in self.faces)


@dataclass
class Followed:
    """The person's faces, `[n_frames]` of Face or None, and what a user should know about how they were told apart."""

    faces: list
    n_several: int  # frames with more than one face
    n_unused: int  # frames without the person that show a face not known to be the person's
    close: list  # frames in which another face overlaps the person's


def _step(earlier, later):
    """Distance of two faces in widths of the earlier one, and the ratio of their sizes (>= 1)."""
    distance = float(np.linalg.norm(later.centre - earlier.centre) / earlier.width)
    ratio = later.width / earlier.width
    return distance, max(ratio, 1 / ratio)


class Linker:
    """Builds tracks frame by frame: `add` takes a frame's faces, `tracks` holds all tracks so far.

    `settings` is the section `faces` of the configuration, `patience` the frames a face may be absent within a track.
    """

    def __init__(self, settings, patience):
        self._settings = settings
        self._patience = patience
        self._open = []
        self.tracks = []
        self.n_faces = []  # per frame

    def add(self, faces):
        """Link one frame's faces, nearest pair first, to the tracks seen at most `patience` frames ago."""
        frame = len(self.n_faces)
        self.n_faces.append(len(faces))
        self._open = [track for track in self._open if frame - track.frames[-1] <= self._patience + 1]
        pairs = []
        for i, track in enumerate(self._open):
            for j, face in enumerate(faces):
                distance = self._distance(track, face, frame)
                if distance is not None:
                    pairs.append((distance, i, j))
        linked_tracks, linked_faces = set(), set()
        for _, i, j in sorted(pairs):
            if i not in linked_tracks and j not in linked_faces:
                self._open[i].add(frame, faces[j])
                linked_tracks.add(i)
                linked_faces.add(j)
        for j, face in enumerate(faces):
            if j not in linked_faces:
                track = Track()
                track.add(frame, face)
                self.tracks.append(track)
                self._open.append(track)

    def _distance(self, track, face, frame):
        """Face widths between a track's end and a face; None where it cannot be the same face."""
        distance, ratio = _step(track.faces[-1], face)
        reach = self._settings["max_jump"] * (frame - track.frames[-1])
        if distance > min(reach, self._settings["max_reappear"]) or ratio > self._settings["max_size_change"]:
            return None
        alike = Track.likeness(face.look, [track.latest, *track.gallery])
        return distance if alike >= self._settings["min_likeness"] else None


def _same_person(earlier, later, settings):
    """May `later` (a Track) be the person of `earlier`, who was lost before it begins?"""
    distance, ratio = _step(earlier.faces[-1], later.faces[0])
    if distance > settings["max_reappear"] or ratio > settings["max_size_change"]:
        return False
    alike = max(Track.likeness(one, earlier.gallery) for one in later.gallery)
    return alike >= settings["min_likeness"]


def _chain(tracks, settings):
    """The weightiest track, with the tracks that continue it after its end and before its start."""
    chain = [max(tracks, key=lambda track: track.weight)]
    for track in sorted(tracks, key=lambda track: track.frames[0]):
        if track.frames[0] > chain[-1].frames[-1] and _same_person(chain[-1], track, settings):
            chain.append(track)
    for track in sorted(tracks, key=lambda track: -track.frames[-1]):
        if track.frames[-1] < chain[0].frames[0] and _same_person(track, chain[0], settings):
            chain.insert(0, track)
    return chain


def weight(chain):
    """Area over time of a person, a list of tracks."""
    return sum(track.weight for track in chain)


def people(linker, settings):
    """Everybody in the video, each as a list of tracks, the largest `weight` first; `settings`: section `faces`."""
    found, rest = [], linker.tracks
    while rest:
        found.append(_chain(rest, settings))
        mine = {id(track) for track in found[-1]}
        rest = [track for track in rest if id(track) not in mine]
    return sorted(found, key=weight, reverse=True)


def follow(linker, settings, chain=None):
    """The faces of one person, a list of tracks of `people` (None: the weightiest one's); returns Followed."""
    faces = [None] * len(linker.n_faces)
    if not linker.tracks:
        return Followed(faces, 0, 0, [])
    chain = chain or people(linker, settings)[0]
    for track in chain:
        for frame, face in zip(track.frames, track.faces, strict=True):
            faces[frame] = face
    others = [track for track in linker.tracks if all(track is not link for link in chain)]
    close = {
        frame
        for track in others
        for frame, face in zip(track.frames, track.faces, strict=True)
        if faces[frame] is not None and _step(faces[frame], face)[0] < OVERLAP
    }
    n_unused = sum(face is None and n > 0 for face, n in zip(faces, linker.n_faces, strict=True))
    return Followed(faces, sum(n > 1 for n in linker.n_faces), n_unused, sorted(close))
