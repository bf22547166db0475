"""CEFLNet: where it looks, that it learns and only then, and what end to end changes."""

import h5py
import numpy as np
import pandas as pd
import planted
import pytest
import torch
from torchvision.models import resnet18

from fedn_pipeline import compute, config, tensor_file
from fedn_pipeline.cascades import cefl, frames
from fedn_pipeline.cascades.cefl_network import CEFLNet
from fedn_pipeline.cascades.samples import Samples, jittered, joined, of_events
from fedn_pipeline.faces import crops
from fedn_pipeline.features import cache
from fedn_pipeline.files import InputError

DEFAULT = config.validate({})["cefl"]
CPU = torch.device("cpu")


def test_clips_fill_the_interval_and_overlap_as_published():
    """75 frames: seven clips of 15, one every 10, five frames each."""
    steps = cefl.positions(np.array([[100.0, 175.0], [0.0, 7.5]]), DEFAULT)
    assert steps.shape == (2, 7, 5)
    clip = 100 + 10 * np.arange(7)[:, None] + np.array([1.5, 4.5, 7.5, 10.5, 13.5])
    assert steps[0] == pytest.approx(clip) and steps[1] == pytest.approx((clip - 100) / 10)
    drawn = cefl.positions(np.array([[100.0, 175.0]]), DEFAULT, np.random.default_rng(0))[0]
    assert (np.abs(drawn - clip) <= 1.5).all() and np.abs(drawn - clip).max() > 1


def test_jitter_is_bounded_by_the_length():
    spans = np.tile([10.0, 30.0], (500, 1))
    moved = jittered(spans, 0.2, np.random.default_rng(0)) - spans
    assert np.abs(moved).max() <= 4 and moved.min(axis=0).max() < -3.5 and moved.max(axis=0).min() > 3.5


def test_network_weighs_clips_and_does_not_mind_their_order():
    torch.manual_seed(0)
    network = CEFLNet(512, 4, DEFAULT).eval()
    seen = torch.randn(3, 7, 5, 512)
    logits = network(seen)
    assert logits.shape == (3, 4)
    assert torch.allclose(network(seen[:, torch.randperm(7)]), logits, atol=1e-5)
    assert torch.allclose(network(seen[:1]), logits[:1], atol=1e-5)
    other = torch.cat([seen[:, :6], torch.randn(3, 1, 5, 512)], dim=1)
    assert (network(other) - logits).abs().min() > 1e-5


def test_a_clip_that_shows_most_decides_alone():
    """Weights so far apart that one clip has them all: what is pooled is that clip, times their number, over zeros."""
    torch.manual_seed(0)
    network = CEFLNet(512, 4, DEFAULT).eval()
    network.classifier = torch.nn.Identity()
    network.clip_weight.weight.data.zero_()[0, 3] = 1e5
    seen = torch.randn(3, 7, 5, 512)
    with torch.no_grad():
        alone = torch.stack([network(seen[:, [clip]]) for clip in range(7)], dim=1)  # [3, 7, 512]
        most = alone[torch.arange(3), alone[..., 3].argmax(1)]
        assert torch.allclose(network(seen), (7 * most).clamp(min=0), atol=1e-4)


def test_network_has_the_published_parts_and_all_learn():
    torch.manual_seed(0)
    network = CEFLNet(512, 7, DEFAULT)
    attention, norm, frame_weight, reduce, clip_weight = 4 * 512 * 513, 2 * 512, 2 * 512 + 1, 1024 * 512 + 512, 512
    classifier = (512 + 1) * 256 + (256 + 1) * 128 + (128 + 1) * 7
    count = sum(value.numel() for value in network.parameters()) - 2 * 512  # without our LayerNorm
    assert count == attention + norm + frame_weight + reduce + clip_weight + classifier == 1_743_112
    network(torch.randn(3, 7, 5, 512)).square().sum().backward()
    assert all(value.grad is not None and value.grad.abs().max() > 0 for value in network.parameters())


def trained(folder, epochs=20):
    planted.write_features(folder / "planted.h5")
    videos, events = planted.tables()
    settings = {**planted.SETTINGS, "cefl": {**planted.SETTINGS["cefl"], "epochs": epochs}}
    train, test = (of_events(events, videos, ids, planted.EMOTIONS) for ids in (["v0", "v1", "v2"], ["v3"]))
    device = compute.prepare(0, 1)
    seen = cefl.load_frames(folder / "planted.h5", None, joined(train, test), videos, settings, device)
    recogniser = cefl.Recogniser(seen, 2, settings, device)
    log = recogniser.train(train, test, np.random.default_rng(0), "test")
    return recogniser, log, test


def test_recovers_the_emotion_of_a_subject_that_it_has_not_seen(tmp_path):
    recogniser, log, test = trained(tmp_path)
    assert (recogniser.scores(test).argmax(1) == test.labels).all()
    assert log[-1]["held_out_accuracy"] == 1 and log[-1]["held_out_loss"] < 0.2
    shifted = Samples(test.video, test.spans + 5, test.labels)
    assert (recogniser.scores(shifted).argmax(1) == test.labels).all()
    again, other_log, _ = trained(tmp_path)
    assert other_log == log and np.array_equal(again.scores(test), recogniser.scores(test))


