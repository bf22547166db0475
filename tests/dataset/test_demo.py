"""The demo data set keeps its rules: exact labels, pictures that show them, people kept apart, repeatable bytes."""

import av
import cv2
import numpy as np
import pandas as pd
import pytest

from fedn_pipeline import config
from fedn_pipeline.dataset import demo
from fedn_pipeline.dataset.demo.action_units import UNITS
from fedn_pipeline.dataset.demo.animation import VISIBLE, expression_curve
from fedn_pipeline.dataset.demo.planning import EMOTIONS, RECIPES, Action, script, subject_ids
from fedn_pipeline.dataset.demo.portraits import make_portrait, to_px
from fedn_pipeline.dataset.demo.rendering import Renderer
from fedn_pipeline.faces.landmarks import find_landmarks
from fedn_pipeline.files import InputError


def demo_settings(**changed):
    defaults = {key: node["default"] for key, node in config.schema()["properties"]["demo"]["properties"].items()}
    unknown = set(changed) - set(defaults)
    assert not unknown
    return defaults | changed


TINY = demo_settings(
    subjects_per_photograph=1,
    seconds=2,
    stills_per_photograph=8,
    still_identities_per_photograph=2,
    still_validation_identities=1,
)
STILL = {unit: 0.0 for unit in UNITS}


def with_recipe(emotion):
    full = {unit: bounds[1] for unit, bounds in RECIPES[emotion].items()}
    return {unit: full.get(unit.removesuffix("R").removesuffix("L"), full.get(unit, 0.0)) for unit in UNITS}


@pytest.fixture(scope="module", params=["astronaut", "hopper"])
def renderer(request):
    settings = demo_settings(noise=0)
    return Renderer(settings, make_portrait(settings, request.param, np.random.default_rng(1)))


def grey(renderer, units):
    picture = renderer.frame(units, np.zeros(4), np.array([1.0, 0, 0]), np.random.default_rng(0))
    return picture[: renderer.height].astype(float)


def rgb(renderer, units):
    picture = renderer.frame(units, np.zeros(4), np.array([1.0, 0, 0]), np.random.default_rng(0))
    return cv2.cvtColor(picture, cv2.COLOR_YUV2RGB_I420)


def around(renderer, landmarks, radius):
    """Slices of the frame's area around some landmarks of the face at rest."""
    x, y = to_px(renderer.portrait.points[list(landmarks)].mean(axis=0), renderer.portrait)
    half = radius * renderer.portrait.unit_px
    return slice(int(y - half), int(y + half)), slice(int(x - half), int(x + half))


# The plan


def test_defaults_give_at_least_60_events_balanced_over_eight_subjects():
    videos, events = demo.plan(demo_settings())
    assert len(videos) == 8 and videos.photograph.value_counts().to_dict() == {"astronaut": 4, "hopper": 4}
    assert (videos.video_id == videos.subject).all() and videos.source[0] == "raw/s01.mp4"
    assert len(events) >= 60
    assert np.ptp(events.emotion.value_counts()) <= 1
    assert events.groupby("video_id").emotion.nunique().eq(len(EMOTIONS)).all()


@pytest.mark.parametrize("seed", range(40))
def test_plan_keeps_its_rules_for_any_seed(seed):
    rng = np.random.default_rng(seed)
    settings = demo_settings(seed=seed, fps=int(rng.choice([15, 25, 30, 60])), seconds=float(rng.uniform(8, 40)))
    videos, events = demo.plan(settings)
    assert set(events.emotion) <= set(EMOTIONS) and set(events.video_id) == set(videos.video_id)
    n_frames = videos.n_frames[0]
    for _, one in events.groupby("video_id"):
        gaps = np.append(one.onset, n_frames) - np.append(-1, one.offset) - 1  # before each, and at the end
        assert gaps.min() >= int(settings["min_gap_s"] * settings["fps"]) - 1
        lengths = one.offset - one.onset + 1
        shortest, longest = settings["duration_s"]
        assert lengths.between(round(shortest * settings["fps"]), round(longest * settings["fps"])).all()
        assert ((one.onset < one.apex) & (one.apex < one.offset)).all()
        if len(one) >= len(EMOTIONS):
            assert set(one.emotion) == set(EMOTIONS)


def test_a_video_does_not_depend_on_the_others():
    few, many = (demo_settings(subjects_per_photograph=n) for n in (2, 5))
    assert script(few, "s02") == script(many, "s02")
    assert script(few, "s01") != script(few, "s02")
    assert script(few, "s02") != script(few | {"seed": 1}, "s02")


def test_talking_never_overlaps_a_labelled_expression():
    settings = demo_settings()
    for subject in subject_ids(settings):
        actions = script(settings, subject)
        labelled = [a for a in actions if a.kind in EMOTIONS]
        for talk in (a for a in actions if a.kind == "talk"):
            assert all(talk.offset < a.onset or talk.onset > a.offset for a in labelled)


