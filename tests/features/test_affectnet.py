"""AffectNet in exactly its two layouts, on a small set: labels, framing, damage, and the pretraining on it."""

import cv2
import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open

from fedn_pipeline import config
from fedn_pipeline.faces import geometry
from fedn_pipeline.faces.landmarks import canonical_face, to_ibug
from fedn_pipeline.features import affectnet, framing, pretrain, stills
from fedn_pipeline.files import InputError

HEADER = list(affectnet.COLUMNS)
SIDE = 120
CODES = [0, 1, 2, 3, 4, 5, 6, 7]
COLOURS = {code: np.array([40 + 180 * (code & 1), 40 + 90 * (code & 2), 40 + 45 * (code & 4)]) for code in CODES}
TARGETS = to_ibug(canonical_face()[0])[:, :2] * framing.CROP_SIDES_PER_CM + [0.5, framing.ORIGIN_HEIGHT]


def face(code, seed):
    """A `SIDE` px picture BGR whose crop (a turned square) has the code's colour, and its 68 landmarks `[68, 2]` px."""
    rng = np.random.default_rng(seed)
    angle, side = rng.uniform(-0.3, 0.3), rng.uniform(50, 70)
    turn = np.exp(1j * angle) * side
    middle = complex(*rng.uniform(55, 65, 2))
    points = (TARGETS[:, 0] - 0.5 + 1j * (TARGETS[:, 1] - 0.5)) * turn + middle
    corners = np.array([-0.5 - 0.5j, 0.5 - 0.5j, 0.5 + 0.5j, -0.5 + 0.5j]) * turn * 1.05 + middle
    picture = np.full((SIDE, SIDE, 3), 255, dtype=np.uint8)
    polygon = np.rint(np.stack([corners.real, corners.imag], axis=1)).astype(np.int32)
    cv2.fillPoly(picture, [polygon], COLOURS[code % 8].tolist())
    return picture, np.stack([points.real, points.imag], axis=1)


def write_older(folder, train=4, validation=1, lists="Manually_Annotated_file_lists", codes=(*CODES, 8, 9, 10)):
    """CSV lists of the manual annotations; pictures in numbered folders."""
    for name, count in (("training", train), ("validation", validation)):
        rows = []
        for number in range(count * len(codes)):
            code = codes[number % len(codes)]
            picture, points = face(code, number + (1000 if name == "training" else 2000))
            path = f"{number % 3 + 1}/{name[0]}{number:032x}.jpg"
            (folder / affectnet.IMAGES / path).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / affectnet.IMAGES / path), picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
            landmarks = ";".join(f"{value:.2f}" for value in points.ravel())
            rows.append((path, 10, 10, 100, 100, landmarks, code, -2 if code > 7 else 0.1, -2 if code > 7 else 0.2))
        (folder / lists).mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows, columns=HEADER).to_csv(folder / lists / f"{name}.csv", index=False)


