"""Own videos with ELAN's files, as a newcomer starts: init, then what Snakemake makes of it."""

from dataset.own_videos import write_video
from exchange.annotators import eaf
from workflow.project import copied, planned, snakemake

from fedn_pipeline import cli

TABLE, BUNDLE = "results/custom_table.csv", "results/custom/bundle/bundle.json"


def test_init_and_an_edited_file_of_elan(tmp_path, monkeypatch):
    project = copied(tmp_path / "project")
    for subject in ("anna", "ben", "carl"):
        write_video(project / f"own/{subject}/{subject}.mp4", 40)
        content = eaf({"expressions": [(100, 900, "happiness")]})
        (project / f"own/{subject}/{subject}.eaf").write_text(content, encoding="utf-8")
    monkeypatch.chdir(project)
    assert cli.main(["init", "own"]) == 0
    snakemake(project, "data/custom/events.csv")
    rules = planned(project, TABLE)
    assert {"faces", "features", "folds", "detections", "reference", "results"} <= rules and "dataset" not in rules
    assert {"final", "bundle"} <= planned(project, BUNDLE)  # of the row that init has chosen
    path = project / "own/ben/ben.eaf"
    path.write_text(path.read_text(encoding="utf-8").replace('"100"', '"200"'), encoding="utf-8")
    assert planned(project, "data/custom/events.csv") == {"dataset"}
