"""Risks of signals whose values are worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest

from headway.checks import RISKS
from headway.checks.check import Evidence
from headway.checks.numbers import Actions, Numbers, numbers_of
from headway.checks.pictures import Facts, Seen
from headway.episodes import ArrayFrames, Episode

MEASURE = {check.name: check.measure for check in RISKS}


def evidence(state=None, action=None, fps=20.0, pairs=((0, 0),), grippers=(False,), low=0.0, high=1.0, seen=None):
    """Of signals (time,) or (time, dim) that range from `low` to `high` in their dataset."""
    parts = {"state": state, "action": action}
    parts = {name: None if part is None else np.asarray(part, float) for name, part in parts.items()}
    parts = {name: part[:, None] if part is not None and part.ndim == 1 else part for name, part in parts.items()}
    time = next((len(part) for part in parts.values() if part is not None), 1)
    frames = ArrayFrames(np.zeros((time, 4, 4, 3), np.uint8))
    size = len(grippers)
    limits = np.full(size, low), np.full(size, high)
    actions = Actions(*limits, limits[1] - limits[0], np.array(grippers), np.zeros((2, size), bool))
    numbers = Numbers(
        None if parts["state"] is None else np.full(parts["state"].shape[1], high - low),
        None if parts["action"] is None else actions,
        pairs,
    )
    episode = Episode(0, 0, fps, {"top": frames}, **parts)
    return Evidence(episode, numbers, seen or {"top": Seen(Facts().encode(list(frames)))})


def test_idle_is_the_share_of_frames_from_which_nothing_gets_away():
    # rests 40 frames, then crosses its range in 40; from frame 30 on the half second ahead holds some of the way
    state = np.concatenate([np.zeros(40), np.linspace(0, 1, 41)[1:]])
    assert MEASURE["idle"](evidence(state)) == pytest.approx(31 / 70)
    shaking = np.zeros(80)
    shaking[::2] = 0.04
    assert MEASURE["idle"](evidence(shaking)) == 1, "jitter on the spot is no motion"


def test_action_variation_is_the_way_in_ranges_per_second():
    back_and_forth = np.tile([0, 0.25, 0.5, 0.25], 20)
    assert MEASURE["action_variation"](evidence(action=back_and_forth)) == pytest.approx(0.25 * 20)
    doubled = evidence(action=back_and_forth, high=2.0)
    assert MEASURE["action_variation"](doubled) == pytest.approx(0.25 * 20 / 2)


@pytest.mark.parametrize(("hertz", "share"), [(1.0, 0.0), (8.0, 1.0)])
def test_the_energy_of_a_pure_tone_lies_on_its_side_of_five_hertz(hertz, share):
    tone = 0.5 + 0.5 * np.sin(2 * np.pi * hertz * np.arange(200) / 20)
    assert MEASURE["action_high_frequency"](evidence(action=tone)) == pytest.approx(share, abs=0.01)


def test_the_energy_of_two_tones_is_shared_by_their_speeds_squared():
    seconds = np.arange(2001) / 100
    tones = 0.5 + 0.3 * np.sin(2 * np.pi * 2 * seconds) + 0.1 * np.sin(2 * np.pi * 6 * seconds)
    # differences weigh an amplitude by sin(pi f / fps), twice, squared
    slow, fast = (0.3 * np.sin(np.pi * 2 / 100)) ** 2, (0.1 * np.sin(np.pi * 6 / 100)) ** 2
    got = MEASURE["action_high_frequency"](evidence(action=tones, fps=100.0))
    assert got == pytest.approx(fast / (slow + fast), abs=0.01)


def test_a_spectrum_needs_a_second_and_frames_enough():
    assert MEASURE["action_high_frequency"](evidence(action=np.arange(15) / 15)) is None
    assert MEASURE["action_high_frequency"](evidence(action=np.arange(90) / 90, fps=10.0)) is None
    assert MEASURE["action_high_frequency"](evidence(action=np.full(90, 0.5))) is None, "no change, no share"


def test_jerk_of_the_minimum_jerk_movement_is_the_textbooks():
    """x = 10 s^3 - 15 s^4 + 6 s^5: integral of jerk squared 720, peak speed 15/8, whatever the time it takes."""
    expected = np.log(720 / (15 / 8) ** 2)
    for fps in (200.0, 400.0):
        s = np.linspace(0, 1, 401)
        # the range does not matter either
        got = MEASURE["jerk"](evidence(10 * s**3 - 15 * s**4 + 6 * s**5, fps=fps, high=3.0))
        assert got == pytest.approx(expected, abs=0.03)
    shaken = 10 * s**3 - 15 * s**4 + 6 * s**5 + 0.001 * np.sin(200 * s)
    assert MEASURE["jerk"](evidence(shaken, fps=400.0)) > expected + 1
    assert MEASURE["jerk"](evidence(np.full(50, 0.5))) is None


def test_tracking_error_compares_a_command_with_the_next_frame():
    action = np.linspace(0, 0.9, 10)
    state = np.concatenate([[0], action[:-1]])
    assert MEASURE["tracking_error"](evidence(state, action)) == pytest.approx(0, abs=1e-12)
    assert MEASURE["tracking_error"](evidence(state - 0.05, action)) == pytest.approx(0.05)
    assert MEASURE["tracking_error"](evidence(state - 0.05, action, high=2.0)) == pytest.approx(0.025)


@pytest.mark.parametrize("frames", [0, 3, 11])
def test_the_lag_is_that_of_the_copy(frames):
    rng = np.random.default_rng(0)
    action = np.cumsum(rng.normal(size=120)) / 30
    state = np.concatenate([np.full(frames, action[0]), action[: len(action) - frames]])
    assert MEASURE["lag"](evidence(state, action)) == pytest.approx(frames / 20)
    noise = np.cumsum(rng.normal(size=120)) / 30
    assert MEASURE["lag"](evidence(noise, action)) is None, "what does not follow has no lag"
    assert MEASURE["lag"](evidence(np.full(120, 0.5), action)) is None


def test_chatter_counts_switches_that_are_soon_undone():
    command = np.zeros(600)  # 30 s
    command[100:] = 1  # grasps and holds
    assert MEASURE["gripper_chatter"](evidence(action=command, grippers=(True,))) == 0
    command[300:303] = 0  # lets go for 3 frames
    command[400:440] = 0  # lets go for 2 s
    assert MEASURE["gripper_chatter"](evidence(action=command, grippers=(True,))) == pytest.approx(1 / 0.5)
    trembling = 0.5 + 0.2 * np.tile([1, -1], 300)
    assert MEASURE["gripper_chatter"](evidence(action=trembling, grippers=(True,))) == 0, "neither open nor closed"
    assert MEASURE["gripper_chatter"](evidence(action=command)) is None, "there is no gripper"


def test_values_at_the_limits_are_counted_without_grippers():
    action = np.column_stack([[0, 0.5, 0.995, 1], [0, 0, 1, 1]])
    assert MEASURE["at_limits"](evidence(action=action, grippers=(False, True), pairs=())) == pytest.approx(0.75)


def picture(grey):
    return np.repeat(np.asarray(grey, np.uint8)[..., None], 3, axis=-1)


def test_blur_and_exposure_of_pictures_made_by_hand():
    flat, board = np.full((32, 32), 128), 255 * (np.indices((32, 32)).sum(axis=0) % 2)
    half = np.concatenate([np.zeros((16, 32)), np.full((16, 32), 128)])
    facts = Facts().encode([picture(flat), picture(board)])
    seen = {"top": Seen(facts), "wrist": Seen(Facts().encode([picture(half)] * 2))}
    assert facts[0, 2] == 0
    assert MEASURE["blur"](evidence(seen={"top": Seen(facts)})) == 0.5, "one frame of two is without an edge"
    assert MEASURE["exposure"](evidence(seen={"wrist": seen["wrist"]})) == 0.5
    assert MEASURE["exposure"](evidence(seen=seen)) == 0.5, "the worst camera"
    # the Laplacian of a row of 0 and 40 in the middle is 40 and -40 at the edge: 2 of 32 rows
    edge = np.concatenate([np.full((16, 32), 100), np.full((16, 32), 140)])
    assert Facts().encode([picture(edge)])[0, 2] == pytest.approx(2 * 40**2 / 32)


def test_grippers_are_found_by_name_by_values_and_by_where_they_lie():
    rng = np.random.default_rng(0)
    free = rng.uniform(-1, 1, 400)
    switch = (np.arange(400) % 100 > 50).astype(float)
    analog = np.clip(switch + rng.normal(0, 0.02, 400), 0, 1)
    few = np.round(rng.uniform(-1, 1, 400))
    action = np.column_stack([free, switch, analog, few, np.zeros(400), free]).astype(np.float32)
    episode = Episode(0, 0, 20.0, {"top": ArrayFrames(np.zeros((400, 4, 4, 3), np.uint8))}, action=action)
    assert numbers_of([episode]).actions.grippers.tolist() == [False, True, True, True, False, False]
    named = replace(episode, action_names=("a", "b", "c", "d", "e", "left_gripper.pos"))
    assert numbers_of([named]).actions.grippers[-1]


def test_values_that_are_not_finite_do_not_spoil_the_dataset(make_arm):
    episodes = [make_arm(index) for index in range(3)]
    action = episodes[0].action.copy()
    action[3] = np.inf
    broken = numbers_of([replace(episodes[0], action=action), *episodes[1:]])
    sound = numbers_of(episodes)
    assert broken.actions.range == pytest.approx(sound.actions.range, rel=0.1)
    assert broken.pairs == sound.pairs == ((0, 0), (1, 1), (2, 2), (3, 3))
