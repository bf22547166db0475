"""Names of what `detect` writes, and its exit status after going on without some videos. No heavy imports."""

CSV, JSON, PAGE = "detections.csv", "detections.json", "index.html"  # of each video, in a folder of its name
SUMMARY = "summary.json"  # of a call: {"videos": their names, "failed": {file: why}}; beside it CSV of all, and PAGE
GONE_ON = 1  # a video could not be read, the others are done
