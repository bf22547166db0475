"""The results stage: folds must cover the data set once; rows, draws and differences come out."""

import json

import pandas as pd
import pytest
from scores import paired_difference, summarise

from fedn_pipeline import config
from fedn_pipeline.evaluation import bootstrap
from fedn_pipeline.files import InputError
from fedn_pipeline.report import results

VIDEOS = pd.DataFrame({
    "video_id": ["a", "b"], "subject": ["p", "q"], "source": "", "kind": "video", "n_frames": 100, "fps": 30.0,
    "width": 1, "height": 1,
})  # fmt: skip
EVENTS = pd.DataFrame({
    "video_id": ["a", "b"], "onset": [10, 50], "offset": [19, 69], "emotion": ["anger", "disgust"],
    "expression_type": ["macro", ""],
})  # fmt: skip
MICRO = pd.DataFrame(
    {"video_id": ["b"], "onset": [80], "offset": [85], "emotion": ["anger"], "expression_type": "micro"}
)
COLUMNS = ["video_id", "onset", "offset", "confidence", "emotion", "kept"]


def fold(folder, name, tested, rows, plain_split=False, **extra):
    path = folder / "seed0/folds" / name
    path.mkdir(parents=True)
    record = {"held_out": name, "seed": 0, "test_videos": tested, "backbone": "net", "weights_sha256": "0123456789"}
    record |= {"training": "focal loss", "plain_split": plain_split}
    (path / "fold.json").write_text(json.dumps(record))
    (path / "threshold.json").write_text(json.dumps({"threshold": 0.5, "protocol": "held_out", **extra}))
    columns = [*COLUMNS, "draw"] if "draws" in extra else [*COLUMNS, "own_score"] if "habit" in extra else COLUMNS
    pd.DataFrame(rows, columns=columns).to_csv(path / "detections.csv", index=False)


def test_table_and_differences(tmp_path):
    fold(tmp_path / "good", "p", ["a"], [("a", 10, 19, 0.9, "anger", 1)])
    fold(tmp_path / "good", "q", ["b"], [("b", 50, 69, 0.9, "anger", 1)])
    # Two draws: one finds a's expression, the other has no row at all.
    fold(tmp_path / "drawn", "p", ["a"], [("a", 10, 19, 0.9, "anger", 1, 0)], draws=2, protocol="none")
    fold(tmp_path / "drawn", "q", ["b"], [], draws=2, protocol="none")
    settings = config.validate({"run": {"experiments": ["good", "drawn"]}, "evaluation": {"bootstrap_draws": 20}})
    results.run("set", VIDEOS, EVENTS, tmp_path, tmp_path / "set_table", settings)
    table = pd.read_csv(tmp_path / "set_table.csv").set_index("method")
    assert table.loc["good", "spotting_f1"] == 1 and table.loc["good", "recognition_f1_micro"] == 0.5
    assert table.loc["drawn", "tp"] == 0.5 and table.loc["drawn", "spotting_f1"] == pytest.approx((2 / 3 + 0) / 2)
    assert (
        table.loc["good", "weights"] == "net (01234567), origin unknown"
        and table.loc["drawn", "protocol"] == "threshold: none, focal loss"
    )
    differences = pd.read_csv(tmp_path / "set_table_differences.csv").set_index("metric")
    assert differences.loc["spotting_f1", "value"] == pytest.approx(2 / 3)
    for suffix in (".md", ".tex"):
        assert "good" in (tmp_path / f"set_table{suffix}").read_text()


