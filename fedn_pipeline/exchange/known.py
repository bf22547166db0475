"""Which videos there are, and when their frames are shown: of a folder of videos, its table, or what `detect` wrote.

What `--videos` of the commands `export` and `import` means.
"""

from dataclasses import dataclass, field
from pathlib import Path

from fedn_pipeline import config, files
from fedn_pipeline.annotations.spans import Clip
from fedn_pipeline.dataset import custom, custom_tables, tables
from fedn_pipeline.exchange import detected
from fedn_pipeline.faces import axis
from fedn_pipeline.files import InputError


@dataclass
class Videos:
    """`clips` (spans.Clip) and `axes` by video_id, and the names that the videos go by. Of videos that are `unclear`,
    an axis has the right length and mean rate only."""

    place: Path
    clips: dict = field(default_factory=dict)
    axes: dict = field(default_factory=dict)
    unclear: set = field(default_factory=set)
    names: custom_tables.Names = field(default_factory=custom_tables.Names)

    def add(self, clip, line, source):
        self.clips[clip.video_id], self.axes[clip.video_id] = clip, line
        self.names.add(clip.video_id, source or clip.video_id)

    def axis(self, video_id):
        """The Axis by which frames of a video become seconds; InputError where it is unclear."""
        if video_id in self.unclear:
            raise InputError(
                f"{self.place}: the frame rate of video {video_id!r} varies, and this table does not say when its "
                "frames are shown: give --videos the folder of the videos, or what `detect` wrote of them"
            )
        return self.axes[video_id]


def read(place, settings=None):
    """Videos of a folder of videos, a videos.csv, or what `detect` wrote; settings: section `dataset`. InputError."""
    place = Path(place)
    found, suffix = Videos(place), place.suffix.lower()
    if suffix == ".csv":
        for row in tables.read_videos(place, known=("n_frames", "fps")).itertuples():
            line = axis.Axis(row.n_frames, row.fps)
            file = row.source if row.kind != "frames" else ""
            clip = Clip(row.video_id, file, row.fps, line.duration_s, row.subject, getattr(row, "split", ""))
            found.add(clip, line, row.source)
            found.unclear |= {row.video_id} if getattr(row, tables.VARIABLE, False) else set()
    elif suffix == ".json" or (place.is_dir() and _holds_detections(place)):
        for clip, line, _ in detected.read_folder(place).values():
            found.add(clip, line, clip.file)
    else:
        for item in custom.videos_in(place, settings or config.validate({})["dataset"]):
            source = item.path.as_posix()
            file = source if item.kind == "video" else ""
            found.add(Clip(item.video_id, file, item.fps, item.axis.duration_s), item.axis, source)
    return found


def _holds_detections(folder):
    return any(detected.is_ours(files.read_json(path)) for path in detected.documents_in(folder))
