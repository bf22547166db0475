"""A whole fold on planted signals: it overfits, it repeats byte for byte, it stops on bad numbers."""

from itertools import pairwise

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from fedn_pipeline import config, intervals
from fedn_pipeline.dataset.tables import ground_truth
from fedn_pipeline.detection import fold as detection_fold
from fedn_pipeline.evaluation.metrics import evaluate
from fedn_pipeline.features import cache
from fedn_pipeline.files import InputError, checksum_path, read_json, sha256
from fedn_pipeline.model import fedn, flops
from fedn_pipeline.training import data, fold, loop, predictions, split

EMOTIONS = ["anger", "happiness"]
STEPS, WIDTH = 260, 512


def planted(folder, subjects=4, twins=False, nan=False, slow=1):
    """Videos whose features carry a bump in the emotion's own direction during each event; `twins`: all are alike.

    All lasts `slow` times as long.
    """
    rows, events, groups, steps = [], [], {}, STEPS * slow
    for number in range(subjects):
        rng = np.random.default_rng(0 if twins else number)
        directions = np.random.default_rng(99).normal(size=(2, WIDTH))
        features = rng.normal(size=(steps, WIDTH)) * 0.3
        for onset, length, label in ((20, 24, 0), (90, 45, 1), (180, 30, 0)):
            onset, length = onset * slow, length * slow
            offset = onset + length - 1
            bump = np.sin(np.linspace(0.3, np.pi - 0.3, length))[:, None]
            features[onset : offset + 1] += bump * directions[label]
            events.append(
                (f"v{number}", onset, onset + length // 2, offset, "macro", EMOTIONS[label], "annotated", "planted")
            )
        if nan:
            features[50] = np.nan
        attributes = {"frame_stride": 1, "source_sha256": "", "weights_sha256": "", "precision": "fp32", "version": "0"}
        groups[f"v{number}"] = cache.Features(features.astype(np.float16), np.ones(steps, dtype=bool), attributes)
        rows.append((f"v{number}", f"p{number}", f"v{number}.mp4", "video", steps, 30.0, 640, 480))
    with h5py.File(folder / "part.h5", "w") as file:
        for video, entry in groups.items():
            cache.write_group(file, video, entry)
    cache.merge([folder / "part.h5"], folder / "planted.h5")
    videos = pd.DataFrame(rows, columns=["video_id", "subject", "source", "kind", "n_frames", "fps", "width", "height"])
    columns = ["video_id", "onset", "apex", "offset", "expression_type", "emotion", "label_set", "provenance"]
    return videos, pd.DataFrame(events, columns=columns), folder / "planted.h5"


def settings(steps, **training):
    return config.validate(
        {
            "training": {"steps": steps, "batch_size": 4, "learning_rate": 5e-4, "log_every": steps, **training},
            "windows": {"train_stride": 16},
        }
    )


def test_overfits_its_own_training_videos(tmp_path):
    """All four videos are alike, so the test video is one that the fold has trained on."""
    videos, events, features = planted(tmp_path, twins=True)
    chosen = settings(60)
    fold.run(videos, events, events[:0], features, "p0", tmp_path / "fold", chosen, seed=0)
    detection_fold.run(tmp_path / "fold/predictions.h5", videos, events, tmp_path / "fold", chosen)
    detections = pd.read_csv(tmp_path / "fold/detections.csv")
    detections["kept"] = detections.kept.astype(bool)
    own = videos[videos.subject == "p0"]
    scores = evaluate(own, events[events.video_id == "v0"], detections)
    assert scores["spotting_f1"] == 1.0
    assert scores["recognition_f1_micro"] == 1.0


def test_rates_find_what_no_window_holds(tmp_path):
    """Events of 144 frames and more: at rate 1 alone nothing can be learnt, with rate 8 beside it all are found."""
    videos, events, features = planted(tmp_path, twins=True, slow=6)
    with pytest.raises(InputError, match="no training window holds an expression"):
        fold.run(videos, events, events[:0], features, "p0", tmp_path / "fold", settings(60), seed=0)
    chosen = settings(40)
    chosen["windows"] |= {"rates": [1, 8], "background_per_positive": 1}
    fold.run(videos, events, events[:0], features, "p0", tmp_path / "fold", chosen, seed=0)
    raw = predictions.read(tmp_path / "fold/predictions.h5")[0]["test"]["v0"]
    assert raw.starts[-7:].tolist() == [1432, 0, 128, 256, 384, 512, 536]  # the last of rate 1, all of rate 8
    detection_fold.run(tmp_path / "fold/predictions.h5", videos, events, tmp_path / "fold", chosen)
    found = pd.read_csv(tmp_path / "fold/detections.csv")
    found, truth = found[found.confidence > 0.5], events[events.video_id == "v0"]
    overlap = intervals.pairwise_iou(*(intervals.half_open(table.onset, table.offset) for table in (found, truth)))
    assert (overlap.max(0) > 0.7).all()
    assert found.emotion.to_numpy()[overlap.argmax(0)].tolist() == truth.emotion.tolist()


def test_features_of_another_kind_are_refused(tmp_path):
    videos, events, features = planted(tmp_path)
    clips = settings(2)
    clips["model"] |= {"clip_features": True, "feature_width": 2048}
    with pytest.raises(InputError, match=r"planted\.h5: rows of 512 values every 1 frame.* reads 2048 values every 2"):
        fold.run(videos, events, events[:0], features, "p0", tmp_path / "fold", clips, seed=0)


def test_a_fold_of_clip_features(tmp_path):
    """A row for every second frame: windows read one clip a segment, and predictions stay on the 30 fps axis."""
    videos, events, features = planted(tmp_path)
    checksum_path(features).unlink()
    with h5py.File(features, "r+") as file:
        for video in videos.video_id:
            entry = cache.read(features, video)
            del file[video]
            halved = cache.Features(entry.features[::2], entry.valid[::2], {**entry.attributes, "frame_stride": 2})
            cache.write_group(file, video, halved)
    clips = settings(2)
    clips["model"]["clip_features"] = True
    fold.run(videos, events, events[:0], features, "p0", tmp_path / "fold", clips, seed=0)
    raw = predictions.read(tmp_path / "fold/predictions.h5")[0]["test"]["v0"]
    assert raw.starts.tolist()[-2:] == [128, 132] and len(raw.valid) == STEPS


def test_a_fold_alone_repeats_byte_for_byte(tmp_path):
    videos, events, features = planted(tmp_path)
    names = ("checkpoint.safetensors", "predictions.h5", "training_log.csv", "fold.json")
    first, second = tmp_path / "first", tmp_path / "second"
    fold.run(videos, events, events[:0], features, "p1", first, settings(3), seed=0)
    fold.run(videos, events, events[:0], features, "p2", tmp_path / "another", settings(3), seed=0)
    fold.run(videos, events, events[:0], features, "p1", second, settings(3), seed=0)
    assert [sha256(first / name) for name in names] == [sha256(second / name) for name in names]
    fold.run(videos, events, events[:0], features, "p1", tmp_path / "seed", settings(3), seed=1)
    assert sha256(first / "checkpoint.safetensors") != sha256(tmp_path / "seed/checkpoint.safetensors")


def test_cost_is_that_of_the_test_videos_windows(tmp_path):
    """In the literal form each window costs what `flops.count` says beside the backbone."""
    videos, events, features = planted(tmp_path)
    literal = settings(2, precision="fp32")
    literal["model"]["form"] = "literal"
    fold.run(videos, events, events[:0], features, "p0", tmp_path / "fold", literal, seed=0)
    found, expected = read_json(tmp_path / "fold/cost.json"), flops.count(literal, classes=2)
    n_windows = len(predictions.read(tmp_path / "fold/predictions.h5")[0]["test"]["v0"].starts)
    assert found["gflop_per_minute"] == pytest.approx(n_windows * expected["rest"] * 1800 / STEPS)
    assert found["parameters"] == expected["parameters"]["rest"] and found["frames"] == STEPS and found["seconds"] > 0
    detection_fold.run(tmp_path / "fold/predictions.h5", videos, events, tmp_path / "fold", literal)
    decoding = read_json(tmp_path / "fold/detections_cost.json")
    assert decoding["frames"] == STEPS and decoding["seconds"] > 0 and decoding["parameters"] == 0


def test_test_subject_has_no_say(tmp_path):
    """Other labels and emotions of the test subject change neither network nor predictions nor threshold; another face
    (features) of it changes the predictions of itself alone."""
    videos, events, features = planted(tmp_path)
    moved = events.copy()
    moved.loc[moved.video_id == "v1", ["onset", "apex", "offset"]] += 7
    moved.loc[(moved.video_id == "v1") & (moved.onset < 50), "emotion"] = "fear"  # an emotion nobody else shows
    for name, table in (("a", events), ("b", moved)):
        fold.run(videos, table, events[:0], features, "p1", tmp_path / name, settings(3), seed=0)
        detection_fold.run(tmp_path / name / "predictions.h5", videos, table, tmp_path / name, settings(3))
    for name in ("checkpoint.safetensors", "predictions.h5", "threshold.json", "detections.csv"):
        assert sha256(tmp_path / "a" / name) == sha256(tmp_path / "b" / name), name
    with h5py.File(features, "r+") as file:
        file["v1/features"][...] *= 3
    checksum_path(features).unlink()
    fold.run(videos, events, events[:0], features, "p1", tmp_path / "c", settings(3), seed=0)
    detection_fold.run(tmp_path / "c/predictions.h5", videos, events, tmp_path / "c", settings(3))
    for name in ("checkpoint.safetensors", "training_log.csv", "threshold.json"):
        assert sha256(tmp_path / "a" / name) == sha256(tmp_path / "c" / name), name
    assert sha256(tmp_path / "a/predictions.h5") != sha256(tmp_path / "c/predictions.h5")


def test_input_norm_comes_from_the_training_videos_and_predictions_use_it(tmp_path):
    """In the weights of a fold that tests p1 lie mean and deviation of its training videos; a test video four times as
    large changes nothing of them but its predictions, which are those of features that were scaled beforehand."""
    videos, events, features = planted(tmp_path)
    chosen = settings(3)
    chosen["model"]["input_norm"] = "training"
    parts = split.split(videos, "subject", "p1", chosen["training"]["held_out_fraction"])
    fold.run(videos, events, events[:0], features, "p1", tmp_path / "a", chosen, seed=0)
    weights = load_file(tmp_path / "a/checkpoint.safetensors")
    rows = np.concatenate([cache.read(features, video).features for video in parts.train]).astype(np.float64)
    assert "v1" not in parts.train and len(parts.held_out) == 1
    assert weights["input_norm.mean"].numpy() == pytest.approx(rows.mean(axis=0), abs=1e-5)
    assert weights["input_norm.deviation"].numpy() == pytest.approx(rows.std(axis=0), rel=1e-5)

    with h5py.File(features, "r+") as file:
        file["v1/features"][...] *= 4
    checksum_path(features).unlink()
    fold.run(videos, events, events[:0], features, "p1", tmp_path / "b", chosen, seed=0)
    for name in ("checkpoint.safetensors", "training_log.csv"):
        assert sha256(tmp_path / "a" / name) == sha256(tmp_path / "b" / name), name
    before, raw = (predictions.read(tmp_path / name / "predictions.h5")[0] for name in "ab")
    kept, changed = parts.held_out[0], raw["test"]["v1"].logits - before["test"]["v1"].logits
    assert (raw["held_out"][kept].logits == before["held_out"][kept].logits).all()
    assert np.abs(changed).max() > 1e-3  # not so with LayerNorm, to which a frame's size is nothing

    network, _ = fedn.build(chosen, len(EMOTIONS))
    network.load_state_dict(weights)
    loaded = data.load(features, {"test": ("v1",)}, torch.device("cpu"))["test"]
    loaded.features = network.input_norm(loaded.features.float())
    network.input_norm = torch.nn.Identity()
    _, _, logits = loop.predict(network, loaded, chosen, torch.device("cpu"))["v1"]
    assert logits == pytest.approx(raw["test"]["v1"].logits, abs=1e-5)


def test_features_that_are_not_finite_stop_the_fold(tmp_path):
    videos, events, features = planted(tmp_path, nan=True)
    with pytest.raises(InputError, match=r"planted\.h5: video v\d: not finite: nan at step 50 of the 30 fps axis"):
        fold.run(videos, events, events[:0], features, "p0", tmp_path / "fold", settings(2), seed=0)


def test_other_frame_rate_and_short_video(tmp_path):
    """A 15 fps subject whose video is shorter than a window trains and is tested; frames come back on its own axis."""
    videos, events, features = planted(tmp_path)
    videos.loc[0, ["n_frames", "fps"]] = STEPS // 2, 15.0
    slow = events.video_id == "v0"
    events.loc[slow, ["onset", "apex", "offset"]] //= 2
    checksum_path(features).unlink()
    with h5py.File(features, "r+") as file:  # v1 keeps 100 steps, less than the window's 128
        entry = cache.read(features, "v1")
        del file["v1"]
        cache.write_group(file, "v1", cache.Features(entry.features[:100], entry.valid[:100], entry.attributes))
    videos.loc[1, "n_frames"] = 100
    events = events[(events.video_id != "v1") | (events.offset < 100)].reset_index(drop=True)
    slow = events.video_id == "v0"
    fold.run(videos, events, events[:0], features, "p0", tmp_path / "fold", settings(60), seed=0)
    detection_fold.run(tmp_path / "fold/predictions.h5", videos, events, tmp_path / "fold", settings(60))
    found = pd.read_csv(tmp_path / "fold/detections.csv")
    assert found.offset.max() < STEPS // 2
    best = found.loc[found.confidence.idxmax()]
    spans = events[slow]
    overlap = (spans.offset.clip(upper=best.offset) - spans.onset.clip(lower=best.onset)).max()
    assert overlap > 0.5 * (best.offset - best.onset)
    fold.run(videos, events, events[:0], features, "p1", tmp_path / "short", settings(2), seed=0)
    assert len(predictions.read(tmp_path / "short/predictions.h5")[0]["test"]["v1"].starts) == 1


def test_emotion_that_only_the_test_subject_shows_is_no_class(tmp_path):
    videos, events, features = planted(tmp_path)
    events.loc[events.video_id == "v2", "emotion"] = "fear"
    fold.run(videos, events, events[:0], features, "p2", tmp_path / "fold", settings(2), seed=0)
    assert predictions.read(tmp_path / "fold/predictions.h5")[1] == EMOTIONS


def test_spotting_alone_needs_no_emotions(tmp_path):
    """`recognition: false`: one objectness logit, detections without an emotion; else unnamed events are refused."""
    videos, events, features = planted(tmp_path)
    unnamed = events.assign(emotion="")
    spotting = settings(2)
    spotting["model"]["recognition"] = False
    for name, table in (("unnamed", unnamed), ("named", events)):
        folder = tmp_path / name
        fold.run(videos, table, events[:0], features, "p2", folder, spotting, seed=0)
        roles, classes = predictions.read(folder / "predictions.h5")
        assert classes == [""] and roles["test"]["v2"].logits.shape[-1] == 1
    names = ("checkpoint.safetensors", "predictions.h5")
    assert [sha256(tmp_path / "named" / n) for n in names] == [sha256(tmp_path / "unnamed" / n) for n in names]
    detection_fold.run(tmp_path / "named/predictions.h5", videos, events, tmp_path / "named", spotting)
    found = pd.read_csv(tmp_path / "named/detections.csv", keep_default_na=False)
    assert len(found) and set(found.emotion) == {""}
    scores = evaluate(videos, events, found.assign(kept=True))
    assert scores["spotting_f1"] is not None and scores["detection_map"] is None
    with pytest.raises(InputError, match=r"no expression that names an emotion in the 2 video.*recognition: false"):
        fold.run(videos, unnamed, events[:0], features, "p2", tmp_path / "none", settings(2), seed=0)


def test_one_expression_without_an_emotion_is_no_target(tmp_path):
    """A single empty cell of a large release must not stop its run: that event is ignored, not background."""
    videos, events, features = planted(tmp_path)
    events.loc[events.index[0], "emotion"] = ""
    _, labels = data.events_on_feature_axis(events, events[:0], videos, ["v0"], EMOTIONS)[0]
    assert labels.tolist() == [-1, 1, 0]
    fold.run(videos, events, events[:0], features, "p2", tmp_path / "fold", settings(2), seed=0)
    assert predictions.read(tmp_path / "fold/predictions.h5")[1] == EMOTIONS


def test_other_events_are_neither_targets_nor_background(tmp_path):
    """A micro-expression in a run on macros: its class is -1, wherever it lies."""
    videos, events, _ = planted(tmp_path)
    macro, micro = ground_truth(events.assign(expression_type=["macro", "micro", "macro"] * 4), ["macro"])
    assert len(macro) == 8 and len(micro) == 4
    spans, labels = data.events_on_feature_axis(macro, micro, videos, ["v1"], EMOTIONS)[0]
    assert spans.tolist() == [[20, 44], [90, 135], [180, 210]] and labels.tolist() == [0, -1, 0]
    both, none = ground_truth(events, ["macro", "micro"])
    assert len(both) == 12 and not len(none)


def test_subjects_without_events(tmp_path):
    """Held-out subjects without expressions leave the threshold defined; nobody with any is refused by name."""
    videos, events, features = planted(tmp_path)
    fold.run(
        videos, events[events.video_id == "v0"], events[:0], features, "p2", tmp_path / "fold", settings(2), seed=0
    )
    record = detection_fold.run(tmp_path / "fold/predictions.h5", videos, events[:0], tmp_path / "fold", settings(2))
    assert np.isfinite(record["threshold"])
    endless = events[:1].assign(video_id="v0", onset=0, offset=STEPS - 1)  # longer than any window
    for table, why in (
        (events[:0], "no expression that names an emotion in the 2"),
        (endless, "no training window holds"),
    ):
        with pytest.raises(InputError, match=why):
            fold.run(videos, table, events[:0], features, "p2", tmp_path / "none", settings(2), seed=0)
    tiny = events[:1].assign(video_id="v0", onset=61, offset=62)  # between all points and anchors
    with pytest.raises(InputError, match="no prediction answers for any expression"):
        fold.run(videos, tiny, events[:0], features, "p2", tmp_path / "none", settings(2), seed=0)


def test_learning_rate_warms_up_and_decays():
    training = settings(100, learning_rate=1.0, warmup_steps=10, final_learning_rate=0.1)["training"]
    rates = [loop.learning_rate(step, 100, training) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[10] == 1.0 and rates[100] == pytest.approx(0.1)
    assert all(later <= earlier for earlier, later in pairwise(rates[10:]))
    constant = settings(100)["training"]
    assert {loop.learning_rate(step, 100, constant) for step in range(100)} == {5e-4}
