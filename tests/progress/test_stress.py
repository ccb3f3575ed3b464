"""Stress transforms: what is shown, and what is true of it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.encoders.cache import FeatureCache
from headway.encoders.small import Pictures
from headway.episodes import ArrayFrames, Stage
from headway.errors import InvalidValue, UnknownName, Unsupported
from headway.replay import HELD, ReplayedFrames, repaint, replay
from headway.scoring import score
from headway.signals.summary import final
from headway.specs import make_estimator
from headway.stress import STRESSES, Stressed, ending
from headway.tables import read_scores

SHOW_OTHER_FRAMES = ("truncate", "freeze", "reverse", "repeat", "fast", "slow", "drop")
CHANGE_PICTURES = ("black", "brightness", "crop", "jpeg", "camera")


class Counting:
    """Frames that count how often one is decoded."""

    identity = "counting"

    def __init__(self, length):
        self.length, self.decoded = length, 0

    def __len__(self):
        return self.length

    def __iter__(self):
        for number in range(self.length):
            self.decoded += 1
            yield np.full((2, 2, 3), number % 256, np.uint8)


@pytest.fixture
def episode(make_slider):
    """Two cameras, timestamps that start at 2 s, and a look at each frame's own number in state and action."""
    made = make_slider(3)
    numbers = np.arange(len(made), dtype=np.float32)[:, None]
    side = ArrayFrames(255 - np.stack(list(made.camera("top"))))
    return replace(
        made,
        cameras={"top": made.camera("top"), "side": side},
        state=numbers,
        action=10 + numbers,
        timestamps=2 + np.arange(len(made)) / made.fps,
    )


def stressed(name, episode, seed=0, other=None):
    others = [] if other is None else [other]
    return STRESSES[name].transform(episode, np.random.default_rng(seed), *others)


def pictures(episode, camera="top"):
    return np.stack(list(episode.camera(camera)))


@pytest.mark.parametrize("name", SHOW_OTHER_FRAMES)
def test_everything_known_of_a_shown_frame_goes_with_it(episode, name):
    changed = stressed(name, episode)
    shown = changed.state[:, 0].astype(int)
    assert len(shown) == len(changed)
    assert (changed.action[:, 0] == 10 + shown).all()
    assert (pictures(changed) == pictures(episode)[shown]).all()
    assert (pictures(changed, "side") == pictures(episode, "side")[shown]).all()
    for part in ("progress", "stage", "success"):
        assert (getattr(changed.truth, part) == getattr(episode.truth, part)[shown]).all()
    assert changed.success == episode.truth.success[shown[-1]]
    assert changed.recording == episode.recording
    marks = np.full(len(changed), "", object)
    for stage in changed.stages:
        marks[stage.start : stage.end] = stage.name
    recorded = np.full(len(episode), "", object)
    for stage in episode.stages:
        recorded[stage.start : stage.end] = stage.name
    assert (marks == recorded[shown]).all()


def test_each_shows_the_frames_that_it_says(episode):
    last = len(episode) - 1
    shown = {name: stressed(name, episode).state[:, 0].astype(int) for name in SHOW_OTHER_FRAMES}
    cut = shown["truncate"]
    assert cut.tolist() == list(range(len(cut)))
    assert 0.3 * last <= cut[-1] <= 0.7 * last
    frozen = shown["freeze"]
    assert len(frozen) == last + 1
    assert 0.3 * last <= frozen[-1] <= 0.7 * last
    assert (frozen == np.minimum(np.arange(last + 1), frozen[-1])).all()
    assert shown["reverse"].tolist() == list(range(last, -1, -1))
    steps = np.diff(shown["repeat"])
    assert sorted(set(steps.tolist()))[0] < -1
    assert (steps != 1).sum() == 1
    assert shown["repeat"][[0, -1]].tolist() == [0, last]
    assert len(shown["fast"]) == pytest.approx(len(episode) / 2, abs=1)
    assert shown["fast"][[0, -1]].tolist() == [0, last]
    assert len(shown["slow"]) == pytest.approx(len(episode) * 2, abs=1)
    assert set(np.diff(shown["slow"]).tolist()) == {0, 1}
    assert set(np.diff(shown["drop"]).tolist()) >= {1, 2}
    for seed in range(8):
        assert stressed("drop", episode, seed).state[[0, -1], 0].tolist() == [0, last]


def test_timestamps_run_on_evenly_unless_frames_were_dropped(episode):
    backwards = stressed("reverse", episode)
    assert np.diff(backwards.timestamps) == pytest.approx(1 / episode.fps)
    dropped = stressed("drop", episode)
    assert dropped.timestamps == pytest.approx(2 + dropped.state[:, 0] / episode.fps)
    assert np.diff(dropped.timestamps).max() > 1.5 / episode.fps
    assert replay(replace(episode, timestamps=None), np.array([0, 1])).timestamps is None