def write_newer(folder, train=4, validation=1, codes=CODES):
    """train_set and val_set with a folder of pictures and one of NumPy files that hold texts."""
    for name, count in (("train_set", train), ("val_set", validation)):
        for part in ("images", "annotations"):
            (folder / name / part).mkdir(parents=True)
        for number in range(count * len(codes)):
            code = codes[number % len(codes)]
            picture, points = face(code, number + (1000 if name == "train_set" else 2000))
            cv2.imwrite(str(folder / name / f"images/{number}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
            annotation = folder / name / "annotations"
            np.save(annotation / f"{number}_exp.npy", np.array(str(code)))
            for part in ("val", "aro"):
                np.save(annotation / f"{number}_{part}.npy", np.array("0.1"))
            texts = points.ravel().astype("<U18")
            np.save(annotation / f"{number}_lnd.npy", texts if number % 2 else points.ravel())


LAYOUTS = {"older": write_older, "newer": write_newer}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_labels_split_and_framing(layout, tmp_path):
    LAYOUTS[layout](tmp_path)
    table = affectnet.read(tmp_path, 1)
    assert table.emotions == list(affectnet.EMOTIONS) and table.origin == "AffectNet"
    assert np.bincount(table.labels[table.training]).tolist() == [4] * 8
    assert np.bincount(table.labels[~table.training]).tolist() == [1] * 8
    assert table.notes["framed_by"] == {"landmarks": 40, "face box": 0, "whole picture": 0}
    dropped = {"older": 5, "newer": 0}[layout]
    assert table.notes["without_emotion"] == {"none": dropped, "uncertain": dropped, "no face": dropped}
    for path, similarity, label in zip(table.paths, table.similarities, table.labels, strict=True):
        crop = stills.picture(path, similarity, 40)
        # the turned square fills the crop to its corners: nothing of the white around it is seen
        assert np.abs(crop.astype(int) - COLOURS[label][::-1]).mean() < 6


@pytest.mark.parametrize(("layout", "steps"), [("older", 30), ("newer", 2)])
def test_pretrain(layout, steps, tmp_path):
    LAYOUTS[layout](tmp_path)
    settings = {"pretrain": {"steps": steps, "initial": "random"}, "backbone": {"input_size": 32}}
    log = pretrain.run(tmp_path, tmp_path / "w.safetensors", config.validate(settings))
    assert np.sum(log["confusion"]) == 8 and log["emotions"] == list(affectnet.EMOTIONS)
    assert log["validation_accuracy"] >= 0.5 or steps == 2
    with safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        assert '"origin": "AffectNet"' in file.metadata()["fedn_pipeline"]
        assert str(tmp_path) not in file.metadata()["fedn_pipeline"]


@pytest.mark.parametrize("lists", [".", "lists", "Manually_Annotated/Manually_Annotated_file_lists", affectnet.IMAGES])
def test_lists_are_found_by_content(lists, tmp_path):
    write_older(tmp_path, train=1, lists=lists)
    (tmp_path / lists / "automatically_annotated.csv").write_text(",".join(HEADER) + "\n")
    (tmp_path / lists / "training_notes.csv").write_text("note\nnothing\n")
    if lists != "lists":
        assert len(affectnet.read(tmp_path, 1).paths) == 16
        return
    path = tmp_path / lists / "validation.csv"  # copies without a header are about
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    assert len(affectnet.read(tmp_path, 1).paths) == 16


def test_pictures_without_landmarks_are_framed_by_the_box_or_taken_whole(tmp_path):
    write_older(tmp_path)
    path = tmp_path / "Manually_Annotated_file_lists/training.csv"
    table = pd.read_csv(path, dtype=str)
    for row, landmarks in enumerate(["NULL", "", ";".join(["-2"] * 136), "1;2;3", ";".join(["1e5", "2e5"] * 68)]):
        table.loc[row, "facial_landmarks"] = landmarks
    table.loc[1, ["face_x", "face_y", "face_width", "face_height"]] = "NULL"
    table.loc[2, ["face_x", "face_y", "face_width", "face_height"]] = ["20", "30", "60", "40"]
    table.to_csv(path, index=False)
    found = affectnet.read(tmp_path, 1)
    assert found.notes["framed_by"] == {"landmarks": 35, "face box": 4, "whole picture": 1}
    assert np.isnan(found.similarities[1]).all()
    corners = geometry.transform(geometry.inverse(found.similarities[2]), np.array([[0.0, 0.0], [1.0, 1.0]]))
    assert corners.tolist() == [pytest.approx([20, 20]), pytest.approx([80, 80])]  # the square around the box's middle
    picture = cv2.imread(str(found.paths[1]))
    assert np.array_equal(stills.picture(found.paths[1], found.similarities[1], SIDE), picture[..., ::-1])


def test_newer_layout_without_landmarks(tmp_path):
    write_newer(tmp_path, train=1)
    for path in (tmp_path / "train_set/annotations").glob("*_lnd.npy"):
        path.unlink()
    assert affectnet.read(tmp_path, 1).notes["framed_by"] == {"landmarks": 8, "face box": 0, "whole picture": 8}


def test_bad_rows_are_all_named(tmp_path):
    write_older(tmp_path)
    lists = tmp_path / "Manually_Annotated_file_lists"
    training, validation = (pd.read_csv(lists / f"{name}.csv", dtype=str) for name in ("training", "validation"))
    first = training.subDirectory_filePath
    training.loc[3, "expression"], training.loc[5, "expression"] = "11", "happy"
    training.loc[6, "subDirectory_filePath"] = "../../../etc/passwd"
    training.loc[9, "subDirectory_filePath"] = "/etc/passwd"
    training.loc[12, "subDirectory_filePath"] = first[13]
    validation.loc[0, "subDirectory_filePath"] = first[0]
    training.to_csv(lists / "training.csv", index=False)
    validation.to_csv(lists / "validation.csv", index=False)
    with pytest.raises(InputError) as error:
        affectnet.read(tmp_path, 1)
    lines = str(error.value).splitlines()
    expected = [
        "training.csv: row 5: expression 11", "training.csv: row 7: expression happy", "training.csv: row 8: path",
        "training.csv: row 11: path", f"{first[13]}: listed twice",
        f"{first[0]}: listed for training and for validation",
    ]  # fmt: skip
    assert len(lines) == len(expected) and all(text in line for text, line in zip(expected, lines, strict=True))


def test_a_few_damaged_files_are_left_out_and_named(tmp_path, capsys):
    write_newer(tmp_path)
    (tmp_path / "train_set/images/4.jpg").write_bytes(b"")
    (tmp_path / "train_set/images/9.jpg").unlink()
    np.save(tmp_path / "train_set/annotations/12_exp.npy", np.array("3", dtype=object), allow_pickle=True)
    found = affectnet.read(tmp_path, 1)
    assert len(found.paths) == 37
    reasons = dict(line.split(": ", 1) for line in found.notes["left_out"])
    assert reasons["train_set/images/4.jpg"] == "not a readable picture"
    assert reasons["train_set/images/9.jpg"] == "no such picture"
    assert "pickled objects" in reasons["train_set/annotations/12_exp.npy"]
    assert "3 of 40 pictures left out" in capsys.readouterr().out


def test_many_damaged_files_are_an_error(tmp_path):
    write_newer(tmp_path)
    for number in range(4):
        (tmp_path / f"train_set/annotations/{number}_exp.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "val_set/annotations/0_exp.npy").unlink()
    with pytest.raises(InputError, match=r"(?s)5 of 40 pictures cannot be used:\n.*0_exp\.npy: not an array"):
        affectnet.read(tmp_path, 1)


class Payload:
    def __reduce__(self):
        return open, (Payload.target, "w")


def test_pickled_annotations_are_not_run(tmp_path):
    write_newer(tmp_path)
    Payload.target = str(tmp_path / "was_run")
    for part in ("exp", "lnd"):
        np.save(tmp_path / f"train_set/annotations/0_{part}.npy", np.array([Payload()]), allow_pickle=True)
    assert len(affectnet.read(tmp_path, 1).paths) == 39
    assert not (tmp_path / "was_run").exists()


def test_no_layout_both_and_half(tmp_path):
    with pytest.raises(InputError, match="no stills: neither"):
        pretrain.read(tmp_path, None, 1)
    write_older(tmp_path, train=1)
    (tmp_path / "Manually_Annotated_file_lists/validation.csv").rename(tmp_path / "valid.txt")
    assert affectnet.layouts(tmp_path) == {}
    (tmp_path / "valid.txt").rename(tmp_path / "validation.csv")
    assert len(pretrain.read(tmp_path, None, 1).paths) == 16
    with pytest.raises(InputError, match="AffectNet has no photograph `a`"):
        pretrain.read(tmp_path, "a", 1)
    write_newer(tmp_path, train=1)
    with pytest.raises(InputError, match="both layouts of AffectNet"):
        pretrain.read(tmp_path, None, 1)


def test_framing_by_landmarks_is_openfaces(shared_data):
    """On the 288 frames from which its two numbers were fitted; a turned head is where a rigid fit differs most."""
    found = pd.read_csv(shared_data / "openface_default/default.csv", skipinitialspace=True)
    shape = pd.read_csv(shared_data / "openface_default/mean_shape_24.csv")
    assert sorted(shape.point) == framing.RIGID
    points = found[[f"{axis}_{n}" for n in range(68) for axis in "xy"]].to_numpy()
    distances = []
    for numbers, origin in zip(points, found[["p_tx", "p_ty"]].to_numpy(), strict=True):
        reference = geometry.openface_similarity(
            numbers.reshape(68, 2), shape[["x_mm", "y_mm"]], shape.point, origin, SIDE
        )
        ours = framing.landmark_similarity(numbers) * SIDE
        distances.append(geometry.corner_distance(reference, ours, SIDE) / SIDE)
    assert len(distances) == 288 and np.mean(distances) < 0.007 and np.max(distances) < 0.025
