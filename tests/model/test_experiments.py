"""Every experiment of the network differs from FEDN by what its name says and nothing else (model.md, "Variants")."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fedn_pipeline import config
from fedn_pipeline.files import InputError
from fedn_pipeline.model import fedn, flops, geometry
from fedn_pipeline.training.losses import loss
from fedn_pipeline.training.targets import NEGATIVE, Targets

FILES = Path(__file__).resolve().parents[2] / "config/experiments"
CLASSES, SEGMENT_ATTENTION = 4, 4 * 512 * 513 + 1025  # query, key, value and output; the score over [frame; g]
TOWER = 8 * (3 * 512 * 256 + 3 * 256 * 256 + 4 * 256)  # two convolutions with their norms; on 4 levels x 2 branches
ONE_LOGIT = 24 * (3 * 256 + 1)  # of the last layer: (1 + 5) x 4 levels
SMALL = {"embedding": 64, "channels": 64, "head_width": 32}  # for steps; counts are those of the real size


@dataclass(frozen=True)
class Difference:
    """From FEDN: settings by name; parameters that go, come or change their shape (patterns) and by how many."""

    settings: dict
    gone: str = "-"
    new: str = "-"
    reshaped: str = "-"
    parameters: int = 0


RECOGNITION_OUTPUT = r"anchor_\w+\.\d\.recognition\.2\.\w+"
NO_SEGMENT_ATTENTION, NO_WINDOW_ATTENTION = r"segments\.(qkv|out|score)\.\w+", r"window_attention\.score\.\w+"
VARIANTS = {
    "fedn": Difference({}),
    "without_recognition": Difference(
        {"model.recognition": False}, reshaped=RECOGNITION_OUTPUT, parameters=-(CLASSES - 1) * ONE_LOGIT
    ),
    "without_segment_attention": Difference(
        {"model.segment_attention": False}, gone=NO_SEGMENT_ATTENTION, parameters=-SEGMENT_ATTENTION
    ),
    "without_window_attention": Difference(
        {"model.window_attention": False}, gone=NO_WINDOW_ATTENTION, parameters=-(3 * 512 + 1)
    ),
    "without_both": Difference(
        {"model.segment_attention": False, "model.window_attention": False},
        gone=f"{NO_SEGMENT_ATTENTION}|{NO_WINDOW_ATTENTION}",
        parameters=-SEGMENT_ATTENTION - (3 * 512 + 1),
    ),
    "confidence_branch": Difference(
        {"model.confidence_branch": True}, new=r"anchor_\w+\.\d\.confidence\.\d.*", parameters=TOWER + ONE_LOGIT
    ),
    "coupled_head": Difference(
        {"model.coupled_head": True},
        gone=r"anchor_\w+\.\d\.(interval|recognition)\.[12]\..*|anchor_\w+\.\d\.(interval|recognition)\.0\.[01]\.\w+",
        new=r"anchor_\w+\.\d\.(shared\.[01]\..*|(interval|recognition)\.0\.(weight|bias))",
        parameters=-TOWER,
    ),
    "iou_loss": Difference({"training.interval_loss": "iou"}),
    "giou_loss": Difference({"training.interval_loss": "giou"}),
    "multi_rate": Difference({"windows.rates": [1, 2, 4, 8, 16, 32, 64]}),
    "i3d": Difference(
        {"backbone.name": "i3d", "model.clip_features": True, "model.feature_width": 2048},
        gone=r"segments\.(qkv|out|score|reduce)\.\w+",
        new=r"segments\.(weight|bias)",
        parameters=2048 * 512 - SEGMENT_ATTENTION - 1024 * 512,
    ),
}


def narrower(width):
    """Parameters that FEDN's segments have less for features of `width` values: attention and the reduction."""
    return 4 * (512 * 513 - width * (width + 1)) + (2 * 512 + 1) - (2 * width + 1) + 2 * (512 - width) * 512


SEGMENTS = r"segments\.(qkv|out|score|reduce)\.\w+"
MOTION = {  # FEDN on the peers' input
    "fedn_regions": Difference(
        {"backbone.name": "regions_gap1", "model.feature_width": 24, "model.input_norm": "training"},
        reshaped=SEGMENTS, parameters=-narrower(24),
    ),
    "fedn_flow": Difference(
        {"backbone.name": "flow_gap{gap}", "model.feature_width": 432, "model.input_norm": "training"},
        reshaped=SEGMENTS, parameters=-narrower(432),
    ),
}  # fmt: skip
COMPARED = VARIANTS | MOTION


