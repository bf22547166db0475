"""The workflow on the smallest demo: it makes the table, does nothing twice, and re-runs what a change touches.

Runs on a copy of the project, so that a module can be edited. One full run is shared by all tests, in their order.
"""

import json
import re
import shutil

import pandas as pd
import pytest
from workflow.project import copied, planned, run, snakemake

from fedn_pipeline.files import sha256

TABLE = "results/demo_smallest_table.csv"
FOLDS = "results/demo_smallest/annotated/fedn/seed0/folds"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project in which the smallest demo has run once."""
    copy = copied(tmp_path_factory.mktemp("project"))
    snakemake(copy, TABLE, "results/demo_smallest/summary/index.html")
    return copy


def test_table_has_a_row_per_method(project):
    table = pd.read_csv(project / TABLE)
    assert table.method.tolist() == [
        "fedn",
        "fedn_by_photograph_strict",
        "blendshapes_by_photograph",
        "auwgcn",
        "chance",
        "classic",
    ]
    assert list(table.columns[:5]) == ["dataset", "labels", "method", "source", "tp"]
    assert (table.n_ground_truth == 12).all() and (table.source == "ours").all()
    assert (table.loc[table.method != "classic", "n_predictions"] >= 0).all()
    spotters = table[table.method.isin(["auwgcn", "classic"])]
    assert spotters.detection_map.isna().all() and spotters.recognition_f1_micro.isna().all()
    assert table.method[table.own_protocol.notna()].tolist() == ["auwgcn"]
    differences = pd.read_csv(project / "results/demo_smallest_table_differences.csv")
    assert set(differences.minus) == set(table.method) - {"fedn"}


def test_page_is_one_file_with_everything(project):
    folder = project / "results/demo_smallest/summary"
    page = (folder / "index.html").read_text()
    assert "fedn_by_photograph_strict" in page and "data:image/" in page
    assert {"fedn", "auwgcn"} <= set(pd.read_csv(folder / "figures/ranking.csv").method) and "F1, own protocol" in page
    assert not re.search(r"(src|href)=.https?:", page)  # it works without a network
    assert (folder / "contact_sheet.jpg").is_file() and len(list((folder / "timelines").iterdir())) >= 4


def test_every_job_left_a_log_and_a_benchmark(project):
    for path in (
        "logs/faces/s01.log",
        "benchmarks/faces/s01.tsv",
        "logs/results.log",
        "benchmarks/pretrain/resnet18_demo_without_hopper.tsv",
    ):
        assert (project / "results/demo_smallest" / path).is_file()
    assert (project / FOLDS / "s01/folds.log").is_file() and (project / FOLDS / "s01/folds_benchmark.tsv").is_file()


def test_second_run_does_nothing(project):
    assert "Nothing to be done" in snakemake(project, TABLE)


def test_fold_alone_is_the_fold_of_the_full_run(project):
    names = [
        "checkpoint.safetensors",
        "training_log.csv",
        "predictions.h5",
        "fold.json",
        "detections.csv",
        "threshold.json",
    ]
    before = [sha256(project / FOLDS / "s01" / name) for name in names]
    others = {path: path.stat().st_mtime_ns for path in (project / FOLDS).glob("s0[234]/*")}
    shutil.rmtree(project / FOLDS / "s01")
    assert planned(project, TABLE) == {"folds", "detections", "results"}
    snakemake(project, TABLE)
    assert [sha256(project / FOLDS / "s01" / name) for name in names] == before
    assert {path: path.stat().st_mtime_ns for path in others} == others


@pytest.mark.parametrize(
    "change, wanted",
    [
        ("training={learning_rate: 0.0002}", {"folds", "detections", "results"}),
        ("evaluation={bootstrap_draws: 60}", {"results"}),
        ("folds={chance_draws: 4}", {"reference", "results"}),
        ("detections={nms_iou: 0.3}", {"detections", "peer", "results"}),
        ("auwgcn={epochs: 6}", {"peer", "results"}),
        ("regions={radius: 0.06}", {"regions_part", "regions", "peer", "results"}),
    ],
)
def test_changed_parameter_reruns_what_uses_it(project, change, wanted):
    assert planned(project, TABLE, "--config", change) == wanted


def test_edited_module_reruns_its_stage(project):
    module = project / "fedn_pipeline/detection/threshold.py"
    text = module.read_text()
    module.write_text(text + "\n# edited\n")
    try:
        rules = planned(project, TABLE)
    finally:
        module.write_text(text)
    assert rules == {"detections", "reference", "peer", "results"}  # these two choose thresholds with it too


def test_misspelt_key_is_refused(project):
    done = run(project, TABLE, "--dry-run", "--config", "training={stpes: 3}")
    assert done.returncode != 0
    assert "unknown key `training.stpes`; did you mean `steps`?" in done.stdout + done.stderr


def test_a_bundle_needs_one_more_training_and_a_row_of_the_table(project):
    target = "results/demo_smallest/bundle/bundle.json"
    assert planned(project, target) == {"final", "bundle"}
    for experiment, why in (
        ("fedn_by_photograph_strict", "each fold has a backbone of its own"),
        ("fedn_regions", "`detect` computes no optical flow"),
        ("multi_rate", "not among run.experiments"),
    ):
        done = run(project, target, "--dry-run", "--config", f"bundle={{experiment: {experiment}}}")
        assert done.returncode != 0 and why in done.stdout + done.stderr


def test_fedn_runs_on_the_peers_input(project):
    """A fold each, on features that come of the flow and region caches; the flow's gap is the fold's own."""
    folds = FOLDS.replace("/fedn/", "/{}/")
    snakemake(project, *(f"{folds.format(name)}/s01/detections.csv" for name in ("fedn_regions", "fedn_flow")))
    for name, backbone in (("fedn_regions", "regions_gap1"), ("fedn_flow", r"flow_gap(4|8|16|24|32|48)")):
        record = json.loads((project / folds.format(name) / "s01/fold.json").read_text())
        assert re.fullmatch(backbone, record["backbone"]) and "dis at 112 px" in record["weights_origin"]
        assert (project / f"data/demo_smallest/features/{record['backbone']}.h5").is_file()
    assert {path.stem for path in (project / "data/demo_smallest/flow").glob("*.h5")} == {
        record["backbone"].removeprefix("flow_")
    }


ROWS = [
    *("fedn", "without_recognition", "fedn+cefl", "without_recognition+str"),
    *("str", "i3d", "confidence_branch", "multi_rate"),
]
REPORT = "results/demo_smallest/report/index.html"


def test_report_has_a_row_per_experiment(project):
    """Every kind of method runs to its row, a user's own file becomes one, and one without weights says so."""
    (project / "config/experiments/mine.yaml").write_text("training: {learning_rate: 0.0005}\n")
    chosen = ["--config", f"report={{experiments: {ROWS}}}", "run={experiments: [fedn, mine]}"]
    snakemake(project, REPORT, *chosen)
    table = pd.read_csv(project / "results/demo_smallest/report/table.csv").set_index("method")
    assert table.index.tolist() == [*ROWS, "mine"]
    assert table.loc["i3d", "weights"] == "weights missing" and pd.isna(table.loc["i3d", "n_predictions"])
    assert (table.drop("i3d").n_ground_truth == 12).all()
    spotting = ["tp", "n_predictions", "spotting_f1", "spotting_map"]
    assert table.loc["fedn+cefl", spotting].tolist() == table.loc["fedn", spotting].tolist()
    folder = (project / REPORT).parent
    assert {path.stem for path in (folder / "tables").glob("*.csv")} >= {"labels", "performance", "variations"}
    assert "weights missing" in (project / REPORT).read_text()
    assert "Nothing to be done" in snakemake(project, REPORT, *chosen)

    snakemake(project, REPORT, *chosen, "--report", "snakemake.html")
    own = (project / "snakemake.html").read_text()
    assert all(name in own for name in ("ap_by_iou.svg", "performance.csv", "s03.png", "table_differences.csv"))


