import av
import numpy as np
import pytest

from fedn_pipeline.faces import video
from fedn_pipeline.files import InputError

KINDS = {
    "h264.mp4": ("libx264", {"g": "20"}, {}),
    "faststart.mp4": ("libx264", {"g": "20"}, {"movflags": "faststart"}),
    "h264.avi": ("libx264", {"g": "20"}, {}),
    "h264.mkv": ("libx264", {"g": "20"}, {}),
    "mjpeg.avi": ("mjpeg", {}, {}),
    "mpeg4.avi": ("mpeg4", {}, {}),
}
N = 80


@pytest.fixture(scope="module")
def sound(tmp_path_factory, write_video, numbered):
    """Each kind of file, sound, with its decoded pictures."""
    folder = tmp_path_factory.mktemp("sound")
    paths = {
        name: write_video(folder / name, numbered(N), codec, options=options, container_options=container)
        for name, (codec, options, container) in KINDS.items()
    }
    return {name: (path, list(video.frames(path))) for name, path in paths.items()}


def flipped(path, target, start, length, n_bytes):
    data = bytearray(path.read_bytes())
    generator = np.random.default_rng(0)
    for position in generator.integers(start, start + length, n_bytes):
        data[position] ^= int(generator.integers(1, 256))
    target.write_bytes(data)
    return target


def assert_frames_in_place(path, reference):
    """All frames there, the undamaged ones equal to the sound file's; returns the VideoInfo."""
    info = video.probe(path)
    pictures = list(video.frames(path, info))
    assert len(pictures) == info.n_frames == len(info.damaged)
    for frame in np.flatnonzero(~info.damaged):
        assert np.array_equal(pictures[frame], reference[frame]), frame
    return info


@pytest.mark.parametrize("name", KINDS)
def test_sound_file(sound, name):
    path, pictures = sound[name]
    info = video.probe(path)
    assert (info.n_frames, info.fps, info.width, info.height) == (N, 30, 128, 96)
    assert info.n_damaged == 0 and info.warnings() == [] and len(pictures) == N
    assert pictures[0].shape == (96, 128, 3) and pictures[0].dtype == np.uint8


