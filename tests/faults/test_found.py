"""What the fuzzer has found, each as a small test of its own: crashes, hangs, results that were wrong in silence."""

import h5py
import numpy as np
import pytest
import seeds
import torch
from miniature.books import write_xlsx
from torchvision.models import resnet18

from fedn_pipeline import config
from fedn_pipeline.dataset import placement, stage, workbook
from fedn_pipeline.faces import crops, openface_csv, openface_shape, video
from fedn_pipeline.features import affectnet, cache, checkpoint, stills
from fedn_pipeline.files import InputError
from fedn_pipeline.training import predictions

# Videos


def test_a_video_whose_codec_has_no_decoder(tmp_path):
    path = seeds.write_video(tmp_path / "a.avi", seeds.pictures(3), "mjpeg", "yuvj420p")
    path.write_bytes(path.read_bytes().replace(b"MJPG", b"ZZZZ"))
    with pytest.raises(InputError, match=r"a\.avi: there is no decoder"):
        video.probe(path)
    assert placement._header(path) == ({}, "not a readable video: no decoder for its codec")


def test_metadata_in_latin_1(tmp_path):
    path = tmp_path / "title.mp4"
    seeds.write_video(path, seeds.pictures(3, 64, 64), "libx264rgb", "rgb24")
    content = path.read_bytes()
    assert b"Lavf" in content
    path.write_bytes(content.replace(b"Lavf", b"L\xe4vf"))
    assert video.probe(path).n_frames == 3 == crops.n_frames(path)


def test_packets_that_a_decoder_passes_over_in_silence_keep_their_places(tmp_path):
    shown = seeds.pictures(24)
    path = seeds.write_video(tmp_path / "a.mpg", shown, "mpeg2video", "yuv420p", {"g": "8", "bf": "0"})
    content = path.read_bytes()
    first = content.index(b"\x00\x00\x01\x00")  # so a picture begins
    path.write_bytes(content[:first] + b"\x80" + content[first + 1 :])
    info = video.probe(path)
    assert info.n_frames == 24 and info.missing[0] and not info.damaged[8:].any() and info.warnings()


def test_empty_packets_of_an_avi_are_frames(tmp_path):
    """A camera that drops a frame writes an empty packet: the frame counts, else all labels after it are late."""
    path = seeds.write_video(tmp_path / "a.avi", seeds.pictures(20), "mjpeg", "yuvj420p")
    content, place, packets = path.read_bytes(), path.read_bytes().index(b"movi"), []
    start = place + 4
    while content[start : start + 4] == b"00dc":
        size = int.from_bytes(content[start + 4 : start + 8], "little")
        packets.append(content[start + 8 : start + 8 + size])
        start += 8 + size + size % 2
    packets[5] = packets[6] = b""
    body = b"movi" + b"".join(b"00dc" + len(one).to_bytes(4, "little") + one + bytes(len(one) % 2) for one in packets)
    head = content[: place - 4] + len(body).to_bytes(4, "little") + body
    path.write_bytes(head[:4] + (len(head) - 8).to_bytes(4, "little") + head[8:])
    info = video.probe(path)
    assert info.n_frames == 20 and np.flatnonzero(info.missing).tolist() == [5, 6]


def test_a_slow_matroska_file_was_not_cut_short(tmp_path):
    times = np.cumsum([40, 90, 200, 60, 150, 300, 80, 120, 90, 70])
    path = seeds.write_video(tmp_path / "a.mkv", seeds.pictures(10), "libx264", "yuv420p", times=times)
    info = video.probe(path)
    assert (info.n_frames, info.warnings()) == (10, [])
    assert info.fps == pytest.approx(9000 / (times[-1] - times[0]))


