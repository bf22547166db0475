"""Mutated tables and settings: each is refused by name, or read as a simpler reading of the same file reads it."""

import csv
import io
import json
import shutil

import cv2
import numpy as np
import pytest
import seeds
import yaml
from exchange.annotators import BORIS_7, GRID, eaf
from fuzzing import Child, check_mutated
from hypothesis import strategies as st
from mutations import byte_edits, cells, csv_examples, edited, mostly, table_bytes

from fedn_pipeline import config
from fedn_pipeline.faces import alignment
from fedn_pipeline.faces.openface_csv import POINTS
from fedn_pipeline.faces.openface_shape import STABLE, stand_in

VIDEOS = """video_id,subject,source,kind,n_frames,fps,width,height,photograph
v1,01,a/v1.mp4,video,100,30,640,480,astronaut
v2,02,a/v2.mp4,video,200,29.97,640,480,hopper
v3,02,b/v3,frames,,,,,hopper
"""
EVENTS = """video_id,onset,apex,offset,expression_type,emotion,label_set,provenance
v1,10,15,19,macro,happiness,annotated,rendered
v1,30,,40,micro,surprise,annotated,rendered
v2,0,,199,macro,,annotated,rendered
v3,5,6,7,,fear,,
"""
DETECTIONS = """video_id,onset,offset,confidence,emotion,kept
v1,10,19,0.123456789012345,happiness,True
v1,11,19,0.5,surprise,False
v2,0,199,0.5,,false
v3,1,2,1e-3,fear,1
"""
OWN_EVENTS = """video_id,onset,offset,emotion,subject,apex
interview,2,9,happiness,anna,
lunch.avi,0,11,sadness,ben,3
ben/lunch.avi,5,6,fear,ben,
"""
OWN_SECONDS = """video_id,onset_s,offset_s,emotion
interview,0.1,0.3,happiness
lunch,0,0.4,sadness
"""
OWN_VIDEOS = """video_id,subject,fps,split,site
interview,anna,25,train,lab
lunch,ben,,,home
"""
WORDS = ("v1", "v2", "v3", "100", "10", "19", "200", "199", "30", "interview", "lunch", "ben/lunch.avi", "anna", "Anna")


@pytest.fixture(scope="module")
def child():
    with Child("table_readers") as child:
        yield child


def rows_of(text):
    return list(csv.reader(io.StringIO(text)))


@pytest.fixture
def sound(tmp_path):
    """Paths of the three sound tables."""
    paths = {}
    for name, text in (("videos", VIDEOS), ("events", EVENTS), ("detections", DETECTIONS)):
        paths[name] = tmp_path / f"sound_{name}.csv"
        paths[name].write_text(text, encoding="utf-8")
    return {name: str(path) for name, path in paths.items()}


@pytest.mark.parametrize(("kind", "text"), [("videos", VIDEOS), ("events", EVENTS), ("detections", DETECTIONS)])
def test_canonical_tables(kind, text, sound, child, full, tmp_path, record_property):
    def make(example, folder):
        path = folder / f"{kind}.csv"
        path.write_bytes(table_bytes(rows_of(text), example))
        return {"path": str(path), "kind": kind, "videos": sound["videos"], "names": [path.name]}

    n, name = 1000 if full else 60, f"{kind}.csv"
    check_mutated(name, child, "canonical", n, csv_examples(WORDS), make, tmp_path, record_property)


def test_command_evaluate(sound, child, full, tmp_path, record_property):
    def make(example, folder):
        path = folder / "detections.csv"
        path.write_bytes(table_bytes(rows_of(DETECTIONS), example))
        tables = {"videos": sound["videos"], "events": sound["events"]}
        return {"path": str(path), **tables, "names": [path.name]}

    n, name = 1000 if full else 30, "command evaluate"
    check_mutated(name, child, "evaluate", n, csv_examples(WORDS), make, tmp_path, record_property)