@pytest.mark.parametrize("amount", [(200, 10), (400, 400)])
@pytest.mark.parametrize("name", ["h264.mp4", "faststart.mp4", "h264.mkv", "mjpeg.avi"])
def test_damage_in_the_middle_shifts_no_frame(sound, tmp_path, name, amount):
    path, pictures = sound[name]
    damaged = flipped(path, tmp_path / name, path.stat().st_size // 2, *amount)
    info = assert_frames_in_place(damaged, pictures)
    assert info.n_frames == N
    assert 0 < info.n_damaged < N / 2
    assert f"{info.n_damaged} of {N} frames are damaged" in info.warnings()[0]


def test_packets_lost_by_the_container_are_put_back(sound, tmp_path):
    # A long scramble destroys AVI's chunk headers: some packets are never found, later ones must not move up.
    path, pictures = sound["mjpeg.avi"]
    damaged = flipped(path, tmp_path / "lost.avi", path.stat().st_size // 2, 20000, 40000)
    info = assert_frames_in_place(damaged, pictures)
    assert info.n_frames == N and info.missing.sum() > 2


def test_a_lost_cluster_of_matroska_is_put_back(tmp_path, write_video, numbered):
    # Time stamps in whole milliseconds, and two seconds of them gone.
    path = write_video(tmp_path / "long.mkv", numbered(600), options={"g": "30"})
    reference = list(video.frames(path))
    data = bytearray(path.read_bytes())
    start = len(data) // 2
    data[start : start + len(data) // 20] = np.random.default_rng(0).bytes(len(data) // 20)
    damaged = tmp_path / "cluster.mkv"
    damaged.write_bytes(data)
    info = assert_frames_in_place(damaged, reference)
    assert info.n_frames == 600 and info.missing.sum() > 20


def test_damage_lasts_until_the_next_key_frame(sound, tmp_path):
    path, _ = sound["h264.mp4"]
    info = video.probe(flipped(path, tmp_path / "gop.mp4", path.stat().st_size // 2, 300, 40))
    first, last = np.flatnonzero(info.damaged)[[0, -1]]
    assert info.damaged[first : last + 1].all() and (last + 1) % 20 == 0


def test_damaged_frame_repeats_the_last_good_picture(sound, tmp_path):
    path, _ = sound["mjpeg.avi"]
    damaged = flipped(path, tmp_path / "repeat.avi", path.stat().st_size // 2, 200, 100)
    info = video.probe(damaged)
    pictures = list(video.frames(damaged, info))
    frame = int(np.argmax(info.damaged))
    assert np.array_equal(pictures[frame], pictures[frame - 1])
    assert not np.array_equal(pictures[frame], pictures[frame + 1])


def test_damage_at_the_start_takes_the_first_good_picture(sound, tmp_path):
    path, pictures = sound["faststart.mp4"]
    with av.open(str(path)) as container:
        packet = next(container.demux(video=0))
        start, size = packet.pos, packet.size
    # Overwritten whole (not flipped), so that not even a part of the first key frame survives.
    data = bytearray(path.read_bytes())
    data[start : start + size] = b"\xff" * size
    damaged = tmp_path / "start.mp4"
    damaged.write_bytes(data)
    info = assert_frames_in_place(damaged, pictures)
    first_good = int(np.argmin(info.damaged))
    assert info.damaged[0] and first_good == 20
    assert np.array_equal(next(video.frames(damaged, info)), pictures[first_good])


@pytest.mark.parametrize("name", ["faststart.mp4", "h264.avi", "h264.mkv", "mjpeg.avi", "mpeg4.avi"])
def test_truncated_file_ends_early_and_says_so(sound, tmp_path, name):
    path, pictures = sound[name]
    cut = tmp_path / name
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    info = assert_frames_in_place(cut, pictures)
    assert N / 4 < info.n_frames < N and info.header_frames == N
    announced = f"the file announces {N} frames but holds {info.n_frames}: it was cut short"
    assert info.warnings()[-1].startswith(announced)


@pytest.mark.parametrize(
    ("content", "rule"),
    [(b"", "empty"), (b"not a video, just words\n" * 40, "cannot be read"), (None, "no such")],
)
def test_no_video_at_all(tmp_path, content, rule):
    path = tmp_path / "bad.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rule) as error:
        video.probe(path)
    assert "bad.mp4" in str(error.value)


def test_cut_before_the_index_is_unreadable(sound, tmp_path):
    path, _ = sound["h264.mp4"]
    cut = tmp_path / "headless.mp4"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"headless\.mp4"):
        list(video.frames(cut))


def test_sound_without_picture(tmp_path):
    path = tmp_path / "only_sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(InputError, match=r"only_sound\.wav: the file has no video stream"):
        video.probe(path)


def test_one_frame(tmp_path, write_video, numbered):
    path = write_video(tmp_path / "one.mp4", numbered(1))
    assert video.probe(path).n_frames == 1 == len(list(video.frames(path)))


def test_uneven_time_stamps_without_damage_stay_as_they_are(tmp_path, numbered):
    path = tmp_path / "variable.mp4"
    times = np.delete(np.arange(60), [20, 21, 40])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
        for time, picture in zip(times, numbered(len(times)), strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = int(time)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    info = video.probe(path)
    assert info.n_frames == len(times) and info.n_damaged == 0


def test_real_videos_have_their_known_length(shared_data):
    for name, n_frames, fps in [("default.wmv", 288, 15), ("head_motion.avi", 842, 30)]:
        info = video.probe(shared_data / "real_videos" / name)
        assert (info.n_frames, info.fps, info.width, info.height) == (n_frames, fps, 640, 480)
        assert info.warnings() == []
