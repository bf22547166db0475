"""A fake FeatureExtraction imitates the real one's faults; what it is asked for is the contract with the real one."""

import json
import sys

import cv2
import numpy as np
import pytest
from openface_files import PX_PER_MM, places, table

from fedn_pipeline import config
from fedn_pipeline.faces import align, alignment, crops, openface_run, openface_shape, source, video
from fedn_pipeline.files import InputError

N = 12
FAKE = """#!{python}
import json, os, sys
arguments = sys.argv[1:]
given = arguments[arguments.index("-f" if "-f" in arguments else "-fdir") + 1]
names = sorted(os.listdir(given)) if os.path.isdir(given) else []
record = dict(arguments=arguments, names=names, cwd=os.getcwd())
record["targets"] = [os.path.realpath(os.path.join(given, name)) for name in names]
json.dump(record, open({record!r}, "w"))
for i in range(500):
    print("Reading the landmark detector", i)
print("attempting to use", given, file=sys.stderr)
rows = open({csv!r}).read()
if rows:
    name = os.path.splitext(os.path.basename(given))[0] + ".csv"
    open(os.path.join(arguments[arguments.index("-out_dir") + 1], name), "w").write(rows)
sys.exit({status})
"""


@pytest.fixture
def fake(tmp_path):
    """Function `(rows, status)` that makes a fake binary writing these rows (text or table); its path."""

    def make(rows, status=0):
        text = rows if isinstance(rows, str) else rows.to_csv(index=False)
        (tmp_path / "rows.txt").write_text(text)
        binary = tmp_path / "bin/FeatureExtraction"
        binary.parent.mkdir(exist_ok=True)
        values = {"python": sys.executable, "csv": str(tmp_path / "rows.txt"), "record": str(tmp_path / "called.json")}
        binary.write_text(FAKE.format(**values, status=status))
        binary.chmod(0o755)
        return binary

    return make


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch, tmp_path):
    monkeypatch.setattr(openface_shape, "INSTALLED", str(tmp_path / "nowhere"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory, write_video, face):
    pictures = [np.roll(face, i, axis=1) for i in range(N)]
    return write_video(tmp_path_factory.mktemp("clip") / "a clip.mp4", pictures, options={"g": "4"})


def options(**chosen):
    chosen = {key: value if isinstance(value, float) else str(value) for key, value in chosen.items()}
    return config.validate({"faces": {"aligner": "openface"}, "openface": chosen})


def called(tmp_path):
    return json.loads((tmp_path / "called.json").read_text())


def test_a_sound_video_is_given_as_it_is(clip, fake, tmp_path):
    paths = tmp_path / "v.csv", tmp_path / "v.mp4"
    summary = align.process(clip, *paths, options(binary=fake(table(N))), progress=False)
    assert summary["aligner"] == "openface" and summary["n_faces"] == N
    assert summary["warnings"] == [openface_shape.STAND_IN]
    arguments = called(tmp_path)["arguments"]
    assert (
        arguments[:2] == ["-f", str(clip)] and arguments[2] == "-out_dir" and arguments[4:] == ["-2Dfp", "-pdmparams"]
    )
    aligned = alignment.read(paths[0])
    assert (aligned["confidence"] == 0.98).all() and crops.n_frames(paths[1]) == N
    scale = 0.7 * 2 / PX_PER_MM
    expected = np.column_stack([np.tile([scale, 0], (N, 1)), 112 - scale * places(N)])
    np.testing.assert_allclose(alignment.similarities(aligned), expected, rtol=1e-4, atol=2e-3)


def test_the_mean_shape_beside_the_binary(clip, fake, tmp_path):
    binary = fake(table(N))
    (binary.parent / "model/pdms").mkdir(parents=True)
    shape = np.zeros((3, 68))
    shape[:2, openface_shape.STABLE] = openface_shape.stand_in().T
    numbers = "\n".join(map(str, shape.ravel()))
    (binary.parent / "model/pdms" / openface_shape.MODEL_FILE).write_text(f"# mean\n204\n1\n6\n{numbers}\n")
    assert openface_run.run(clip, video.probe(clip), "v", options(binary=binary)).warnings == []


def test_a_folder_becomes_links_in_the_order_of_frames(fake, tmp_path, face):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in (2, 3, 10, 11):
        cv2.imwrite(str(folder / f"img{number}.JPG"), face[:, :, ::-1])
    (folder / "img10.JPG").write_bytes(b"\xff\xd8 cut")
    info = source.probe(folder, 30, 1)
    found = openface_run.run(folder, info, "v", options(binary=fake(table(11))))
    record = called(tmp_path)
    assert record["names"] == [f"{frame:08d}.jpg" for frame in range(11)]
    stands = [2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 11]
    assert record["targets"] == [str(folder / f"img{number}.JPG") for number in stands]
    assert np.isfinite(found.similarities).all()  # a frame that is filled counts as one
    (folder / "img2.tif").write_bytes(b"")
    for path in folder.glob("*.JPG"):
        path.unlink()
    cv2.imwrite(str(folder / "img2.tif"), face)
    openface_run.run(folder, source.probe(folder, 30, 1), "v", options(binary=fake(table(2))), progress=False)
    assert called(tmp_path)["names"] == ["00000000.png", "00000001.png"]  # OpenFace reads no tif


def test_a_damaged_video_is_given_as_one_picture_per_frame(clip, fake, tmp_path):
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = b"\xff" * 3000
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    info = video.probe(damaged)
    assert 0 < info.n_damaged < N
    found = openface_run.run(damaged, info, "v", options(binary=fake(table(info.n_frames))), progress=False)
    assert called(tmp_path)["names"] == [f"{frame:08d}.png" for frame in range(info.n_frames)]
    np.testing.assert_array_equal(np.isnan(found.similarities[:, 0]), info.damaged)


@pytest.mark.parametrize(
    ("rows", "status", "message"),
    [
        ("", 0, r"a clip\.mp4: OpenFace wrote 0 csv files, not one"),
        ("", 139, r"OpenFace wrote 0 csv files"),
        (table(N // 2), 0, rf"rows for {N // 2} of the {N} pictures"),
        (table(N).drop(index=[3, 4]), 0, rf"rows for {N - 2} of the {N} pictures"),
        (table(N).to_csv(index=False)[:-40], 0, rf"OpenFace's csv of .*a clip\.mp4: row {N + 1}: \d+ cells"),
        (table(N + 1), 0, rf"frame {N + 1}, but .*a clip\.mp4 has {N} pictures"),
    ],
)
def test_faults_are_told_with_what_openface_said(clip, fake, tmp_path, rows, status, message):
    paths = tmp_path / "out/v.csv", tmp_path / "out/v.mp4"
    with pytest.raises(InputError, match=message) as error:
        align.process(clip, *paths, options(binary=fake(rows, status)), progress=False)
    lines = str(error.value).splitlines()
    assert f"OpenFace ended with status {status} and said last:" in lines and len(lines) <= 14
    assert lines[-1].startswith("  ") and not (tmp_path / "out").exists()


def test_rows_that_are_whole_outweigh_the_exit_status(clip, fake):
    found = openface_run.run(clip, video.probe(clip), "v", options(binary=fake(table(N), status=3)))
    assert np.isfinite(found.similarities).all()
    assert "OpenFace ended with status 3, but its rows are whole" in found.warnings


def test_a_binary_that_cannot_run(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("words")
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    for binary, message in [
        (tmp_path / "gone", "no such program; set openface.binary"),
        ("NoSuchFeatureExtraction", "no such program on the PATH; set openface.binary"),
        (plain, r"not executable \(openface\.binary\)"),
        (tmp_path, "no such program"),
    ]:
        with pytest.raises(InputError, match=message) as error:
            openface_run.program(options(binary=binary)["openface"], [])
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"broken: cannot be started \(openface\.binary\)"):
        openface_run._call([str(broken)], tmp_path)


def test_a_container(clip, fake, tmp_path, monkeypatch):
    binary, image = fake(table(N)), tmp_path / "openface.sif"
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(InputError, match="apptainer is not on the PATH"):
        openface_run.run(clip, video.probe(clip), "v", options(binary=binary, container=image))
    shape = "204 1 6\n" + "\n".join(map(str, range(204)))
    model = binary.parent / "model/pdms" / openface_shape.MODEL_FILE
    model.parent.mkdir(parents=True)
    model.write_text(shape)
    apptainer = tmp_path / "path/apptainer"
    apptainer.parent.mkdir()
    apptainer.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nwhile [ "$1" != "{image}" ]; do shift; done\nshift\nexec "$@"\n'
    )
    apptainer.chmod(0o755)
    monkeypatch.setenv("PATH", f"{apptainer.parent}:/usr/bin:/bin")
    with pytest.raises(InputError, match=r"openface\.sif: no such container image"):
        openface_run.run(clip, video.probe(clip), "v", options(binary=binary, container=image))
    image.write_text("")
    chosen = options(binary=binary, container=image)
    assert (openface_shape.find(chosen["openface"], [])[0][:, 0] == openface_shape.STABLE).all()
    found = openface_run.run(
        clip, video.probe(clip), "v", chosen | {"openface": chosen["openface"] | {"mean_shape": None}}
    )
    assert found.warnings == [] and found.confidence.shape == (N,)
    calls = (tmp_path / "calls").read_text().splitlines()
    bound = next(line for line in calls if "--bind" in line).split()[2]
    assert bound.startswith(f"{clip.parent},") and called(tmp_path)["arguments"][0] == "-f"
