"""Frame rates and time stamps as files of cameras and browsers really have them: what the reader makes of them."""

import numpy as np
import pytest
from own_video.conftest import film, void

from fedn_pipeline.faces import video

GREY = np.full((64, 96, 3), 120, dtype=np.uint8)


def test_frames_that_leave_the_decoder_last_have_their_times_too(tmp_path):
    """With B-frames, the default of x264, some frames come only when the decoder is flushed."""
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 255, (64, 96, 3), dtype=np.uint8) for _ in range(20)]
    reader = video.Reader(film(tmp_path / "b.mp4", pictures, bf="3", g="50"))
    times_s = [time_s for _, time_s in reader.pictures()]
    np.testing.assert_allclose(np.array(times_s) - times_s[0], np.arange(20) / 30, atol=1e-3)
    assert reader.times_s() == pytest.approx(np.arange(20) / 30, abs=1e-3)


DEFAULT_DURATION, DURATION = b"\x23\xe3\x83", b"\x44\x89"  # Matroska's elements


@pytest.mark.parametrize("absent", [[DEFAULT_DURATION], [DEFAULT_DURATION, DURATION]], ids=["no rate", "nor duration"])
def test_a_browsers_recording_has_the_rate_of_its_time_stamps(absent, tmp_path):
    """MediaRecorder writes WebM without a frame rate, and often without a duration; FFmpeg then guesses 1000."""
    written_s = np.arange(120) / 30 + np.random.default_rng(0).uniform(0, 0.012, 120)
    path = void(film(tmp_path / "r.webm", [GREY] * 120, written_s - written_s[0], codec="libvpx"), *absent)
    reader = video.Reader(path)
    assert reader.guessed and reader.fps == pytest.approx(30, abs=0.2)
    assert reader.expected == (None if DURATION in absent else pytest.approx(120, abs=2))
    assert len(list(reader.pictures())) == 120
    assert reader.info().fps == pytest.approx(30, abs=0.1) and reader.info().warnings() == []


def test_a_stream_without_any_times_has_a_guessed_rate(tmp_path):
    """Raw H.264 carries neither a rate nor time stamps."""
    reader = video.Reader(film(tmp_path / "raw.h264", [GREY] * 20))
    assert len(list(reader.pictures())) == 20 and reader.times_s() is None
    assert reader.info().fps == reader.fps > 0