def test_folds_that_failed_are_missed_expressions_and_a_reason(tmp_path):
    """Of a peer: one fold failed, and then all. Its own protocol is that of the others; each reason stands once."""
    failed = {"failed": "too few windows", "habit": {}}
    for name in ("some", "all"):
        fold(tmp_path / name, "p", ["a"], [], **failed)
    habit = {"words": "above 0.5", "threshold": 0.5, "many_to_one": False, "annotated_only": False}
    fold(tmp_path / "some", "q", ["b"], [("b", 50, 69, 0.9, "", 1, 0.9)], failed=None, habit=habit)
    fold(tmp_path / "all", "q", ["b"], [], **failed)
    settings = config.validate({"run": {"experiments": ["some", "all"]}, "evaluation": {"bootstrap_draws": 20}})
    results.run("set", VIDEOS, EVENTS, tmp_path, tmp_path / "set_table", settings)
    table = pd.read_csv(tmp_path / "set_table.csv").set_index("method")
    assert table.loc["some", "protocol"] == (
        "threshold: held_out, focal loss; failed: too few windows (1 of 2 folds: p)"
    )
    assert table.loc["all", "protocol"] == "failed: too few windows (2 of 2 folds)"
    assert table.n_ground_truth.tolist() == [2, 2] and table.tp.tolist() == [1, 0]
    assert table.loc["some", "own_protocol"] == "above 0.5"
    assert table.loc["some", "own_spotting_f1"] == table.loc["some", "spotting_f1"] == pytest.approx(2 / 3)
    assert pd.isna(table.loc["all", "own_spotting_f1"]) and table.loc["all", "spotting_f1"] == 0


def test_scores_once_for_the_row_and_every_difference(tmp_path, monkeypatch):
    """Rows and differences are those of `summarise` and `paired_difference`, also beside a plain split."""
    found = {"fedn": 1, "other": 2, "third": 9}  # how far from the ground truth
    for name, shift in found.items():
        fold(tmp_path / name, "p", ["a"], [("a", 10 + shift, 19 + shift, 0.9, "anger", 1)])
        fold(tmp_path / name, "q", ["b"], [("b", 50 + shift, 69, 0.8, "anger", 1), ("b", 0, 5, 0.9, "disgust", 1)])
    fold(tmp_path / "split", "predict", ["b"], [("b", 50, 69, 0.9, "disgust", 1)], plain_split=True)
    names = [*found, "split"]
    settings = config.validate({"run": {"experiments": names}, "evaluation": {"bootstrap_draws": 20}})
    scored, rows, written = [], [], []
    whole_table = results.table.results_table
    monkeypatch.setattr(results, "draw_scores", lambda *a: scored.append(len(a[0])) or bootstrap.draw_scores(*a))
    monkeypatch.setattr(results.table, "results_table", lambda given: rows.extend(given) or whole_table(given))
    monkeypatch.setattr(results, "write_csv", lambda path, table: written.append(table))
    results.run("set", VIDEOS, EVENTS, tmp_path, tmp_path / "set_table", settings)
    assert sorted(scored) == [1, 1, 2, 2, 2]  # fedn is scored once more, on the split's only video

    runs = {name: results.read_experiment(tmp_path, name, [0], VIDEOS) for name in names}
    for row, name in zip(rows, names, strict=True):
        tables = results.of_videos(runs[name].tested, VIDEOS, EVENTS)
        assert row["metrics"] == summarise(*tables, runs[name].tables, settings["evaluation"])
        reference = results.of_videos(runs[name].tested, *runs["fedn"].tables)
        paired = paired_difference(*tables, reference, runs[name].tables, settings["evaluation"])
        given = written[0][written[0].minus == name].set_index("metric")[["value", "low", "high"]].astype(float)
        wanted = pd.DataFrame(paired, index=["value", "low", "high"]).T.astype(float)
        assert given.equals(wanted) if name != "fedn" else given.empty


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        ("demo stills", "net (01234567), demo weights"),
        ("AffectNet", "net (01234567), AffectNet"),
        ("checkpoint my|net.pth", "net (01234567), checkpoint my|net.pth"),
    ],
)
def test_table_says_which_weights_and_marks_those_of_the_demo(tmp_path, origin, text):
    for name, video in (("p", "a"), ("q", "b")):
        fold(tmp_path / "my_net", name, [video], [(video, 10, 19, 0.9, "anger", 1)])
        path = tmp_path / f"my_net/seed0/folds/{name}/fold.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"weights_origin": origin}))
    settings = config.validate({"run": {"experiments": ["my_net"]}, "evaluation": {"bootstrap_draws": 20}})
    results.run("set", VIDEOS, EVENTS, tmp_path, tmp_path / "set_table", settings)
    assert pd.read_csv(tmp_path / "set_table.csv").weights.tolist() == [text]
    for suffix, method in ((".md", "my_net"), (".tex", r"my\_net")):
        note = "Demo weights: a ResNet18 that has only seen rendered stills"
        lines = [line for line in (tmp_path / f"set_table{suffix}").read_text().splitlines() if line.startswith(note)]
        assert [line.endswith(f": {method}.") for line in lines] == ([True] if origin == "demo stills" else [])


