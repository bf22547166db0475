"""Files of real annotators: several tiers, empty texts, Windows paths, points, damage. Nothing is lost in silence."""

import json

import pandas as pd
import pytest
from annotators import BORIS_7, GRID, WINDOWS, eaf
from dataset.own_videos import write_video

from fedn_pipeline import cli, config
from fedn_pipeline.exchange import stage
from fedn_pipeline.files import InputError


def put(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(found):
    return [(span.onset_s, span.offset_s, span.emotion) for span in found.spans]


def refusal(path, **arguments):
    with pytest.raises(InputError) as error:
        stage.read(path, **arguments)
    return str(error.value).replace(f"{path}: ", "")


def test_a_file_from_windows(tmp_path):
    tiers = {"expressions": [(1000, 2500, "Überraschung "), (2500, 3001, "joy")], "notes": [(0, 9000, "tired")]}
    found = stage.read(put(tmp_path, "session 1.eaf", eaf(tiers)))
    assert rows(found) == [(1.0, 2.5, "Überraschung"), (2.5, 3.001, "joy")]
    assert {span.video for span in found.spans} == {"talk.mp4"}
    assert found.notes == ["tiers that were not read: 'notes' (1)"]


@pytest.mark.parametrize(
    ("tiers", "names", "expected"),
    [
        ({"face": [(0, 9, "joy")], "empty": []}, (), [(0, 0.009, "joy")]),
        ({"joy": [(0, 9, "")], "anger": [(4, 12, "")]}, (), [(0, 0.009, "joy"), (0.004, 0.012, "anger")]),
        ({"joy": [(0, 9, "")], "notes": [(4, 12, "x")]}, ("joy",), [(0, 0.009, "joy")]),
        ({"expressions": [(0, 9, "")]}, (), [(0, 0.009, "")]),
        ({"expressions": [(0, 9, "a")], "expressions 2": [(5, 8, "b")]}, (), [(0, 0.009, "a"), (0.005, 0.008, "b")]),
        ({"when": [(0, 9, "")], "what": [(1, "joy")]}, ("what",), [(0, 0.009, "joy")]),
    ],
)
def test_which_tiers_are_meant(tmp_path, tiers, names, expected):
    assert rows(stage.read(put(tmp_path, "a.eaf", eaf(tiers)), tiers=names)) == expected


@pytest.mark.parametrize(
    ("tiers", "names", "said"),
    [
        ({"anna": [(0, 9, "joy")], "ben": [(0, 8, "joy")]}, (), "Choose with --tier NAME: 'anna' (1), 'ben' (1)"),
        ({"anna": [(0, 9, "joy")]}, ("bea",), "no tier 'bea'; there are: 'anna'"),
        ({"expressions": [(0, 9, "joy"), (9, 12, " ")]}, (), "tier 'expressions', annotation a2: no emotion"),
        ({"expressions": [(0, None, "joy")]}, (), "annotation a1: not aligned to a time"),
        ({"expressions": [(9, 9, "joy")]}, (), "annotation a1: ends at 0.009 s, but begins at 0.009 s"),
        ({"expressions": [(-9, 9, "joy")]}, (), "before the video"),
        ({"when": [(0, 9, "")], "what": [(1, "joy"), (1, "fear")]}, ("what",), "a second one for the same part"),
        ({"what": [(1, "joy")]}, ("what",), "refers to no annotation with times"),
    ],
)
def test_tiers_that_are_refused(tmp_path, tiers, names, said):
    assert said in refusal(put(tmp_path, "a.eaf", eaf(tiers)), tiers=names)


def test_several_cameras(tmp_path):
    media = (WINDOWS, ("file:///D:/side.mp4", "./side.mp4"))
    content = eaf({"expressions": [(1000, 2000, "joy")]}, media, origin=500)
    assert "linked to several videos" in refusal(put(tmp_path, "session.eaf", content))
    (span,) = stage.read(put(tmp_path, "side.eaf", content)).spans
    assert (span.video, span.onset_s, span.offset_s) == ("side", 1.5, 2.5)


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>\n'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>\n'


@pytest.mark.parametrize("doctype", [LAUGHS, OUTSIDE, '<!DOCTYPE x SYSTEM "http://example.org/x.dtd">\n'])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_before_they_are_read(tmp_path, doctype, encoding):
    text = eaf({"expressions": [(0, 9, "&a;")]}, doctype=doctype).replace("UTF-8", encoding)
    assert "line 2: a DOCTYPE" in refusal(put(tmp_path, "a.eaf", text.encode(encoding)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[:400], "not sound XML"),
        (lambda text: text.replace("ANNOTATION_DOCUMENT", "html"), "<html> is no document of ELAN"),
        (lambda text: text.replace('ID="ts2"', 'ID="ts1"'), "line 4: TIME_SLOT_ID 'ts1' stands there twice"),
        (lambda text: text.replace('ID="a2"', 'ID="a1"'), "ANNOTATION_ID 'a1' stands there twice"),
        (lambda text: text.replace('VALUE="9"', 'VALUE="nine"'), "not laid out as ELAN's documents"),
        (lambda text: text.replace("TIER_ID", "TIER"), "not laid out as ELAN's documents"),
        (lambda text: text.replace("ALIGNABLE_", "ALIGNED_"), "<ALIGNED_ANNOTATION> within <ANNOTATION> is unknown"),
        (lambda text: text.replace("milliseconds", "PAL-frames"), "'PAL-frames': only milliseconds"),
        (lambda text: text.replace("<HEADER", "<a>" * 50 + "<HEADER"), "nested more than"),
    ],
)
def test_damaged_documents(tmp_path, change, said):
    text = eaf({"expressions": [(0, 9, "joy"), (9, 20, "joy")]})
    assert said in refusal(put(tmp_path, "a.eaf", change(text)))


