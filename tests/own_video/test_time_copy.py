"""The pass as a whole, with a landmark model that is none: the page's copy, threads, memory, files watched twice."""

import threading
import weakref
from functools import partial

import av
import numpy as np
import pytest
from own_video.conftest import film, void

from fedn_pipeline import config
from fedn_pipeline.faces import following, landmarks
from fedn_pipeline.own_video import keepsakes, stream
from fedn_pipeline.own_video.embedding import Crop

SETTINGS = config.validate({})
N = 60
PICTURES = [np.full((64, 96, 3), 4 * number, dtype=np.uint8) for number in range(N)]
NOISE = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)


class Landmarker:
    """Stands in for landmarks.Landmarker: finds `n_faces` still faces; fails at the call `fails_at`."""

    n_faces, fails_at = 0, None

    def __init__(self, *_, **__):
        self.n_calls, self.open = 0, True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.open = False

    def detect(self, picture):
        assert self.open
        self.n_calls += 1
        if self.n_calls == self.fails_at:
            raise RuntimeError("the model failed")
        mesh = np.zeros((478, 2))
        mesh[: landmarks.N_MESH] = landmarks.canonical_face()[0][:, :2] + 48
        return [mesh] * self.n_faces


@pytest.fixture
def landmarker(monkeypatch):
    stand_in = type("StandIn", (Landmarker,), {})
    monkeypatch.setattr(stream.landmarks, "Landmarker", stand_in)
    return stand_in


def embed(crops):
    for crop in crops:
        yield crop, np.zeros(1)


def watch(path, copy_path, embed=embed):
    """Watched, and the times of the copy's frames, s."""
    with keepsakes.Faces(32) as faces:
        proxy = partial(keepsakes.Proxy, copy_path, SETTINGS["detect"])
        watched = stream.watch(path, SETTINGS["faces"], embed, faces, proxy, progress=False)
    keepsakes.retime(copy_path, watched.axis.edges_s)
    with av.open(str(copy_path)) as copy:
        stream_of_copy = copy.streams.video[0]
        assert stream_of_copy.start_time == 0
        return watched, np.array([float(frame.pts * stream_of_copy.time_base) for frame in copy.decode(video=0)])


SLOW_S = np.concatenate([np.arange(30) / 30, 1 + np.arange(30) / 10])


@pytest.mark.parametrize(
    ("name", "times_s", "options"),
    [
        ("b.mp4", None, {"bf": "3"}),
        ("late.ts", None, {}),  # MPEG-TS begins at 1.4 s
        ("slow.mp4", SLOW_S, {}),
        ("early.mp4", SLOW_S - 0.5, {}),
        ("jump.mkv", np.arange(N) / 30 + 5000 * (np.arange(N) > 20), {}),
    ],
)
def test_the_copy_has_the_times_of_the_axis(name, times_s, options, landmarker, tmp_path):
    path = film(tmp_path / name, PICTURES, times_s, **options)
    watched, copied_s = watch(path, tmp_path / "copy.mp4")
    n_hidden = 15 if name == "early.mp4" else 0  # what lies before 0 in an MP4 is not shown
    assert watched.info.n_frames == N - n_hidden == len(copied_s)
    np.testing.assert_allclose(copied_s, watched.axis.edges_s[:-1], atol=1e-4)
    if times_s is SLOW_S:
        np.testing.assert_allclose(copied_s, SLOW_S, atol=1e-4)
    assert watched.info.fps == watched.axis.fps


def test_a_damaged_file_of_variable_rate_keeps_its_times(landmarker, tmp_path, capsys):
    path = film(tmp_path / "torn.mp4", [np.roll(NOISE, number, axis=0) for number in range(N)], SLOW_S)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + len(data) // 3
    data[start : start + 4000] = bytes(4000)
    path.write_bytes(data)
    watched, copied_s = watch(path, tmp_path / "copy.mp4")
    assert watched.info.damaged.any() and "watched again" in capsys.readouterr().out
    np.testing.assert_allclose(copied_s, SLOW_S, atol=1e-3)
    assert len(watched.linker.n_faces) == N


