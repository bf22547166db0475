"""Made-up results of `detect` and a small real video to go with them; no face of anybody."""

from fractions import Fraction

import av
import cv2
import numpy as np

CLASSES = ["anger", "disgust", "happiness", "surprise"]
FPS, N_FRAMES = 15, 60


def detection(onset, offset, confidence, emotion, start=lambda k: k / FPS, threshold=0.31):
    """A detection as `detect` writes it; `start`: seconds of the beginning of a frame."""
    rest = round((1 - confidence) / 10, 3)
    return {
        "onset": onset,
        "offset": offset,
        "apex": (onset + offset) // 2,
        "onset_s": start(onset),
        "offset_s": start(offset + 1),
        "confidence": confidence,
        "emotion": emotion,
        "scores": dict.fromkeys(CLASSES, rest) | {emotion: confidence},
        "kept": confidence >= threshold,
    }


def results(file="talk.mp4", n_frames=N_FRAMES, fps=FPS, detections=None, **changes):
    """The content of the JSON of one video: two detections above the threshold, one below, two people."""
    if detections is None:
        detections = [
            detection(6, 14, 0.83, "happiness"),
            detection(24, 33, 0.25, "anger"),
            detection(40, 52, 0.55, "surprise"),
        ]
    every_s, n = 0.1, int(n_frames / fps / 0.1) + 1
    confidence = np.full(n, 0.05)
    for found in detections:
        middle, half = found["apex"] / fps, (found["offset"] + 1 - found["onset"]) / fps / 2
        bump = np.exp(-(((np.arange(n) * every_s - middle) / half) ** 2))
        confidence = np.maximum(confidence, found["confidence"] * bump)
    content = {
        "version": "0.1.0",
        "video": {
            "id": file.rpartition(".")[0],
            "file": file,
            "n_frames": n_frames,
            "fps": float(fps),
            "width": 320,
            "height": 240,
            "duration_s": n_frames / fps,
            "variable_rate": False,
        },
        "times_s": None,
        "model": {
            "name": "blendshapes_by_photograph (demo)",
            "backbone": "blendshapes",
            "trained_on": "the demo: 12 rendered people, 4 emotions",
            "expected": "spotting F1 43.6 % [29.8, 58.5], recognition F1 100.0 % [100.0, 100.0]: "
            "leave-one-photograph-out on the same data set",
        },
        "classes": CLASSES,
        "threshold": 0.31,
        "person": {
            "n_people": 2,
            "chosen": "largest",
            "boxes": {"every": 5, "xywh": [[100 + k % 40, 60, 80, 100] for k in range(0, n_frames + 5, 5)]},
        },
        "missing": [[16, 20]],
        "curve": {"every_s": every_s, "confidence": [round(float(value), 3) for value in confidence]},
        "warnings": [],
        "detections": detections,
    } | changes
    content["missing_s"] = [[first / fps, (last + 1) / fps] for first, last in content["missing"]]
    return content


def no_face():
    """Results of a video in which no face was found."""
    warning = "no face was found in any of the 60 frames"
    return results(detections=[], missing=[[0, N_FRAMES - 1]], warnings=[warning], person=None)


def long(hours=2, n=300, fps=25):
    """Results of a long video with many detections."""
    random, n_frames = np.random.default_rng(0), int(hours * 3600 * fps)
    onsets = np.sort(random.choice(n_frames // 200, n, replace=False)) * 200
    detections = [
        detection(
            int(onset),
            int(onset + random.integers(12, 110)),
            round(float(random.uniform(0.1, 0.98)), 3),
            str(random.choice(CLASSES)),
            lambda k: k / fps,
        )
        for onset in onsets
    ]
    missing = [[int(k), int(k) + 900] for k in random.choice(n_frames - 1000, 12)]
    return results("seminar.mp4", n_frames, fps, detections, missing=missing)


def picture(k, size=(320, 240)):
    """Frame k of the video: a moving gradient with its number, RGB [height, width, 3] uint8."""
    ramp = (np.arange(size[0]) * 200 / size[0] + 4 * k) % 256
    image = np.stack([np.tile(ramp, (size[1], 1)), np.full(size[::-1], 70.0), np.tile(255 - ramp, (size[1], 1))], -1)
    image = np.ascontiguousarray(image.astype(np.uint8))
    cv2.putText(image, str(k), (90, 150), cv2.FONT_HERSHEY_SIMPLEX, 3, (255, 255, 255), 6)
    return image


def write_proxy(path, n_frames=N_FRAMES, fps=FPS, times_s=None):
    """An H.264 video as `detect` makes it; `times_s`: the time of each frame where the rate is variable."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "30", "g": "15"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 15360)
        for k in range(n_frames):
            frame = av.VideoFrame.from_ndarray(picture(k), format="rgb24")
            frame.time_base = stream.time_base
            frame.pts = round((times_s[k] if times_s else k / fps) / frame.time_base)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def jpeg(k):
    """Bytes of a small JPEG."""
    return cv2.imencode(".jpg", cv2.resize(picture(k), (112, 112)))[1].tobytes()
