"""The page of one video and the index of a folder: each one self-contained HTML file that works from file://.

Called by `fedn-pipeline detect` at the end of each video. The look is in base.css, page.css and page.html, the
behaviour in the files SCRIPTS; all are inlined. Nothing is loaded from elsewhere, a Content-Security-Policy forbids it.
Names come from users: on the page of a video they travel as JSON and are shown as text, on the index they are escaped.
"""

import base64
import hashlib
import json
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

from fedn_pipeline.files import whole

ASSETS = Path(__file__).parent
STYLES = ("base.css", "page.css")
SCRIPTS = ("axis.js", "intervals.js", "player.js", "timeline.js", "panel.js", "page.js")
# One colour per emotion that many data sets name; any further one takes the first of COLOURS that is free.
EMOTIONS = {
    "happiness": "#E69F00",
    "surprise": "#CC79A7",
    "anger": "#D55E00",
    "disgust": "#009E73",
    "sadness": "#0072B2",
    "fear": "#56B4E9",
    "positive": "#E69F00",
    "negative": "#0072B2",
}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # those of report/style.py without black
# Bytes of video per <script> element: no browser has to hold one string of hundreds of MB. A multiple of 3, so that the
# pieces' base64 needs no padding.
PIECE = 3 * 2**20


def colours(classes):
    """`{emotion: "#rrggbb"}`: by EMOTIONS, the others by COLOURS in turn."""
    taken = {EMOTIONS[name] for name in classes if name in EMOTIONS}
    free = [colour for colour in COLOURS if colour not in taken] or COLOURS
    others = [name for name in dict.fromkeys(classes) if name not in EMOTIONS]
    return {name: EMOTIONS.get(name) or free[others.index(name) % len(free)] for name in classes}


def write(path, data, proxy_path, thumbnails):
    """Write the page of one video.

    data: the content of the video's JSON (viewer.md). proxy_path: an H.264 mp4 that holds every frame of the source at
    its own time, or None. thumbnails: `{frame: bytes of a JPEG}`, the face at the detections' apexes. The video is
    copied piece by piece, never held whole. Raises InputError if the page cannot be written.
    """
    pictures = {str(frame): base64.b64encode(jpeg).decode("ascii") for frame, jpeg in thumbnails.items()}
    further = {"thumbnails": pictures, "colours": colours(data["classes"]), "palette": COLOURS}
    style, script = _joined(STYLES), _joined(SCRIPTS)
    values = {
        "title": escape(f"{data['video']['file']}: facial expressions"),
        "policy": _policy(style, script),
        "style": style,
        "script": script,
        "data": _json(data | {"page": further}),
    }
    head, tail = (Template(part).substitute(values) for part in _asset("page.html").split("$proxy"))
    with whole(path, checksum=False) as partial, open(partial, "w", encoding="utf-8", newline="\n") as file:
        file.write(head)
        for piece in _pieces(proxy_path):
            file.write(f'<script type="text/plain" class="proxy">{piece}</script>\n')
        file.write(tail)


def write_index(path, entries):
    """Write the index of a folder, one row per entry in the order given.

    entries: dictionaries `{"name": the video's name, "page": path of its page relative to the index, "data": as for
    write}`, or `{"name": ..., "failure": why it could not be used}`. Raises InputError if it cannot be written.
    """
    shown = [entry["data"] for entry in entries if "failure" not in entry]
    by_emotion = colours([name for data in shown for name in data["classes"]])
    style = _joined(("base.css", "index.css"))
    values = {
        "policy": _policy(style),
        "style": style,
        "summary": escape(_summary(entries)),
        "legend": "".join(f"<li>{_swatch(colour)}{escape(name)}</li>" for name, colour in by_emotion.items()),
        "rows": "\n".join(_row(entry, by_emotion) for entry in entries),
    }
    page = Template(_asset("index.html")).substitute(values)
    with whole(path, checksum=False) as partial:
        partial.write_text(page, encoding="utf-8", newline="\n")


def _asset(name):
    return (ASSETS / name).read_text(encoding="utf-8")


def _joined(names):
    return "\n".join(_asset(name) for name in names)


def _policy(style, script=""):
    """What the page may do: run and wear exactly what is inlined, and reach nothing."""
    rules = ["default-src 'none'", f"style-src {_hash(style)}", "img-src data: blob:", "media-src blob:"]
    rules += [f"script-src {_hash(script)}"] if script else []
    return "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])


def _hash(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def _json(value):
    """JSON that can stand inside <script>: without any `<` neither `</script>` nor `<!--` can occur in it."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _pieces(path):
    """The file's base64 in pieces; none for None."""
    if path is None:
        return
    with open(path, "rb") as file:
        while block := file.read(PIECE):
            yield base64.b64encode(block).decode("ascii")


def _summary(entries):
    failed = sum("failure" in entry for entry in entries)
    found = sum(len(_kept(entry["data"])) for entry in entries if "failure" not in entry)
    text = f"{_count(len(entries), 'video')}, {_count(found, 'expression')} found"
    return text + (f"; {_count(failed, 'video')} could not be used" if failed else "")


def _count(n, thing):
    return f"{n} {thing}{'' if n == 1 else 's'}"


def _kept(data):
    return [found for found in data["detections"] if found["kept"]]


def _row(entry, by_emotion):
    """One video of the index: name, duration, number, its detections on a bar, and what to know about it."""
    name = escape(entry["name"])
    if "failure" in entry:
        failure = f"could not be used: {escape(entry['failure'])}"
        return f'<tr class="failed"><th scope="row">{name}</th><td colspan="3"></td><td class="bad">{failure}</td></tr>'
    data = entry["data"]
    notes = "".join(f"<p>{escape(warning)}</p>" for warning in data["warnings"])
    return (
        f'<tr><th scope="row"><a href="{escape(quote(entry["page"]))}">{name}</a></th>'
        f'<td class="number">{_clock(data["video"]["duration_s"])}</td><td class="number">{len(_kept(data))}</td>'
        f"<td>{_bar(data, by_emotion)}</td><td>{notes}</td></tr>"
    )


def _clock(seconds):
    """`h:mm:ss`, or `m:ss`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _bar(data, by_emotion):
    """The kept detections over the video's whole length as an SVG, 1000 units wide; frames without a face in grey."""
    duration_s = data["video"]["duration_s"] or 1
    spans = [(start_s, end_s, None) for start_s, end_s in data["missing_s"]]
    spans += [(one["onset_s"], one["offset_s"], one["emotion"]) for one in _kept(data)]
    scale = 1000 / duration_s
    drawn = "".join(
        f'<rect x="{scale * start_s:.2f}" width="{max(scale * (end_s - start_s), 4):.2f}" y="0" height="20" '
        + ('class="missing"/>' if emotion is None else f'fill="{by_emotion.get(emotion, COLOURS[0])}"/>')
        for start_s, end_s, emotion in spans
    )
    described = f"{len(_kept(data))} expressions over {_clock(duration_s)}"
    return f'<svg viewBox="0 0 1000 20" preserveAspectRatio="none" role="img" aria-label="{described}">{drawn}</svg>'


def _swatch(colour):
    return f'<svg class="swatch" viewBox="0 0 9 9" aria-hidden="true"><path d="M0 0h9v9H0z" fill="{colour}"/></svg>'