def test_own_videos(child, full, tmp_path, record_property):
    """Two small videos and a folder of images, with mutated events.csv and videos.csv beside them."""
    own = tmp_path / "own"
    (own / "ben").mkdir(parents=True)
    shown = seeds.pictures(12, 32, 32)
    seeds.write_video(own / "interview.mp4", shown, "mpeg4", "yuv420p", fps=25)
    seeds.write_video(own / "ben/lunch.avi", shown, "mjpeg", "yuvj420p")
    images = own / "carl/walk"
    images.mkdir(parents=True)
    for i, picture in enumerate(shown, 1):
        cv2.imwrite(str(images / f"{i:03}.png"), picture)

    def make(example, folder):
        events, videos, seconds, strict, annotations_only = example
        root = folder / "root"
        root.mkdir()
        if not annotations_only:
            shutil.copytree(own, root, dirs_exist_ok=True)
        (root / "events.csv").write_bytes(table_bytes(rows_of(OWN_SECONDS if seconds else OWN_EVENTS), events))
        if videos is not None:
            (root / "videos.csv").write_bytes(table_bytes(rows_of(OWN_VIDEOS), videos))
        settings = json.dumps({"dataset": {"strict": strict, "fps": 30}})
        arguments = {"root": str(root), "out": str(folder / "out"), "settings": settings, "strict": strict}
        return arguments | {"annotations_only": annotations_only, "names": [str(root)]}

    table, flag = csv_examples(WORDS), st.booleans()
    strategy = st.tuples(table, st.one_of(st.none(), table), flag, flag, st.sampled_from((True, True, True, False)))
    n, name = 1000 if full else 30, "one's own videos"
    check_mutated(name, child, "custom", n, strategy, make, tmp_path, record_property)


def openface_rows():
    rng = np.random.default_rng(0)
    header = ["frame", "face_id", "timestamp", "confidence", "success", *POINTS, "p_tx", "p_ty"]
    rows = [[i, 0, i / 30, 0.98, 1, *(100 + rng.random(138) * 90).round(1)] for i in range(1, 9)]
    return [header, *rows, [9, 0, 0.3, 0.0, 0, *[0] * 138]]


def test_openface_csv(child, full, tmp_path, record_property):
    def make(example, folder):
        path = folder / "openface.csv"
        path.write_bytes(table_bytes(openface_rows(), example))
        return {"path": str(path), "names": [path.name]}

    n, name = 1000 if full else 40, "OpenFace's csv"
    check_mutated(name, child, "openface", n, csv_examples(), make, tmp_path, record_property)


def test_openface_mean_shape(child, full, tmp_path, record_property):
    numbers = stand_in()
    rows = [["point", "x_mm", "y_mm"], *([point, *xy] for point, xy in zip(STABLE, numbers, strict=True))]
    values = np.random.default_rng(0).normal(size=204) * 30
    model = "# mean\n204\n1\n6\n" + "\n".join(f"{value:.6f}" for value in values) + "\n# more\n3\n1\n6\n1 2 3\n"

    def make(example, folder):
        table, raw = example
        path = folder / ("mean_shape_24.csv" if table is not None else "model.txt")
        path.write_bytes(table_bytes(rows, table) if table is not None else edited(model.encode(), raw))
        return {"path": str(path), "names": [path.name]}

    strategy = st.one_of(st.tuples(csv_examples(), st.none()), st.tuples(st.none(), byte_edits()))
    n, name = 1000 if full else 40, "OpenFace's mean shape"
    check_mutated(name, child, "shape", n, strategy, make, tmp_path, record_property)


def test_alignment_tables(child, full, tmp_path, record_property):
    rng = np.random.default_rng(0)
    status = np.array(["tracked"] * 5 + ["bridged", "missing", "tracked"])
    points, similarities = rng.random((8, 68, 2)) * 200, rng.random((8, 4))
    points[6], similarities[6] = np.nan, np.nan
    alignment.write(tmp_path / "sound.csv", alignment.table(points, similarities, status, np.zeros(8, bool)))
    rows = rows_of((tmp_path / "sound.csv").read_text(encoding="utf-8"))

    def make(example, folder):
        path = folder / "alignment.csv"
        path.write_bytes(table_bytes(rows, example))
        return {"path": str(path), "names": [path.name]}

    n, name, words = 1000 if full else 40, "alignment tables", ("tracked", "bridged", "missing")
    check_mutated(name, child, "alignment", n, csv_examples(words), make, tmp_path, record_property)


