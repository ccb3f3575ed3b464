from dataclasses import dataclass, replace

import gymnasium
import numpy as np
import pytest

from headway.errors import InvalidValue, UnknownName
from headway.estimator import Needs, Reading
from headway_envs.rewards import (
    EstimateProgress,
    ProgressReward,
    ShapeReward,
    TerminateOnSuccess,
    estimated_progress,
)


@dataclass
class Sure:
    """A streaming estimator whose success probabilities are given; its progress is always 0.6."""

    success: tuple[float | None, ...]
    name: str = "sure"
    fingerprint: str = "sure"
    needs: Needs = Needs(pictures=False)  # noqa: RUF009

    def estimate(self, episodes, stride=1):
        raise NotImplementedError

    def stream(self, instruction=None):
        return replace(self, success=self.success)

    def push(self, frames, time, state=None):
        now, *self.success = self.success
        return Reading(time, 0.6, success=now)


def terminations(env, steps):
    """Whether each step terminated, up to the first that did."""
    env.reset(seed=0)
    found = []
    for _ in range(steps):
        found.append(env.step(np.zeros(1, np.float32))[2])
        if found[-1]:
            break
    return found


@pytest.mark.parametrize(
    ("success", "ends_at"),
    [
        ((0.1, 0.9, 0.9, 0.9, 0.1), 3),
        ((0.9, 0.9, 0.9, 0.1, 0.1), 2),  # the state after the reset counts
        ((0.1, 0.9, 0.9, 0.1, 0.9, 0.9, 0.9), 6),
        ((0.1, 0.9, 0.9, np.nan, 0.9, 0.9, 0.9), 6),
        ((0.1, 0.9, 0.9, None, 0.9, 0.9, 0.9), 6),
        ((0.1, 0.8, 0.8, 0.8, 0.8), 3),  # the threshold itself counts
        ((0.1, 0.79, 0.9, 0.9, 0.79), None),
    ],
)
def test_it_takes_so_many_sure_frames_in_a_row(make_slider_env, success, ends_at):
    env = TerminateOnSuccess(EstimateProgress(make_slider_env(), Sure(success)), threshold=0.8, frames=3)
    found = terminations(env, len(success) - 1)
    assert found == [False] * (len(found) - 1) + [ends_at is not None]
    assert ends_at is None or len(found) == ends_at
    assert terminations(env, len(success) - 1) == found  # the next episode starts unsure


def test_frames_that_were_not_looked_at_do_not_count(make_slider_env):
    env = EstimateProgress(make_slider_env(), Sure((0.1, 0.9, 0.9, 0.1)), every=5)
    assert terminations(TerminateOnSuccess(env, frames=2), 19) == [False] * 9 + [True]


def test_the_shaping_above_takes_back_the_potential_of_what_was_declared(make_slider_env):
    inner = EstimateProgress(make_slider_env(), Sure((0.1, 0.9, 0.9)))
    env = ShapeReward(TerminateOnSuccess(inner, frames=2, bonus=1.0), estimated_progress, gamma=0.5)
    env.reset(seed=0)
    _, first, terminated, _, before = env.step(np.zeros(1, np.float32))
    assert (first, terminated, before["success/declared"]) == (pytest.approx(0.5 * 0.6 - 0.6), False, False)
    _, last, terminated, truncated, info = env.step(np.zeros(1, np.float32))
    assert (terminated, truncated, info["success/declared"]) == (True, False, True)
    assert info["reward/original"] == 1.0
    assert last == pytest.approx(1.0 - 0.6)


def test_an_end_that_the_environment_declares_stays(make_slider_env):
    env = TerminateOnSuccess(EstimateProgress(make_slider_env(), Sure((0.0,) * 30)))
    env.reset(seed=0)
    while not (stepped := env.step(np.array([3], np.float32)))[2]:
        pass
    assert stepped[1] == 1.0
    assert not stepped[4]["success/declared"]


def test_above_the_shaping_it_is_refused(make_slider_env):
    shaped = ProgressReward(make_slider_env(), Sure((0.9,)))
    for env in (shaped, gymnasium.wrappers.TimeLimit(shaped, 5)):
        with pytest.raises(InvalidValue, match="goes beneath ProgressReward"):
            TerminateOnSuccess(env)


def test_an_estimator_that_tells_no_success_is_refused(make_slider_env):
    env = TerminateOnSuccess(EstimateProgress(make_slider_env(), Sure((None, None))))
    with pytest.raises(UnknownName, match=r"'progress/success'; available: .* EstimateProgress gives it"):
        env.reset()


@pytest.mark.parametrize("settings", [{"threshold": 0.0}, {"threshold": 1.1}, {"frames": 0}])
def test_settings_that_would_end_every_episode_or_none_are_refused(make_slider_env, settings):
    with pytest.raises(InvalidValue, match="must"):
        TerminateOnSuccess(make_slider_env(), **settings)


def test_it_fires_when_a_plain_count_of_sure_looks_would(make_slider_env):
    rng = np.random.default_rng(0)
    for _ in range(60):
        every, frames = int(rng.integers(1, 4)), int(rng.integers(1, 4))
        success = tuple(
            rng.choice([0.1, 0.79, 0.8, 0.9, 0.95, np.nan], 13, p=[0.1, 0.1, 0.2, 0.3, 0.25, 0.05]).tolist()
        )
        env = TerminateOnSuccess(EstimateProgress(make_slider_env(), Sure(success), every=every), 0.8, frames)
        expected, sure_for = [], 0
        for step in range(13):
            if step % every == 0:
                sure_for = sure_for + 1 if success[step // every] >= 0.8 else 0
            # the state after the reset counts, but ends nothing before the first step
            expected += [sure_for >= frames] if step else []
            if expected and expected[-1]:
                break
        assert terminations(env, 12) == expected