@pytest.mark.parametrize("separator", [",", "\t"])
def test_boris_of_version_7(tmp_path, separator):
    path = put(tmp_path, "aggregated.tsv", BORIS_7.replace(",", separator))
    found = stage.read(path)
    assert rows(found) == [(1.001, 2.002, "happiness"), (4.004, 5.005, "Freude")]
    assert [(span.video, span.subject) for span in found.spans] == [
        ("C:/study/talk.mp4", ""),
        ("C:/study/talk.mp4", "anna"),
    ]
    assert found.notes == [
        "POINT events without an offset, left out: 1 (row 3)",
        "modifiers that were not read: 1 (row 4)",
    ]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("STATE,1.001", "STATE,one", "row 2: Start (s) 'one' is no number"),
        ("STATE,1.001,2.002", "STATE,2.002,1.001", "row 2: ends at 1.001 s"),
        ("STATE,1.001", "STATE,1e400", "row 2: a time is no finite number"),
        ("Behavior type", "Kind", "row 1: no column `Behavior type`"),
        (",POINT", ",LINE", "row 3: behavior type 'LINE'"),
        ("strong,", "", "row 4: 15 cells, but the header has 16"),
        ("C:/study/talk.mp4", "player #1:a.mp4;player #2:b.mp4", "row 2: one video is needed"),
        ("FPS", "Time offset (s)", "row 2: a time offset of 29.97 s"),
        ("Modifiers", "Subject", "column `Subject` appears 2 times"),
    ],
)
def test_rows_of_boris_that_are_refused(tmp_path, before, after, said):
    assert said in refusal(put(tmp_path, "a.csv", BORIS_7.replace(before, after)))


def test_a_grid_of_praat(tmp_path):
    for content in (GRID.encode(), GRID.encode("utf-16")):
        found = stage.read(put(tmp_path, "talk.TextGrid", content))
        assert rows(found) == [(1.5, 2.25, 'he said "joy"')]
        assert found.notes == ["tiers of points, which have no offset, left out: 'blinks' (1)"]
    short = '"ooTextFile"\n"TextGrid"\n\n0\n10\n<exists>\n1\n"IntervalTier"\n"face"\n0\n10\n1\n1.5\n2.25\n"joy"\n'
    assert rows(stage.read(put(tmp_path, "short.TextGrid", short))) == [(1.5, 2.25, "joy")]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("xmax = 2.25", "xmax = x", "where a number must stand"),
        ('text = ""\n    item', 'text = "\n    item', "unknown class"),
        ("size = 3", "size = 4", "where a number must stand"),
        ("size = 3", "size = 99999999999", "no number of tiers or intervals"),
        ("IntervalTier", "PitchTier", "unknown class 'PitchTier'"),
        ("blinks", "face", "two tiers named 'face'"),
        ("ooTextFile", "ooBinary", "not a TextGrid"),
        ("xmin = 1.5", "xmin = 3.5", "tier 'face', interval 2: ends at 2.25 s"),
    ],
)
def test_damaged_grids(tmp_path, before, after, said):
    assert said in refusal(put(tmp_path, "a.TextGrid", GRID.replace(before, after)))
    assert "ends too early" in refusal(put(tmp_path, "b.TextGrid", GRID[:500]))


def test_points_of_praat_cannot_be_chosen(tmp_path):
    assert "holds points" in refusal(put(tmp_path, "a.TextGrid", GRID), tiers=("blinks",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"database": {"v": {"annotations": [{"segment": [0, NaN], "label": "joy"}]}}}', "NaN is no number"),
        ('{"database": {"v": {"annotations": [{"segment": [0], "label": "joy"}]}}}', "video 'v', annotation 1: `segm"),
        ('{"database": {"v": {"annotations": [{"segment": [0, 1]}]}}}', "annotation 1: `label` must be text"),
        ('{"database": {"v": {}}}', "video 'v': no list of annotations"),
        ('{"database": {"v": {"annotations": [{"segment": [2, 1], "label": "joy"}]}}}', "ends at 1 s"),
        ('{"results": {"v": [{"segment": [1, 2], "label": "joy", "score": "high"}]}}', "`score` must be a number"),
        ('{"results": {"v": [], "v": []}}', "key 'v' stands there twice"),
        ('{"results": [], "x": 1}', "one of the keys"),
        ("[1]", "one of the keys"),
        ("[" * 200_000, "not valid JSON"),
        ('{"video": {}, "detections": []}', "fedn-pipeline export"),
    ],
)
def test_json_that_is_refused(tmp_path, text, said):
    assert said in refusal(put(tmp_path, "a.json", text))