def layer(name):
    return config.read_yaml(FILES / f"{name}.yaml")


def flat(settings):
    return {f"{section}.{key}": value for section, keys in settings.items() for key, value in keys.items()}


def differences(name):
    default = flat(config.validate({}))
    return {key: value for key, value in flat(config.validate(layer(name))).items() if value != default[key]}


def networks():
    """Experiments of the network, a user's own too; those whose folds or backbone alone differ are FEDN itself."""
    names = sorted(path.stem for path in FILES.glob("*.yaml"))
    own = {"windows", "model", "training"}
    return ["fedn"] + [n for n in names if config.method(FILES.parent, n) == "fedn" and own & set(layer(n))]


def built(name, seed=0, model=None):
    settings = config.validate(config.merge(layer(name), {"model": model or {}}))
    torch.manual_seed(seed)
    return settings, *fedn.build(settings, CLASSES if settings["model"]["recognition"] else 1)


def inputs(settings, batch=2):
    """Random features of a batch of windows: `[B, rows, D]`."""
    rows = geometry.rows_read(settings["windows"], settings["model"])
    return torch.randn(batch, rows, settings["model"]["feature_width"], generator=torch.Generator().manual_seed(1))


def targets(grid, batch=2):
    """Each tenth prediction is positive, of class 0; its target is wider than its anchor."""
    classes = torch.full((batch, len(grid.point)), NEGATIVE)
    classes[:, ::10] = 0
    half = (grid.width * 0.75)[:, None] * torch.tensor([-1.0, 1.0])
    return Targets((grid.point[:, None] + half).expand(batch, -1, 2).clone(), classes)


@pytest.fixture(scope="module")
def shapes():
    """Name -> shape of every parameter of FEDN."""
    with torch.device("meta"):
        return {name: p.shape for name, p in built("fedn")[1].named_parameters()}


def test_every_network_of_the_report_is_compared():
    rows = config.validate({})["report"]["experiments"]
    assert {name for name in rows if config.method(FILES.parent, name) == "fedn"} == set(COMPARED)


@pytest.mark.parametrize("name", COMPARED)
def test_settings_differ_by_the_name_alone(name):
    assert differences(name) == COMPARED[name].settings


@pytest.mark.parametrize("name", COMPARED)
def test_parameters_differ_by_the_name_alone(name, shapes):
    wanted = COMPARED[name]
    with torch.device("meta"):
        settings, network, _ = built(name)
    own = {key: p.shape for key, p in network.named_parameters()}
    gone, new = set(shapes) - set(own), set(own) - set(shapes)
    reshaped = {key for key in set(own) & set(shapes) if own[key] != shapes[key]}
    for found, pattern in ((gone, wanted.gone), (new, wanted.new), (reshaped, wanted.reshaped)):
        assert not [key for key in found if not re.fullmatch(pattern, key)] and bool(found) == (pattern != "-")
    total = sum(shape.numel() for shape in own.values())
    assert total - sum(shape.numel() for shape in shapes.values()) == wanted.parameters
    raw, logits = network(inputs(settings).to("meta"))
    values = CLASSES if settings["model"]["recognition"] else 1
    assert raw.shape == (2, 180, 2) and logits.shape == (2, 180, values + settings["model"]["confidence_branch"])


@pytest.mark.parametrize("name", networks())
def test_trains_one_step_and_reloads(name, tmp_path):
    """Forward, loss, gradients and step are finite, the loss falls, and saved weights give the same outputs."""
    settings, network, grid = built(name, model=SMALL)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-5)
    features, wanted = inputs(settings), targets(grid)
    values = []
    for _ in range(2):
        raw, logits = network(features)
        total, parts = loss(
            geometry.decode(raw, grid), logits, wanted, settings["training"], settings["model"]["confidence_branch"]
        )
        optimizer.zero_grad()
        total.backward()
        values.append(total.item())
        without = {key for key, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()}
        assert torch.isfinite(total) and parts["positives"] == 36
        assert without <= {"segments.score.bias"}  # the softmax over frames cancels it
        optimizer.step()
    assert values[1] < values[0]
    save_file(network.state_dict(), tmp_path / "checkpoint.safetensors")
    _, again, _ = built(name, seed=1, model=SMALL)
    again.load_state_dict(load_file(tmp_path / "checkpoint.safetensors"))
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(network(features), again(features), strict=True))