def test_expressions_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="do not fit"):
        demo.plan(demo_settings(expressions_per_minute=100))


def test_unknown_video_is_refused():
    with pytest.raises(InputError, match="no video s99"):
        script(TINY, "s99")


@pytest.mark.parametrize("length", [3, 4, 7, 12, 40, 121, 600])
@pytest.mark.parametrize("rise", [0.05, 0.3, 0.9])
def test_labels_are_exactly_the_visible_frames(length, rise):
    apex = 10 + min(max(int(rise * length), 1), length - 2)
    curve = expression_curve(length + 20, Action("anger", 10, apex, 10 + length - 1, 1.0, {}, 0.0, 0))
    assert np.flatnonzero(curve > VISIBLE).tolist() == list(range(10, 10 + length))
    assert curve.argmax() == apex and curve[apex] == 1 and (np.delete(curve, apex) < 1).all()


# The pictures


def test_video_has_exactly_its_frames_and_repeats_byte_for_byte(tmp_path):
    for name in ("first", "again"):
        demo.render_video(TINY, "s01", tmp_path / f"{name}.mp4")
    assert (tmp_path / "first.mp4").read_bytes() == (tmp_path / "again.mp4").read_bytes()
    assert not list(tmp_path.glob(".*"))
    with av.open(str(tmp_path / "first.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.average_rate == TINY["fps"]
        shapes = [frame.to_ndarray(format="rgb24").shape for frame in container.decode(stream)]
    assert shapes == [(480, 640, 3)] * 60


def test_subjects_look_different(tmp_path):
    pictures = [make_portrait(TINY, "hopper", np.random.default_rng(i)).image.astype(float) for i in range(3)]
    assert all(np.abs(pictures[i] - pictures[j]).mean() > 10 for i, j in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_an_apex_moves_mouth_and_brows_and_nothing_far_away(renderer, emotion):
    rest, apex = grey(renderer, STILL), grey(renderer, with_recipe(emotion))
    assert np.array_equal(rest, grey(renderer, STILL))
    change = np.abs(apex - rest)
    mouth = change[around(renderer, (13, 14), 0.45)].mean()
    brows = change[around(renderer, (55, 285), 0.4)].mean()
    assert mouth > 3
    assert brows > (0.5 if emotion == "happiness" else 2)
    assert change[:, :40].mean() < 0.01


def test_a_tracker_sees_smile_jaw_and_blink(renderer):
    def measured(units):
        mesh = find_landmarks(rgb(renderer, units)) / renderer.portrait.unit_px
        lids = np.mean([mesh[145, 1] - mesh[159, 1], mesh[374, 1] - mesh[386, 1]])
        return mesh[291, 0] - mesh[61, 0], mesh[14, 1] - mesh[13, 1], lids

    width, opening, lids = measured(STILL)
    assert opening < 0.05  # the astronaut's smile with its teeth is gone
    assert measured(with_recipe("happiness"))[0] > width + 0.08
    assert measured(STILL | {"26": 1.0})[1] > opening + 0.1
    assert measured(STILL | {"45": 1.0})[2] < lids - 0.02


def test_a_stronger_smile_is_wider(renderer):
    widths = []
    for strength in (0, 0.33, 0.67, 1):
        units = {unit: strength * value for unit, value in with_recipe("happiness").items()}
        mesh = find_landmarks(rgb(renderer, units))
        widths.append(mesh[291, 0] - mesh[61, 0])
    assert (np.diff(widths) > 0).all()


# The stills


def test_stills_are_complete_labelled_and_of_other_people(tmp_path):
    demo.render_stills(TINY, tmp_path)
    table = pd.read_csv(tmp_path / "stills.csv")
    assert table.columns.tolist() == ["path", "emotion", "identity", "photograph", "split"]
    assert len(table) == 16 and table.path.is_unique
    assert all(cv2.imread(str(tmp_path / path)).shape == (224, 224, 3) for path in table.path)
    assert table.groupby("identity").split.nunique().eq(1).all() and set(table.split) == {"train", "validation"}
    assert table.groupby("photograph").split.nunique().eq(2).all()
    assert not set(table.identity) & set(subject_ids(TINY))


def test_default_stills_hold_every_emotion_in_both_splits_of_both_photographs():
    table = demo.still_plan(demo_settings())
    counts = table.groupby(["photograph", "split", "emotion"]).size()
    assert len(counts) == 2 * 2 * (len(EMOTIONS) + 1) and counts.min() >= 10


def test_stills_without_training_identities_are_refused():
    with pytest.raises(InputError, match="no identity for training"):
        demo.still_plan(TINY | {"still_validation_identities": 2})
