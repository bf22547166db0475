"""I3D: the paper's size and cost, strangers' weights in their layouts, clips on the 30 fps axis. Weights are random."""

from pathlib import Path

import cv2
import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet18

from fedn_pipeline import cli, config, intervals, tensor_file
from fedn_pipeline.faces import alignment, crops
from fedn_pipeline.features import backbone, cache, flow, i3d, i3d_extract
from fedn_pipeline.files import InputError, sha256
from fedn_pipeline.training import fold, predictions

SIDE = 32
SETTINGS = config.validate(
    {"backbone": {"input_size": SIDE, "precision": "fp32"}, "i3d": {"flow_method": "dis", "batch_size": 3}}
)


@pytest.fixture(scope="module")
def streams():
    """Both streams with random weights, by name; batch norms are fitted to data, else the input would not reach the end
    and folding them would prove nothing."""
    torch.manual_seed(0)
    networks = {name: i3d.build(channels).train() for name, channels in i3d.CHANNELS.items()}
    for name, channels in i3d.CHANNELS.items():
        for module in networks[name].modules():
            if isinstance(module, torch.nn.BatchNorm3d):
                module.momentum = None  # the mean of what it has seen
        with torch.no_grad():
            networks[name](torch.nn.functional.interpolate(torch.rand(8, channels, 8, 8, 8) * 2 - 1, (8, 64, 64)))
        networks[name].eval()
    return networks


def prefixed(tensors, prefix):
    return {prefix + name: value for name, value in tensors.items()}


def published(network, classes=400):
    """A state dict with the classifier of the files commonly called rgb_imagenet.pt."""
    head = {"logits.conv3d.weight": torch.zeros(classes, 1024, 1, 1, 1), "logits.conv3d.bias": torch.zeros(classes)}
    return network.state_dict() | head


def other_port(tensors):
    """The same by the names of the files commonly called model_rgb.pth."""
    branches = {"b0": "branch_0", "b1a": "branch_1.0", "b1b": "branch_1.1", "b2a": "branch_2.0", "b2b": "branch_2.1"}
    branches |= {"b3b": "branch_3.1", "bn": "batch3d", "logits": "conv3d_0c_1x1"}
    renamed = {}
    for name, value in tensors.items():
        parts = [branches.get(part, part) for part in name.split(".")]
        renamed[".".join([parts[0][0].lower() + parts[0][1:], *parts[1:]])] = value
    return renamed


@pytest.fixture(scope="module")
def weights(streams, tmp_path_factory):
    """Both streams as one converted file."""
    folder = tmp_path_factory.mktemp("i3d")
    paths = {name: folder / f"{name}.pt" for name in streams}
    for name, network in streams.items():
        torch.save(published(network), paths[name])
    i3d.convert(paths, folder / "i3d.safetensors")
    return folder / "i3d.safetensors"


@pytest.fixture(scope="module")
def loaded(weights):
    return i3d.load(weights)


