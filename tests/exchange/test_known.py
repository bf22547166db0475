"""What `--videos` of both commands may be; a video of variable rate goes by its own time stamps, or is refused."""

import pandas as pd
import pytest
from dataset.own_videos import read, write_variable, write_video

from fedn_pipeline import files
from fedn_pipeline.dataset import tables
from fedn_pipeline.exchange import stage
from fedn_pipeline.faces import axis
from fedn_pipeline.files import InputError

PAGE = """video_id,onset,apex,offset,emotion,provenance
slow,27,30,74,joy,model 0.83
slow,106,,114,anger,added
even,3,,9,joy,edited 0.61
"""  # as the page of a video saves it
FRAMES = [("even", 3, 9), ("slow", 27, 74), ("slow", 106, 114)]


@pytest.fixture
def root(tmp_path):
    """A folder of two videos; beside it, in `found`, what `detect` writes of them, and events.csv of its page."""
    write_variable(tmp_path / "films/slow.mp4")
    write_video(tmp_path / "films/even.mp4", 30, 25)
    for path in (tmp_path / "films").iterdir():
        info, line = axis.of_file(path)
        video = {"id": path.stem, "file": path.name, "n_frames": info.n_frames, "fps": info.fps}
        times_s = line.edges_s[:-1].tolist() if line.variable else None
        document = {"video": video, "times_s": times_s, "detections": []}
        files.write_json(tmp_path / "found" / path.stem / "detections.json", document)
    (tmp_path / "events.csv").write_text(PAGE)
    return tmp_path


def rows(table):
    return sorted(table[["video_id", "onset", "offset"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("videos", ["films", "found"])
@pytest.mark.parametrize("form", list(stage.FORMATS))
def test_corrections_of_the_page_go_out_and_come_back(root, form, videos):
    stage.export(root / "events.csv", form, root / "out", root / videos)
    written = sorted(path for path in (root / "out").rglob("*.*"))
    spans = [span for path in written for span in stage.read(path).spans]
    assert {round(span.onset_s, 3) for span in spans} == {0.12, 0.9, 6.6}  # of a mean rate: 1.8 and 7.1
    stage.import_files(written, root / "back.csv", root / videos)
    assert rows(pd.read_csv(root / "back.csv")) == FRAMES


def test_corrections_of_one_video(root):
    (root / "events.csv").write_text("\n".join(PAGE.splitlines()[:3]))
    for number, place in enumerate(["found/slow", "found/slow/detections.json"]):
        said = stage.export(root / "events.csv", "elan", root / f"{number}", root / place)
        assert said.startswith("2 expressions of 1 videos")


def test_elan_s_files_beside_their_videos(root):
    """The reader takes them as `import` does."""
    stage.export(root / "events.csv", "elan", root / "films", root / "films")
    release = read(root / "films")
    assert rows(release.events) == FRAMES and not len(release.issues)


def test_a_table_does_not_know_when_the_frames_of_a_variable_rate_are_shown(root):
    tables.write_videos(root / "videos.csv", read(root / "films").videos)
    stage.export(root / "events.csv", "textgrid", root / "films", root / "films")
    said = "the frame rate of video 'slow' varies, .* give --videos the folder of the videos"
    with pytest.raises(InputError, match=said):
        stage.export(root / "events.csv", "textgrid", root / "out", root / "videos.csv")
    with pytest.raises(InputError, match=said) as error:
        stage.import_files((root / "films").glob("*.TextGrid"), root / "back.csv", root / "videos.csv")
    assert len(str(error.value).splitlines()) == 1 and not (root / "back.csv").exists()
    (root / "events.csv").write_text(PAGE[: PAGE.index("slow")] + PAGE[PAGE.index("even") :])
    said = stage.export(root / "events.csv", "textgrid", root / "out", root / "videos.csv")
    assert said.startswith("1 expressions of 2 videos")


@pytest.mark.parametrize(
    ("videos", "said"),
    [
        (None, "of which videos"),
        ("none.csv", "none.csv: no such file"),
        ("none", "none: no such folder"),
        ("events.csv", "column `subject` is missing"),
        ("films/slow.mp4", "a file, not a folder"),
    ],
)
def test_videos_that_are_not_there(root, videos, said):
    with pytest.raises(InputError, match=said):
        stage.export(root / "events.csv", "boris", root / "out", videos and root / videos)
