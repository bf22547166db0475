"""Mutated binary files: pictures, crops, caches, predictions, weights, AffectNet; none has its checksum beside it.

A flipped byte is refused, or what stood in the file comes out; formats without sums of their own may give other values
here (they are counted), which the checksum beside every file of the pipeline's own tells.
"""

import json
import shutil

import cv2
import h5py
import numpy as np
import pandas as pd
import pytest
import seeds
import torch
from fuzzing import Child, check_mutated
from hypothesis import strategies as st
from mutations import byte_edits, csv_examples, edited, mostly, table_bytes
from safetensors.torch import save_file
from torchvision.models import resnet18

from fedn_pipeline import config, tensor_file
from fedn_pipeline.faces import crops
from fedn_pipeline.features import affectnet, cache, i3d
from fedn_pipeline.training import predictions

HDF5 = (
    b"\x89HDF",
    b"TREE",
    b"SNOD",
    b"HEAP",
    b"OHDR",
    b"OCHK",
    b"FRHP",
    b"GCOL",
    b"features",
    b"valid",
    b"frame_stride",
)
TORCH = (
    b"PK\x03\x04",
    b"PK\x01\x02",
    b"PK\x05\x06",
    b"ctorch",
    b"storage",
    b"\x80\x02",
    b"layer1",
    b"FloatStorage",
    b"cpu",
)
SAFETENSORS = (b'"dtype"', b'"shape"', b'"data_offsets"', b"__metadata__", b"fedn_pipeline", b"origin")
PICTURES = (
    b"\xff\xd8",
    b"\xff\xc0",
    b"\xff\xc4",
    b"\xff\xda",
    b"IHDR",
    b"IDAT",
    b"IEND",
    b"PLTE",
    b"BM",
    b"II*\x00",
    b"\x89PNG",
)
PICTURE_SUFFIXES = (".png", ".jpg", ".bmp", ".tif")
N_PICTURES = 8


@pytest.fixture(scope="module")
def child():
    with Child("file_readers") as child:
        yield child


def count(full, short):
    return 1000 if full else short


def test_folders_of_images(child, full, tmp_path, record_property):
    shown = seeds.pictures(N_PICTURES, 48, 64)
    data = {suffix: [cv2.imencode(suffix, p[..., ::-1])[1].tobytes() for p in shown] for suffix in PICTURE_SUFFIXES}
    for suffix, encoded in data.items():
        decoded = [cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_COLOR)[..., ::-1] for one in encoded]
        np.save(tmp_path / f"known{suffix}.npy", decoded)

    def make(example, folder):
        suffix, damage, absent, strange = example
        images = folder / "clip"
        images.mkdir()
        for i, content in enumerate(data[suffix]):
            if i in absent:
                continue
            content = edited(content, damage[i]) if i in damage else content
            (images / f"{i}{suffix}").write_bytes(content)
        for name in strange:
            (images / name).write_bytes(data[suffix][0])
        sound = [i for i in range(N_PICTURES) if i not in damage and i not in absent]
        known = str(tmp_path / f"known{suffix}.npy")
        return {"folder": str(images), "known": known, "sound": [] if strange else sound, "names": ["clip"]}

    place = st.integers(0, N_PICTURES - 1)
    strange = st.lists(
        st.sampled_from(("9.png", "0.jpeg", "x.png", "007.png", "99999999.png", "a3b.bmp", "\u0665.png"))
    )
    strategy = st.tuples(
        st.sampled_from(PICTURE_SUFFIXES),
        st.dictionaries(place, byte_edits(PICTURES), min_size=1, max_size=3),
        mostly(st.just(set()), st.sets(place, max_size=4), 3),
        mostly(st.just([]), strange, 6),
    )
    n = count(full, 40)
    check_mutated("folders of images", child, "images", n, strategy, make, tmp_path, record_property)


def check_one_file(name, child, function, path, known, n, markers, folder, record, **arguments):
    """A check_mutated on the bytes of one file; the reader gets its path, `known` and `arguments`."""
    data = path.read_bytes()

    def make(edits, inputs):
        changed = inputs / path.name
        changed.write_bytes(edited(data, edits))
        found = {"path": str(changed), "names": [path.name], **arguments}
        return found | ({"known": str(known)} if known else {})

    return check_mutated(name, child, function, n, byte_edits(markers), make, folder, record)


