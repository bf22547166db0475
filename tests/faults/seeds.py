"""Small sound files from which the fuzzer starts: videos in many containers and formats."""

from fractions import Fraction

import av
import numpy as np
from skimage.data import astronaut

N_FRAMES = 24
# Name -> encoder, pixel format, options of the encoder, options of the container. The suffix chooses the container.
VIDEOS = {
    "h264.mp4": ("libx264", "yuv420p", {"g": "8"}, {}),
    "faststart.mp4": ("libx264", "yuv420p", {"g": "8", "bf": "0"}, {"movflags": "faststart"}),
    "fragmented.mp4": ("libx264", "yuv420p", {"g": "8"}, {"movflags": "frag_keyframe+empty_moov"}),
    "h264.avi": ("libx264", "yuv420p", {"g": "8"}, {}),
    "h264.mkv": ("libx264", "yuv420p", {"g": "8"}, {}),
    "h264.ts": ("libx264", "yuv420p", {"g": "8"}, {}),
    "h264.flv": ("libx264", "yuv420p", {"g": "8"}, {}),
    "hevc.mp4": ("libx265", "yuv420p", {"g": "8"}, {}),
    "mjpeg.avi": ("mjpeg", "yuvj420p", {}, {}),
    "mjpeg.mov": ("mjpeg", "yuvj420p", {}, {}),
    "mpeg4.avi": ("mpeg4", "yuv420p", {"g": "8"}, {}),
    "mpeg2.mpg": ("mpeg2video", "yuv420p", {"g": "8"}, {}),
    "wmv2.wmv": ("wmv2", "yuv420p", {"g": "8"}, {}),
    "vp9.webm": ("libvpx-vp9", "yuv420p", {"g": "8", "deadline": "realtime", "cpu-used": "8"}, {}),
    "ffv1.mkv": ("ffv1", "yuv420p", {"slicecrc": "1", "level": "3"}, {}),
    "ffv1.avi": ("ffv1", "yuv420p", {}, {}),
    "prores.mov": ("prores", "yuv422p10le", {}, {}),
    "raw.avi": ("rawvideo", "yuv420p", {}, {}),
    "picture.gif": ("gif", "rgb8", {}, {}),
}
QUIET = {"libx265": {"x265-params": "log-level=none"}}  # it writes a page for each file
# Fields of the containers' structures, for the mutations.
MARKERS = (
    b"stsz", b"stts", b"stco", b"stsc", b"stss", b"ctts", b"stsd", b"avcC", b"tkhd", b"mvhd", b"mdhd", b"trun", b"tfhd",
    b"moof", b"mdat", b"moov", b"elst", b"avih", b"strh", b"strf", b"idx1", b"00dc", b"movi", b"RIFF", b"hdrl",
    b"\x1aE\xdf\xa3", b"\x16T\xaek", b"\x1fC\xb6u", b"\x1cS\xbbk", b"\xa3", b"\x00\x00\x01", b"G@", b"FLV",
    b"\x8e\xe4", b"\x30\x26\xb2\x75", b"\xff\xd8", b"\xff\xc0", b"\xff\xda", b"icpf", b"GIF89a", b"\x21\xf9",
)  # fmt: skip


def pictures(n, height=96, width=128):
    """`[n, height, width, 3]` uint8: a photograph that moves, and a bar whose place tells the picture's number."""
    base = np.ascontiguousarray(astronaut()[100:196, 150:278])
    base = np.tile(base, (-(-height // 96), -(-width // 128), 1))[:height, :width]
    found = np.stack([np.roll(base, 3 * i, axis=1) for i in range(n)])
    for i, picture in enumerate(found):
        start = i * width // n
        picture[: max(1, height // 4), start : start + max(1, width // 8)] = 255
    return found


def write_video(path, shown, codec, pix_fmt, options=None, container_options=None, fps=30, times=None):
    """Encode `shown [n, h, w, 3]`; `times [n]`: time stamps in thousandths of a second, else even ones."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        options = (options or {}) | QUIET.get(codec, {})
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options)
        stream.height, stream.width = shown.shape[1:3]
        stream.pix_fmt = pix_fmt
        stream.codec_context.thread_count = 1
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        container.start_encoding()  # a header also where there are no frames
        for i, picture in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = int(times[i]), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def videos(folder):
    """{name: path} of all VIDEOS."""
    shown = pictures(N_FRAMES)
    return {name: write_video(folder / name, shown, *how) for name, how in VIDEOS.items()}


def other_files(folder):
    """{name: path} of files that are no videos, or hardly: pictures, sound, playlists, texts."""
    texts = {
        "empty.mp4": b"",
        "text.mp4": b"not a video\n" * 40,
        "zeros.avi": bytes(4000),
        "list.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nh264.ts\n#EXT-X-ENDLIST\n",
        "list.mp4": b"ffconcat version 1.0\nfile h264.mp4\n",
        "subtitle.mkv": b"1\n00:00:00,000 --> 00:00:01,000\nhello\n",
        "page.mov": b"<html><body>404 Not Found</body></html>",
    }
    paths = {}
    for name, content in texts.items():
        paths[name] = folder / name
        paths[name].write_bytes(content)
    for name in ("no_frames.mp4", "no_frames.avi", "no_frames.mkv"):
        paths[name] = write_video(folder / name, pictures(1)[:0], "mpeg4", "yuv420p")
    paths["sound.mp4"] = folder / "sound.mp4"
    with av.open(str(paths["sound.mp4"]), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    return paths


def turned(data, quarter_turns):
    """An mp4's bytes with the rotation mark of a telephone in its track header (`tkhd`, version 0)."""
    one, data = 0x10000, bytearray(data)
    a, b = ((one, 0), (0, one), (-one, 0), (0, -one))[quarter_turns % 4]
    place = data.index(b"tkhd") + 4 + 40  # version, flags, times, track, duration, reserved, layer, volume
    for i, value in enumerate((a, b, 0, -b, a, 0)):
        data[place + 4 * i : place + 4 * i + 4] = value.to_bytes(4, "big", signed=True)
    return bytes(data)
