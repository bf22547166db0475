"""Reference row `chance`: random intervals with the training subjects' event rate, lengths and emotions.

What a spotter reaches that never looks at the video. Drawn `chance_draws` times; the table averages over the draws.
"""

import zlib

import numpy as np
import pandas as pd

from fedn_pipeline import intervals


def detect(test_videos, training_videos, training_events, draws, seed):
    """Detections of the test videos with a column `draw`, all kept. Rates and lengths are per second."""
    fps = training_videos.set_index("video_id").fps
    seconds = (training_videos.n_frames / training_videos.fps).sum()
    lengths_s = intervals.length(intervals.half_open(training_events.onset, training_events.offset))
    lengths_s = lengths_s / fps.loc[training_events.video_id].to_numpy()
    rows = []
    for video in test_videos.itertuples():
        for draw in range(draws if len(training_events) else 0):
            generator = np.random.default_rng([seed, draw, zlib.crc32(video.video_id.encode())])
            count = generator.poisson(len(training_events) / seconds * video.n_frames / video.fps)
            chosen = generator.integers(len(lengths_s), size=count)
            frames = np.clip(np.rint(lengths_s[chosen] * video.fps).astype(int), 1, video.n_frames)
            onset = np.floor(generator.uniform(size=count) * (video.n_frames - frames + 1)).astype(int)
            rows.append(pd.DataFrame({
                "video_id": video.video_id,
                "onset": onset,
                "offset": onset + frames - 1,
                "confidence": generator.uniform(size=count),
                "emotion": generator.choice(training_events.emotion.to_numpy(dtype=object), size=count),
                "kept": 1,
                "draw": draw,
            }))  # fmt: skip
    columns = ["video_id", "onset", "offset", "confidence", "emotion", "kept", "draw"]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)
