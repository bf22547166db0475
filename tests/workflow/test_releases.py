"""Miniature releases in the owners' raw layouts, from their folders to the table, by the commands that a user types.

CAS(ME)^2 runs on rendered stills in place of weights; CAS(ME)^3 on a user's checkpoint; a folder of videos of one
person is split into videos with labels and videos without.
"""

import json
import os
import shutil

import miniature
import numpy as np
import openpyxl
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file
from workflow.project import copied, planned, run, snakemake

from fedn_pipeline import cli
from fedn_pipeline.files import checksum_path, write_csv

QUICK = ("--configfile", "config/quick.yaml", "--")  # through every stage, no meaningful numbers
# Parameters of each peer that needs no weights of the user's, where macro-expressions alone are ground truth.
PEERS = {
    "mdmd": 0, "mtsn": 66_209, "lssnet_resnet18": 16_015_890, "lgsnet_resnet18": 23_378_020, "auwgcn": 38_288,
    "tan": 38_592, "spotformer": 3_168_522,
}  # fmt: skip
I3D_PEERS = ["lssnet", "lgsnet"]
PIXELS = {"casme2": (320, 240), "casme3": (640, 360), "custom": (320, 240)}


def configure(project, name, **sections):
    """Fill in a data set's file as a user does: the root, and what is given."""
    path = project / f"config/datasets/{name}.yaml"
    settings = yaml.safe_load(path.read_text())
    for section, keys in sections.items():
        settings.setdefault(section, {}).update(keys)
    path.write_text(yaml.safe_dump(settings))


def truth_of(planted, label_set="annotated"):
    """The planted macro-expressions of a label set."""
    events = planted.events
    return events[(events.expression_type == "macro") & events.label_set.isin(["", label_set])]