def test_crops(child, full, tmp_path, record_property):
    settings = config.validate({"faces": {"crop_size": 64}})["faces"]
    crops.write(tmp_path / "crops.mp4", seeds.pictures(20, 64, 64), 30, settings | {"keyframe_interval": 5})
    known = tmp_path / "known.npy"
    np.save(known, list(crops.read(tmp_path / "crops.mp4")))
    n = count(full, 40)
    check_one_file("crops", child, "crops", tmp_path / "crops.mp4", known, n, seeds.MARKERS, tmp_path, record_property)


def test_feature_caches(child, full, tmp_path, record_property):
    rng, known = np.random.default_rng(0), {}
    with h5py.File(tmp_path / "net.h5", "w") as file:
        for video in ("a", "b"):
            features, valid = rng.normal(size=(90, 16)).astype(np.float16), np.arange(90) % 7 != 0
            attributes = {"weights_sha256": "w", "precision": "fp32", "version": "0", "frame_stride": 1}
            cache.write_group(file, video, cache.Features(features, valid, attributes))
            known |= {f"{video}_features": features, f"{video}_valid": valid}
    np.savez(tmp_path / "known.npz", **known)
    files = tmp_path / "net.h5", tmp_path / "known.npz"
    check_one_file("feature caches", child, "cache", *files, count(full, 40), HDF5, tmp_path, record_property)


def test_predictions(child, full, tmp_path, record_property):
    rng, known, roles = np.random.default_rng(0), {}, {}
    for role, video in (("test", "v1"), ("held_out", "v2")):
        arrays = {
            "starts": np.arange(0, 60, 20),
            "intervals": rng.normal(size=(3, 12, 2)).astype(np.float32),
            "logits": rng.normal(size=(3, 12, 3)).astype(np.float32),
            "valid": np.arange(100) % 7 != 0,
        }
        roles[role] = {video: predictions.RawPredictions(**arrays, fps=30.0, n_frames=100)}
        known |= {f"{video}_{name}": array for name, array in arrays.items()}
    predictions.write(tmp_path / "predictions.h5", roles, ["anger", "fear"])
    (tmp_path / "predictions.h5.sha256").unlink()
    np.savez(tmp_path / "known.npz", **known)
    files = tmp_path / "predictions.h5", tmp_path / "known.npz"
    check_one_file("predictions", child, "predictions", *files, count(full, 40), HDF5, tmp_path, record_property)


def light(tensors):
    """The same shapes, each tensor one number repeated: a checkpoint of some kilobytes, all of it structure."""
    return {name: torch.full((1,), 0.5).expand(v.shape) if v.is_floating_point() else v for name, v in tensors.items()}


@pytest.mark.parametrize("kind", ["resnet18", "rgb"])
def test_checkpoints(kind, child, full, tmp_path, record_property):
    with torch.device("meta"):
        tensors = resnet18().state_dict() if kind == "resnet18" else i3d.build(3).state_dict()
    plain = light({name: torch.zeros_like(value, device="cpu") for name, value in tensors.items()})
    contents = {
        "plain.pth": plain,
        "wrapped.pth.tar": {"epoch": 3, "state_dict": {f"module.{name}": v for name, v in plain.items()}},
    }
    data = {}
    for name, content in contents.items():
        for old in (False, True):
            torch.save(content, tmp_path / name, _use_new_zipfile_serialization=not old)
            data[f"{'old_' if old else ''}{name}"] = (tmp_path / name).read_bytes()

    def make(example, folder):
        name, edits = example
        (folder / name).write_bytes(edited(data[name], edits))
        return {"path": str(folder / name), "kind": kind, "names": [name]}

    strategy, n = st.tuples(st.sampled_from([*data]), byte_edits(TORCH)), count(full, 25)
    name = "checkpoints, ResNet18" if kind == "resnet18" else "checkpoints, I3D"
    check_mutated(name, child, "checkpoint", n, strategy, make, tmp_path, record_property)


def test_safetensors(child, full, tmp_path, record_property):
    rng = np.random.default_rng(0)
    known = {"conv1.weight": rng.normal(size=(4, 3)).astype(np.float32), "bn1.bias": np.ones(3, np.float32)}
    tensors = {name: torch.from_numpy(value) for name, value in known.items()}
    tensor_file.save(tmp_path / "weights.safetensors", tensors, {"origin": "demo stills", "version": "0"})
    (tmp_path / "weights.safetensors.sha256").unlink()
    np.savez(tmp_path / "known.npz", **known)
    files = tmp_path / "weights.safetensors", tmp_path / "known.npz"
    n = count(full, 40)
    check_one_file("safetensors", child, "weights", *files, n, SAFETENSORS, tmp_path, record_property)


