import cv2
import numpy as np
import pandas as pd
import pytest
from openface_files import PX_PER_MM, places, table, write_shape, write_table

from fedn_pipeline import config
from fedn_pipeline.faces import align, alignment, crops, geometry, openface, openface_csv, openface_shape, source, video
from fedn_pipeline.files import InputError

N = 20  # frames of the synthetic source
SIZE = 224
WITH_PICTURES = [0, 1, 49, 99, 149, 199, 219, 287]  # frames of default.wmv whose crops by OpenFace are there


@pytest.fixture
def folder(tmp_path):
    """A folder for OpenFace's output, with a mean shape in it."""
    (tmp_path / "of").mkdir()
    write_shape(tmp_path / "of")
    return tmp_path / "of"


@pytest.fixture(scope="module")
def clip(tmp_path_factory, write_video, face):
    """A video of N frames, 360 x 240 px."""
    pictures = np.full((N, 240, 360, 3), 120, dtype=np.uint8)
    pictures[:, :, :240] = face
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", list(pictures), options={"g": "5"})


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch, tmp_path):
    """A real OpenFace on this machine must not take part."""
    monkeypatch.setattr(openface_shape, "INSTALLED", str(tmp_path / "nowhere"))


def options(aligner="openface_output", **chosen):
    return config.validate(
        {"faces": {"aligner": aligner}, "openface": {key: str(path) for key, path in chosen.items()}}
    )


def process(path, out, settings, name="clip", **axis):
    """Run the stage; summary, alignment table and crops."""
    paths = out / f"alignment/{name}.csv", out / f"crops/{name}{crops.CROPS_SUFFIX}"
    summary = align.process(path, *paths, settings, progress=False, **axis)
    return summary, alignment.read(paths[0]), np.stack(list(crops.read(paths[1])))


def expected(at):
    """Similarity that puts the synthetic face's origin on the crop's centre."""
    scale = 0.7 * SIZE / 112 / PX_PER_MM
    return np.array([scale, 0, SIZE / 2 - scale * at[0], SIZE / 2 - scale * at[1]])


def psnr(one, other):
    return 10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2))


def test_real_csv_with_rows_removed(openface_output, shared_data, tmp_path):
    lines = (openface_output / "default.csv").read_text().splitlines()
    path, film = tmp_path / "default.csv", shared_data / "real_videos/default.wmv"
    path.write_text("\n".join(lines[:100] + lines[104:]) + "\n")
    info, settings = video.probe(film), options(output=tmp_path, mean_shape=openface_output / "mean_shape_24.csv")
    found = openface.from_output(film, info, "default", settings)
    whole = openface.from_output(film, info, "default", options(output=openface_output))
    absent = np.isnan(found.similarities[:, 0])
    assert np.flatnonzero(absent).tolist() == [99, 100, 101, 102] and found.confidence[99] == 0
    np.testing.assert_array_equal(found.similarities[~absent], whole.similarities[~absent])
    assert found.warnings == [f"{path}: 4 of 288 pictures have no row: no face there"] and whole.warnings == []
    path.write_text("\n".join(lines[:250]) + "\n")
    with pytest.raises(InputError, match=r"rows for 249 of the 288 pictures .*in row 250: OpenFace stopped early"):
        openface.from_output(film, info, "default", settings)


def test_crops_are_openfaces_own(openface_output, shared_data, tmp_path):
    film = shared_data / "real_videos/default.wmv"
    summary, aligned, stored = process(film, tmp_path, options(output=openface_output), "default")
    assert summary["aligner"] == "openface_output" and summary["n_faces"] == 288 and summary["warnings"] == []
    assert (
        aligned["confidence"] == pd.read_csv(openface_output / "default.csv", skipinitialspace=True)["confidence"]
    ).all()
    cut = crops.warped(video.frames(film), alignment.similarities(aligned), SIZE)
    for frame, (crop, kept) in enumerate(zip(cut, stored, strict=True)):
        assert psnr(kept, crop) > 45
        if frame in WITH_PICTURES:
            theirs = cv2.imread(str(openface_output / f"default_aligned/frame_det_00_{frame + 1:06d}.bmp"))[:, :, ::-1]
            assert np.abs(crop.astype(float) - theirs).mean() < 0.2  # 0.05 to 0.08 measured
            assert psnr(kept, theirs) > 45  # 49.2 to 54.0


def test_real_crops_whose_video_is_gone(openface_output, tmp_path):
    pictures = openface_output / "default_aligned"
    summary, aligned, stored = process(pictures, tmp_path, options(), "any", fps=15, first_number=1)
    assert (summary["n_frames"], summary["n_faces"], summary["n_missing"]) == (288, 8, 280)
    assert np.flatnonzero(aligned["status"] == "tracked").tolist() == WITH_PICTURES
    rows = openface_csv.read(openface_output / "default.csv")
    np.testing.assert_array_equal(alignment.points(aligned)[WITH_PICTURES], rows.points[WITH_PICTURES])
    assert any("a usable picture for 8 of 288 frames" in warning for warning in summary["warnings"])
    for frame in WITH_PICTURES:
        theirs = cv2.imread(str(pictures / f"frame_det_00_{frame + 1:06d}.bmp"))[:, :, ::-1]
        assert psnr(stored[frame], theirs) > 45
    assert stored[2].max() <= 8