def check_peers(folder, dataset, planted):
    """Run every peer beside FEDN: each is a row with numbers, from folds in which it learnt, or says what it lacks."""
    names = ["fedn", *PEERS, *I3D_PEERS]
    snakemake(folder, *QUICK[:2], "--config", f"run={{experiments: {names}}}", "--", f"results/{dataset}_table.csv")
    table = pd.read_csv(folder / f"results/{dataset}_table.csv").set_index("method")
    assert table.index.tolist() == names
    assert (table.weights[I3D_PEERS] == "weights missing").all() and table.tp[I3D_PEERS].isna().all()
    n_frames = pd.read_csv(folder / f"data/{dataset}/videos.csv").set_index("video_id").n_frames
    for name, parameters in PEERS.items():
        row, found = table.loc[name], []
        assert row.n_ground_truth == len(truth_of(planted)) and "failed" not in row.protocol
        assert row.own_protocol and row.own_spotting_f1 >= 0 and 0 <= row.spotting_map <= 1
        folds = sorted((folder / f"results/{dataset}/annotated/{name}/seed0/folds").iterdir())
        assert [path.name for path in folds] == sorted(planted.videos.subject.unique())
        for path in folds:
            threshold, cost = (json.loads((path / file).read_text()) for file in ("threshold.json", "cost.json"))
            assert threshold["failed"] is None and cost["parameters"] == parameters and cost["frames"] > 0, path
            found.append(pd.read_csv(path / "detections.csv"))
            if name != "mdmd":
                log = pd.read_csv(path / "training_log.csv")
                assert log.step.iloc[-1] >= 1 and np.isfinite(log.loss).all(), path
                assert (
                    sum(tensor.numel() for tensor in load_file(path / "checkpoint.safetensors").values()) >= parameters
                )
        found = pd.concat(found)
        assert row.n_predictions == found.kept.sum() and row.tp <= row.n_predictions
        assert len(found) and (found.onset >= 0).all() and (found.offset < found.video_id.map(n_frames)).all()
        assert (found.onset <= found.offset).all() and found.confidence.between(0, 1).all()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with three miniature releases beside it."""
    folder = copied(tmp_path_factory.mktemp("releases"))
    writers = {"casme2": miniature.write_casme2, "casme3": miniature.write_casme3, "custom": miniature.write_custom}
    planted = {}
    for name, write in writers.items():
        raw = folder / "raw" / name
        raw.mkdir(parents=True)
        planted[name] = write(raw, size=PIXELS[name])
        configure(folder, name, dataset={"root": f"raw/{name}"})
    return folder, planted


@pytest.fixture(scope="module")
def casme2(project):
    folder, planted = project
    snakemake(folder, *QUICK, "results/casme2_table.csv")
    return folder, planted["casme2"]


def test_casme2_to_the_table(casme2):
    folder, planted = casme2
    table = pd.read_csv(folder / "results/casme2_table.csv")
    assert table.method.tolist() == ["fedn", "chance", "classic"]
    assert (table.n_ground_truth == len(truth_of(planted))).all()
    assert table.weights.str.contains("demo weights").all()
    assert "demo weights" in (folder / "results/casme2_table.md").read_text()
    folds = sorted(path.name for path in (folder / "results/casme2/annotated/fedn/seed0/folds").iterdir())
    assert folds == sorted(planted.videos.subject.unique())


def test_detections_lie_on_the_releases_own_frames(casme2):
    folder, _ = casme2
    videos = pd.read_csv(folder / "data/casme2/videos.csv").set_index("video_id")
    found = pd.concat(map(pd.read_csv, (folder / "results/casme2/annotated/fedn/seed0/folds").glob("*/detections.csv")))
    assert len(found) and (found.offset < found.video_id.map(videos.n_frames)).all() and (found.onset >= 0).all()


def test_second_call_does_nothing_and_other_labels_train_only(casme2):
    folder, planted = casme2
    target = "results/casme2_table.csv"
    assert "Nothing to be done" in snakemake(folder, *QUICK, target)
    trained = {"folds", "detections", "reference", "results"}
    assert planned(folder, target, *QUICK[:2], "--config", "dataset={labels: self_reported}") == trained
    assert planned(folder, target, *QUICK[:2], "--config", "dataset={expression_types: [macro, micro]}") == trained
    assert len(truth_of(planted)) == len(truth_of(planted, "self_reported"))


def test_every_peer_on_casme2(casme2):
    check_peers(casme2[0], "casme2", casme2[1])


def test_casme3_on_a_users_checkpoint(casme2, project):
    """The checkpoint is a pickled file as training scripts leave it: wrapped, prefixed, with another head."""
    folder, planted = project[0], project[1]["casme3"]
    weights = load_file(folder / "data/casme2/backbones/resnet18.safetensors")
    state = {f"module.{name}": value for name, value in weights.items() if not name.startswith("fc.")}
    torch.save({"epoch": 3, "state_dict": {**state, "module.fc.weight": torch.zeros(7, 512)}}, folder / "mine.pth")
    configure(folder, "casme3", backbone={"checkpoint": "mine.pth"})
    output = snakemake(folder, *QUICK, "results/casme3_table.csv")
    assert "rule backbone:" in output and "rule pretrain:" not in output and "demo_stills" not in output
    table = pd.read_csv(folder / "results/casme3_table.csv")
    assert (table.n_ground_truth == len(truth_of(planted))).all()
    assert table.weights.str.contains("checkpoint mine.pth").all()
    issues = pd.read_csv(folder / "data/casme3/data_issues.csv")
    assert "missing_frame_files" in set(issues.rule)
    assert "Nothing to be done" in snakemake(folder, *QUICK, "results/casme3_table.csv")


def test_every_peer_on_casme3(casme2, project):
    """One of its subjects has no labels: where it chooses the threshold, nothing can be chosen, and the row stands."""
    check_peers(project[0], "casme3", project[1]["casme3"])


BY_TYPE = ("--config", "run={by_type: true, experiments: [mdmd, auwgcn, classic]}", "--")


def test_macro_micro_and_both_are_rows_of_one_table(casme2):
    folder, planted = casme2
    kept = folder / "results/casme2/annotated/classic/seed0/folds/s15/detections.csv"
    before = kept.stat().st_mtime_ns
    output = snakemake(folder, *QUICK[:2], *BY_TYPE, "results/casme2_table.csv")
    assert kept.stat().st_mtime_ns == before and "rule faces:" not in output and "rule features:" not in output
    table = pd.read_csv(folder / "results/casme2_table.csv")
    assert table.method.tolist() == ["mdmd", "auwgcn", "classic"] * 3
    labelled = planted.events[planted.events.label_set == "annotated"]
    counts = labelled.expression_type.value_counts().to_dict() | {"macro+micro": len(labelled)}
    assert dict(zip(table.expression_types, table.n_ground_truth, strict=True)) == counts and counts["micro"] > 0
    assert table.spotting_f1.notna().all() and table[table.method != "classic"].own_spotting_f1.notna().all()
    folders = {path.name: {below.name for below in path.iterdir()} for path in folder.glob("results/casme2/annotated*")}
    rows = {"mdmd", "auwgcn", "classic"}
    assert folders["annotated"] >= rows and folders["annotated.micro"] == folders["annotated.both"] == rows
    differences = pd.read_csv(folder / "results/casme2_table_differences.csv")
    assert set(differences.expression_types) == set(counts) and set(differences.method) == {"mdmd"}
    # k is half the mean length of what is ground truth in the fold: of each type where both are.
    protocol = table[table.method == "mdmd"].set_index("expression_types").protocol
    k = protocol.str.findall(r"k (\d+(?: and \d+)?) steps").map(set)
    assert k["micro"] == {"4"} and "4" not in k["macro"] and k["macro+micro"] == {f"{n} and 4" for n in k["macro"]}


def test_a_fold_without_the_type_is_a_row_with_its_reason(casme2):
    """Only the first subject shows micro-expressions: the fold that tests it has none to train on."""
    folder, _ = casme2
    path = folder / "data/casme2/events.csv"
    before, when = {part: part.read_bytes() for part in (path, checksum_path(path))}, path.stat()
    videos = pd.read_csv(folder / "data/casme2/videos.csv")
    events = pd.read_csv(path, keep_default_na=False)
    first = events.video_id.isin(videos.video_id[videos.subject == "s15"])
    write_csv(path, events.assign(expression_type=events.expression_type.where(first, "macro")), float_format=None)
    output = snakemake(folder, *QUICK[:2], "--dry-run", "-p", *BY_TYPE, "results/casme2_table.csv")
    for part, content in before.items():
        part.write_bytes(content)
        os.utime(part, ns=(when.st_atime_ns, when.st_mtime_ns))
    assert output.count("--not-run") == 2
    for name in ("mdmd", "auwgcn"):  # `classic` has nothing to train
        assert f"--not-run {name}.micro 'without s15: no expression to train on'" in output


def test_edited_annotations_are_read_again_but_nothing_is_embedded_again(casme2):
    folder, _ = casme2
    path = next((folder / "raw/casme2").glob("*.xlsx"))
    book = openpyxl.load_workbook(path)
    book.worksheets[0]["E1"] = book.worksheets[0]["E1"].value + 1  # the first row's offset
    book.save(path)
    assert planned(folder, "data/casme2/events.csv", *QUICK[:2]) == {"dataset"}
    snakemake(folder, *QUICK, "data/casme2/events.csv")
    assert planned(folder, "results/casme2_table.csv", *QUICK[:2]) == {"folds", "detections", "reference", "results"}


def test_an_aligner_that_cannot_start_stops_the_run_at_once(casme2):
    folder, _ = casme2
    change = ("--dry-run", "--config", "faces={aligner: openface}", "--", "results/casme2_table.csv")
    done = run(folder, *QUICK[:2], *change)
    assert done.returncode != 0 and "set openface.binary" in done.stdout + done.stderr


def test_doctor_counts_what_was_read(casme2, monkeypatch, capsys):
    folder, planted = casme2
    monkeypatch.chdir(folder)
    assert cli.main(["doctor"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "root raw/casme2" in line)
    assert f"{len(planted.videos)} videos" in line and f"{len(truth_of(planted))} expressions" in line


def test_own_videos_of_one_person(casme2, project):
    """One subject: leaving one out is refused, saying what to do; then labelled videos train, others are predicted."""
    folder, root = project[0], project[0] / "raw/custom"
    events = pd.read_csv(root / "events.csv")
    kept = sorted(events.video_id.unique())[:-1]
    events[events.video_id.isin(kept)].drop(columns="subject", errors="ignore").to_csv(root / "events.csv", index=False)
    for video in list(root.rglob("*.mp4")) + list(root.rglob("*.avi")):
        if video.parent != root:
            shutil.move(video, root / video.name)
    configure(folder, "custom", backbone={"checkpoint": "data/casme2/backbones/resnet18.safetensors"})
    refused = run(folder, *QUICK, "results/custom_table.csv")
    assert refused.returncode != 0 and "fedn_split" in refused.stdout + refused.stderr
    configure(folder, "custom", run={"experiments": ["fedn_split"]})
    snakemake(folder, *QUICK, "results/custom_table.csv")
    table = pd.read_csv(folder / "results/custom_table.csv")
    videos = pd.read_csv(folder / "data/custom/videos.csv")
    predicted = videos.video_id[videos.split == "predict"].tolist()
    assert table.method.tolist() == ["fedn_split"] and table.n_ground_truth.tolist() == [0]
    assert table.omitted_videos.tolist() == [" ".join(sorted(set(videos.video_id) - set(predicted)))]
    found = pd.read_csv(folder / "results/custom/annotated/fedn_split/seed0/folds/predict/detections.csv")
    assert set(found.video_id) <= set(predicted)


def test_without_a_root_the_file_to_edit_is_named(project, tmp_path):
    folder = copied(tmp_path)
    done = run(folder, "results/samm_table.csv", "--dry-run")
    assert done.returncode != 0 and "config/datasets/samm.yaml: dataset.root is empty" in done.stdout + done.stderr
