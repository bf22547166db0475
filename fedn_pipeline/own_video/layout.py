"""Names of what `detect` writes, and its exit status after going on without some videos. No heavy imports."""

CSV, JSON, PAGE = "detections.csv", "detections.json", "index.html"  # of each video, in a folder of its name
SUMMARY = "summary.json"  # of a call: {"videos": their names, "failed": {file: why}}; beside it CSV of all, and PAGE
GONE_ON = 1  # a video could not be used, the others are done; also Python's own status after a crash


def shown(text):
    """A path or message that can be printed and written: bytes of file names that are no UTF-8 become U+FFFD."""
    return str(text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