def test_real_output_without_a_face(openface_output, tmp_path, write_video, face):
    path = write_video(tmp_path / "noface.mp4", [face] * 30)
    summary, aligned, pictures = process(path, tmp_path, options(output=openface_output), "noface")
    assert (aligned["status"] == "missing").all() and pictures.max() <= 8
    assert summary["warnings"] == ["no face was found in any frame: the crops are black"]


def test_real_output_without_pdmparams(openface_output, shared_data, tmp_path):
    film = shared_data / "real_videos/default.wmv"
    info = video.probe(film)
    whole = openface.from_output(film, info, "default", options(output=openface_output)).similarities
    rows = pd.read_csv(openface_output / "default.csv", skipinitialspace=True)
    rows = rows.drop(columns=[name for name in rows if name.startswith("p_")])
    bare = rows.drop(columns=openface_csv.POSITION)
    for reduced, note, furthest in [(rows, openface.POSITION_NOTE, 0.4), (bare, openface.FIT_NOTE, 0.7)]:
        reduced.to_csv(tmp_path / "default.csv", index=False)
        settings = options(output=tmp_path, mean_shape=openface_output / "mean_shape_24.csv")
        found = openface.from_output(film, info, "default", settings)
        distances = [geometry.corner_distance(*pair, SIZE) / 2 for pair in zip(found.similarities, whole, strict=True)]
        assert found.warnings == [note] and 0 < np.mean(distances) < furthest


def test_rows_become_similarities_by_number(clip, folder, tmp_path):
    rows = table(N).sample(frac=1, random_state=0)  # in any order
    rows.loc[7, "success"], rows.loc[7, "confidence"] = 0, 0.1
    write_table(folder / "clip.csv", rows)
    summary, aligned, _ = process(clip, tmp_path, options(output=folder))
    assert summary["warnings"] == [] and summary["n_bridged"] == 1
    similarities = alignment.similarities(aligned)
    for frame, at in enumerate(places(N)):
        np.testing.assert_allclose(similarities[frame], expected(at), rtol=1e-4, atol=2e-3)
    assert aligned["status"][7] == "bridged" and aligned["confidence"][7] == 0.1


def test_rows_past_the_end_and_too_few(clip, folder):
    info = video.probe(clip)
    write_table(folder / "clip.csv", table(N + 3))
    with pytest.raises(InputError, match=rf"clip\.csv: row {N + 2}: frame {N + 1}, but .*clip\.mp4 has {N} pictures"):
        openface.from_output(clip, info, "clip", options(output=folder))
    write_table(folder / "clip.csv", table(N).drop(index=[3, 4]))
    with pytest.raises(InputError, match=rf"rows for {N - 2} of the {N} pictures .*raise openface\.max_absent_share"):
        openface.from_output(clip, info, "clip", options(output=folder))
    settings = options(output=folder)
    settings["openface"]["max_absent_share"] = 0.1
    found = openface.from_output(clip, info, "clip", settings)
    assert np.flatnonzero(np.isnan(found.similarities[:, 0])).tolist() == [3, 4]


def test_landmarks_of_another_picture_size(clip, folder):
    write_table(folder / "clip.csv", table(N, at=places(N) + 500))
    with pytest.raises(InputError, match=r"outside the picture \(360 x 240 px\) in 20 of 20 rows"):
        openface.from_output(clip, video.probe(clip), "clip", options(output=folder))


def test_the_largest_of_several_faces_is_followed(clip, folder, tmp_path):
    small = table(N, at=np.add(places(N), [150, 0]), px_per_mm=0.5).assign(face_id=1)
    rows = pd.concat([small, table(N).assign(face_id=2).iloc[:15]]).sort_values("frame")
    write_table(folder / "clip.csv", rows)
    summary, aligned, _ = process(clip, tmp_path, options(output=folder))
    assert aligned["status"].tolist() == ["tracked"] * 15 + ["missing"] * 5 and summary["n_several"] == 15
    assert any("follows 2 faces; face_id 2, the largest" in warning for warning in summary["warnings"])
    np.testing.assert_allclose(alignment.similarities(aligned)[0], expected(places(N)[0]), atol=2e-3)