def test_without_truth_a_label_is_kept_only_where_it_is_known(episode):
    unknown = replace(episode, truth=None)
    (right, down) = unknown.stages
    assert replay(unknown, np.arange(len(episode))).success is True
    # the last stage was still under way
    assert replay(unknown, np.arange(down.start + 2)).success is False
    # after the marks, before the end: nobody said
    assert replay(unknown, np.arange(down.end + 1)).success is None
    assert replay(replace(unknown, stages=None), np.arange(right.end)).success is None
    assert replay(replace(unknown, success=None), np.arange(len(episode))).success is None


def test_a_mark_that_is_left_and_entered_again_becomes_two(episode):
    marked = replace(episode, stages=(Stage("right", 2, 5), Stage("down", 5, 9)))
    cut = replay(marked, np.array([0, 3, 4, 5, 4, 9, 2, 2]))
    found = [(stage.name, stage.start, stage.end) for stage in cut.stages]
    assert found == [("right", 1, 3), ("down", 3, 4), ("right", 4, 5), ("right", 6, 8)]
    assert replay(replace(episode, dense_stages=None), np.array([0])).dense_stages is None


@given(st.lists(st.integers(0, 299), min_size=1, max_size=400))
def test_frames_are_replayed_in_any_order(shown):
    frames = ReplayedFrames(Counting(300), np.array(shown))
    assert [int(picture[0, 0, 0]) for picture in frames] == [number % 256 for number in shown]
    assert len(frames) == len(shown)


def test_frames_in_recorded_order_are_decoded_once_and_backwards_a_block_at_a_time():
    length = 3 * HELD
    forwards = Counting(length)
    assert len(list(ReplayedFrames(forwards, np.repeat(np.arange(length), 2)))) == 2 * length
    assert forwards.decoded == length
    early = Counting(length)
    list(ReplayedFrames(early, np.minimum(np.arange(length), 9)))
    assert early.decoded == 10, "nothing after the last frame shown is decoded"
    backwards = Counting(length)
    list(ReplayedFrames(backwards, np.arange(length)[::-1]))
    assert backwards.decoded == HELD * (3 + 2 + 1)


@pytest.mark.parametrize("name", CHANGE_PICTURES)
def test_changing_pictures_leaves_all_else_as_it_is(episode, name):
    changed = stressed(name, episode)
    assert pictures(changed).shape == pictures(episode).shape
    assert pictures(changed).dtype == np.uint8
    assert (pictures(changed) != pictures(episode)).any()
    assert changed == replace(episode, cameras=changed.cameras)


