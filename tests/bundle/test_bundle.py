"""A bundle says what is in it, names nobody, is the same twice, and is refused when it is not as it was written."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from bundle import planted_results
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from fedn_pipeline import cli, files
from fedn_pipeline.bundle import choice, layout, load
from fedn_pipeline.files import InputError

# One copy serves all examples, each of which puts back what it has changed.
REPEATED = hypothesis_settings(
    derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def copy(small, tmp_path):
    """A bundle to be damaged."""
    return shutil.copytree(small, tmp_path / "copy")


def edited(folder, change, weights=None):
    """A bundle whose author has written something else, with all sums right."""
    content = load.describe(folder)
    if weights is not None:
        save_file(weights, folder / layout.DETECTOR)
        content["files"][layout.DETECTOR] = files.sha256(folder / layout.DETECTOR)
    change(content)
    content["checksum"] = layout.checksum(content)
    (folder / layout.DESCRIPTION).write_text(layout.text(content))


@pytest.mark.parametrize("name", ["small", "large"])
def test_it_is_the_final_model_with_what_its_use_needs(name, request):
    folder = request.getfixturevalue(name)
    bundle = load.load(folder)
    weights = load_file(folder.parent / "annotated/fedn/seed0/final/checkpoint.safetensors")
    assert planted_results.same(bundle.network.state_dict(), weights) and not bundle.network.training
    intervals, logits = bundle.network(planted_results.windows(bundle.settings))
    assert intervals.shape == (2, 180, 2) and logits.shape == (2, 180, 2) and not logits.requires_grad
    assert bundle.classes == bundle.names == ["anger", "happiness"]
    assert bundle.threshold == 0.3 and bundle.description["threshold"]["of_folds"] == [0.2, 0.30012, 0.5]
    assert bundle.settings["model"]["embedding"] == 32 and bundle.settings["faces"]["crop_size"] == 224
    assert bundle.settings["backbone"]["input_size"] == 48  # what the cache was computed with, not what is configured
    assert bundle.backbone == {"small": "blendshapes", "large": "resnet18"}[name]
    assert (bundle.weights is None) == (name == "small")


@pytest.mark.parametrize(
    "model, names, width",
    [
        ({"recognition": False}, [""], 1),
        ({"confidence_branch": True}, ["anger", "happiness", "objectness"], 3),
        ({"input_norm": "training"}, ["anger", "happiness"], 2),
    ],
)
def test_variants_of_the_network(tmp_path, model, names, width):
    every = planted_results.settings(model=model)
    found = planted_results.results(tmp_path, every=every)
    given = ["--settings", json.dumps(every), "--data", str(tmp_path / "data/mine")]
    assert cli.main(["bundle", str(found), *given]) == 0
    bundle = load.load(found / "bundle")
    assert bundle.names == names and bundle.classes == names[:2]
    assert bundle.network(planted_results.windows(bundle.settings))[1].shape == (2, 180, width)


def test_its_quality_is_said_to_be_that_of_the_folds(small):
    said = load.describe(small)
    assert "leave-one-subject-out" in said["quality"]["of"] and "not of this detector" in said["quality"]["of"]
    assert said["quality"]["metrics"]["spotting_f1"] == {"value": 0.5, "low": 0.25, "high": None}
    assert said["quality"]["counts"]["tp"] == 7 and said["quality"]["confidence_level"] == 0.95
    assert "3 subjects" in said["description"] and "demo weights" in said["description"]
    assert said["licence"].startswith("MIT: the training videos are rendered") and "Apache-2.0" in said["licence"]


def test_it_names_no_person_and_no_path(small, large):
    named = re.compile(rb"\b([pv][0-2]|mine\.h5)\b|/")
    for path in [*small.iterdir(), *large.iterdir()]:
        data = path.read_bytes()
        if path.suffix == ".safetensors":  # its weights are no text
            data = data[8 : 8 + int.from_bytes(data[:8], "little")]
        assert not named.search(data.replace(b"docs/licences.md", b"")), path


def test_the_same_results_give_the_same_bytes(small, tmp_path):
    given = ["--settings", json.dumps(planted_results.settings()), "--data", str(small.parents[2] / "data/mine")]
    assert cli.main(["bundle", str(small.parent), *given, "--out", str(tmp_path / "again")]) == 0
    names = sorted(path.name for path in small.iterdir())
    assert names == [layout.DESCRIPTION, layout.DETECTOR]
    assert all((tmp_path / "again" / name).read_bytes() == (small / name).read_bytes() for name in names)


def test_settings_by_hand_are_those_of_the_configuration(small, tmp_path, capsys):
    """Without --settings the data set and the experiment are looked up; the model's own settings win."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "datasets").mkdir()
    (tmp_path / "config.yaml").write_text("run: {seeds: [0]}\n")
    (tmp_path / "datasets/mine.yaml").write_text("bundle: {licence: ours}\nbackbone: {name: blendshapes}\n")
    (tmp_path / "experiments/fedn.yaml").write_text("model: {embedding: 256}\n")
    (tmp_path / "experiments/chance.yaml").write_text("folds: {method: chance}\n")
    data = small.parents[2] / "data/mine"
    given = [
        "bundle",
        str(small.parent),
        "--config",
        str(tmp_path),
        "--data",
        str(data),
        "--out",
        str(tmp_path / "out"),
    ]
    assert cli.main(given) == 0
    bundle = load.load(tmp_path / "out")
    assert bundle.description["licence"] == "ours" and bundle.settings["model"]["embedding"] == 32
    assert cli.main([*given, "--experiment", "chance"]) == 2
    assert "only FEDN's own networks" in capsys.readouterr().err