def test_a_recording_without_a_duration_is_taken_for_an_hour(landmarker, tmp_path):
    times_s = np.arange(N) / 30 + np.random.default_rng(0).uniform(0, 0.012, N)
    path = film(tmp_path / "r.webm", [NOISE] * N, times_s - times_s[0], codec="libvpx")
    void(path, b"\x23\xe3\x83", b"\x44\x89")  # DefaultDuration, Duration
    given = []

    def proxy(fps, expected_s):
        given.append((fps, expected_s))
        return keepsakes.Proxy(tmp_path / "copy.mp4", SETTINGS["detect"], fps, expected_s)

    landmarker.n_faces = 1
    with keepsakes.Faces(32) as faces:
        watched = stream.watch(path, SETTINGS["faces"], embed, faces, proxy, progress=False)
    assert given == [(pytest.approx(30, abs=1), 3600)]
    ((frames, _),) = watched.vectors.values()
    assert list(frames) == list(range(N))  # the rate was a guess: all are embedded


@pytest.mark.parametrize("failing", ["embedding", "landmarks"])
def test_threads_end_when_something_fails(failing, landmarker, tmp_path):
    path = film(tmp_path / "long.mp4", PICTURES * 3)
    landmarker.n_faces, landmarker.fails_at = 1, 20 if failing == "landmarks" else None

    def breaks(crops):
        for crop in crops:
            yield crop, np.zeros(1)
            raise RuntimeError("the model failed")

    before = set(threading.enumerate())
    with pytest.raises(RuntimeError, match="the model failed"):
        watch(path, tmp_path / "copy.mp4", breaks if failing == "embedding" else embed)
    assert set(threading.enumerate()) == before


def cut(pictures, fps):
    landmarker, linker = Landmarker(), following.Linker(SETTINGS["faces"], patience=0)
    return stream._cut(pictures, None, linker, landmarker, SETTINGS["faces"], fps, tqdm_of_nothing())


class tqdm_of_nothing:
    def update(self):
        pass


def test_where_no_face_is_each_frame_still_gives_an_item():
    """So that Ctrl-C does not wait for the next face."""
    assert list(cut(((picture, True) for picture in PICTURES), 30)) == [None] * N


def test_pictures_that_are_not_needed_do_not_wait():
    """At 240 frames a second as many pictures are held as at 30."""
    most = {}
    for fps in (30, 240):
        alive = set()

        def shown(fps=fps, alive=alive):
            for frame in range(3 * fps):
                picture = np.zeros((4, 4, 3), dtype=np.uint8)
                alive.add(frame)
                weakref.finalize(picture, alive.discard, frame)
                yield picture, frame / fps

        most[fps] = max(len(alive) for _ in cut(stream.marked(shown(), fps), fps))
    assert most[240] <= most[30] + 4


@pytest.mark.parametrize("fps", [24, 30, 59.94, 90, 120])
def test_pictures_of_faces_are_kept_at_any_rate(fps):
    shown = [frame for frame, needed in stream.marked([(n, n / fps) for n in range(400)], fps) if needed]
    track, other = following.Track(), following.Track()
    with keepsakes.Faces(16) as faces:
        random = np.random.default_rng(0)
        for frame in shown:
            faces.add(Crop(frame, track, random.integers(0, 255, (32, 32, 3), dtype=np.uint8), None))
        n_kept = -(-len(shown) // keepsakes.EVERY)
        assert len({faces.nearest([track], frame) for frame in range(400)}) == n_kept
        assert faces.nearest([other, track], 200) == faces.nearest([track], 200)
        assert faces.nearest([other], 200) is None


def test_a_cameras_own_kind_of_mjpeg_is_watched_again(landmarker, tmp_path, capsys):
    """The strict decoder refuses most frames, the usual one shows them all."""
    path = film(
        tmp_path / "cam.avi",
        [np.roll(NOISE, number, axis=0) for number in range(N)],
        codec="mjpeg",
        strict="unofficial",
    )
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for start, size in packets[10:]:
        place = start + size // 2
        data[place : place + 40] = bytes(40)
    path.write_bytes(data)
    watched, copied_s = watch(path, tmp_path / "copy.mp4")
    assert not watched.info.strict and "watched again" in capsys.readouterr().out
    assert len(watched.linker.n_faces) == watched.info.n_frames == len(copied_s) == N
