import numpy as np
import pandas as pd
import pytest
from openface_files import write_shape

from fedn_pipeline.faces import geometry, openface_csv, openface_shape
from fedn_pipeline.faces.openface_shape import STABLE
from fedn_pipeline.files import InputError


@pytest.fixture
def folder(tmp_path):
    """A folder with a mean shape in it."""
    (tmp_path / "of").mkdir()
    write_shape(tmp_path / "of")
    return tmp_path / "of"


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch, tmp_path):
    """A real OpenFace on this machine must not take part."""
    monkeypatch.setattr(openface_shape, "INSTALLED", str(tmp_path / "nowhere"))


def test_mean_shape_of_a_model_file(tmp_path):
    points = np.random.default_rng(0).normal(0, 40, (68, 3)).round(4)
    numbers = "\n".join(f"{value}" for value in points.T.ravel())
    text = f"# The mean values of the components (centred)\n204\n1\n6\n{numbers}\n# next\n204\n34\n6\n1 2 3\n"
    path = tmp_path / openface_shape.MODEL_FILE
    path.write_text(text)
    np.testing.assert_array_equal(openface_shape.read(path), points[STABLE, :2])
    for bad in (text.replace("204\n1\n", "198\n1\n", 1), text[:600], "", "204 1 6 a b"):
        path.write_text(bad)
        with pytest.raises(InputError, match=r"PDM_68\.txt: not OpenFace's point distribution model"):
            openface_shape.read(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop(columns="y_mm"), "row 1: columns of the mean shape are absent: y_mm"),
        (lambda t: t.drop(index=0), "points of the mean shape are absent: 1"),
        (lambda t: t.replace({"point": {2: 1}}), "row 3: each point must stand there once"),
        (lambda t: t.assign(x_mm="wide"), "row 2: each point must stand there once, with numbers"),
    ],
)
def test_bad_mean_shapes_are_refused(folder, spoil, message):
    path = folder / openface_shape.SHAPE_CSV
    spoil(pd.read_csv(path)).to_csv(path, index=False)
    with pytest.raises(InputError, match=message):
        openface_shape.read(path)


def test_where_the_mean_shape_is_looked_for(folder, tmp_path):
    binary = tmp_path / "openface/bin/FeatureExtraction"
    models = [tmp_path / "openface/etc/OpenFace/model/pdms", tmp_path / "openface/bin/model/pdms", tmp_path / "csv"]
    chosen = {"mean_shape": None, "container": None, "binary": str(binary)}
    link = tmp_path / "link"
    binary.parent.mkdir(parents=True)
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    link.symlink_to(binary)
    shape, note = openface_shape.find(chosen, [])
    assert note == openface_shape.STAND_IN and np.array_equal(shape, openface_shape.stand_in())
    for size, place in enumerate(models, start=1):  # each found is preferred to the one before
        place.mkdir(parents=True)
        values = "\n".join(str(size * i) for i in range(204))
        (place / openface_shape.MODEL_FILE).write_text(f"204 1 6\n{values}\n")
        shape, note = openface_shape.find(chosen | {"binary": str(link)}, [tmp_path / "csv"])
        assert note is None and (shape[:, 0] == size * STABLE).all()
    given = folder / openface_shape.SHAPE_CSV
    shape, _ = openface_shape.find(chosen | {"mean_shape": str(given)}, [tmp_path / "csv"])
    np.testing.assert_allclose(shape, openface_shape.stand_in())
    with pytest.raises(InputError, match="gone"):
        openface_shape.find(chosen | {"mean_shape": str(tmp_path / "gone.txt")}, [])


def test_stand_in_lies_close_to_openface(openface_output):
    rows = openface_csv.read(openface_output / "default.csv")
    own, other = openface_shape.read(openface_output / "mean_shape_24.csv"), openface_shape.stand_in()
    distances = []
    for points, origin in zip(rows.points, rows.origin, strict=True):
        pair = [geometry.openface_similarity(points, shape, STABLE, origin, 112) for shape in (own, other)]
        distances.append(geometry.corner_distance(*pair, 112))
    assert np.mean(distances) < 0.1 and np.max(distances) < 0.5