def test_a_bundle_of_another_backbone_replaces_all(small, large, tmp_path):
    out = shutil.copytree(large, tmp_path / "out")
    data = small.parents[2] / "data/mine"
    given = ["--settings", json.dumps(planted_results.settings()), "--data", str(data), "--out", str(out)]
    assert cli.main(["bundle", str(small.parent), *given]) == 0
    assert sorted(path.name for path in out.iterdir()) == [layout.DESCRIPTION, layout.DETECTOR]


@hypothesis_settings(REPEATED, max_examples=60)
@given(st.floats(0, 1, exclude_max=True), st.integers(0, 7), st.sampled_from([layout.DESCRIPTION, layout.DETECTOR]))
def test_a_flipped_bit_anywhere_is_refused(copy, place, bit, name):
    path = copy / name
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    sound = path.read_bytes()
    path.write_bytes(data)
    files._sha256.cache_clear()  # the clock of the file system may be too coarse
    with pytest.raises(InputError, match=str(copy)):
        load.load(copy)
    path.write_bytes(sound)
    files._sha256.cache_clear()
    load.describe(copy)


def places(content, before=()):
    """Where every value of a JSON object lies, as tuples of keys."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield (*before, key)
        yield from places(value, (*before, key))


ODD = [None, True, 0, -1, 1, 7, 2**31, 2**70, 0.5, -1e300, "", "auto", "\0", [], [[]], {}, {"a": 1}]


@hypothesis_settings(REPEATED, max_examples=40)
@given(st.data())
def test_whatever_its_author_wrote_it_is_a_bundle_or_refused(copy, data):
    """Any value replaced by any other, with all sums right."""
    sound = (copy / layout.DESCRIPTION).read_bytes()
    *above, key = data.draw(st.sampled_from(list(places(load.describe(copy)))))

    def change(content):
        for name in above:
            content = content[name]
        content[key] = data.draw(st.sampled_from(ODD))

    edited(copy, change)
    try:
        bundle = load.load(copy)
        assert 0 <= bundle.threshold <= 1 and len(bundle.names) == len(bundle.classes) == 2
    except InputError as refused:
        assert "\n" not in str(refused) and str(copy) in str(refused)
    finally:
        (copy / layout.DESCRIPTION).write_bytes(sound)


def test_a_flipped_bit_in_the_backbone_is_refused(large, tmp_path):
    copied = shutil.copytree(large, tmp_path / "copy")
    path = copied / layout.BACKBONE
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 16]))
    with pytest.raises(InputError, match=r"backbone\.safetensors: damaged"):
        load.load(copied)
    path.unlink()
    with pytest.raises(InputError, match=r"backbone\.safetensors: missing"):
        load.load(copied)


def _wider(content):
    content["classes"] = content["names"] = [*content["classes"], "joy"]


OTHER_NETWORK = r"detector\.safetensors: not the weights"
CHANGES = {
    "newer": (lambda said: said.update(format=2), r"format 2, this fedn-pipeline knows up to 1: update it"),
    "no key": (lambda said: said.pop("threshold"), "'threshold' is a required property"),
    "threshold": (lambda said: said["threshold"].update(value=2), r"`threshold\.value`: 2 is greater"),
    "classes": (_wider, r"its logits are 2 wide, but bundle\.json names 3 classes"),
    "names": (lambda said: said.update(names=["anger", "fear"]), "do not belong to classes"),
    "unknown setting": (lambda said: said["settings"]["model"].update(embeding=3), "did you mean `embedding`"),
    "other shape": (lambda said: said["settings"]["model"].update(embedding=64), OTHER_NETWORK),
    "huge": (lambda said: said["settings"]["model"].update(channels=2**20), OTHER_NETWORK),
    "no network": (lambda said: said["settings"]["model"].update(attention_heads=0), "no network can be built"),
    "width": (lambda said: said["backbone"].update(width=52), "model.feature_width 96, but its backbone blendshapes"),
    "backbone": (lambda said: said["backbone"].update(network="vit"), "unknown backbone `vit`"),
    "landmarks": (lambda said: said["backbone"].update(sha256="0" * 64), r"another landmark model \(00000000\)"),
    "files": (lambda said: said["files"].update({"../x": "0" * 64}), r"lists \['\.\./x', 'detector"),
    "formula": (lambda said: said.update(classes=["=1+1", "b"]), r"`classes\.0`: '=1\+1' does not match"),
    "terminal": (lambda said: said.update(classes=["a", "b\x1b[2J"]), r"`classes\.1`: 'b\\x1b\[2J' does not match"),
    "line": (lambda said: said.update(names=["a", "b\n"]), r"`names\.1`: 'b\\n' does not match"),
    "aligner": (lambda said: said["settings"]["faces"].update(aligner="openface"), r"faces\.aligner openface: "),
    "hour": (lambda said: said["settings"]["faces"].update(max_gap_s=3600), "3600 is greater than the maximum of 60"),
    "no files": (lambda said: said["files"].clear(), r"lists \[\]"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_what_does_not_fit_is_refused_with_the_reason(copy, name):
    change, said = CHANGES[name]
    edited(copy, change)
    with pytest.raises(InputError, match=said) as refused:
        load.load(copy)
    assert "\n" not in str(refused.value) and str(copy) in str(refused.value)


def test_weights_that_are_not_finite_or_no_weights_are_refused(copy):
    weights = load_file(copy / layout.DETECTOR)
    broken = {**weights, "blocks.0.0.weight": torch.full_like(weights["blocks.0.0.weight"], np.nan)}
    edited(copy, lambda said: None, broken)
    with pytest.raises(InputError, match=r"weights that are not finite: blocks\.0\.0\.weight"):
        load.load(copy)
    edited(copy, lambda said: None, {name: value.half() for name, value in weights.items()})
    with pytest.raises(InputError, match="not the weights of the network"):
        load.load(copy)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": NaN}', "[" * 9000, "\0"])
def test_files_that_are_no_description_are_refused(copy, text):
    (copy / layout.DESCRIPTION).write_text(text)
    with pytest.raises(InputError, match=r"bundle\.json: damaged"):
        load.load(copy)
    with pytest.raises(InputError, match="no model bundle"):
        load.load(copy / "absent")


def test_what_is_missing_for_a_bundle_is_named_with_its_command(tmp_path, capsys):
    found = planted_results.results(tmp_path)
    given = ["--settings", json.dumps(planted_results.settings()), "--data", str(tmp_path / "data/mine")]

    capsys.readouterr()

    def refused(words):
        assert cli.main(["bundle", str(found), *given]) == 2
        printed = capsys.readouterr().err
        assert words in printed and printed.count("\n") == 1

    run = found / "annotated/fedn/seed0"
    files.write_json(run / "folds/left/threshold.json", {"threshold": 1})  # of somebody who is no longer in videos.csv
    assert cli.main(["bundle", str(found), *given]) == 0
    assert load.load(found / "bundle").description["threshold"]["of_folds"] == [0.2, 0.30012, 0.5]
    files.write_json(run / "folds/p1/fold.json", {"weights_sha256": "f" * 64, "test_videos": ["v1"]})
    refused("p1: its fold has seen features of other weights (ffffffff) than the final model")
    shutil.rmtree(run / "folds/p1")
    refused("p1/threshold.json: missing, so that the model's threshold is not known; to make it: snakemake")
    table = tmp_path / "results/mine_table.csv"
    files.write_csv(table, planted_results.table.results_table([planted_results.row("classic")]))
    refused("no row of `fedn` with numbers")
    table.unlink(), files.checksum_path(table).unlink()
    refused(f"to make it: snakemake --cores all {table}")
    (run / "final/checkpoint.safetensors").unlink()
    refused(f"no final model trained on all subjects; to make it: snakemake --cores all {run}/final/final.json")


def test_a_model_of_other_faces_than_detect_cuts_is_refused():
    every = planted_results.settings(faces={"aligner": "openface"})
    with pytest.raises(InputError, match=r"fedn: faces\.aligner openface: `detect` aligns"):
        choice.check_bundle("fedn", every)