@pytest.mark.parametrize(("stream", "gmac", "millions"), [("rgb", 13.894, 12.29), ("flow", 12.792, 12.27)])
def test_cost_and_parameters_are_the_papers(stream, gmac, millions):
    with torch.device("meta"):
        network, clip = i3d.build(i3d.CHANNELS[stream]).eval(), torch.empty(1, i3d.CHANNELS[stream], 8, 224, 224)
    with FlopCounterMode(display=False) as counter:
        assert network(clip).shape == (1, 1024)
    assert counter.get_total_flops() / 2e9 == pytest.approx(gmac, rel=0.003)
    assert sum(value.numel() for value in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize(("size", "before"), [(8, 2), (9, 3)])
def test_convolutions_are_padded_like_tensorflows(size, before):
    """`SAME`, kernel 7, stride 2: 5 zeros for an even size, 2 of them in front; 6 for an odd one."""
    unit = i3d.Convolution(1, 1, 7, 2).eval()
    torch.nn.init.zeros_(unit.conv3d.weight)
    with torch.no_grad():
        unit.conv3d.weight[..., before] = 0  # the tap that falls on positions 0, 2, 4, ...
        unit.conv3d.weight[0, 0, before, before, before] = (1 + i3d.BATCH_NORM_EPS) ** 0.5
        x = torch.rand(1, 1, size, size, size)
        torch.testing.assert_close(unit(x), x[..., ::2, ::2, ::2])


@pytest.mark.parametrize(("size", "windows"), [(6, [(0, 3), (2, 5), (4, 6)]), (5, [(0, 2), (1, 4), (3, 5)])])
def test_pools_are_padded_like_tensorflows(size, windows):
    x = torch.rand(1, 1, 1, 1, size)
    wanted = torch.tensor([x[..., a:b].max() for a, b in windows])
    assert torch.equal(i3d.Pool((1, 1, 3), (1, 1, 2))(x).flatten(), wanted)


LAYOUTS = {
    "rgb_imagenet.pt": published,
    "finetuned.pt": lambda network: {"epoch": 3, "state_dict": prefixed(published(network, 157), "module.i3d.")},
    "model_rgb.pth": lambda network: other_port(published(network)),
    "old.pt": lambda network: {k: v for k, v in published(network).items() if not k.endswith("num_batches_tracked")},
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_network(name, streams, tmp_path):
    paths = {stream: tmp_path / f"{stream}_{name}" for stream in streams}
    for stream, network in streams.items():
        torch.save(LAYOUTS[name](network), paths[stream])
    description = i3d.convert(paths, tmp_path / "out.safetensors")
    assert description["origin"] == f"checkpoint rgb_{name} + checkpoint flow_{name}"
    assert backbone.origin(tmp_path / "out.safetensors") == description["origin"]
    assert backbone.network(tmp_path / "out.safetensors") == "i3d"
    for stream in streams:
        assert description["streams"][stream]["source_sha256"] == sha256(paths[stream])
        assert len(description["streams"][stream]["dropped"]) == 2  # the classifier, whatever its classes
    written = load_file(tmp_path / "out.safetensors")
    for stream, network in streams.items():
        for key, value in network.state_dict().items():
            equal = torch.equal(written[f"{stream}.{key}"], value)
            assert equal or (name == "old.pt" and key.endswith("num_batches_tracked"))


def test_folded_batch_norms_change_nothing(streams, loaded):
    torch.manual_seed(1)
    for name, channels in i3d.CHANNELS.items():
        clip = torch.rand(2, channels, 8, 64, 64) * 2 - 1
        with torch.no_grad():
            wanted = streams[name](clip)
            assert (wanted[0] - wanted[1]).abs().max() > 0.1
            torch.testing.assert_close(loaded[name](clip), wanted, atol=1e-3, rtol=1e-3)


def test_a_converted_file_converts_to_itself(weights, tmp_path):
    again = i3d.convert(dict.fromkeys(i3d.CHANNELS, weights), tmp_path / "again.safetensors")
    assert again["origin"] == backbone.origin(weights)
    first, second = load_file(weights), load_file(tmp_path / "again.safetensors")
    assert set(first) == set(second) and all(torch.equal(first[name], second[name]) for name in first)


MISFITS = {
    "layer missing": (
        lambda p: {k: v for k, v in p["rgb"].items() if not k.startswith("Mixed_4e.b2b")},
        r"not a rgb I3D: top level: 5 of a rgb I3D's 285 tensors are missing: Mixed_4e\.b2b\.conv3d\.weight",
    ),
    "the other stream": (
        lambda p: p["flow"],
        r"Conv3d_1a_7x7\.conv3d\.weight is \[64, 2, 7, 7, 7\], not \[64, 3, 7, 7, 7\]",
    ),
    "ResNet18": (lambda p: {"state_dict": resnet18().state_dict()}, "no rgb I3D in it"),
    "not finite": (
        lambda p: p["rgb"] | {"Mixed_3b.b0.bn.bias": torch.full((64,), torch.inf)},
        r"not finite: Mixed_3b\.b0",
    ),
    "two networks": (
        lambda p: {"a": p["rgb"], "b": {n: v + 1 for n, v in p["rgb"].items()}},
        "several rgb I3D networks: a, b",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_misfits_are_refused_with_the_reason(name, streams, tmp_path):
    content, message = MISFITS[name]
    states = {stream: published(network) for stream, network in streams.items()}
    torch.save(content(states), tmp_path / "w.pt")
    torch.save(states["flow"], tmp_path / "flow.pt")
    with pytest.raises(InputError, match=message) as error:
        i3d.convert({"rgb": tmp_path / "w.pt", "flow": tmp_path / "flow.pt"}, tmp_path / "out.safetensors")
    assert str(tmp_path / "w.pt") in str(error.value) and not (tmp_path / "out.safetensors").exists()


def test_weights_of_another_network_are_never_run(weights, tmp_path):
    tensor_file.save(tmp_path / "r.safetensors", resnet18().state_dict(), {"origin": "demo stills"})
    with pytest.raises(InputError, match=r"r\.safetensors: no I3D weights"):
        i3d.load(tmp_path / "r.safetensors")
    tensors, description = backbone.read(weights)
    del tensors["flow.Mixed_5c.b0.conv3d.weight"]
    tensor_file.save(tmp_path / "part.safetensors", tensors, description)
    with pytest.raises(InputError, match=r"flow stream: 1 of a flow I3D's .* Mixed_5c\.b0"):
        i3d.load(tmp_path / "part.safetensors")
    with pytest.raises(InputError, match="not a ResNet18"):
        backbone.load(weights)


def test_flow_is_motion_to_the_next_picture_scaled_and_cut_off():
    noise = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)
    first = cv2.GaussianBlur(noise, (0, 0), 3)
    second = np.roll(first, 3, axis=1)
    for method in ("tvl1", "dis"):
        pairs = list(i3d_extract.with_flow([first, first, second], method, 20))
        assert all(a is b for (a, _), b in zip(pairs, (first, first, second), strict=True))
        assert np.median(pairs[1][1][..., 0]) == pytest.approx(3 / 20, abs=0.02)
        assert np.median(np.abs(pairs[1][1][..., 1])) < 0.02
        assert not pairs[0][1].any() and not pairs[2][1].any()  # a repeated picture, and the last one
    _, cut_off = next(i3d_extract.with_flow([first, second], "dis", 2))
    assert cut_off.max() == 1 and cut_off.dtype == np.float32


def stage_files(folder, status, fps=30.0):
    """Alignment and crops of a video `v` whose frames have this status; the picture drifts."""
    missing = np.array(status) == "missing"
    similarities, points = np.tile([1.0, 0, 0, 0], (len(status), 1)), np.zeros((len(status), 68, 2))
    similarities[missing], points[missing] = np.nan, np.nan
    found = alignment.table(points, similarities, np.array(status, dtype=object), np.zeros(len(status), dtype=bool))
    alignment.write(folder / "alignment/v.csv", found)
    texture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (224, 224, 3), dtype=np.uint8), (0, 0), 12)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    images = (np.roll(texture, 7 * n, axis=1) * np.uint8(not gone) for n, gone in enumerate(missing))
    crops.write(folder / f"crops/v{crops.CROPS_SUFFIX}", images, fps, SETTINGS["faces"])
    return pd.DataFrame([{"video_id": "v", "n_frames": len(status), "fps": fps}])


def literal(folder, networks, frames_of_clips):
    """Features of clips, each by itself: its source frames, and the one after its last."""
    estimate = flow.METHODS["dis"]()
    pictures = [cv2.resize(c, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for c in crops.read(folder / "crops/v.mp4")]
    grays = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
    rows = []
    for frames, following in frames_of_clips:
        rgb = np.stack([pictures[frame] for frame in frames]) / np.float32(127.5) - 1
        motion = [
            np.zeros((SIDE, SIDE, 2), np.float32) if a == b else estimate(grays[a], grays[b])
            for a, b in zip(frames, [*frames[1:], following], strict=True)
        ]
        both = {"rgb": rgb, "flow": np.clip(np.stack(motion), -20, 20) / 20}
        inputs = {name: torch.from_numpy(x.astype(np.float32)).permute(3, 0, 1, 2)[None] for name, x in both.items()}
        with torch.no_grad():
            rows.append(torch.cat([networks[name](inputs[name]) for name in ("rgb", "flow")], dim=1)[0].numpy())
    return np.stack(rows)


@pytest.mark.parametrize("n_frames", [13, 12, 5])
def test_row_i_is_the_clip_of_steps_2i_to_2i_plus_7(n_frames, weights, loaded, tmp_path):
    videos = stage_files(tmp_path, ["tracked"] * n_frames)
    i3d_extract.run(videos, tmp_path, weights, tmp_path / "f.h5", SETTINGS)
    entry = cache.read(tmp_path / "f.h5", "v")
    starts, last = range(0, n_frames, 2), n_frames - 1
    wanted = literal(tmp_path, loaded, [([min(s + k, last) for k in range(8)], min(s + 8, last)) for s in starts])
    assert entry.features.shape == (-(-n_frames // 2), 2048) and entry.features.dtype == np.float16
    assert entry.valid.all() and len(entry.valid) == len(entry.features)
    np.testing.assert_allclose(entry.features, wanted, atol=2e-3, rtol=2e-3)
    for stream in (wanted[:, :1024], wanted[:, 1024:]):
        assert np.abs(np.diff(stream, axis=0)).max() > 0.1  # the clips do differ


def test_a_slow_video_is_read_on_the_30_fps_axis(weights, loaded, tmp_path):
    videos = stage_files(tmp_path, ["tracked"] * 10, fps=15.0)
    i3d_extract.run(videos, tmp_path, weights, tmp_path / "f.h5", SETTINGS)
    source = intervals.source_frames(10, 15.0)  # 20 steps
    line = source[np.minimum(np.arange(30), 19)].tolist()
    wanted = literal(tmp_path, loaded, [(line[s : s + 8], line[s + 8]) for s in range(0, 20, 2)])
    np.testing.assert_allclose(cache.read(tmp_path / "f.h5", "v").features, wanted, atol=2e-3, rtol=2e-3)


def test_clips_without_enough_face_are_zero_and_invalid(weights, loaded, tmp_path):
    status = ["missing"] * 3 + ["tracked"] * 9 + ["missing"] * 12 + ["bridged"]
    videos = stage_files(tmp_path, status)
    i3d_extract.run(videos, tmp_path, weights, tmp_path / "f.h5", SETTINGS)
    entry = cache.read(tmp_path / "f.h5", "v")
    face = np.array(status) != "missing"
    steps = np.minimum(np.arange(0, 25, 2)[:, None] + np.arange(8), 24)
    assert entry.valid.tolist() == (face[steps].sum(axis=1) >= 4).tolist()
    assert 0 < entry.valid.sum() < len(entry.valid)
    assert (entry.features[~entry.valid] == 0).all() and (entry.features[entry.valid] != 0).any(axis=1).all()
    shown = [3] * 3 + list(range(3, 12)) + [11] * 12 + [24]  # frames without a face repeat the one before
    wanted = literal(tmp_path, loaded, [(shown[s : s + 8], shown[s + 8]) for s in (0, 8)])
    np.testing.assert_allclose(entry.features[[0, 4]], wanted, atol=2e-3, rtol=2e-3)


def test_a_video_without_any_face_and_one_cut_short(weights, tmp_path, capsys):
    videos = stage_files(tmp_path / "none", ["missing"] * 10)
    i3d_extract.run(videos, tmp_path / "none", weights, tmp_path / "none.h5", SETTINGS)
    entry = cache.read(tmp_path / "none.h5", "v")
    assert not entry.valid.any() and not entry.features.any() and entry.features.shape == (5, 2048)
    videos = stage_files(tmp_path / "short", ["tracked"] * 8).assign(n_frames=24)
    i3d_extract.run(videos, tmp_path / "short", weights, tmp_path / "short.h5", SETTINGS)
    assert cache.read(tmp_path / "short.h5", "v").valid.tolist() == [True] * 3 + [False] * 9
    assert "v: cut short, 8 of 24 frames" in capsys.readouterr().out


def test_crops_that_do_not_belong_to_the_alignment_are_refused(weights, tmp_path):
    videos = stage_files(tmp_path, ["tracked"] * 9)
    stage_files(tmp_path / "other", ["tracked"] * 8)
    for name in ("v.mp4", "v.mp4.sha256"):
        (tmp_path / "other/crops" / name).replace(tmp_path / "crops" / name)
    with pytest.raises(InputError, match=r"v\.mp4: 8 crops, its alignment has 9 rows"):
        i3d_extract.run(videos, tmp_path, weights, tmp_path / "f.h5", SETTINGS)
    assert not (tmp_path / "f.h5").exists()


def test_commands_give_the_same_bytes_and_their_provenance(streams, weights, tmp_path, capsys):
    stage_files(tmp_path, ["tracked"] * 12).assign(subject="s").to_csv(tmp_path / "videos.csv", index=False)
    for name, network in streams.items():
        torch.save(published(network), tmp_path / f"{name}.pt")
    made, paths = tmp_path / "i3d.safetensors", [str(tmp_path / f"{name}.pt") for name in ("rgb", "flow")]
    assert cli.main(["backbone", "--i3d", *paths, "--out", str(made)]) == 0
    assert made.read_bytes() == weights.read_bytes()
    settings = '{"backbone": {"input_size": 32, "precision": "fp32"}, "i3d": {"flow_method": "farneback"}}'
    for part in ("a", "b"):
        arguments = ["--videos", str(tmp_path / "videos.csv"), "--faces", str(tmp_path), "--weights", str(made)]
        assert cli.main(["features", *arguments, "--out", str(tmp_path / f"{part}.h5"), "--settings", settings]) == 0
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    attributes = cache.read(tmp_path / "a.h5", "v").attributes
    assert (attributes["frame_stride"], attributes["clip_frames"], attributes["input_size"]) == (2, 8, 32)
    assert attributes["weights_sha256"] == sha256(made) and attributes["source_sha256"] == sha256(
        tmp_path / "crops/v.mp4"
    )
    assert attributes["weights_origin"] == "checkpoint rgb.pt + checkpoint flow.pt"
    assert (attributes["flow_method"], attributes["flow_bound"]) == ("farneback", 20)
    assert cli.main(["features", "--merge", str(tmp_path / "a.h5"), "--out", str(tmp_path / "i3d.h5")]) == 0
    assert cache.provenance(tmp_path / "i3d.h5")["weights_origin"] == attributes["weights_origin"]


def test_a_fold_runs_on_clips(weights, tmp_path):
    """From crops to predictions with the experiment's own settings, in small."""
    experiment = config.read_yaml(Path(__file__).parents[2] / "config/experiments/i3d.yaml")
    small = {"embedding": 16, "channels": 16, "head_width": 16, "group_norm_groups": 4}
    quick = {"steps": 3, "batch_size": 2, "log_every": 3}
    settings = config.validate(config.merge(experiment, {"model": small, "training": quick}))
    row = stage_files(tmp_path, ["tracked"] * 40).assign(width=224, height=224, kind="video", source="v.mp4")
    i3d_extract.run(row, tmp_path, weights, tmp_path / "v.h5", SETTINGS)
    subjects = ("s1", "s2", "s3")
    videos = pd.concat([row.assign(video_id=name, subject=name) for name in subjects], ignore_index=True)
    event = {"onset": 8, "apex": 16, "offset": 27, "expression_type": "macro", "emotion": "joy"}
    events = pd.DataFrame([{"video_id": name} | event for name in subjects])
    with h5py.File(tmp_path / "i3d.h5", "w") as file:
        for name in subjects:
            cache.write_group(file, name, cache.read(tmp_path / "v.h5", "v"))
    fold.run(videos, events, events[:0], tmp_path / "i3d.h5", "s1", tmp_path / "fold", settings, 0)
    roles, names = predictions.read(tmp_path / "fold/predictions.h5")
    assert names == ["joy"] and roles["test"]["s1"].logits.shape == (1, 180, 1)
    assert np.isfinite(roles["test"]["s1"].intervals).all() and len(roles["test"]["s1"].valid) == 40
