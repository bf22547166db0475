import numpy as np
import pandas as pd
import pytest
from openface_files import table

from fedn_pipeline.faces import openface_csv
from fedn_pipeline.files import InputError


def test_real_csv_with_and_without_blanks(openface_output, tmp_path):
    rows = openface_csv.read(openface_output / "default.csv")
    known = pd.read_csv(openface_output / "default.csv", skipinitialspace=True)
    assert len(rows.number) == 288 and rows.success.all() and rows.line[[0, -1]].tolist() == [2, 289]
    np.testing.assert_array_equal(rows.points[:, 30], known[["x_30", "y_30"]])
    np.testing.assert_array_equal(rows.origin, known[["p_tx", "p_ty"]])
    tight = tmp_path / "tight.csv"
    tight.write_text("\ufeff" + (openface_output / "default.csv").read_text().replace(", ", ",").replace("\n", "\r\n"))
    for name, value in vars(openface_csv.read(tight)).items():
        np.testing.assert_array_equal(value, vars(rows)[name])


def test_real_csv_cut_in_a_line(openface_output, tmp_path):
    data = (openface_output / "default.csv").read_bytes()
    cut = tmp_path / "cut.csv"
    cut.write_bytes(data[: data.index(b"\n200, ") + 300])
    with pytest.raises(
        InputError, match=r"cut\.csv: row 201: \d+ cells, but the header has \d+: the file was cut short"
    ):
        openface_csv.read(cut)


def changed(rows, row, column, value):
    rows = rows.astype(object)
    rows.loc[row, column] = value
    return rows


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: changed(t, 3, "x_5", "12,"), r"row 5: 144 cells, but the header has 143"),
        (lambda t: changed(t, 3, "x_5", "much"), r"row 5: x_5 is no number: 'much'"),
        (lambda t: changed(t, 3, "y_5", "-nan(ind)"), r"row 5: a tracked face, but y_5 is not finite"),
        (lambda t: changed(t, 3, "frame", "3"), r"row 5: frame 3 stands already in row 4"),
        (lambda t: changed(t, 3, "frame", "0"), r"row 5: frame must be a whole number from 1"),
        (lambda t: changed(t, 3, "frame", "inf"), r"row 5: frame must be a whole number from 1"),
        (lambda t: changed(t, 3, "success", "2"), r"row 5: success must be 0 or 1"),
        (lambda t: changed(t, 3, "confidence", "nan"), r"row 5: confidence and face_id must be finite"),
        (
            lambda t: t.drop(columns=["success", "frame"]),
            r"row 1: not OpenFace's csv, columns are absent: frame, success",
        ),
        (
            lambda t: t.drop(columns=["x_7"]),
            r"row 1: the 68 landmarks x_0 \.\.\. y_67 are absent: run OpenFace with -2Dfp",
        ),
        (lambda t: t.iloc[:0], r"OpenFace's csv holds no row"),
        (lambda t: t.assign(**dict.fromkeys(openface_csv.POINTS, 7)), r"row 2: .* landmarks are all one point"),
    ],
)
def test_bad_csv_is_refused(tmp_path, spoil, message):
    rows = spoil(table(6)).map(str)
    path = tmp_path / "bad.csv"
    path.write_text("\n".join(",".join(line) for line in [list(rows.columns), *rows.to_numpy().tolist()]))
    with pytest.raises(InputError, match=r"bad\.csv: " + message):
        openface_csv.read(path)


def test_all_bad_rows_are_listed_and_files_that_are_none(tmp_path):
    rows = table(60).astype(object)
    rows["x_0"] = "x"
    path = tmp_path / "bad.csv"
    rows.to_csv(path, index=False)
    with pytest.raises(InputError) as error:
        openface_csv.read(path)
    lines = str(error.value).splitlines()
    assert len(lines) == 21 and "row 3:" in lines[1] and lines[-1].endswith("and 40 more problems")
    for content in (b"", b"\xff\xfe\x00\x01", b"just words\n"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"bad\.csv"):
            openface_csv.read(path)


def test_lost_faces_may_hold_anything(tmp_path):
    rows = changed(changed(table(3), 1, "success", 0), 1, "x_5", "-nan(ind)")
    rows.to_csv(tmp_path / "a.csv", index=False)
    assert openface_csv.read(tmp_path / "a.csv").success.tolist() == [True, False, True]
