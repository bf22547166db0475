"""A rehearsal has the true sizes, repeats byte for byte, says what it is; its signal can be learnt but is not plain."""

import h5py
import numpy as np
import pytest
from workflow.project import copied, planned, run

from fedn_pipeline import cli, config, rehearsal
from fedn_pipeline.dataset import counts
from fedn_pipeline.dataset.tables import read_events, read_videos
from fedn_pipeline.features import cache
from fedn_pipeline.files import InputError, sha256
from fedn_pipeline.report.results import weights_text

FILES = ("videos.csv", "events.csv", "data_issues.csv", "features/resnet18.h5")


def section(**changed):
    return config.validate({"rehearsal": changed})["rehearsal"]


TINY = section(share=1 / 64, seed=3)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rehearsal")
    assert "no result: 3 subjects, 20 videos, 60,000 frames, 52 expressions" in rehearsal.write(folder, TINY)
    return folder


@pytest.fixture(scope="module")
def casme3():
    """`(videos, events)` at full size."""
    return rehearsal.plan(section())


def test_sizes_are_those_of_casme3(casme3):
    videos, events = casme3
    assert (videos.subject.nunique(), len(videos), videos.n_frames.sum()) == (100, 1300, 3_900_000)
    assert videos.groupby("subject").size().eq(13).all() and videos.video_id.is_unique
    assert videos.n_frames.median() == pytest.approx(2900, rel=0.05)
    assert videos.n_frames.min() < 1500 and videos.n_frames.max() > 6000
    subject = events.video_id.map(videos.set_index("video_id").subject)
    assert subject.nunique() == 98 and events.video_id.nunique() == pytest.approx(956, rel=0.01)


def test_lengths_and_emotions_are_those_of_casme3(casme3):
    _, events = casme3
    length = events.offset - events.onset + 1
    assert length.median() == 72 and length.mean() == pytest.approx(150, rel=0.01)
    assert (length > 128).sum() == pytest.approx(924, rel=0.01) and (length > 256).sum() == 378
    assert 4000 < length.max() <= 4336
    assert events.emotion.value_counts().to_dict() == counts.published("casme3", "annotated")
    long, short = events[length > 128].emotion, events[length <= 128].emotion
    assert (long.value_counts(normalize=True) - short.value_counts(normalize=True)).abs().max() < 0.1


@pytest.mark.parametrize("like", ["casme2", "casme3"])
@pytest.mark.parametrize(("share", "seed"), [(0.01, 0), (1 / 64, 1), (1 / 16, 2), (1 / 16, 3), (1, 4)])
def test_expressions_lie_in_their_videos_and_never_overlap(like, share, seed):
    videos, events = rehearsal.plan(section(like=like, share=share, seed=seed))
    sizes = rehearsal.LIKE[like]
    assert len(events) == round(share * sum(counts.published(like, "annotated").values()))
    assert videos.n_frames.sum() == round(len(videos) / sizes.videos * sizes.frames)
    assert videos.subject.nunique() == max(3, round(share * sizes.subjects))
    assert ((events.onset <= events.apex) & (events.apex <= events.offset) & (events.onset >= 0)).all()
    assert (events.offset < events.video_id.map(videos.set_index("video_id").n_frames)).all()
    ordered = events.sort_values(["video_id", "onset"])
    same_video = ordered.video_id.to_numpy()[1:] == ordered.video_id.to_numpy()[:-1]
    assert (ordered.onset.to_numpy()[1:] > ordered.offset.to_numpy()[:-1] + 1)[same_video].all()


def test_another_seed_is_another_plan():
    first, again, other = (rehearsal.plan(section(share=1 / 16, seed=seed))[1] for seed in (0, 0, 1))
    assert first.equals(again) and not first.equals(other)


def test_a_share_without_expressions_is_refused():
    with pytest.raises(InputError, match="leaves no expression"):
        rehearsal.plan(section(share=0.0001))


def test_tables_and_cache_are_what_the_stages_read(written):
    videos = read_videos(written / "videos.csv", known=("n_frames", "fps"))
    events = read_events(written / "events.csv", videos)
    assert len(events) == 52 and (events.expression_type == "macro").all() and (events.label_set == "annotated").all()
    assert (written / "data_issues.csv").read_text() == "video_id,row,rule,before,after\n"
    for video in videos.itertuples():
        entry = cache.read(written / "features/resnet18.h5", video.video_id)
        assert entry.features.shape == (video.n_frames, 512) and entry.features.dtype == np.float16
        assert np.isfinite(entry.features).all() and entry.valid.all() and entry.attributes["frame_stride"] == 1
    with h5py.File(written / "features/resnet18.h5") as file:
        assert sorted(file) == sorted(videos.video_id) and file[videos.video_id[0]]["features"].fletcher32


