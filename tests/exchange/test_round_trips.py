"""What is written comes back: every format, any frame rate, overlapping expressions, words of any script."""

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedn_pipeline import files
from fedn_pipeline.dataset import tables
from fedn_pipeline.exchange import stage
from fedn_pipeline.faces import axis
from fedn_pipeline.files import InputError

RATES = (24000 / 1001, 25, 30000 / 1001, 30, 50, 60000 / 1001, 120, 240, 7.3, 15.0041, 499)
FORMATS = list(stage.FORMATS)
N_FRAMES = 200_000  # two hours at 25 fps

frames = st.tuples(st.integers(0, N_FRAMES - 1), st.integers(0, 500)).map(
    lambda pair: (pair[0], min(pair[0] + pair[1], N_FRAMES - 1))
)
words = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=12).filter(
    lambda word: word not in ("expression", "null") and word == word.strip()
)


def write_tables(folder, fps, events):
    """videos.csv and events.csv of one video; events: (onset, offset, emotion)."""
    videos = {"video_id": "clip", "subject": "anna", "source": "anna/clip.mp4", "kind": "video"}
    videos |= {"n_frames": N_FRAMES, "fps": fps, "width": 64, "height": 48}
    tables.write_videos(folder / "videos.csv", pd.DataFrame([videos]))
    rows = [
        {"video_id": "clip", "onset": onset, "offset": offset, "emotion": emotion} for onset, offset, emotion in events
    ]
    tables.write_events(folder / "events.csv", pd.DataFrame(rows, columns=["video_id", "onset", "offset", "emotion"]))


def round_trip(folder, form):
    """events.csv of `folder` exported, imported with the videos' table, and read again; sorted rows."""
    arguments = folder / "events.csv", form, folder / form, folder / "videos.csv"
    stage.export(*arguments, force=True)
    written = [path for path in (folder / form).rglob("*.*") if path.is_file()]
    stage.import_files(written, folder / f"{form}.csv", folder / "videos.csv", force=True)
    found = pd.read_csv(folder / f"{form}.csv", keep_default_na=False, dtype={"emotion": str})
    return sorted(found[["onset", "offset", "emotion"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fps=st.one_of(st.sampled_from(RATES), st.floats(1, 900)),
    intervals=st.lists(frames, min_size=1, max_size=12, unique=True),
    named=st.lists(words, min_size=12, max_size=12),
)
def test_frames_and_emotions_come_back(tmp_path, form, fps, intervals, named):
    events = sorted((*interval, word) for interval, word in zip(intervals, named, strict=False))
    write_tables(tmp_path, fps, events)
    assert round_trip(tmp_path, form) == events


@pytest.mark.parametrize("form", FORMATS)
def test_expressions_without_a_name(tmp_path, form):
    write_tables(tmp_path, 25, [(0, 0, ""), (1, 30, ""), (20, 40, "")])
    assert round_trip(tmp_path, form) == [(0, 0, ""), (1, 30, ""), (20, 40, "")]


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=25, deadline=None)
@given(fps=st.one_of(st.sampled_from(RATES), st.floats(1, 900)), interval=frames)
def test_seconds_become_the_same_frames_in_the_reader_custom(form, fps, interval):
    """ELAN and BORIS have rounded to milliseconds before."""
    times_s = axis.Axis(None, fps).seconds(*interval)
    if stage.FORMATS[form].MILLISECONDS:
        times_s = tuple(round(time, 3) for time in times_s)
    assert axis.Axis(None, fps).frames(*times_s) == interval


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.integers(4, 200), min_size=2, max_size=60),
    start_ms=st.integers(0, 10_000),
    data=st.data(),
)
def test_the_frames_of_a_variable_rate(steps, start_ms, data):
    """Milliseconds from time stamps, as containers keep them."""
    times_s = [start_ms / 1000]
    for step in steps:
        times_s.append(round(times_s[-1] + step / 1000, 3))
    line = axis.of_stamps(times_s)
    onset = data.draw(st.integers(0, len(times_s) - 1))
    offset = data.draw(st.integers(onset, len(times_s) - 1))
    start_s, end_s = line.seconds(onset, offset)
    assert line.frames(round(start_s, 3), round(end_s, 3)) == (onset, offset)
    assert start_s == times_s[onset] and (offset + 1 == len(times_s) or end_s == times_s[offset + 1])


