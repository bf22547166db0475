import numpy as np
import pytest
import torch

from fedn_pipeline.features import blendshapes
from fedn_pipeline.files import InputError
from fedn_pipeline.training import augmentation


def test_each_video_has_one_factor_and_offset_and_time_stays():
    features = torch.arange(35.0).half().unsqueeze(1).repeat(1, 3) + 1
    first = torch.tensor([0, 10, 30])
    rows = torch.tensor([[2, 3, 4, 9], [12, 13, 14, 29], [5, 6, 7, 8]])  # of the first two videos
    settings = {"feature_scale": 0.4, "feature_offset": 0.05, "feature_noise": 0, "head_motion": 0}
    varied, place = augmentation.varied(features, rows, first, settings, np.random.default_rng(0))
    assert place.shape == rows.shape and varied.shape == (12, 3)
    read = varied[place].double()
    for windows in ((0, 2), (1,)):  # a straight line stays one, the same in all windows of a video
        x = features[rows[list(windows)]].double().flatten(0, 1)
        y = read[list(windows)].flatten(0, 1)
        for value in range(3):
            slope, offset = np.polyfit(x[:, value], y[:, value], 1)
            np.testing.assert_allclose(y[:, value], slope * x[:, value] + offset, atol=1e-4)
            assert abs(slope - 1) > 1e-3
    assert not np.allclose(read[0, :, 0], read[0, :, 1])


def test_noise_differs_from_row_to_row():
    features, rows = torch.zeros(35, 4).half(), torch.tensor([[1, 2, 3], [2, 3, 4]])
    settings = {"feature_scale": 0, "feature_offset": 0, "feature_noise": 0.1, "head_motion": 0}
    varied, place = augmentation.varied(features, rows, torch.tensor([0, 10, 30]), settings, np.random.default_rng(0))
    assert len(varied) == 4 and len(torch.unique(varied)) == 16
    torch.testing.assert_close(varied[place][0, 1], varied[place][1, 0])  # a row that two windows read is one


def test_nothing_changes_without_spread():
    features, rows = torch.randn(35, 4).half(), torch.tensor([[1, 2, 3], [31, 31, 34]])
    settings = {"feature_scale": 0, "feature_offset": 0, "feature_noise": 0, "head_motion": 0}
    varied, place = augmentation.varied(features, rows, torch.tensor([0, 10, 30]), settings, np.random.default_rng(0))
    torch.testing.assert_close(varied[place], features[rows].float())


def test_a_turning_head_moves_its_pose_and_what_is_read_with_it_and_nothing_else():
    generator = np.random.default_rng(0)
    within, video = np.tile(np.arange(2000), 2), np.repeat([0, 1], 2000)
    moved = augmentation.head_motion(within, video, 0.05, generator)
    n = blendshapes.N_COEFFICIENTS
    read, pose = moved[:, :n], moved[:, -6:]
    assert moved.shape == (4000, blendshapes.WIDTH)
    np.testing.assert_array_equal(moved[:, n : n + 2], pose[:, :2])
    np.testing.assert_array_equal(moved[:, n + 2 : 2 * n + 2], read)
    for one in (0, 1):  # a linear function of the pose, another one in each video
        mine = video == one
        touches = np.linalg.lstsq(pose[mine].astype(float), read[mine].astype(float), rcond=None)[0]
        np.testing.assert_allclose(pose[mine] @ touches, read[mine], atol=1e-4)
        assert np.linalg.matrix_rank(read[mine], tol=1e-3) == 6
        assert np.abs(np.diff(pose[mine], axis=0)).max() < 0.1  # smooth
    assert not np.allclose(pose[video == 0], pose[video == 1])


def test_head_motion_is_refused_for_other_features():
    settings = {"feature_scale": 0, "feature_offset": 0, "feature_noise": 0, "head_motion": 0.05}
    with pytest.raises(InputError, match="only for the features of"):
        augmentation.varied(
            torch.zeros(9, 4), torch.tensor([[1, 2]]), torch.tensor([0]), settings, np.random.default_rng(0)
        )
