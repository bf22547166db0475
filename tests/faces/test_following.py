import numpy as np
import pytest

from fedn_pipeline.faces import following


def person(seed):
    """A unit vector that stands for one person's looks."""
    vector = np.random.default_rng(seed).normal(size=64)
    return vector / np.linalg.norm(vector)


ANNA, BERT = person(1), person(2)


def seen(look, x, y=0.0, width=100.0):
    """A face of a person at a place."""
    return following.Face(np.full((68, 2), [x, y], np.float32), np.zeros(4), np.array([x, y]), width, look.copy())


def followed(frames, settings, patience=5):
    linker = following.Linker(settings, patience)
    for faces in frames:
        linker.add(faces)
    return following.follow(linker, settings)


def places(result):
    return [None if face is None else float(face.centre[0]) for face in result.faces]


def test_the_larger_of_two_steady_faces_is_followed(settings):
    frames = [[seen(BERT, 400, width=60), seen(ANNA, 100 + i)] for i in range(20)]
    result = followed(frames, settings)
    assert places(result) == [100 + i for i in range(20)]
    assert result.n_several == 20 and result.n_unused == 0 and result.close == []


def test_the_more_persistent_person_beats_a_brief_visitor(settings):
    frames = [[seen(ANNA, 100)] + ([seen(BERT, 400, width=120)] if 5 <= i < 10 else []) for i in range(40)]
    assert places(followed(frames, settings)) == [100] * 40


def test_crossing_faces_are_not_swapped(settings):
    # They walk through each other; in the middle the detector reports only the one in front.
    frames = []
    for i in range(41):
        anna, bert = seen(ANNA, 10.0 * i, width=110), seen(BERT, 400 - 10.0 * i)
        frames.append([bert] if 18 <= i <= 22 else [bert, anna])
    result = followed(frames, settings)
    assert places(result) == [None if 18 <= i <= 22 else 10.0 * i for i in range(41)]
    assert result.n_unused == 5 and len(result.close) > 0


def test_when_the_person_leaves_nobody_stands_in(settings):
    frames = [[seen(ANNA, 100, width=120)] for _ in range(40)]
    frames += [[seen(ANNA, 100, width=120), seen(BERT, 300)] for _ in range(20)]
    # Bert moves to Anna's very place: near and of like size, but he looks otherwise.
    frames += [[seen(BERT, 300 - 5 * i, width=110)] for i in range(40)]
    result = followed(frames, settings)
    assert places(result) == [100] * 60 + [None] * 40
    assert result.n_unused == 40 and result.n_several == 20


@pytest.mark.parametrize(
    ("change", "expected"),  # of Anna's place when she is back, from 100
    [
        ({}, 130.0),
        ({"x": 390.0}, None),
        ({"width": 160.0}, None),
        ({"look": BERT}, None),
    ],
)
def test_reappearance_needs_place_size_and_looks(settings, change, expected):
    later = {"look": ANNA, "x": 130.0, "width": 100.0} | change
    frames = [[seen(ANNA, 100)]] * 30 + [[]] * 30 + [[seen(**later)]] * 10
    frames = [[seen(face.look, face.centre[0], width=face.width) for face in faces] for faces in frames]
    result = followed(frames, settings)
    assert places(result) == [100] * 30 + [None] * 30 + [expected] * 10
    assert result.n_unused == (0 if expected else 10)


def test_the_person_is_also_found_before_the_longest_track(settings):
    frames = [[seen(ANNA, 100)] for _ in range(10)] + [[]] * 20 + [[seen(ANNA, 120)] for _ in range(30)]
    assert places(followed(frames, settings)) == [100] * 10 + [None] * 20 + [120] * 30


def test_a_jump_beyond_reach_is_not_a_motion(settings):
    frames = [[seen(ANNA, 0)] for _ in range(10)] + [[seen(ANNA, 500)] for _ in range(9)]
    assert places(followed(frames, settings)) == [0] * 10 + [None] * 9


def test_no_face(settings):
    result = followed([[], [], []], settings)
    assert result.faces == [None] * 3 and result.n_several == 0


def test_people_are_ordered_by_their_whole_area_over_time(settings):
    """Bert, lost for a while in the middle, is seen for longer than Anna, whose track is the longest of all."""
    frames = [([seen(ANNA, 100)] if i < 30 else []) + ([] if 20 <= i < 32 else [seen(BERT, 400)]) for i in range(52)]
    linker = following.Linker(settings, 5)
    for faces in frames:
        linker.add(faces)
    everybody = following.people(linker, settings)
    assert [len(chain) for chain in everybody] == [2, 1]
    assert [following.weight(chain) for chain in everybody] == [40 * 100.0**2, 30 * 100.0**2]
    assert places(following.follow(linker, settings)) == [None if 20 <= i < 32 else 400 for i in range(52)]
