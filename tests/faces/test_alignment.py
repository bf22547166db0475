import numpy as np
import pytest

from fedn_pipeline.faces import alignment
from fedn_pipeline.files import InputError


@pytest.fixture
def table():
    generator = np.random.default_rng(0)
    status = np.array(["tracked", "bridged", "missing", "tracked"])
    points = generator.uniform(0, 640, (4, 68, 2))
    similarities = generator.normal(0, 1, (4, 4)) * [1, 1, 300, 300]
    points[2], similarities[2] = np.nan, np.nan
    return alignment.table(points, similarities, status, np.array([False, True, True, False]))


def test_round_trip(table, tmp_path):
    path = tmp_path / "a.csv"
    alignment.write(path, table)
    back = alignment.read(path)
    assert list(back.columns) == alignment.COLUMNS
    assert back["success"].tolist() == [1, 0, 0, 1] and back["confidence"].tolist() == [1, 0, 0, 1]
    assert back["damaged"].tolist() == [0, 1, 1, 0]
    assert back["status"].tolist() == ["tracked", "bridged", "missing", "tracked"]
    np.testing.assert_allclose(alignment.points(back), alignment.points(table), atol=1e-9)
    # Within a picture of 1920 px, a crop's pixel is placed to a hundredth.
    difference = np.abs(alignment.similarities(back) - alignment.similarities(table))[[0, 1, 3]]
    assert (difference[:, :2] * 1920).max() < 0.02 and difference[:, 2:].max() < 0.01
    assert np.isnan(alignment.similarities(back)[2]).all()


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (lambda t: t.drop(columns=["ty", "x_5"]), "columns are absent: x_5, ty"),
        (lambda t: t.drop(index=1), "row 1: frames must be"),
        (lambda t: t.assign(status="lost"), "row 0: unknown status"),
        (lambda t: t.assign(a=np.nan), "row 0: a frame with a face needs a, b, tx, ty"),
        (lambda t: t.assign(b="much"), "column b must hold numbers"),
    ],
)
def test_bad_tables_are_refused(table, tmp_path, spoil, rule):
    path = tmp_path / "bad.csv"
    spoil(table).to_csv(path, index=False)
    with pytest.raises(InputError, match=rule) as error:
        alignment.read(path)
    assert "bad.csv" in str(error.value)


def test_no_table(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    for name in ("absent.csv", "empty.csv"):
        with pytest.raises(InputError, match=name):
            alignment.read(tmp_path / name)