def test_cache_is_as_merge_would_write_it_and_names_its_origin(written, tmp_path):
    path = tmp_path / "features/resnet18.h5"
    cache.merge([written / "features/resnet18.h5"], path)
    provenance = cache.provenance(written / "features/resnet18.h5")
    assert provenance == cache.provenance(path)
    assert weights_text(provenance) == f"resnet18 ({provenance['weights_sha256'][:8]}), rehearsal"


def test_two_writings_are_the_same_bytes_and_leave_nothing_else(written, tmp_path):
    rehearsal.write(tmp_path, TINY)
    assert [sha256(tmp_path / name) for name in FILES] == [sha256(written / name) for name in FILES]
    expected = sorted([*FILES, *(f"{name}.sha256" for name in FILES)])
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == expected


def test_a_stopped_writing_leaves_no_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(rehearsal, "video_features", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        rehearsal.write(tmp_path, TINY)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def frames(folder, videos, events):
    """Features, of which emotion each is ("" for none), each with its subject: every 10th frame."""
    x, emotion, subject = [], [], []
    for video in videos.itertuples():
        label = np.full(video.n_frames, "", dtype=object)
        for event in events[events.video_id == video.video_id].itertuples():
            label[event.onset : event.offset + 1] = event.emotion
        x.append(cache.read(folder / "features/resnet18.h5", video.video_id).features[::10].astype(np.float32))
        emotion.append(label[::10])
        subject.append(np.full(len(label[::10]), video.subject))
    return np.concatenate(x), np.concatenate(emotion), np.concatenate(subject)


def test_signal_is_learnt_from_other_subjects_but_is_not_plain(written):
    """A direction fitted on two subjects' frames ranks those of the third far better than chance, not perfectly."""
    videos = read_videos(written / "videos.csv")
    x, emotion, subject = frames(written, videos, read_events(written / "events.csv", videos))
    shown = emotion != ""
    x = np.concatenate([x[subject == name] - x[(subject == name) & ~shown].mean(0) for name in sorted(set(subject))])
    test = subject == "p001"
    direction = x[~test & shown].mean(0) - x[~test & ~shown].mean(0)
    score = x[test] @ direction
    above = score[shown[test]][:, None] > score[~shown[test]][None]
    assert 0.7 < above.mean() < 0.99


def test_an_expression_moves_its_own_frames_along_its_emotion():
    settings = section(share=1 / 64, background=0, strength=[1, 1], expression=50)
    videos, events = rehearsal.plan(settings)
    event = events.sort_values("offset").iloc[-1]
    video = videos[videos.video_id == event.video_id].iloc[0]
    x = rehearsal.video_features(video, events[events.index == event.name], settings).astype(np.float32)
    towards = {name: x @ direction for name, direction in rehearsal.directions(settings, video.subject).items()}
    own = towards[event.emotion]
    inside = np.zeros(len(x), dtype=bool)
    inside[event.onset : event.offset + 1] = True
    assert own[inside].mean() > own[~inside].mean() + 20
    assert own[event.apex] - np.median(own[~inside]) == pytest.approx(50, abs=5)
    others = [towards[name][inside].mean() - towards[name][~inside].mean() for name in towards if name != event.emotion]
    assert 0 < max(others) < own[inside].mean() - own[~inside].mean()


def test_a_video_does_not_depend_on_the_others(casme3):
    videos, events = casme3
    video = videos.iloc[5]
    own = events[events.video_id == video.video_id]
    alone = rehearsal.video_features(video, own, section())
    assert np.array_equal(alone, rehearsal.video_features(video, own, section()))
    assert not np.array_equal(alone, rehearsal.video_features(video, own, section(seed=1)))


def test_command_reads_a_fraction_and_refuses_what_is_none(tmp_path, capsys):
    assert cli.main(["rehearse", "--like", "casme2", "--share", "1/22", "--out", str(tmp_path)]) == 0
    assert "like casme2" in capsys.readouterr().out and len(read_videos(tmp_path / "videos.csv")) == 4
    assert cli.main(["rehearse", "--share", "2", "--out", str(tmp_path)]) == 2
    with pytest.raises(SystemExit):
        cli.main(["rehearse", "--share", "1/0", "--out", str(tmp_path)])


def test_workflow_starts_at_the_written_files_and_refuses_a_page(tmp_path):
    project = copied(tmp_path)
    assert planned(project, "results/rehearsal_table.csv") == {
        "rehearsal",
        "results",
    }  # then the folds
    rehearsal.write(project / "data/rehearsal", TINY)
    assert planned(project, "results/rehearsal_table.csv") == {"folds", "detections", "reference", "results"}
    refused = run(project, "--dry-run", "results/rehearsal/summary/index.html")
    assert refused.returncode and "a rehearsal has no pictures" in refused.stdout + refused.stderr
