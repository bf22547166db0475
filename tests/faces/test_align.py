import cv2
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.cbook import get_sample_data

from fedn_pipeline import config
from fedn_pipeline.faces import align, alignment, crops, geometry, landmarks, video
from fedn_pipeline.files import InputError


def run(path, folder, settings):
    """Run the stage; summary, alignment table and crops."""
    table, film = folder / f"{path.stem}.csv", folder / f"{path.stem}{crops.CROPS_SUFFIX}"
    summary = align.process(path, table, film, config.validate({"faces": settings}), progress=False)
    return summary, alignment.read(table), np.stack(list(crops.read(film)))


def check_whole(summary, table, pictures):
    assert summary["n_frames"] == len(table) == len(pictures)
    assert summary["n_faces"] + summary["n_bridged"] + summary["n_missing"] == len(table)
    missing = (table["status"] == "missing").to_numpy()
    assert not pictures[missing].max(initial=0) > 8  # black, up to the codec's ringing
    assert (pictures[~missing].mean(axis=(1, 2, 3)) > 20).all()


def moving(face, n, height=240, width=360):
    """A face that moves to the right over grey."""
    pictures = np.full((n, height, width, 3), 120, dtype=np.uint8)
    for i, picture in enumerate(pictures):
        picture[:, 2 * i : 2 * i + 240] = face
    return list(pictures)


@pytest.fixture(scope="module")
def moved(tmp_path_factory, write_video, face):
    """A video of 30 frames with a moving face, H.264 with a key frame every 10."""
    path = tmp_path_factory.mktemp("moved") / "moved.mp4"
    return write_video(path, moving(face, 30), options={"g": "10"})


def test_a_moving_face_is_held_still(moved, tmp_path, settings):
    summary, table, pictures = run(moved, tmp_path, settings)
    check_whole(summary, table, pictures)
    assert summary["n_faces"] == 30 and summary["warnings"] == []
    np.testing.assert_allclose(np.diff(alignment.points(table)[:, 30, 0]).mean(), 2, atol=0.1)
    similarities = alignment.similarities(table)
    for i in range(30):  # take the motion of 2 px a frame back: each frame must be framed as the middle one
        a, b = similarities[i, :2]
        still = similarities[i] + [0, 0, a * 2 * (i - 15), b * 2 * (i - 15)]
        assert geometry.corner_distance(still, similarities[15], 224) < 4


