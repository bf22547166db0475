"""The whole report from folds of two videos: complete, self-contained, traceable, the same bytes each time."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from safetensors.numpy import save_file

from fedn_pipeline import cli, config, cost, sources
from fedn_pipeline.faces import alignment, crops
from fedn_pipeline.files import InputError, sha256
from fedn_pipeline.report import methods, page, provenance

N_FRAMES = 90
EXPERIMENTS = ["iou_loss", "fedn", "i3d", "chance"]
SETTINGS = {
    "run": {"experiments": EXPERIMENTS}, "evaluation": {"bootstrap_draws": 30}, "backbone": {"input_size": 32},
    "training": {"log_every": 7},
}  # fmt: skip
LOG = pd.DataFrame({"step": [10, 20], "loss": [2.0, 1], "held_out_loss": [2.0, 1.5], "training_positives_8": [5, 5],
                    "training_positives_64": [0, 0]})  # fmt: skip


def fold(path, video, shift, network):
    path.mkdir(parents=True)
    rows = [(video, 5 + shift, 20 + shift, 0.9, "anger", 1), (video, 60, 70, 0.2, "disgust", 0)]
    table = pd.DataFrame(rows, columns=["video_id", "onset", "offset", "confidence", "emotion", "kept"])
    table.to_csv(path / "detections.csv", index=False)
    record = {"held_out": video, "seed": 0, "test_videos": [video], "training": "", "backbone": "net", "version": "1"}
    record |= {"weights_sha256": "0123456789", "weights_origin": "<mine>", "plain_split": False}
    digest = sources.digest("training/fold.py") if video == "a" else "0" * 64
    record |= {"code": "training/fold.py", "code_sha256": digest}
    (path / "fold.json").write_text(json.dumps(record))
    (path / "threshold.json").write_text(json.dumps({"threshold": 0.5, "protocol": "held_out"}))
    (path / "folds_benchmark.tsv").write_text(f"s\th:m:s\n{10 + shift}\t0\n")
    measured = {"frames": N_FRAMES, "seconds": 1 + shift, "gflop_per_minute": 50.0, "parameters": 10 + shift}
    measured |= {"inputs": ["features/net"], "device": "cpu", "threads": 1}
    (path / cost.NAME).write_text(json.dumps(measured if network else dict.fromkeys(measured)))
    if network:
        LOG.to_csv(path / "training_log.csv", index=False)
        recorded = {"settings": {"training": {"log_every": 7, "epochs": 99}}}
        save_file({"x": np.zeros(1)}, path / "checkpoint.safetensors", {"fedn_pipeline": json.dumps(recorded)})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """videos.csv, events.csv with two label sets, crops and alignment of two videos; folds of three experiments."""
    folder = tmp_path_factory.mktemp("report")
    header = {"source": "", "kind": "video", "n_frames": N_FRAMES, "fps": 30, "width": 64, "height": 64}
    pd.DataFrame([{"video_id": v, "subject": v, **header} for v in "ab"]).to_csv(folder / "videos.csv", index=False)
    columns = ["video_id", "onset", "apex", "offset", "expression_type", "emotion", "label_set", "provenance"]
    rows = [(v, 5, 10, 20, "macro", "anger", "annotated", "") for v in "ab"]
    rows += [
        ("b", 40, "", 55, "macro", "disgust", "annotated", ""),
        ("a", 6, "", 22, "macro", "pain", "self_reported", ""),
    ]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "events.csv", index=False)
    for video in "ab":
        similarities = np.tile([1.0, 0.0, 0.0, 0.0], (N_FRAMES, 1))
        status = np.full(N_FRAMES, "tracked", dtype=object)
        table = alignment.table(np.zeros((N_FRAMES, 68, 2)), similarities, status, np.zeros(N_FRAMES, dtype=bool))
        alignment.write(folder / f"alignment/{video}.csv", table)
        images = (np.full((224, 224, 3), 2 * frame, dtype=np.uint8) for frame in range(N_FRAMES))
        crops.write(folder / f"crops/{video}{crops.CROPS_SUFFIX}", images, 30.0, config.validate({})["faces"])
        for shift, name in ((0, "fedn"), (6, "iou_loss"), (15, "chance")):
            fold(folder / f"folds/{name}/seed0/folds/{video}", video, shift, network=name != "chance")
            fold(folder / f"folds/{name}/seed1/folds/{video}", video, 20, network=name != "chance")  # finds nothing
    benchmarks = folder / "benchmarks/features/net"
    benchmarks.mkdir(parents=True)
    (benchmarks / "part0.tsv").write_text("s\th:m:s\n9.0\t0\n")
    (benchmarks.parent / "net.tsv").write_text("s\th:m:s\n1.0\t0\n")  # the merge: no frame is embedded there
    return folder


def make(data, out, not_run=(), **further):
    """Run the commands `results` and `report`; the page's text."""
    settings = ["--settings", json.dumps(SETTINGS | further)]
    tables = ["--videos", str(data / "videos.csv"), "--events", str(data / "events.csv"), "--dataset", "x"]
    folds = ["--folder", str(data / "folds"), "--not-run", "i3d", "weights missing", *not_run]
    assert cli.main(["results", *tables, *folds, "--out", str(out / "x_table"), *settings]) == 0
    places = ["--faces", str(data), "--table", str(out / "x_table"), "--benchmarks", str(data / "benchmarks")]
    assert cli.main(["report", *tables, *folds, *places, "--out", str(out / "report"), *settings]) == 0
    return (out / "report/index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def made(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return out, make(data, out)


def test_everything_is_written_and_looks_like_something(made):
    out, _ = made
    found = {str(path.relative_to(out / "report")) for path in (out / "report").rglob("*.*")}
    tables = [f"tables/{name}.{form}" for name in ("labels", "performance", "ablation", "variations", "claims")
              for form in ("csv", "md", "tex")]  # fmt: skip
    figures = [
        f"figures/{name}.svg" for name in ("ap_by_iou", "ap_each", "recall_by_duration", "confusion", "training")
    ]
    assert found >= {*tables, *figures, "timelines/a.png", "timelines/b.png", "contact_sheet.jpg", "index.html"}
    confusion = pd.read_csv(out / "report/figures/confusion.csv").set_index(["method", "true"])
    assert confusion.anger["fedn", "anger"] == 2 and list(confusion) == ["anger", "disgust", "other"]
    assert list(pd.read_csv(out / "report/figures/recall_by_duration.csv"))[:2] == ["method", "duration_s"]
    for name in ("timelines/a.png", "contact_sheet.jpg"):
        picture = plt.imread(out / "report" / name).astype(float)
        assert picture.shape[0] > 100 and picture[..., :3].std() > 0.05


def test_page_needs_nothing_else_and_hides_nothing(made, data):
    _, text = made
    assert not re.findall(r'(?:src|href)="(?!#|data:)', text) and "<script" not in text and "@import" not in text
    assert {f"#{name}" for name in re.findall(r'<section id="([^"]+)"', text)} <= set(
        re.findall(r'href="([^"]+)"', text)
    )
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(re.findall(r'id="([^"]+)"', text))
    assert sha256(data / "events.csv") in text and "&lt;mine&gt;" in text and "<mine>" not in text
    assert "folds/fedn" in text and "folds/i3d" not in text  # it has none
    assert "weights missing" in text and "epochs: 99" not in text  # the file's own keys are shown, not those recorded
    assert "config/experiments/iou_loss.yaml" in text and "interval_loss: iou" in text and "0123456789" in text
    assert "iou_loss: the level of stride 64 frames got no positive in 2 of 2 folds" in text
    assert text.count("<h2>") == 13


def test_claims_and_costs_reach_the_tables(made):
    out, text = made
    judged = pd.read_csv(out / "report/tables/claims.csv")
    assert set(judged.claim) == {"DIoU is the best interval loss"} and judged.value[judged.decides].item() > 0
    assert "DIoU is the best interval loss" in text and "no numbers here: giou_loss" in text and "not tested" in text
    running = pd.read_csv(out / "report/tables/costs.csv").set_index("method")
    assert running.frames_per_second.to_dict() == pytest.approx({"fedn": N_FRAMES, "iou_loss": N_FRAMES / 7}, rel=1e-5)
    assert (
        running.frames_per_second_of_input["fedn"] == pytest.approx(2 * N_FRAMES / 9) and running.fold_s["fedn"] == 10
    )
    ranked = pd.read_csv(out / "report/figures/ranking.csv")
    assert set(ranked.method) == {"fedn", "iou_loss"} and ranked.cost.nunique() == 3
    assert "Ranking and cost" in text and "GFLOP per minute, input" in text
    ablation = pd.read_csv(out / "report/tables/ablation.csv").set_index("method")
    assert ablation.frames_per_second["fedn"] == pytest.approx(2 * N_FRAMES / 9) and ablation.fold_s["fedn"] == 10
    assert ablation.parameters["fedn"] > 1e7 and ablation.gmac["fedn"] == pytest.approx(
        ablation.gflop["fedn"] / 2, 1e-4
    )
    assert ablation.gflop["i3d"] > 0 and np.isnan(ablation.tp["i3d"]) and np.isnan(ablation.fold_s["i3d"])
    table = pd.read_csv(out / "x_table.csv").set_index("method")
    assert table.loc["i3d"].dropna().to_dict() == {
        "dataset": "x", "labels": "annotated", "source": "ours", "weights": "weights missing",
        "expression_types": "macro",
    }  # fmt: skip
    assert set(pd.read_csv(out / "x_table_differences.csv").method) == {"fedn"}  # though it is not the first


def test_same_folds_same_bytes_and_only_chosen_videos(made, data, tmp_path):
    out, text = made
    again = make(data, tmp_path)
    assert again.replace(str(tmp_path), "") == text.replace(str(out), "")
    few = make(data, tmp_path / "few", report={"timelines": ["b"]})
    assert few.count('alt="b"') == 1 and 'alt="a"' not in few and "Not drawn: 1 of 2 videos" in few


def test_seeds_are_averaged_and_each_is_named(made, data, tmp_path):
    """Tables, curves and confusions hold both seeds; a page of one seed holds nothing of the other."""
    out, text = made
    both = make(data, tmp_path, run={"experiments": ["fedn", "iou_loss"], "seeds": [0, 1]})
    assert "By seed" not in text and "Spotting F1 80.0, 0.0; Detection mAP 500.0, 0.0" in both
    one, two = (pd.read_csv(folder / "x_table.csv").set_index("method").loc["fedn"] for folder in (out, tmp_path))
    for name in ("tp", "spotting_f1", "spotting_map", "detection_map"):
        assert one[name] > 0 and two[name] == pytest.approx(one[name] / 2)
    for name, column in (("ap_by_iou", "value"), ("recall_by_duration", "value"), ("confusion", "anger")):
        one, two = (
            pd.read_csv(folder / f"report/figures/{name}.csv").query("method == 'fedn'")[column].dropna()
            for folder in (out, tmp_path)
        )
        assert one.sum() > 0 and two.to_numpy() == pytest.approx(one.to_numpy() / 2, rel=1e-5)
    assert "in 2 of 2 folds" in text and "in 4 of 4 folds" in both


def test_an_unknown_video_is_refused(data, tmp_path, capsys):
    with pytest.raises(AssertionError):
        make(data, tmp_path, report={"timelines": ["nobody"]})
    assert "report.timelines: no video named nobody" in capsys.readouterr().err


def test_recorded_settings_win(data):
    _, layer, settings = provenance.experiment_settings(
        "iou_loss", Path("config"), data / "folds", config.validate({"training": {"epochs": 3}})
    )
    assert layer == {"training": {"interval_loss": "iou"}}
    assert settings["training"]["epochs"] == 99 and settings["training"]["interval_loss"] == "iou"
    changed = provenance.differences(settings, config.validate({}))
    assert changed == {"training": {"epochs": 99, "interval_loss": "iou", "log_every": 7}}


def test_logs_of_several_networks_are_kept_apart(tmp_path):
    path = tmp_path / "seed0/folds/p"
    path.mkdir(parents=True)
    pd.DataFrame({"network": ["spotter", "recogniser"], "step": [1, 1], "loss": [1, 2]}).to_csv(
        path / "training_log.csv", index=False
    )
    logs = methods.training_logs(tmp_path, [0])
    assert {name: [table.loss.tolist() for table in tables] for name, tables in logs.items()} == {
        "spotter": [[1]], "recogniser": [[2]]
    }  # fmt: skip


def test_a_missing_fold_is_named(data, tmp_path, capsys):
    tables = ["--videos", str(data / "videos.csv"), "--events", str(data / "events.csv"), "--dataset", "x"]
    settings = ["--settings", json.dumps({"run": {"experiments": ["classic"]}})]
    assert cli.main(["results", *tables, "--folder", str(data / "folds"), "--out", str(tmp_path / "t"), *settings]) == 2
    assert "tested not exactly once" in capsys.readouterr().err
    with pytest.raises(InputError, match="no such file"):
        provenance.experiment_settings("nothing", Path("config"), data, config.validate({}))


def test_cells_are_escaped_and_intervals_stand_below():
    text = page.table(pd.DataFrame({"Method": ["a<b", "fedn"], "F1": ["1.0 [0.5, 2.0] *", "–"]}), linked=["fedn"])
    assert "a&lt;b" in text and '1.0 *<span class="ci">[0.5, 2.0]</span>' in text and 'href="#run-fedn"' in text


def test_a_section_of_all_ground_truths_and_the_rest_of_the_page_as_without(made, data, tmp_path):
    """Folds with macro, and with both; none with micro-expressions alone, of which the page says why."""
    shutil.copytree(data, tmp_path / "data")
    shutil.copytree(data / "folds/iou_loss", tmp_path / "data/folds.both/fedn")  # other detections than macro's
    for name in ("iou_loss", "chance"):
        shutil.copytree(data / f"folds/{name}", tmp_path / f"data/folds.both/{name}")
    why = "no micro-expression annotated"
    not_run = [word for name in EXPERIMENTS for word in ("--not-run", f"{name}.micro", why)]
    not_run += ["--not-run", "i3d.both", "weights missing"]
    text = make(tmp_path / "data", tmp_path / "out", not_run, run={"experiments": EXPERIMENTS, "by_type": True})
    tables = tmp_path / "out/report/tables"
    found = pd.read_csv(tables / "by_type.csv").set_index(["expression_types", "method"])
    assert list(found.index) == [(types, name) for types in ("macro", "micro", "macro+micro") for name in EXPERIMENTS]
    assert found.spotting_f1["macro", "fedn"] > found.spotting_f1["macro+micro", "fedn"]
    assert found.loc["micro"].spotting_f1.isna().all() and (found.loc["micro"].weights == why).all()
    paired = pd.read_csv(tables / "by_type_differences.csv")
    assert set(paired.expression_types) == {"macro", "macro+micro"} and set(paired.method) == {"fedn"}
    assert '<section id="by_type"><h2>By expression type</h2>' in text and f"not run: {why}" in text
    before, others = made[0] / "report/tables", {path.name for path in tables.iterdir() if "by_type" not in path.name}
    assert {path.name for path in before.iterdir()} == others
    for name in others:
        assert (tables / name).read_bytes() == (before / name).read_bytes(), name