def test_the_content_tells_the_format(tmp_path):
    assert len(stage.read(put(tmp_path, "elan.xml", eaf({"expressions": [(0, 9, "joy")]}))).spans) == 1
    assert len(stage.read(put(tmp_path, "boris.txt", BORIS_7)).spans) == 2
    assert len(stage.read(put(tmp_path, "praat.txt", GRID)).spans) == 1
    assert len(stage.read(put(tmp_path, "net.txt", json.dumps({"results": {"v": []}}))).spans) == 0
    assert "which format? Say --from" in refusal(put(tmp_path, "notes.txt", "tired"))


def test_the_command_import(tmp_path, capsys):
    """Seconds without the videos; every refusal of every file at once; never over a table that is there."""
    sound = put(tmp_path, "a.eaf", eaf({"expressions": [(40, 200, "joy")]}, media=()))
    table = put(tmp_path, "b.csv", BORIS_7)
    out = tmp_path / "own/events.csv"
    assert cli.main(["import", str(sound), str(table), "--out", str(out)]) == 0
    found = pd.read_csv(out, keep_default_na=False)
    assert found[["video_id", "onset_s", "offset_s", "emotion", "subject"]].values.tolist() == [
        ["a", 0.04, 0.2, "joy", ""],
        ["talk.mp4", 1.001, 2.002, "happiness", ""],
        ["talk.mp4", 4.004, 5.005, "Freude", "anna"],
    ]
    assert "POINT events" in capsys.readouterr().out
    assert (
        cli.main(["import", str(table), str(put(tmp_path, "c.csv", BORIS_7)), "--out", str(tmp_path / "two.csv")]) == 0
    )
    assert "video 'talk.mp4' is annotated in b.csv and in c.csv: all are taken" in capsys.readouterr().out
    assert cli.main(["import", str(sound), "--out", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err
    bad, worse = put(tmp_path, "bad.eaf", "<x/>"), put(tmp_path, "worse.json", "{")
    assert cli.main(["import", str(bad), str(worse), "--out", str(tmp_path / "e.csv")]) == 2
    said = capsys.readouterr().err
    assert "bad.eaf: line 1" in said and "worse.json: not valid JSON" in said
    assert not (tmp_path / "e.csv").exists()


def test_import_knows_the_videos(tmp_path):
    videos = "video_id,subject,source,kind,n_frames,fps\ntalk,anna,anna/talk.mp4,video,100,25\n"
    given = put(tmp_path, "videos.csv", videos)
    sound = put(tmp_path, "x.eaf", eaf({"expressions": [(40, 200, "joy"), (3960, 4000, "joy")]}))
    stage.import_files([sound], tmp_path / "events.csv", given)
    found = pd.read_csv(tmp_path / "events.csv")
    assert found[["video_id", "onset", "offset"]].values.tolist() == [["talk", 1, 4], ["talk", 99, 99]]
    wrong = put(tmp_path, "y.eaf", eaf({"expressions": [(3960, 4040, "joy"), (1, 2, "joy")]}))
    strange = put(tmp_path, "tolk.eaf", eaf({"expressions": [(0, 40, "joy")]}, media=()))
    with pytest.raises(InputError) as error:
        stage.import_files([wrong, strange], tmp_path / "none.csv", given)
    lines = str(error.value).splitlines()
    assert "annotation a1: 3.96 to 4.04 s ends after video 'talk', which ends at 4.000 s" in lines[0]
    assert "annotation a2: 0.001 to 0.002 s is shorter than one frame" in lines[1]
    assert "no such video: 'tolk'; did you mean 'talk'" in lines[2]


def test_beside_a_video_the_place_decides(tmp_path):
    """Two videos of one name, each with its grid: names alone could not tell them apart."""
    for person, n_frames in (("anna", 30), ("ben", 60)):
        write_video(tmp_path / f"{person}/talk.mp4", n_frames)
        put(tmp_path, f"{person}/talk.TextGrid", GRID.replace("2.25", "1.6").replace("1.5", f"0.{n_frames}"))
    with pytest.raises(InputError, match="two videos with one id"):
        stage.import_files([tmp_path / "ben/talk.TextGrid"], tmp_path / "events.csv", tmp_path)
    loose = config.validate({"dataset": {"strict": False}})["dataset"]
    with pytest.raises(InputError, match=r"0\.3 to 1\.6 s ends after video 'anna_talk', which ends at 1\.000 s"):
        stage.import_files([tmp_path / "anna/talk.TextGrid"], tmp_path / "events.csv", tmp_path, settings=loose)
    stage.import_files([tmp_path / "ben/talk.TextGrid"], tmp_path / "events.csv", tmp_path, settings=loose)
    found = pd.read_csv(tmp_path / "events.csv")
    assert found[["video_id", "onset", "offset"]].values.tolist() == [["ben_talk", 18, 47]]