def test_two_runs_give_the_same_bytes(moved, tmp_path, settings):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        run(moved, folder, settings)
    for name in ("moved.csv", "moved.mp4"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_short_gaps_are_bridged_and_long_ones_missing(tmp_path, write_video, face, settings):
    pictures = moving(face, 50)
    for i in [*range(10, 16), *range(25, 45)]:
        pictures[i][:] = 120
    path = write_video(tmp_path / "gaps.mp4", pictures)
    summary, table, film = run(path, tmp_path, settings | {"smoothing_s": 0})
    status = "".join(word[0] for word in table["status"])
    assert status == "t" * 10 + "b" * 6 + "t" * 9 + "m" * 20 + "t" * 5
    assert (summary["n_bridged"], summary["n_missing"]) == (6, 20)
    assert any("20 of 50 frames" in warning for warning in summary["warnings"])
    similarities = alignment.similarities(table)
    share = np.arange(1, 7)[:, None] / 7
    expected = (1 - share) * similarities[9] + share * similarities[16]
    np.testing.assert_allclose(similarities[10:16], expected, atol=0.01)
    assert film[25:45].max() <= 8


def test_a_video_without_a_face(tmp_path, write_video, settings):
    path = write_video(tmp_path / "grey.mp4", [np.full((120, 160, 3), 120, np.uint8)] * 12)
    summary, table, pictures = run(path, tmp_path, settings)
    check_whole(summary, table, pictures)
    assert summary["n_missing"] == 12 and (table["success"] == 0).all() and (table["status"] == "missing").all()
    assert summary["warnings"] == ["no face was found in any frame: the crops are black"]


def test_one_frame(tmp_path, write_video, face, settings):
    summary, table, pictures = run(write_video(tmp_path / "one.mp4", [face]), tmp_path, settings)
    check_whole(summary, table, pictures)
    assert summary["n_faces"] == 1


def test_damaged_frames_count_as_frames_without_a_face(moved, tmp_path, settings):
    data = bytearray(moved.read_bytes())
    middle = len(data) // 2
    for position in range(middle, middle + 300, 3):
        data[position] ^= 255
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    summary, table, pictures = run(damaged, tmp_path, settings)
    check_whole(summary, table, pictures)
    hurt = table["damaged"] == 1
    assert summary["n_frames"] == 30 and 0 < hurt.sum() == summary["n_damaged"] < 20
    assert (table.loc[hurt, "success"] == 0).all() and (table.loc[~hurt, "success"] == 1).all()
    assert "frames are damaged" in summary["warnings"][0]


def test_a_folder_of_images_with_a_hole(tmp_path, face, settings):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in (2, 3, 5, 6):
        cv2.imwrite(str(folder / f"img{number}.png"), np.roll(face, number, axis=1)[:, :, ::-1])
    paths = tmp_path / "v.csv", tmp_path / "v.mp4"
    whole = config.validate({"faces": settings})
    summary = align.process(folder, *paths, whole, fps=30, first_number=1, progress=False)
    table = alignment.read(paths[0])
    check_whole(summary, table, np.stack(list(crops.read(paths[1]))))
    assert table["damaged"].tolist() == [1, 0, 0, 1, 0, 0]
    assert summary["n_faces"] == 6  # a frame that is filled is looked at
    assert "2 of 6 frames have no image" in summary["warnings"][0]


def test_unreadable_video_leaves_nothing(tmp_path, settings):
    path = tmp_path / "words.mp4"
    path.write_text("just words")
    with pytest.raises(InputError, match=r"words\.mp4"):
        run(path, tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def other_face():
    """Another person's face, `[240, 240, 3]` uint8 (Grace Hopper, public domain)."""
    with get_sample_data("grace_hopper.jpg") as file:
        return np.ascontiguousarray(plt.imread(file, format="jpg")[30:510:2, 16:496:2, :3])


def test_nobody_stands_in_for_the_person_who_leaves(tmp_path, write_video, face, other_face, settings):
    pictures = []
    for i in range(56):
        picture = np.full((240, 520, 3), 120, dtype=np.uint8)
        if i < 36:
            picture[:, :240] = face
            picture[:, 270:510] = other_face if i >= 28 else 120
        else:  # she leaves, the other comes closer to where she was
            left = max(270 - 20 * (i - 36), 10)
            picture[:, left : left + 240] = other_face
        pictures.append(picture)
    path = write_video(tmp_path / "two.mp4", pictures)
    summary, table, film = run(path, tmp_path, settings | {"smoothing_s": 0})
    assert table["status"].tolist() == ["tracked"] * 36 + ["missing"] * 20
    assert summary["n_several"] == 8
    assert any("20 frames show only faces that are not known" in warning for warning in summary["warnings"])
    assert np.abs(film[0].astype(int) - film[35]).mean() < 6


def test_crops_refuse_a_table_of_another_video(moved, tmp_path, settings, write_video, face):
    run(moved, tmp_path, settings)
    other = write_video(tmp_path / "other.mp4", moving(face, 5))
    with pytest.raises(InputError, match=r"30 rows, but .*5 frames"):
        align.write_crops(other, video.probe(other), tmp_path / "moved.csv", tmp_path / "no.mp4", {"faces": settings})


def test_single_pictures(face):
    mesh = landmarks.find_landmarks(face)
    assert mesh.shape == (478, 2) and (mesh > 0).all() and (mesh < 240).all()
    assert landmarks.find_landmarks(np.full((64, 64, 3), 90, np.uint8)) is None


def test_absent_system_library_is_explained():
    error = OSError("libGLESv2.so.2: cannot open shared object file: No such file or directory")
    assert "apt-get install libegl1 libgles2" in landmarks.explained(error)
    assert "apt-get" not in landmarks.explained(OSError("something else"))


def test_real_talking_face(default_run):
    check_whole(default_run.summary, default_run.table, default_run.crops)
    assert default_run.summary["n_faces"] == 288 and default_run.summary["warnings"] == []
    assert default_run.path.stat().st_size / 288 <= 60_000
    pictures = video.frames(default_run.source)
    warped = crops.warped(pictures, default_run.similarities, 224)
    errors = [np.mean((a.astype(float) - b) ** 2) for a, b in zip(warped, default_run.crops, strict=True)]
    assert 10 * np.log10(255**2 / np.max(errors)) >= 45


def test_real_turning_head(head_motion_run):
    check_whole(head_motion_run.summary, head_motion_run.table, head_motion_run.crops)
    assert head_motion_run.summary["n_frames"] == 842 and head_motion_run.summary["n_missing"] == 0
