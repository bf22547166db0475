"""Names that come from data never become paths or words of a shell: hostile ids, columns, files, folders."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from dataset.own_videos import write_video
from workflow.project import copied, run

from fedn_pipeline import cli
from fedn_pipeline.dataset.tables import SAFE_NAME, read_events, read_videos
from fedn_pipeline.files import InputError
from fedn_pipeline.training import split

RULES = sorted((Path(__file__).parents[2] / "workflow/rules").glob("*.smk"))
HOSTILE = [
    "$(touch PWNED)", "`touch PWNED`", "a b", "a'b", 'a"b', "a;touch PWNED", "a|b", "a&b", "a\nb", "a\rb", "a\tb",
    "a\0b", "../x", "..", ".", "a/b", "a\\b", "/etc/passwd", "-rf", "--out=x", ".hidden", "~root", "*", "a{video}b",
    "{wildcards.dataset}", "é", "\u202ea", "",
]  # fmt: skip


def test_every_word_of_every_shell_command_is_quoted():
    """Each `{...}` in each `shell:` ends in `:q`, whether its value comes from data or not."""
    found, commands = [], 0
    for path in RULES:
        for block in re.findall(r"^    shell:\n((?:        .*\n)+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            commands += 1
            found += [(path.name, word) for word in re.findall(r"(?<!\{)\{([^{}]+)\}", block)]
    assert commands >= 15 and len(found) > 60
    assert [word for word in found if not word[1].endswith(":q")] == []


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_ids_are_refused(tmp_path, name, capsys):
    """As a video's id, a subject, a value of the column that folds leave out; in the table and on the command line."""
    assert not SAFE_NAME.fullmatch(name)
    sound = {"video_id": ["v1", "v2", "v3"], "subject": ["a", "b", "c"], "photograph": ["x", "y", "z"]}
    for column in ("video_id", "subject"):
        table = pd.DataFrame(sound | {column: [name, *sound[column][1:]]})
        table.to_csv(tmp_path / "videos.csv", index=False)
        with pytest.raises(InputError):
            read_videos(tmp_path / "videos.csv")
    videos = pd.DataFrame(sound | {"photograph": [name, "y", "z"]})
    with pytest.raises(InputError, match=r"column `photograph` has .* name the folders of folds"):
        split.groups(videos, "photograph")
    if name and not name.startswith("-") and "\0" not in name:  # argparse refuses those itself
        assert cli.main(["faces", "v.mp4", "--video-id", name, "--out", str(tmp_path / "out")]) == 2
        assert "video id" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("column", ["emotion", "expression_type", "label_set", "provenance"])
def test_labels_without_control_characters(tmp_path, column):
    """A line break or a terminal's escape sequence in a label is a fault of the table; what else is in it is a text."""
    videos = pd.DataFrame({"video_id": ["v1"], "subject": ["a"], "n_frames": pd.array([90], "Int64")})
    for text, bad in (("$(touch x) \\input{y} <b>", False), ("a\nb", True), ("\x1b[2Jx", True), ("a\u2028b", True)):
        table = pd.DataFrame([{"video_id": "v1", "onset": 1, "offset": 5, column: text}])
        table.to_csv(tmp_path / "events.csv", index=False)
        if bad:
            with pytest.raises(InputError, match=f"{column} .* holds control characters"):
                read_events(tmp_path / "events.csv", videos)
        else:
            assert read_events(tmp_path / "events.csv", videos)[column].tolist() == [text]


@pytest.fixture(scope="module")
def hostile_project(tmp_path_factory):
    """The project with a data set whose folder, subfolders, files, emotions and columns are all hostile."""
    project = copied(tmp_path_factory.mktemp("project"))
    root = project / "my $(touch PWNED1) 'v\" ;x"
    write_video(root / "$(touch PWNED2) `touch PWNED3` s'\"x" / "a b'\"$(touch PWNED4);&.mp4", 12)
    write_video(root / "-rf" / "-x.mp4", 12)
    write_video(root / "third" / "y.mp4", 12)
    names = ("-x", "y", "a b'\"$(touch PWNED4);&")
    emotion = "<script>$(touch PWNED5)</script>"
    events = pd.DataFrame({"video_id": names, "onset": 2, "offset": 5, "emotion": emotion})
    events.to_csv(root / "events.csv", index=False)
    columns = pd.DataFrame({"video_id": names, "escape": "../../../x", "command": "$(touch PWNED6)"})
    columns.assign(number=range(3)).to_csv(root / "videos.csv", index=False)
    settings = {"dataset": {"reader": "custom", "root": str(root)}, "pretrain": {"stills": "demo"}}
    (project / "config/datasets/custom.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return project


def test_a_hostile_data_set_runs_and_nothing_of_it_is_run(hostile_project):
    done = run(hostile_project, "data/custom/videos.csv")
    assert done.returncode == 0, done.stdout + done.stderr
    videos = read_videos(hostile_project / "data/custom/videos.csv")
    assert len(videos) == 3 and videos.video_id.str.fullmatch(SAFE_NAME.pattern).all()
    done = run(hostile_project, *(f"data/custom/crops/{name}.mp4" for name in videos.video_id))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((hostile_project / "data/custom/crops").glob("*.mp4"))) == 3
    assert list(hostile_project.rglob("PWNED*")) == []


def test_hostile_columns_stop_the_run(hostile_project, column="command", value="'$(touch PWNED6)'"):
    """The values of a group column name folders: refused before anything is computed."""
    folder = Path(yaml.safe_load((hostile_project / "config/datasets/custom.yaml").read_text())["dataset"]["root"])
    table = pd.read_csv(folder / "videos.csv")
    changed = table.assign(**{column: [*table[column][:-1], "sound"]})
    changed.to_csv(folder / "videos.csv", index=False)
    (hostile_project / "config/experiments/mine.yaml").write_text(f"folds: {{group: {column}}}\n", encoding="utf-8")
    assert run(hostile_project, "data/custom/videos.csv").returncode == 0
    done = run(hostile_project, "results/custom_table.csv", "--dry-run", "--config", "run={experiments: [mine]}")
    output = done.stdout + done.stderr
    assert done.returncode != 0 and f"column `{column}` has {value}, but its values name" in output, output[-3000:]
    assert list(hostile_project.rglob("PWNED*")) == []


def test_a_column_in_the_name_of_a_backbone(hostile_project):
    """`{column}` in backbone.name is filled from data: a way out of the folder is refused with the value."""
    more = ["--config", "backbone={name: 'r_{escape}'}", "run={experiments: [fedn]}"]
    done = run(hostile_project, "results/custom_table.csv", "--dry-run", *more)
    output = done.stdout + done.stderr
    assert done.returncode != 0 and "backbone.name: 'r_../../../x' names a file" in output, output[-3000:]


def test_names_that_snakemake_would_read_as_patterns(hostile_project):
    folder = Path(yaml.safe_load((hostile_project / "config/datasets/custom.yaml").read_text())["dataset"]["root"])
    (folder / "{video}").mkdir()
    done = run(hostile_project, "data/custom/videos.csv", "--dry-run")
    (folder / "{video}").rmdir()
    assert done.returncode != 0
    assert "braces or line breaks: rename it" in done.stdout + done.stderr