def test_pictures_are_changed_as_said(episode):
    before = pictures(episode).astype(float)
    dark = pictures(stressed("black", episode))
    start = int((dark.reshape(len(dark), -1).max(axis=1) == 0).argmax())
    assert 0.3 * len(dark) <= start <= 0.7 * len(dark)
    assert (dark[:start] == before[:start]).all()
    assert (dark[start:] == 0).all()
    factors = {round(pictures(stressed("brightness", episode, seed)).mean() / before.mean(), 1) for seed in range(9)}
    assert factors == {0.4, 1.8} or max(factors) > 1.5 > 0.5 > min(factors)
    # the square of 8 pixels is magnified, and stays red: channels keep their places
    red = pictures(stressed("crop", episode, seed=1))
    assert (red[len(red) // 2, ..., 0] > 150).sum() == pytest.approx(64 / 0.8**2, rel=0.3)
    packed = pictures(stressed("jpeg", episode)).astype(float)
    assert 0.5 < np.abs(packed - before).mean() < 15
    swapped = stressed("camera", episode)
    assert swapped.camera("top") is episode.camera("side")
    assert swapped.camera("side") is episode.camera("top")


def test_another_tasks_ending_brings_this_task_no_further(episode):
    length = len(episode)
    bigger = ArrayFrames(np.full((length, 64, 48, 3), 200, np.uint8))
    numbers = np.full((length, 1), 500, np.float32) + np.arange(length, dtype=np.float32)[:, None]
    other = replace(
        episode,
        fps=2 * episode.fps,
        cameras={"top": bigger, "side": bigger},
        state=numbers,
        instruction="another",
        action=np.zeros((length, 7), np.float32),
    )
    changed = stressed("ending", episode, other=other)
    cut = int((changed.state[:, 0] >= 500).argmax())
    assert 0.3 * length <= cut <= 0.7 * length + 1
    assert len(changed) - cut == pytest.approx(0.4 * length / 2, abs=1), "at this episode's frame rate"
    assert (pictures(changed)[:cut] == pictures(episode)[:cut]).all()
    assert (pictures(changed)[cut:] == 200).all()
    assert (changed.truth.progress[cut:] == episode.truth.progress[cut - 1]).all()
    assert changed.success is False
    assert not changed.truth.success.any()
    assert changed.action is None
    assert changed.stages[-1].end <= cut
    assert changed.instruction == episode.instruction


def test_a_success_is_never_shown_before_the_cut(make_slider):
    early = make_slider(seconds=1, hold=60)
    other = make_slider(5)
    for seed in range(5):
        assert not ending(early, np.random.default_rng(seed), other).truth.success.any()


def test_features_of_changed_pictures_are_never_taken_for_others(episode, tmp_path):
    """One cache for all: each gives what it gives without a cache."""
    cache = FeatureCache(tmp_path)
    encoder = Pictures(16)
    other = replace(episode, instruction="another")
    identities = {episode.camera("top").identity}
    for name, stress in STRESSES.items():
        for seed in range(2):
            changed = stressed(name, episode, seed, other if stress.needs_other else None)
            frames = changed.camera("top")
            kept = np.array(cache.features(encoder, frames))
            assert (kept == encoder.encode(list(frames))).all(), name
            identities.add(frames.identity)
    assert len(identities) > len(STRESSES)
    nobody = replace(episode, cameras={"top": Unnamed(episode.camera("top"))})
    for name in ("reverse", "jpeg", "ending"):
        changed = stressed(name, nobody, 0, other if name == "ending" else None)
        assert changed.camera("top").identity is None


class Unnamed:
    identity = None

    def __init__(self, frames):
        self.frames = frames

    def __len__(self):
        return len(self.frames)

    def __iter__(self):
        return iter(self.frames)


@pytest.mark.parametrize("name", STRESSES)
def test_one_frame_is_enough(episode, name):
    one = replay(episode, np.array([0]))
    changed = stressed(name, one, other=one if STRESSES[name].needs_other else None)
    assert len(changed) >= 1
    assert len(pictures(changed)) == len(changed)


@pytest.mark.parametrize("name", [name for name in STRESSES if name not in ("ending", "camera")])
def test_a_stressed_dataset_is_a_dataset(toy_source, name):
    source = Stressed(toy_source, name)
    episodes = list(source)
    assert [one.index for one in episodes] == list(toy_source.episode_indices)
    assert {one.kind for one in episodes} == {f"stress:{name}"}
    starts = np.cumsum([0, *map(len, episodes)])
    assert [one.first_frame for one in episodes] == starts[:-1].tolist()
    again = Stressed(toy_source, name).episode(2)
    assert (pictures(again) == pictures(episodes[2])).all()
    assert again.camera("top").identity == episodes[2].camera("top").identity


def test_the_fingerprint_tells_stresses_seeds_and_datasets_apart(toy_source, make_source):
    two = [replace(one, instruction=f"task {one.index % 2}") for one in toy_source]
    both = make_source(two, toy_source.root, fingerprint="both")
    sources = [toy_source, *(Stressed(toy_source, name) for name in ("truncate", "freeze", "jpeg"))]
    sources += [Stressed(toy_source, "truncate", seed=1), Stressed(both, "truncate"), Stressed(both, "ending")]
    elsewhere = make_source(two, toy_source.root, fingerprint="elsewhere")
    sources += [Stressed(toy_source, "ending", others=lender) for lender in (both, elsewhere)]
    sources += [Stressed(Stressed(toy_source, "jpeg"), "truncate")]
    assert len({source.fingerprint for source in sources}) == len(sources)
    assert Stressed(toy_source, "truncate").fingerprint == Stressed(toy_source, "truncate").fingerprint
    cuts = {seed: len(Stressed(toy_source, "truncate", seed).episode(0)) for seed in range(6)}
    assert len(set(cuts.values())) > 1


def test_endings_come_from_another_task_that_succeeded(toy_source, make_source):
    told = ["a", "a", "b", "b", "b", "b"]
    mixed = make_source([replace(one, instruction=t) for one, t in zip(toy_source, told, strict=True)], toy_source.root)
    finished = Stressed(mixed, "ending")
    for one in finished:
        assert len(one) > 1
        assert one.instruction == told[one.index]
        lent = pictures(one)[-1]
        donors = [0, 1] if one.instruction == "b" else [2, 3]
        assert any((pictures(mixed.episode(index))[-1] == lent).all() for index in donors)


def test_a_stressed_dataset_is_scored_with_its_own_truth(toy_source, tmp_path):
    source = Stressed(toy_source, "truncate")
    rows = read_scores(score(source, make_estimator("oracle"), tmp_path / "oracle")).episodes.to_pylist()
    assert [row["final"] for row in rows] == pytest.approx([final(one.truth.progress) for one in source])
    assert max(row["final"] for row in rows) < 0.8
    assert all(curve.values[-1] == 1 for curve in make_estimator("clock").estimate(source)), "a clock falls for it"


def test_what_cannot_be_done_is_one_clear_line(toy_source, episode):
    with pytest.raises(UnknownName, match="unknown stress 'melt'; available: black, brightness"):
        Stressed(toy_source, "melt")
    with pytest.raises(Unsupported, match="has one camera, 'top'"):
        Stressed(toy_source, "camera")
    with pytest.raises(Unsupported, match="needs an episode of another task than episode 0's"):
        Stressed(toy_source, "ending")
    with pytest.raises(InvalidValue, match="has frames 0 to"):
        replay(episode, np.array([0, len(episode)]))
    with pytest.raises(InvalidValue, match="has frames 0 to"):
        replay(episode, np.array([], int))
    with pytest.raises(Unsupported, match="no camera besides 'top'"):
        stressed("camera", replace(episode, cameras={"top": episode.camera("top")}))


def test_paint_is_told_apart_by_its_name(episode):
    def paint(number, picture):
        return picture

    same, other = (repaint(episode, paint, how).camera("top").identity for how in ("one", "other"))
    assert same != other