def test_crops_that_cannot_be_sought(tmp_path):
    settings = config.validate({})["faces"] | {"crop_size": 64, "keyframe_interval": 5}
    path = tmp_path / "crops.mp4"
    crops.write(path, seeds.pictures(20, 64, 64), 30, settings)
    (tmp_path / "crops.mp4.sha256").unlink()
    content = path.read_bytes()
    place = content.index(b"mdat") + 4
    path.write_bytes(content[:place] + bytes(len(content) // 3) + content[place + len(content) // 3 :])
    with pytest.raises(InputError, match=r"crops\.mp4: .*make the file again"):
        crops.read_frames(path, [2, 12])


# Tables and settings


@pytest.mark.parametrize(
    "text",
    [
        "[" * 20000,
        "dataset: {fps: 2001-99-99}",
        "dataset: {fps: " + "9" * 5000 + "}",
        "1: 2\nx: 3",
        "dataset: {1: 2, x: 3}",
        "training: {learning_rate: .nan}",
        "backbone: {std: [.inf, 1, 1]}",
        "dataset: {strict: true}\ndataset: {fps: 3}",
        "a0: &a0 {x: 1}\n" + "\n".join(f"a{i}: &a{i} {{p: *a{i - 1}, q: *a{i - 1}}}" for i in range(1, 30)),
    ],
    ids=["deep", "date", "long number", "key", "inner key", "nan", "inf", "key twice", "aliases"],
)
def test_settings_that_no_parser_should_swallow(tmp_path, text):
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"settings\.yaml"):
        config.from_argument(str(path))


def test_settings_that_are_no_text(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_bytes(b"dataset: {root: \xff}")
    with pytest.raises(InputError, match=r"settings\.yaml: cannot be read as text in UTF-8"):
        config.from_argument(str(path))


@pytest.mark.parametrize("text", ['{"a":' * 20000, '{"dataset":{"fps":' + "9" * 5000 + "}}", '{"model":{},"model":{}}'])
def test_json_that_no_parser_should_swallow(text):
    with pytest.raises(InputError, match="--settings: not valid JSON"):
        config.from_argument(text)


def own(folder, events):
    root = folder / "root"
    root.mkdir()
    (root / "events.csv").write_text(events)
    settings = config.validate({"dataset": {"fps": 30}})["dataset"]
    return stage.run("custom", root, folder / "out", settings, annotations_only=True)


def test_seconds_beyond_any_frame(tmp_path):
    with pytest.raises(InputError, match=r"events\.csv: row 2: a frame number"):
        own(tmp_path, "video_id,onset_s,offset_s,emotion\nv1,1,99999999999999999999,fear\n")


def test_a_video_named_by_a_dot(tmp_path):
    with pytest.raises(InputError, match=r"no such video \('\.'"):
        own(tmp_path, "video_id,onset,offset,emotion\n.,1,2,fear\nv1,1,2,fear\n")


def test_python_alone_takes_a_clips_name_for_a_number():
    assert not workbook.is_number("006_1_1") and not workbook.is_number("1_000") and workbook.is_number(" 12.5")


def test_annotations_of_which_nothing_is_left(tmp_path):
    rows = [["Filename", "Onset", "Apex", "Offset", "Type"], ["006_1_1", "?", "?", "?", "Macro"]]
    (tmp_path / "root").mkdir()
    write_xlsx(tmp_path / "root/SAMM_LongVideos_V3_Release.xlsx", {"a": rows})
    settings = config.validate({"dataset": {"strict": False}})["dataset"]
    with pytest.raises(InputError, match=r"no video is left, everything was dropped: .*not_a_frame_number"):
        stage.run("samm", tmp_path / "root", tmp_path / "out", settings, annotations_only=True)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"path,emotion\xff\n",
        b"path,emotion,identity,photograph,split\na.png,fear,i,p,train\nb.png,fear,i,p,train,x\n",
    ],
)
def test_stills_csv_that_is_none(tmp_path, content):
    (tmp_path / "stills.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"stills\.csv"):
        stills.read_table(tmp_path)


def test_stills_csv_whose_rows_are_longer_than_its_header(tmp_path):
    """pandas takes the first column for an index then, and every other one moves."""
    row = "\na.png,fear,i,p,train,x"
    (tmp_path / "stills.csv").write_text("emotion,path,identity,photograph,split" + row + row)
    with pytest.raises(InputError, match="row 2: 6 cells, but the header has 5"):
        stills.read_table(tmp_path)


@pytest.mark.parametrize("cell", ["1_000", "\u0661\u0662"])
def test_numbers_that_only_python_knows(tmp_path, cell):
    path = tmp_path / "openface.csv"
    path.write_text(f"frame,success,confidence\n{cell},0,0.5\n", encoding="utf-8")
    with pytest.raises(InputError, match="row 2: frame is no number"):
        openface_csv.read(path)


def test_an_infinite_mean_shape(tmp_path):
    shape = openface_shape.stand_in()
    rows = [f"{point},{x},{y}" for point, (x, y) in zip(openface_shape.STABLE, shape, strict=True)]
    rows[3] = rows[3].rpartition(",")[0] + ",1e309"
    (tmp_path / "shape.csv").write_text("\n".join(["point,x_mm,y_mm", *rows]))
    with pytest.raises(InputError, match="row 5"):
        openface_shape.read(tmp_path / "shape.csv")


# Weights and caches


@pytest.mark.parametrize("header", [b"{'descr': '<U1', ", b"{'descr': '<U1', 'fortran_order': False, 'shape': (), }"])
def test_a_damaged_npy_of_affectnet(tmp_path, header):
    content = b"\x93NUMPY\x01\0" + len(header + b"\n").to_bytes(2, "little") + header + b"\n" + b"\xff\xff\xff\x7f"
    (tmp_path / "0_exp.npy").write_bytes(content)
    numbers, why = affectnet._read_npy(tmp_path / "0_exp.npy")
    assert not len(numbers) and why.startswith("not an array of numbers")


def test_affectnets_list_without_a_first_cell(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "training.csv").write_text("subDirectory_filePath,expression\n,3\n1/a.jpg,3\n")
    assert affectnet._images_folder(tmp_path, tmp_path / "training.csv").parent == tmp_path


@pytest.mark.parametrize("kind", ["sparse", "meta"])
def test_tensors_without_plain_values(tmp_path, kind):
    tensors = resnet18().state_dict()
    one = tensors["layer1.0.conv1.weight"]
    tensors["layer1.0.conv1.weight"] = one.to_sparse() if kind == "sparse" else one.to("meta")
    torch.save(tensors, tmp_path / "my.pth")
    with pytest.raises(InputError, match=r"my\.pth: not a ResNet18: .*not plain tensors"):
        checkpoint.read(tmp_path / "my.pth")


def test_dictionaries_that_hold_each_other(tmp_path):
    content = {"x": torch.zeros(1)}
    content |= {f"again{i}": content for i in range(60)}  # 60 ** 6 paths
    torch.save(content, tmp_path / "my.pth")
    with pytest.raises(InputError, match="no ResNet18 in it"):
        checkpoint.read(tmp_path / "my.pth")


def test_names_that_would_write_to_the_terminal(tmp_path):
    torch.save({"\x1b[2Jx": torch.zeros(1)}, tmp_path / "my.pth")
    with pytest.raises(InputError) as caught:
        checkpoint.read(tmp_path / "my.pth")
    assert "\x1b" not in str(caught.value)


def test_caches_whose_structure_is_damaged(tmp_path):
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        features = cache.Features(np.zeros((9, 4), np.float16), np.ones(9, bool), {"frame_stride": 1})
        cache.write_group(file, "a", features)
    content = path.read_bytes()
    refused = 0
    for place in range(0, 1200, 3):  # superblock, root group, heap
        path.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        try:
            found = cache.read(path, "a")
            cache.provenance(path)
        except InputError as error:
            assert "net.h5" in str(error)
            refused += 1
        else:
            assert np.array_equal(found.features, features.features)
    assert refused > 30


def test_predictions_whose_arrays_are_none(tmp_path):
    path = tmp_path / "predictions.h5"
    with h5py.File(path, "w") as file:
        file.attrs["classes"] = ["fear"]
        file.create_group("test/v1/starts")
    with pytest.raises(InputError, match=r"predictions\.h5"):
        predictions.read(path)