def test_missing_and_doubled_folds_are_refused(tmp_path):
    fold(tmp_path / "x", "p", ["a"], [])
    with pytest.raises(InputError, match=r"tested not exactly once: \['b'\]"):
        results.read_run(tmp_path / "x/seed0", VIDEOS)
    fold(tmp_path / "x", "q", ["b"], [])
    fold(tmp_path / "x", "stale", ["a"], [])
    with pytest.raises(InputError, match=r"tested not exactly once: \['a'\]"):
        results.read_run(tmp_path / "x/seed0", VIDEOS)


def test_a_plain_split_is_scored_on_what_it_predicted(tmp_path):
    """Its row names the videos left out; it is compared on those that both methods tested."""
    fold(tmp_path / "split", "predict", ["b"], [("b", 50, 69, 0.9, "disgust", 1)], plain_split=True)
    fold(tmp_path / "all", "p", ["a"], [("a", 10, 19, 0.9, "anger", 1)])
    fold(tmp_path / "all", "q", ["b"], [])
    settings = config.validate({"run": {"experiments": ["split", "all"]}, "evaluation": {"bootstrap_draws": 20}})
    results.run("set", VIDEOS, EVENTS, tmp_path, tmp_path / "set_table", settings)
    table = pd.read_csv(tmp_path / "set_table.csv", keep_default_na=False).set_index("method")
    assert table.loc["split", "n_ground_truth"] == "1.0" or table.loc["split", "n_ground_truth"] == 1
    assert table.loc["split", "omitted_videos"] == "a" and table.loc["all", "omitted_videos"] == ""
    differences = pd.read_csv(tmp_path / "set_table_differences.csv").set_index("metric")
    assert differences.loc["spotting_f1", "value"] == 1  # on b alone, which the other one misses
    fold(tmp_path / "half", "p", ["a"], [])
    with pytest.raises(InputError, match="not exactly once"):
        results.run(
            "set", VIDEOS, EVENTS, tmp_path, tmp_path / "x", config.validate({"run": {"experiments": ["half"]}})
        )


def test_an_experiment_that_could_not_run_is_an_empty_row_and_fedn_is_the_reference(tmp_path):
    for name in ("fedn", "other"):
        fold(tmp_path / name, "p", ["a"], [("a", 10, 19, 0.9, "anger", 1)])
        fold(tmp_path / name, "q", ["b"], [])
    run = {"experiments": ["other", "i3d", "fedn"]}
    settings = config.validate({"run": run, "evaluation": {"bootstrap_draws": 20}})
    results.run("set", VIDEOS, EVENTS, tmp_path, tmp_path / "set_table", settings, {"i3d": "weights missing"})
    table = pd.read_csv(tmp_path / "set_table.csv").set_index("method")
    assert list(table.index) == run["experiments"] and table.loc["i3d", "weights"] == "weights missing"
    assert table.loc["i3d"].drop(["dataset", "labels", "source", "weights", "expression_types"]).isna().all()
    differences = pd.read_csv(tmp_path / "set_table_differences.csv")
    assert set(differences.method) == {"fedn"} and set(differences.minus) == {"other"}