def test_weights_of_a_resnet18(child, full, tmp_path, record_property):
    """A whole file of 22 MB, of which only the header is changed: names, types, shapes and places of its tensors."""
    torch.manual_seed(0)
    tensors = {name: value for name, value in resnet18().half().state_dict().items() if not name.startswith("fc.")}
    path = tmp_path / "resnet18.safetensors"
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    path.unlink()

    def make(example, folder):
        name, key, value = example
        changed = json.loads(json.dumps(header))
        changed[name][key] = value
        text = json.dumps(changed).encode()
        (folder / path.name).write_bytes(len(text).to_bytes(8, "little") + text + body)
        return {"path": str(folder / path.name), "names": [path.name]}

    dtype = st.tuples(st.just("dtype"), st.sampled_from(("I16", "BF16", "U16", "F32", "F8_E4M3", "BOOL", "X")))
    shape = st.tuples(st.just("shape"), st.lists(st.integers(-1, 600), max_size=5))
    offsets = st.tuples(st.just("data_offsets"), st.lists(st.integers(-1, len(body) + 9), max_size=3))
    strategy = st.tuples(st.sampled_from(sorted(header)), st.one_of(dtype, shape, offsets)).map(lambda e: (e[0], *e[1]))
    n = 200 if full else 10
    check_mutated("a ResNet18's weights", child, "resnet18", n, strategy, make, tmp_path, record_property)


def write_affectnet(folder, newer):
    """Twelve pictures, `CODE_NUMBER.jpg`, in the newer or the older layout."""
    header, rows = list(affectnet.COLUMNS), {"training": [], "validation": []}
    for number in range(12):
        code, name = number % 8, ("training", "validation")[number % 3 == 2]
        place = folder / {"training": "train_set", "validation": "val_set"}[name]
        stem = f"{code}_{number}"
        picture = np.full((64, 64, 3), 20 * code, np.uint8)
        images = place / "images" if newer else folder / affectnet.IMAGES / "1"
        images.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(images / f"{stem}.jpg"), picture)
        points = np.random.default_rng(number).uniform(5, 60, 136).round(1)
        if newer:
            (place / "annotations").mkdir(exist_ok=True)
            np.save(place / f"annotations/{stem}_exp.npy", np.array(str(code)))
            np.save(place / f"annotations/{stem}_lnd.npy", points.astype(str))
        rows[name].append([f"1/{stem}.jpg", 5, 5, 50, 50, ";".join(map(str, points)), code, 0.1, 0.2])
    return {name: [header, *some] for name, some in rows.items()}


def test_affectnet(child, full, tmp_path, record_property):
    newer, older = tmp_path / "newer", tmp_path / "older"
    write_affectnet(newer, newer=True)
    rows = write_affectnet(older, newer=False)
    for name, table in rows.items():
        pd.DataFrame(table[1:], columns=table[0]).to_csv(older / f"{name}.csv", index=False)
    paths = sorted(path.relative_to(newer) for path in newer.rglob("*") if path.is_file())

    def make(example, folder):
        table, damage = example
        root = folder / "affectnet"
        shutil.copytree(older if table is not None else newer, root)
        if table is not None:
            (root / "training.csv").write_bytes(table_bytes(rows["training"], table))
            return {"folder": str(root), "n_whole": 4, "names": ["affectnet"]}
        for i, edits in damage.items():
            path = root / paths[i % len(paths)]
            path.write_bytes(edited(path.read_bytes(), edits))
        return {"folder": str(root), "n_whole": 12 - len(damage), "names": ["affectnet"]}

    damage = st.dictionaries(
        st.integers(0, 100), byte_edits((b"NUMPY", b"descr", b"shape", *PICTURES)), min_size=1, max_size=3
    )
    strategy = st.one_of(st.tuples(csv_examples((0, 3, 8, 10)), st.none()), st.tuples(st.none(), damage))
    n = count(full, 30)
    check_mutated("AffectNet", child, "affectnet", n, strategy, make, tmp_path, record_property)
