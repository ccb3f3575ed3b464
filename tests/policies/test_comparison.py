import numpy as np
import pytest

from headway.errors import CheckpointError, InvalidValue, UnknownName
from headway_envs.seeds import unseen_seeds
from headway_policies.behaviour_cloning import CloningConfig
from headway_policies.comparison import compare, crossed_bootstrap
from headway_policies.demonstrations import Demonstrations

QUICK = CloningConfig(width=128, steps=250)
WHERE = {"robot": "gripper", "seconds": 15}


@pytest.fixture(scope="module")
def good_and_broken(experts):
    """Thirty episodes by experts, then ten in which the hand is told to stay where it is."""
    tenth = experts.episode < 10
    return Demonstrations(
        np.concatenate([experts.state, experts.state[tenth]]),
        np.concatenate([experts.environment_state, experts.environment_state[tenth]]),
        np.concatenate([experts.action, experts.state[tenth]]),
        np.concatenate([experts.episode, experts.episode[tenth] + 30]),
        experts.signature,
    )


@pytest.fixture(scope="module")
def compared(good_and_broken):
    good = (good_and_broken.episode < 30).astype(float)
    broken = 1 - good
    broken[:5] = np.nan
    ticks = []
    arms = {"good": good, "same": good.copy(), "broken": broken}
    result = compare(
        "tidy-drawer", good_and_broken, arms, "good", [0], unseen_seeds(6), config=QUICK, advance=ticks.append, **WHERE
    )
    return result, ticks


def test_identical_arms_come_out_alike_and_not_distinguishable(compared):
    result, _ = compared
    assert result.arms[0].rollouts == result.arms[1].rollouts
    same = result.differences[0]
    assert (same.arm, same.against, same.success.value) == ("same", "good", 0)
    assert str(same).endswith("not distinguishable")


def test_a_broken_arm_is_told_from_a_good_one(compared):
    result, _ = compared
    broken = result.differences[1]
    assert result.arms[0].success.value >= 0.8
    assert broken.success.high < 0
    assert "not distinguishable" not in str(broken)


def test_every_policy_advances_the_bar_by_one(compared):
    assert compared[1] == [1, 1, 1]


def test_each_arm_tells_what_it_learnt_from(compared, good_and_broken):
    good, _, broken = compared[0].arms
    assert (good.frames, good.left_out) == ((good_and_broken.episode < 30).sum(), 0)
    assert (broken.frames, broken.left_out) == ((good_and_broken.episode >= 30).sum(), 5)


def test_one_training_seed_comes_with_a_caveat(compared):
    assert "one training seed" in compared[0].caveat


def test_one_process_gives_the_numbers_of_several(compared, good_and_broken):
    good = {"good": (good_and_broken.episode < 30).astype(float)}
    alone = compare(
        "tidy-drawer", good_and_broken, good, "good", [0], unseen_seeds(6), config=QUICK, workers=1, **WHERE
    )
    assert alone.arms[0].rollouts == compared[0].arms[0].rollouts


def test_an_arm_with_nothing_to_learn_from_is_named(experts):
    arms = {"all": np.ones(len(experts)), "nobody": np.zeros(len(experts))}
    with pytest.raises(InvalidValue, match="arm 'nobody': nothing to learn from"):
        compare(
            "tidy-drawer", experts, {"nobody": arms["nobody"]}, "nobody", [0], unseen_seeds(1), "gripper", workers=1
        )


def test_what_is_asked_for_wrongly_is_refused_before_any_training(experts):
    weights = {"all": np.ones(len(experts))}
    with pytest.raises(UnknownName, match="available: all"):
        compare("tidy-drawer", experts, weights, "none", [0], unseen_seeds(1), "gripper")
    with pytest.raises(UnknownName, match="stack-three"):
        compare("make-tea", experts, weights, "all", [0], unseen_seeds(1), "gripper")
    with pytest.raises(CheckpointError, match="does not fit tidy-drawer with the robot 'arm'"):
        compare("tidy-drawer", experts, weights, "all", [0], unseen_seeds(1), "arm")
    with pytest.raises(InvalidValue, match="at least one training seed"):
        compare("tidy-drawer", experts, weights, "all", [], unseen_seeds(1), "gripper")
    with pytest.raises(InvalidValue, match="at least one worker"):
        compare("tidy-drawer", experts, weights, "all", [0], unseen_seeds(1), "gripper", workers=0)


def test_the_interval_widens_with_the_spread_between_training_seeds():
    steady = np.tile(np.r_[np.ones(25), np.zeros(25)], (3, 1))
    moody = np.stack([np.r_[np.ones(k), np.zeros(50 - k)] for k in (5, 25, 45)])
    narrow, wide = crossed_bootstrap(steady, lowest=0), crossed_bootstrap(moody, lowest=0)
    assert narrow.value == wide.value == pytest.approx(0.5)
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_noise_alone_is_seldom_called_a_difference():
    rng = np.random.default_rng(0)
    called = 0
    for _ in range(100):
        skill = rng.normal(1.5, 1.5, 50)
        moods = rng.normal(0, 0.5, (2, 3, 1))
        outcomes = rng.random((2, 3, 50)) < 1 / (1 + np.exp(-(skill + moods)))
        interval = crossed_bootstrap(outcomes[0].astype(float) - outcomes[1], lowest=-1, draws=500)
        called += interval.low > 0 or interval.high < 0
    assert called <= 10


def test_ten_successes_of_ten_leave_room_for_failure():
    certain = crossed_bootstrap(np.ones((3, 10)), lowest=0)
    assert (certain.value, certain.high) == (1, 1)
    assert certain.low == pytest.approx(0.692, abs=0.001)  # Clopper and Pearson, 10 of 10