def detected(folder, name="clip", times_s=None, n_frames=100):
    """detections.json as `detect` writes it: two kept detections and a third one."""
    video = {"id": name, "file": f"{name}.mp4", "n_frames": n_frames, "fps": 25.0, "duration_s": 4.0}
    rows = [(3, 10, "happiness", 0.9, True), (8, 20, "surprise", 0.6, True), (50, 60, "anger", 0.1, False)]
    keys = ("onset", "offset", "emotion", "confidence", "kept")
    document = {
        "video": video | {"variable_rate": times_s is not None},
        "times_s": times_s,
        "detections": [dict(zip(keys, row, strict=True)) for row in rows],
    }
    files.write_json(folder / name / "detections.json", document)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("variable", [False, True])
def test_detections_come_back_on_their_own_time_stamps(tmp_path, form, variable):
    times_s = [round(frame * 0.04 + (frame % 3) * 0.005, 3) for frame in range(100)] if variable else None
    folder = tmp_path / "found"
    folder.mkdir()
    detected(folder, "clip", times_s)
    detected(folder, "other", times_s)
    stage.export(folder, form, tmp_path / "out")
    written = sorted((tmp_path / "out").iterdir())
    assert len(written) == (2 if stage.FORMATS[form].ONE_VIDEO else 1)
    stage.import_files(written, tmp_path / "events.csv", folder)
    found = pd.read_csv(tmp_path / "events.csv")
    rows = list(found[["video_id", "onset", "offset", "emotion"]].itertuples(index=False, name=None))
    kept = [(3, 10, "happiness"), (8, 20, "surprise")]
    assert sorted(rows) == [(name, *row) for name in ("clip", "other") for row in kept]


def test_a_threshold_in_place_of_the_kept_ones(tmp_path):
    detected(tmp_path)
    text = stage.export(tmp_path, "activitynet", tmp_path / "all.json.txt", threshold=0)
    assert text.startswith("3 expressions of 1 videos")
    found = stage.read(tmp_path / "all.json.txt").spans
    assert [span.confidence for span in found] == [0.9, 0.6, 0.1]
    assert found[0].onset_s == 3 / 25 and found[0].offset_s == 11 / 25


@pytest.mark.parametrize("form", ["elan", "boris"])
def test_milliseconds_do_not_suffice_for_the_fastest_cameras(tmp_path, form):
    write_tables(tmp_path, 1200, [(0, 5, "joy")])
    with pytest.raises(InputError, match=r"clip: .*0\.833 ms apart"):
        stage.export(tmp_path / "events.csv", form, tmp_path / "out", tmp_path / "videos.csv")
    assert round_trip(tmp_path, "activitynet") == round_trip(tmp_path, "textgrid") == [(0, 5, "joy")]


def test_corrections_are_not_overwritten(tmp_path):
    write_tables(tmp_path, 25, [(0, 5, "joy")])
    given = tmp_path / "events.csv", "elan", tmp_path / "raw", tmp_path / "videos.csv"
    stage.export(*given)
    eaf = tmp_path / "raw/anna/clip.eaf"  # beside its video
    assert 'RELATIVE_MEDIA_URL="./clip.mp4"' in eaf.read_text()
    with pytest.raises(InputError, match=r"clip\.eaf: is there already"):
        stage.export(*given)
    stage.export(*given, force=True)
    assert not list(tmp_path.rglob("*.bak"))


def test_two_videos_of_one_name(tmp_path):
    """Paths tell them apart where the videos are known."""
    sources = ["anna/talk.mp4", "ben/talk.mp4"]
    videos = {"video_id": ["anna_talk", "ben_talk"], "subject": ["anna", "ben"], "source": sources, "kind": "video"}
    tables.write_videos(tmp_path / "videos.csv", pd.DataFrame(videos | {"n_frames": 100, "fps": 25}))
    rows = {"video_id": ["anna_talk", "ben_talk"], "onset": [1, 2], "offset": [10, 20], "emotion": "joy"}
    tables.write_events(tmp_path / "events.csv", pd.DataFrame(rows))
    stage.export(tmp_path / "events.csv", "boris", tmp_path / "coded.csv", tmp_path / "videos.csv")
    stage.import_files([tmp_path / "coded.csv"], tmp_path / "back.csv", tmp_path / "videos.csv")
    found = pd.read_csv(tmp_path / "back.csv")
    assert found[["video_id", "onset", "offset", "subject"]].values.tolist() == [
        ["anna_talk", 1, 10, "anna"],
        ["ben_talk", 2, 20, "ben"],
    ]