@pytest.mark.parametrize("name", ["iou_loss", "giou_loss"])
def test_interval_losses_share_the_network(name):
    """The same weights for the same seed; only the interval loss of the same predictions differs."""
    (fedn_settings, network, grid), (settings, other, _) = built("fedn", model=SMALL), built(name, model=SMALL)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))
    with torch.no_grad():
        raw, logits = network(inputs(settings))
        predicted, wanted = geometry.decode(raw, grid) + 5, targets(grid)
        diou, other = (loss(predicted, logits, wanted, s["training"])[1] for s in (fedn_settings, settings))
    assert diou["interval"] != other["interval"] and diou["recognition"] == other["recognition"]


def test_clip_features_replace_segment_attention():
    """I3D's network reads 64 clips of 2048 values, each a segment of its own."""
    settings, network, _ = built("i3d", model=SMALL)
    clips = torch.randn(2, 64, 2048)
    assert geometry.rows_read(settings["windows"], settings["model"]) == 64
    assert geometry.row_stride(settings["windows"], settings["model"]) == 2
    changed = clips.clone()
    changed[:, 20] += torch.randn(2048)
    with torch.no_grad():
        before, after = (network.segments(network.input_norm(x)) for x in (clips, changed))
    assert (before != after).any(-1).any(0).nonzero().flatten().tolist() == [20]  # a clip is a segment
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(network(clips), network(clips, literal=True), strict=True))


def test_width_is_what_the_motion_cache_gives():
    """12 regions, and cells of u, v and strain, at the defaults."""
    default = config.validate({})
    assert layer("fedn_regions")["model"]["feature_width"] == 2 * len(default["regions"]["landmarks"])
    assert layer("fedn_flow")["model"]["feature_width"] == 3 * default["flow"]["feature_size"] ** 2


def test_input_norm_of_training_keeps_how_large_a_frame_is():
    """Twice the motion is another input; LayerNorm, FEDN's own, would take the factor out."""
    still, moving = torch.randn(1, 1, 24), torch.randn(1, 1, 24)
    _, network, _ = built("fedn_regions", model=SMALL)
    norm = network.input_norm
    assert torch.equal(norm(moving), moving)
    norm.mean, norm.deviation = torch.full((24,), 0.5), torch.full((24,), 2.0)
    assert torch.equal(norm(moving), (moving - 0.5) / 2)
    assert not torch.allclose(norm(2 * still), norm(still))
    frame = fedn.build(config.validate({"model": {**SMALL, "feature_width": 24}}), CLASSES)[0].input_norm
    assert torch.allclose(frame(2 * still), frame(still), atol=1e-4)


def test_confidence_branch_needs_emotions():
    with pytest.raises(InputError, match=r"model\.confidence_branch: needs model\.recognition"):
        fedn.build(config.validate({"model": {"confidence_branch": True, "recognition": False}}), 1)


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("fedn", 466.4),
        ("without_segment_attention", 465.4),
        ("without_window_attention", 466.4),
        ("without_both", 465.3),
    ],
)
def test_flops_are_the_papers(name, printed):
    cost = flops.count(config.validate(layer(name)))
    assert cost["total"] == pytest.approx(printed, rel=1e-3)
    assert cost["gmac"] == cost["total"] / 2 and cost["total"] == cost["backbone"] + cost["rest"]
    assert cost["parameters"] == {"backbone": 11_176_512, "rest": 23_492_754 + VARIANTS[name].parameters}


@pytest.mark.parametrize("name", MOTION)
def test_flops_of_motion_have_no_backbone(name):
    cost = flops.count(config.validate(layer(name)))
    assert cost["backbone"] == 0 and 0 < cost["rest"] < flops.count(config.validate({}))["rest"]
    assert cost["parameters"] == {"backbone": 0, "rest": 23_492_754 + MOTION[name].parameters}


def test_flops_of_i3d():
    cost = flops.count(config.validate(layer("i3d")))
    assert cost["total"] == pytest.approx(3420, rel=3e-3)
    assert cost["backbone"] == pytest.approx(2 * 64 * (13.894 + 12.792), rel=1e-4)
    with pytest.raises(InputError, match="FLOPs are those of a FEDN, not of `chance`"):
        flops.count(config.validate(layer("chance")))
