"""Stage `dataset` for the demo: canonical tables, videos and stills, each a part that a rule can ask for."""

import pandas as pd
from tqdm import tqdm

from fedn_pipeline.dataset import forgotten, tables
from fedn_pipeline.dataset.demo.planning import plan
from fedn_pipeline.dataset.demo.rendering import render_video
from fedn_pipeline.dataset.demo.stills import render_stills
from fedn_pipeline.files import InputError, write_csv


def write(folder, part, settings):
    """Make `part` of the demo in `folder`: `tables`, `stills`, one video id, or `all`.

    Raises InputError for an unknown part.
    """
    videos, events = forgotten.without(folder, *plan(settings))
    if part not in {"all", "tables", "stills", *videos.video_id}:
        raise InputError(f"demo: no part `{part}`; there are: all, tables, stills, {', '.join(videos.video_id)}")
    for video in tqdm(videos.itertuples(), desc="render", total=len(videos), unit="video", disable=part != "all"):
        if part in ("all", video.video_id):
            render_video(settings, video.video_id, folder / video.source)
    if part in ("all", "stills"):
        render_stills(settings, folder / "stills")
    if part in ("all", "tables"):
        tables.write_events(folder / "events.csv", events)
        issues = pd.DataFrame(columns=["video_id", "row", "rule", "before", "after"])
        write_csv(folder / "data_issues.csv", issues)  # nothing to repair in rendered data
        tables.write_videos(folder / "videos.csv", videos)
