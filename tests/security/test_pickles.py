"""No file of foreign origin runs code: each door that reads one is given a pickle that would leave a mark."""

import pickle

import h5py
import numpy as np
import pytest
import torch

from fedn_pipeline import cli
from fedn_pipeline.features import cache
from fedn_pipeline.files import InputError
from fedn_pipeline.training import predictions


class Payload:
    """Unpickling one creates the file `mark`."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return open, (self.mark, "w")


@pytest.fixture
def mark(tmp_path):
    return tmp_path / "code_was_run"


def test_the_payload_works(mark):
    pickle.loads(pickle.dumps(Payload(mark)))
    assert mark.is_file()


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pth.tar", ".bin", ".safetensors", ".npz", ".h5", ".pkl"])
@pytest.mark.parametrize("form", ["zip", "legacy", "plain"])
def test_checkpoints(tmp_path, mark, suffix, form, capsys):
    """Whatever the suffix says, and however it was pickled; for a ResNet18 and for I3D's two files."""
    path, content = tmp_path / f"weights{suffix}", {"state_dict": {"conv1.weight": torch.zeros(1)}, "x": Payload(mark)}
    if form == "plain":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    out = tmp_path / "out.safetensors"
    for command in (["--checkpoint", str(path)], ["--i3d", str(path), str(path)]):
        assert cli.main(["backbone", *command, "--out", str(out)]) == 2
        assert f"{path}: " in capsys.readouterr().err
    assert not mark.exists() and not out.exists()


def _as_numbers(name, make):
    """An HDF5 file of the pipeline's layout in which `make(group)` has written `name`; the other arrays are sound."""

    def write(path, groups, shapes):
        with h5py.File(path, "w") as file:
            file.attrs["classes"] = ["anger"]
            for place in groups:
                group = file.create_group(place)
                group.attrs.update({"frame_stride": 1, "fps": 30.0, "n_frames": 4})
                for other, shape in shapes.items():
                    if other != name:
                        group.create_dataset(other, data=np.zeros(shape, np.float32))
                make(group, name)

    return write


def _objects(mark):
    """Every way in which HDF5 can hold something that is no array of numbers."""
    pickled = pickle.dumps(Payload(mark))

    def texts(group, name):
        group.create_dataset(name, data=[pickled.decode("latin1").replace("\0", "0")] * 4, dtype=h5py.string_dtype())

    def opaque(group, name):
        group.create_dataset(name, data=np.void(pickled))

    def variable(group, name):
        array = group.create_dataset(name, (4,), dtype=h5py.vlen_dtype(np.uint8))
        array[0] = np.frombuffer(pickled, np.uint8)

    def references(group, name):
        group.create_dataset(name, data=[group.ref] * 4, dtype=h5py.ref_dtype)

    def external(group, name):
        mark.with_name("secret").write_bytes(pickled.ljust(4096))
        place = [(str(mark.with_name("secret")), 0, 4096)]
        group.create_dataset(name, (4, 256), dtype=np.float32, external=place)

    def link(group, name):
        with h5py.File(mark.with_name("other.h5"), "w") as other:
            other["x"] = np.zeros((4, 4), np.float32)
        group[name] = h5py.ExternalLink(str(mark.with_name("other.h5")), "/x")

    def soft_link(group, name):
        group[name] = h5py.SoftLink("/nowhere")

    def virtual(group, name):
        with h5py.File(mark.with_name("other.h5"), "w") as other:
            other["x"] = np.zeros((4, 4), np.float32)
        layout = h5py.VirtualLayout((4, 4), np.float32)
        layout[:] = h5py.VirtualSource(str(mark.with_name("other.h5")), "x", (4, 4))
        group.create_virtual_dataset(name, layout)

    return [texts, opaque, variable, references, external, link, soft_link, virtual]


@pytest.mark.parametrize("number", range(8))
def test_hdf5(tmp_path, mark, number):
    make, path = _objects(mark)[number], tmp_path / "foreign.h5"
    _as_numbers("features", make)(path, ["v1"], {"valid": (4,)})
    with pytest.raises(InputError, match=r"foreign.h5: /v1/features is no array of numbers"):
        cache.read(path, "v1")
    shapes = {"starts": (1,), "intervals": (1, 2, 2), "valid": (4,)}
    _as_numbers("logits", make)(path, ["test/v1"], shapes)
    with pytest.raises(InputError, match=r"foreign.h5: /test/v1/logits is no array of numbers"):
        predictions.read(path)
    assert not mark.exists()


def test_annotations_of_affectnet(tmp_path, mark, capsys):
    """npy with objects, and an npz under the name of an npy."""
    folder = tmp_path / "affectnet/train_set"
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for number, save in enumerate((np.save, np.savez)):
        (folder / f"images/{number}.jpg").write_bytes(b"x")
        with open(folder / f"annotations/{number}_exp.npy", "wb") as file:
            save(file, np.array([Payload(mark)], dtype=object))
    assert (
        cli.main(["pretrain", "--stills", str(tmp_path / "affectnet"), "--out", str(tmp_path / "w.safetensors")]) == 2
    )
    assert "affectnet" in capsys.readouterr().err
    assert not mark.exists()


def test_the_package_has_no_other_door():
    """Nothing in the package unpickles, evaluates text or calls a shell."""
    import ast

    from fedn_pipeline.sources import PACKAGE

    forbidden = {"eval", "exec", "compile", "pickle.load", "pickle.loads", "os.system", "os.popen", "torch.jit.load"}
    forbidden |= {"np.load", "pd.read_pickle", "pd.read_hdf", "joblib.load", "yaml.load", "yaml.unsafe_load"}
    allowed = {("config.py", "yaml.load")}  # with the safe loader, asserted below
    found, loads = set(), []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name, given = ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
                found |= {(path.name, name)} if name in forbidden else set()
                loads += (
                    [given.get("weights_only")] if name in ("torch.load", "torch.hub.load_state_dict_from_url") else []
                )
                assert given.get("shell", "False") == "False", f"{path}: {ast.unparse(node)}"
                assert given.get("allow_pickle", "False") == "False", f"{path}: {ast.unparse(node)}"
    assert found == allowed
    assert loads and set(loads) == {"True"}
    assert "SafeLoader" in (PACKAGE / "config.py").read_text(encoding="utf-8").split("yaml.load(", 1)[1][:80]