def test_which_csv_belongs_to_a_source(folder, tmp_path):
    film, crop_folder = tmp_path / "raw/clip.mp4", tmp_path / "raw/clip_aligned"
    crop_folder.mkdir(parents=True)
    with pytest.raises(InputError, match=r"no csv of OpenFace, s1\.csv or clip\.csv, in .*set openface\.output"):
        openface.find_csv(film, "s1", None)
    beside = write_table(tmp_path / "raw/clip.csv", table(1))
    assert openface.find_csv(film, "s1", None) == beside == openface.find_csv(crop_folder, "s1", str(folder))
    named = [write_table(folder / "a/clip.csv", table(1)), write_table(folder / "b/clip.csv", table(1))]
    write_table(folder / "s2_aligned/s2.csv", table(1))  # in a folder of crops: nobody's
    with pytest.raises(InputError, match=rf"several csv of OpenFace may be meant: {named[0]}, {named[1]}"):
        openface.find_csv(film, "s1", str(folder))
    own = write_table(folder / "a/s1.csv", table(1))
    assert openface.find_csv(film, "s1", str(folder)) == own
    with pytest.raises(InputError, match="no csv"):
        openface.find_csv(tmp_path / "raw/s2.mp4", "s2", str(folder))
    with pytest.raises(InputError, match=r"no such folder \(openface\.output\)"):
        openface.find_csv(film, "s1", str(tmp_path / "gone"))


def spoilt(path, target):
    """A copy of a video with damaged frames in its middle; its VideoInfo."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = b"\xff" * 3000
    target.write_bytes(data)
    info = video.probe(target)
    assert 0 < info.n_damaged < N and info.n_frames == N
    return info


def test_a_damaged_video_and_output_that_may_be_shifted(clip, folder, tmp_path):
    damaged = tmp_path / "clip.mp4"
    info = spoilt(clip, damaged)
    write_table(folder / "clip.csv", table(N - 1))
    with pytest.raises(InputError, match=r"are damaged, and the rows end with frame .*use faces\.aligner: openface"):
        openface.from_output(damaged, info, "clip", options(output=folder))
    first = int(np.argmax(info.damaged))
    settings = options(output=folder)
    settings["openface"]["max_absent_share"] = 1.0
    write_table(folder / "clip.csv", table(first))  # ends before the damage: no doubt
    assert np.isfinite(openface.from_output(damaged, info, "clip", settings).similarities[:, 0]).sum() == first
    write_table(folder / "clip.csv", table(N))
    found = openface.from_output(damaged, info, "clip", options(output=folder))
    np.testing.assert_array_equal(np.isnan(found.similarities[:, 0]), info.damaged)


@pytest.fixture
def images(tmp_path, face):
    """A folder of images img3.jpg ... img20.jpg, unpadded, with number 12 absent: frames 2 to 19 of a source."""
    (tmp_path / "images").mkdir()
    for number in [*range(3, 12), *range(13, N + 1)]:
        cv2.imwrite(str(tmp_path / f"images/img{number}.jpg"), np.roll(face, 3 * number, axis=1)[:, :, ::-1])
    return tmp_path / "images"


@pytest.mark.parametrize("as_text", [True, False])
def test_a_folder_that_openface_read_in_the_order_of_text(images, folder, as_text):
    numbers = [int(path.stem[3:]) for path in images.iterdir()]
    read = sorted(numbers, key=str) if as_text else sorted(numbers)
    rows = table(len(read), at=places(N)[np.array(read) - 1])
    write_table(folder / "images.csv", rows)
    info = source.probe(images, 30)
    found = openface.from_output(images, info, "v", options(output=folder))
    seen = np.array(sorted(numbers)) - 1
    assert np.isnan(np.delete(found.similarities, seen, axis=0)).all()
    for frame in seen:
        np.testing.assert_allclose(found.similarities[frame], expected(places(N)[frame]), rtol=1e-4, atol=2e-3)
    assert any("sorted as text" in warning for warning in found.warnings) == as_text


def test_crops_of_another_size_with_holes(folder, tmp_path, face):
    pictures = folder / "v_aligned"
    pictures.mkdir()
    for number in [1, 2, 3, 5, 6]:
        path = pictures / f"frame_det_00_{number:06d}.{'png' if number % 2 else 'jpg'}"
        cv2.imwrite(str(path), cv2.resize(face, (112, 112))[:, :, ::-1])
    (pictures / "frame_det_00_000002.jpg").write_bytes(b"")
    rows = table(8)
    rows.loc[[2, 6, 7], "success"] = 0
    write_table(folder / "v.csv", rows)
    summary, aligned, stored = process(pictures, tmp_path, options(), "v", fps=30, first_number=1)
    assert aligned["status"].tolist() == ["tracked"] + ["missing"] * 3 + ["tracked"] * 2
    assert psnr(stored[0], cv2.resize(face, (SIZE, SIZE))) > 20 and stored[1:4].max() <= 8
    assert any("2 frames after the last picture" in warning for warning in summary["warnings"])
    assert not any("repeat" in warning for warning in summary["warnings"])
