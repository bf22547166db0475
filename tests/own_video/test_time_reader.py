"""Frame rates and time stamps as files of cameras and browsers really have them: what the reader makes of them."""

import numpy as np
import pytest
from own_video.conftest import film

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
