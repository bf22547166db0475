"""What the child process of the fuzzer runs on binary files of the pipeline's own, on strangers' weights and AffectNet.

A function returns if the reader accepted the input and gave what stood in the file before it was damaged (in `known`,
an .npz), OTHER where it gave something else that its format cannot tell from the truth, lets its InputError through,
and raises Wrong for a result that cannot be right.
"""

import csv
from pathlib import Path

import numpy as np
from fuzzing import OTHER, Wrong, agree


def images(folder, known, sound):
    """images.probe and images.frames. `known` (.npy): the pictures as numbered; `sound`: frames whose file is whole."""
    from fedn_pipeline.faces import images as reader

    reference = np.load(known)
    info = reader.probe(folder, fps=30, first_number=0)
    shown = list(reader.frames(info))
    agree((len(shown), len(info.damaged), len(info.files)), (info.n_frames,) * 3, "frames")
    for frame, picture in enumerate(shown):
        agree((picture.shape, picture.dtype), ((info.height, info.width, 3), np.dtype(np.uint8)), "picture")
        if frame in sound and reference[frame].shape == picture.shape:
            agree(bool(info.damaged[frame]), False, f"damage of frame {frame}")
            if not np.array_equal(picture, reference[frame]):
                raise Wrong(f"frame {frame} shows another picture than its file")
    info.warnings()
    return f"{info.n_frames} frames, {info.n_damaged} damaged"


def crops(path, known):
    """crops.n_frames, read and read_frames."""
    from fedn_pipeline.faces import crops as reader

    reference = np.load(known)
    found = list(reader.read(path))
    if not Path(path).stat().st_size:  # as of a video left out
        agree((len(found), reader.n_frames(path)), (0, 0), "crops")
        return OTHER
    found = np.stack(found)
    agree(len(found), reader.n_frames(path), "crops")
    some = reader.read_frames(path, [len(found) - 1, 0, len(found) // 2])
    if len(found) != len(reference):
        raise Wrong(f"{len(found)} crops of {len(reference)}")
    same = found.shape == reference.shape and np.array_equal(found, reference)
    if same and not np.array_equal(some, reference[[-1, 0, len(found) // 2]]):
        raise Wrong("crops found by seeking are not those in their order")
    return "the same" if same else OTHER


def cache(path, known):
    """cache.read, read_valid, shape and provenance, of every video."""
    from fedn_pipeline.features import cache as reader

    reference = np.load(known)
    same = True
    for video in ("a", "b"):
        found = reader.read(path, video)
        valid = reader.read_valid(path, video)
        agree(reader.shape(path, video), found.features.shape, "shape")
        agree((found.features.ndim, found.valid.ndim, valid.ndim), (2, 1, 1), "axes")
        same &= found.features.dtype == np.float16 and np.array_equal(found.features, reference[f"{video}_features"])
        same &= np.array_equal(found.valid, reference[f"{video}_valid"]) and np.array_equal(valid, found.valid)
    reader.provenance(path)
    return "the same" if same else OTHER


def predictions(path, known):
    """predictions.read."""
    from fedn_pipeline.training import predictions as reader

    reference = np.load(known)
    roles, names = reader.read(path)
    same = names == ["anger", "fear"] and {role: sorted(videos) for role, videos in roles.items()} == {
        "test": ["v1"],
        "held_out": ["v2"],
    }
    for videos in roles.values():
        for video, raw in videos.items():
            for name in reader.DATASETS:
                same &= np.array_equal(getattr(raw, name), reference.get(f"{video}_{name}", np.empty(0)))
            same &= (raw.fps, raw.n_frames) == (30.0, 100)
    return "the same" if same else OTHER


def checkpoint(path, kind):
    """checkpoint.find for a ResNet18, or one stream of I3D."""
    import torch

    from fedn_pipeline.features import checkpoint as reader
    from fedn_pipeline.features import i3d

    path = Path(path)
    if kind == "resnet18":
        weights, description = reader.read(path)
        agree(weights.keys(), reader._resnet18().keys(), "layers")
    else:
        weights, description = reader.find(path, i3d._networks, i3d._fit(kind), f"{kind} I3D")
    for name, value in weights.items():
        if not torch.isfinite(value).all() or value.layout != torch.strided:
            raise Wrong(f"{name} is not finite")
    return description["found_in"]


def weights(path, known):
    """backbone.read, origin and network of a safetensors file with a few tensors."""
    from fedn_pipeline.features import backbone

    path, reference = Path(path), np.load(known)
    tensors, description = backbone.read(path)
    backbone.origin(path), backbone.network(path)
    same = tensors.keys() == set(reference) and description.get("origin") == "demo stills"
    same = same and all(np.array_equal(value.float().numpy(), reference[name]) for name, value in tensors.items())
    return "the same" if same else OTHER


def resnet18(path):
    """backbone.load: a network with finite values, or a refusal."""
    import torch

    from fedn_pipeline.features import backbone

    network = backbone.load(Path(path))
    found = network(torch.zeros(1, 3, 32, 32))
    if not torch.isfinite(found).all():
        raise Wrong("the network's features are not finite")
    return OTHER


def affectnet(folder, n_whole):
    """affectnet.read: at least `n_whole` pictures, that nobody has touched, with the labels in their names."""
    from fedn_pipeline.features import affectnet as reader

    found = reader.read(Path(folder), 1)
    n = len(found.paths)
    agree((len(found.labels), len(found.training), found.similarities.shape), (n, n, (n, 4)), "lengths")
    for path, label in zip(found.paths, found.labels.tolist(), strict=True):
        agree(0 <= label < len(found.emotions) and path.is_file(), True, "label and picture")
    right = [
        found.emotions[label] == reader.EMOTIONS[int(path.stem.partition("_")[0])]
        for path, label in zip(found.paths, found.labels.tolist(), strict=True)
    ]
    if sum(right) < n_whole:
        raise Wrong(f"{sum(right)} right labels, but {n_whole} pictures were left alone")
    codes = {}
    for path in sorted(Path(folder).glob("*.csv")):
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
            codes |= {row.get("subDirectory_filePath"): row.get("expression") for row in csv.DictReader(file)}
    for path, label in zip(found.paths, found.labels.tolist(), strict=True):
        name = path.relative_to(Path(folder)).as_posix().removeprefix(f"{reader.IMAGES}/")
        if codes.get(name):
            agree(reader.EMOTIONS[int(float(codes[name]))], found.emotions[label], f"label of {name}")
    return "the same" if all(right) else OTHER