def test_a_data_set_for_spotting_alone_has_the_rows_that_can_run(project):
    """Without recognition nothing is re-labelled, and no row repeats FEDN's: such rows say why."""
    output = snakemake(project, REPORT, "--config", "model={recognition: false}", "--dry-run", "--printshellcmds")
    trained = set(re.findall(r"/annotated/([a-z0-9_+]+)/seed0", output))
    assert {"fedn", "without_both", "coupled_head", "multi_rate"} <= trained
    assert not trained & {"confidence_branch", "str", "fedn+cefl", "without_recognition", "without_recognition+str"}
    assert "the same as fedn" in output and "no emotions to learn" in output


def test_a_type_that_nobody_annotated_is_a_row_with_its_reason(project):
    """The demo shows macro-expressions: rows with micro-expressions, or both, say that there are none."""
    snakemake(project, TABLE, "--config", "run={by_type: true, experiments: [chance, classic]}")
    table = pd.read_csv(project / TABLE).set_index(["expression_types", "method"])
    assert table.index.tolist() == [(t, m) for t in ("macro", "micro", "macro+micro") for m in ("chance", "classic")]
    assert (table.loc["macro"].n_ground_truth == 12).all()
    for types in ("micro", "macro+micro"):
        assert (table.loc[types].weights == "no micro-expression annotated").all()
        assert table.loc[types].n_predictions.isna().all()
    assert not list((project / "results/demo_smallest").glob("annotated.*"))
    done = run(project, TABLE, "--dry-run", "--config", "dataset={expression_types: [micro]}")  # as before: an error
    assert done.returncode != 0 and "no expression that names an emotion" in done.stdout + done.stderr