def by_type(folder, names=("fedn", "peer"), not_run=None, **dataset):
    """Table and differences of folds in `folder/annotated`, `folder/annotated.micro` ..., with MICRO annotated too."""
    run = {"experiments": list(names), "by_type": True}
    settings = config.validate({"run": run, "dataset": dataset, "evaluation": {"bootstrap_draws": 20}})
    every = pd.concat([EVENTS, MICRO], ignore_index=True)
    results.run("set", VIDEOS, every, folder / "annotated", folder / "set_table", settings, not_run)
    return [pd.read_csv(folder / f"set_table{end}.csv", keep_default_na=False) for end in ("", "_differences")]


def test_a_row_for_each_ground_truth_and_differences_within_each(tmp_path):
    """The macro-expressions' folds find those alone, the micro-expressions' the other one, those of both all."""
    macro, micro = [("b", 50, 69, 0.9, "disgust", 1)], [("b", 80, 85, 0.8, "anger", 1)]
    for folder, found in (("annotated", macro), ("annotated.micro", micro), ("annotated.both", macro + micro)):
        for name in ("fedn", "peer"):  # the peer misses what lies in a
            first = [("a", 10, 19, 0.9, "anger", 1)] if name == "fedn" and folder != "annotated.micro" else []
            fold(tmp_path / folder / name, "p", ["a"], first)
            fold(tmp_path / folder / name, "q", ["b"], found)
    table, differences = by_type(tmp_path)
    assert table.expression_types.tolist() == ["macro"] * 2 + ["micro"] * 2 + ["macro+micro"] * 2
    assert table.method.tolist() == ["fedn", "peer"] * 3
    # An expression without a type (that of b) counts for both.
    assert table.n_ground_truth.astype(float).tolist() == [2, 2, 2, 2, 3, 3]
    assert table.tp.astype(float).tolist() == [2, 1, 1, 1, 3, 2]
    paired = differences[differences.metric == "spotting_f1"].set_index("expression_types").value.astype(float)
    assert paired.to_dict() == pytest.approx({"macro": 1 / 3, "micro": 0, "macro+micro": 1 / 5}, abs=1e-6)
    assert set(differences.method) == {"fedn"} and set(differences.minus) == {"peer"}
    lines = (tmp_path / "set_table.md").read_text().splitlines()
    assert [cell.strip() for cell in lines[0].split("|")[1:3]] == ["Method", "Expression types"]
    paired = [line for line in lines if line.startswith("| fedn - peer")]
    assert [line.split("|")[2].strip() for line in paired] == ["macro", "micro", "macro+micro"]


def test_the_data_sets_own_types_have_the_folder_of_the_label_set(tmp_path):
    for folder, types in (("annotated", "both"), ("annotated.macro", "macro"), ("annotated.micro", "micro")):
        fold(tmp_path / folder / "fedn", "p", ["a"], [], protocol=types)
        fold(tmp_path / folder / "fedn", "q", ["b"], [], protocol=types)
    table, _ = by_type(tmp_path, names=["fedn"], expression_types=["micro", "macro"])
    assert table.expression_types.tolist() == ["macro", "micro", "macro+micro"]
    assert [text.split(": ")[1].split(",")[0] for text in table.protocol] == ["macro", "micro", "both"]


def test_a_ground_truth_that_cannot_be_learnt_is_a_row_with_its_reason(tmp_path):
    """Micro-expressions alone lack training folds here; without FEDN's, others are compared with the first."""
    for folder in ("annotated", "annotated.both"):
        for name in ("fedn", "peer"):
            fold(tmp_path / folder / name, "p", ["a"], [("a", 10, 19, 0.9, "anger", 1)])
            fold(tmp_path / folder / name, "q", ["b"], [])
    why = "without p: no expression to train on"
    table, differences = by_type(tmp_path, not_run={"fedn.micro": why, "peer.micro": why})
    rows = table[table.expression_types == "micro"].set_index("method")
    assert rows.weights.tolist() == [why] * 2 and (rows.spotting_f1 == "").all() and (rows.tp == "").all()
    assert (table[table.expression_types != "micro"].tp.astype(float) == 1).all()
    assert set(differences.expression_types) == {"macro", "macro+micro"}
    assert why in (tmp_path / "set_table.md").read_text()