def test_stills(child, full, tmp_path, record_property):
    rows = [["path", "emotion", "identity", "photograph", "split"]]
    for i in range(6):
        split = "train" if i < 4 else "validation"
        rows.append([f"p/{i}.png", ("fear", "anger")[i % 2], f"id{i}", "astronaut", split])

    def make(example, folder):
        (folder / "p").mkdir()
        for i in range(6):
            cv2.imwrite(str(folder / f"p/{i}.png"), np.full((40, 40 + i, 3), 40 * i, np.uint8))
        (folder / "stills.csv").write_bytes(table_bytes(rows, example))
        return {"folder": str(folder), "names": ["stills.csv"]}

    n, name, words = 1000 if full else 40, "stills.csv", ("train", "validation", "p/1.png", "id1", "fear")
    check_mutated(name, child, "stills", n, csv_examples(words), make, tmp_path, record_property)


def _sections(values):
    """Settings as a dictionary: known and unknown sections and keys, with `values`."""
    schema = config.schema()["properties"]
    known = {name: list(node.get("properties", {})) or ["x"] for name, node in schema.items()}
    section = st.sampled_from([*known]).flatmap(
        lambda name: st.tuples(st.just(name), st.dictionaries(st.sampled_from([*known[name], "unknown"]), values))
    )
    return st.lists(section, max_size=4).map(dict)


def test_settings(child, full, tmp_path, record_property):
    plain = st.one_of(st.none(), st.booleans(), st.integers(-3, 400), st.floats(), cells)
    values = st.one_of(plain, st.lists(plain, max_size=4), st.dictionaries(cells, plain, max_size=3))
    defaults = config.validate({})

    def make(example, folder):
        sections, form, raw, complete = example
        given = config.merge(defaults, sections) if complete else sections
        text = yaml.safe_dump(given, allow_unicode=True) if form == ".yaml" else json.dumps(given)
        path = folder / f"settings{form}"
        path.write_bytes(edited(text.encode(errors="replace"), raw))
        return {"path": str(path), "names": [path.name, "settings"]}

    raw = mostly(st.just([]), byte_edits(max_size=2))
    strategy = st.tuples(_sections(values), st.sampled_from((".yaml", ".json", ".txt")), raw, st.booleans())
    n, name = 1000 if full else 60, "settings"
    check_mutated(name, child, "settings", n, strategy, make, tmp_path, record_property)


ANNOTATIONS = {
    "elan": (".eaf", eaf({"expressions": [(40, 200, "joy"), (1000, 2000, "fear")], "notes": [(1, "tired")]})),
    "boris": (".csv", BORIS_7),
    "textgrid": (".TextGrid", GRID),
    "activitynet": (
        ".json",
        '{"database": {"a": {"duration": 9.5, "annotations": [{"segment": [0.04, 1.5], "label": "joy"}]}}}',
    ),
}
FIELDS = (b"TIME_VALUE", b"TIME_SLOT_REF", b"ANNOTATION_ID", b"TIER_ID", b"<", b">", b"xmin", b"text = ", b"size", b"[")


@pytest.mark.parametrize("form", ANNOTATIONS)
def test_annotations_of_other_tools(form, child, full, tmp_path, record_property):
    suffix, text = ANNOTATIONS[form]

    def make(example, folder):
        path = folder / f"clip{suffix}"
        path.write_bytes(table_bytes(rows_of(text), example) if form == "boris" else edited(text.encode(), example))
        return {"path": str(path), "form": form, "folder": str(folder), "names": [path.name]}

    strategy = csv_examples(("STATE", "POINT", "1.001", "talk.mp4", *WORDS)) if form == "boris" else byte_edits(FIELDS)
    n, name = 1000 if full else 40, f"annotations, {form}"
    check_mutated(name, child, "exchanged", n, strategy, make, tmp_path, record_property)