def test_training_intervals_are_jittered_and_others_not(tmp_path, monkeypatch):
    shares = []

    def spy(spans, share, generator):
        shares.append((share, len(spans)))
        return jittered(spans, share, generator)

    monkeypatch.setattr(cefl, "jittered", spy)
    recogniser, log, test = trained(tmp_path, epochs=2)
    assert shares == [(DEFAULT["jitter"], 8)] * log[-1]["step"] and len(shares) == 2
    recogniser.scores(test)
    assert len(shares) == 2


def test_features_of_clips_serve_several_steps(tmp_path):
    entry = cache.Features(np.arange(12.0, dtype=np.float16).reshape(6, 2), np.ones(6, dtype=bool), {"frame_stride": 2})
    with h5py.File(tmp_path / "f.h5", "w") as file:
        cache.write_group(file, "a", entry)
        cache.write_group(file, "b", entry)
    seen = frames.of_features(tmp_path / "f.h5", ["a", "b"], CPU)
    assert seen.steps("b") == 12 and seen.values.shape == (12, 2)
    assert seen.values[seen.row["b"][7]].tolist() == [6, 7]


@pytest.fixture
def crops_of_two_colours(tmp_path):
    """Video `v` of 24 frames at 15 fps: red during frames 4..9, green during 14..19, else grey."""
    images = np.full((24, 32, 32, 3), 128, dtype=np.uint8)
    images[4:10], images[14:20] = (200, 30, 30), (30, 200, 30)
    crops.write(
        tmp_path / f"crops/v{crops.CROPS_SUFFIX}", images, 15.0, {**config.validate({})["faces"], "crop_size": 32}
    )
    videos = pd.DataFrame([{"video_id": "v", "n_frames": 24, "fps": 15.0}])
    spans = np.array([[8.0, 20.0], [28.0, 40.0]])  # steps of 30 fps
    return tmp_path, videos, Samples(np.array(["v", "v"], dtype=object), spans, np.array([0, 1]))


def test_crops_are_read_where_intervals_lie(crops_of_two_colours):
    folder, videos, both = crops_of_two_colours
    seen = frames.of_crops(folder, both, videos, margin=0.0, side=16, device=CPU)
    assert seen.steps("v") == 48 and seen.values.dtype == torch.uint8 and seen.values.shape[1:] == (3, 16, 16)
    assert len(seen.values) <= 16  # of 24 frames
    inside = seen.values[seen.row["v"][10:18]].float().mean((2, 3))
    assert (inside[:, 0] > 180).all() and (inside[:, 1] < 50).all()
    assert (seen.values[seen.row["v"][30:38]].float().mean((2, 3))[:, 1] > 180).all()


def test_of_a_video_cut_short_the_last_crop_stands_for_the_rest(crops_of_two_colours):
    folder, videos, both = crops_of_two_colours
    longer = videos.assign(n_frames=40)
    tail = Samples(both.video, np.array([[8.0, 20.0], [60.0, 80.0]]), both.labels)
    seen = frames.of_crops(folder, tail, longer, margin=0.0, side=16, device=CPU)
    assert seen.steps("v") == 80
    assert (seen.values[seen.row["v"][60:80]].float() - 128).abs().max() < 8  # grey, as frame 23
    only = Samples(both.video[1:], tail.spans[1:], both.labels[1:])
    assert len(frames.of_crops(folder, only, longer, margin=0.0, side=16, device=CPU).values) == 1


def test_end_to_end_trains_the_backbone_too(crops_of_two_colours):
    folder, videos, both = crops_of_two_colours
    torch.manual_seed(0)
    network = resnet18(num_classes=5).eval()
    tensor_file.save(folder / "weights.safetensors", network.state_dict(), {"origin": "test"})
    settings = config.validate({
        "cefl": {"end_to_end": True, "epochs": 1, "clips": 2, "frames_per_clip": 2, "learning_rate": 1e-3},
        "backbone": {"input_size": 32},
    })  # fmt: skip
    device = compute.prepare(0, 1)
    seen = cefl.load_frames(None, folder, both, videos, settings, device)
    recogniser = cefl.Recogniser(seen, 2, settings, device, folder / "weights.safetensors")
    before = recogniser.network.encoder.conv1.weight.clone()
    assert torch.equal(before, network.conv1.weight)
    recogniser.train(both, both, np.random.default_rng(0), "test")
    assert not torch.equal(before, recogniser.network.encoder.conv1.weight)
    assert recogniser.scores(both).shape == (2, 2)
    with pytest.raises(InputError, match="no such backbone weights"):
        cefl.Recogniser(seen, 2, settings, device, folder / "absent.safetensors")


def test_nothing_to_learn_from_is_said(tmp_path):
    planted.write_features(tmp_path / "planted.h5")
    seen = frames.of_features(tmp_path / "planted.h5", ["v0"], CPU)
    empty = Samples(np.zeros(0, dtype=object), np.zeros((0, 2)), np.zeros(0, dtype=np.int64))
    with pytest.raises(InputError, match="no sample of the training subjects"):
        cefl.Recogniser(seen, 2, planted.SETTINGS, CPU).train(empty, empty, np.random.default_rng(0), "test")
    seen.values.fill_(torch.nan)
    one = Samples(np.array(["v0"], dtype=object), np.array([[10.0, 30.0]]), np.array([0]))
    with pytest.raises(FloatingPointError, match="step 1: loss nan"):
        cefl.Recogniser(seen, 2, planted.SETTINGS, CPU).train(one, one, np.random.default_rng(0), "test")
