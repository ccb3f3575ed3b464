import warnings
from dataclasses import dataclass

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import TimeLimit

from headway import controls
from headway.episodes import ArrayFrames, Episode
from headway.errors import InvalidValue, UnknownName
from headway.estimator import Needs, Reading
from headway_envs.rewards import EstimateProgress, ProgressReward, ShapeReward, estimated_progress, true_progress

TIDY = "headway/TidyDrawer-v0"


@dataclass
class Scripted:
    """A streaming estimator that reads one number after the other from a list, anew in every episode."""

    numbers: tuple[float, ...]
    name: str = "scripted"
    fingerprint: str = "scripted"
    needs: Needs = Needs(pictures=False)  # noqa: RUF009

    def estimate(self, episodes, stride=1):
        raise NotImplementedError

    def stream(self, instruction=None):
        return ScriptedStream(iter(self.numbers))


@dataclass
class ScriptedStream:
    numbers: object

    def push(self, frames, time, state=None):
        return Reading(time, next(self.numbers))


def roll(env, actions, seed=0):
    """What every call gave, reset first, until an episode ends or the actions do."""
    observation, info = env.reset(seed=seed)
    steps = [(observation, 0.0, False, False, info)]
    for action in actions:
        steps.append(env.step(action))
        if steps[-1][2] or steps[-1][3]:
            break
    return steps


def column(steps, key):
    return [step[4][key] for step in steps]


def right(steps, by=0.5):
    return [np.array([by], np.float32)] * steps


def judged(sarm, env, actions, fps):
    """The estimator's own offline curve over what a plain environment shows and tells."""
    observation, info = env.reset(seed=0)
    seen = [{**observation, "rendered": env.render()}]
    for action in actions:
        observation = env.step(action)[0]
        seen.append({**observation, "rendered": env.render()})
    shown = {name: name if name in observation else "rendered" for name in sarm.method.inputs.cameras}
    cameras = {name: ArrayFrames(np.stack([one[part] for one in seen])) for name, part in shown.items()}
    episode = Episode(0, 0, fps, cameras, info["instruction"], np.stack([one["state"] for one in seen]))
    (curve,) = sarm.estimate([episode])
    return curve


def test_on_the_real_task_estimates_are_the_offline_ones_and_nothing_else_changes(make_sarm, can_draw):
    sarm = make_sarm("front", size=96)
    plain = gymnasium.make(TIDY, render_mode="rgb_array")
    plain.action_space.seed(0)
    actions = [plain.action_space.sample() for _ in range(25)]
    shaped = roll(ProgressReward(gymnasium.make(TIDY, render_mode="rgb_array"), sarm, 0.9, 2.0), actions)
    untouched = roll(plain, actions)
    curve = judged(sarm, plain, actions, plain.metadata["render_fps"])

    estimates = np.array(column(shaped, "progress/estimate"))
    assert estimates == pytest.approx(curve.values, abs=1e-5)
    assert column(shaped, "progress/success") == pytest.approx(curve.success, abs=1e-5)
    assert np.ptp(estimates) > 1e-3
    for (seen, reward, *ends, info), (same, original, *as_before, truth) in zip(shaped, untouched, strict=True):
        assert all(np.array_equal(seen[name], same[name]) for name in same)
        assert ends == as_before
        assert {name: info[name] for name in truth} == truth
        assert reward - info.get("reward/shaping", 0.0) == original == info.get("reward/original", 0.0)
    expected = 2.0 * (0.9 * estimates[1:] - estimates[:-1])
    assert column(shaped[1:], "reward/shaping") == pytest.approx(expected, abs=1e-12)


def test_gymnasiums_own_checker_finds_nothing_to_mend(make_sarm, can_draw):
    env = ProgressReward(gymnasium.make(TIDY, render_mode="rgb_array"), make_sarm("front", size=96))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # actions are targets in metres on purpose; and this is a wrapper on purpose
        warnings.filterwarnings("ignore", message=".*symmetric and normalized.*")
        warnings.filterwarnings("ignore", message=".*different from the unwrapped version.*")
        check_env(env)


def test_the_true_progress_needs_no_pictures_and_no_estimator():
    env = ShapeReward(gymnasium.make(TIDY), true_progress, gamma=1.0)
    env.action_space.seed(0)
    steps = roll(env, [env.action_space.sample() for _ in range(20)])
    gained = steps[-1][4]["progress"] - steps[0][4]["progress"]
    assert sum(column(steps[1:], "reward/shaping")) == pytest.approx(gained, abs=1e-12)
    assert np.ptp(column(steps[1:], "reward/shaping")) > 0


def test_the_state_reaches_an_estimator_that_was_trained_with_it(make_sarm, make_slider_env):
    sarm = make_sarm(state_dim=1)
    steps = roll(EstimateProgress(make_slider_env(), sarm, camera="top"), right(8))
    curve = judged(sarm, make_slider_env(), right(8), 10.0)
    assert column(steps, "progress/estimate") == pytest.approx(curve.values, abs=1e-5)


def test_the_instruction_is_the_episodes_own_unless_another_is_given(make_sarm, make_slider_env):
    sarm = make_sarm()
    (_, info), told = make_slider_env().reset(seed=0), "slide on from 3"
    own = roll(EstimateProgress(make_slider_env(), sarm, camera="top"), right(5))
    same = roll(EstimateProgress(make_slider_env(), sarm, camera="top", instruction=info["instruction"]), right(5))
    other = roll(EstimateProgress(make_slider_env(), sarm, camera="top", instruction=told), right(5))
    assert info["instruction"] != told
    assert column(own, "progress/estimate") == column(same, "progress/estimate")
    assert column(own, "progress/estimate") != column(other, "progress/estimate")


def test_pictures_in_the_observation_are_shown_beside_the_rendered_one(make_sarm, make_slider_env):
    sarm, env = make_sarm("top", "side"), make_slider_env(cameras=("side",))
    steps = roll(EstimateProgress(env, sarm, camera="top"), right(8))
    curve = judged(sarm, make_slider_env(cameras=("side",)), right(8), 10.0)
    assert column(steps, "progress/estimate") == pytest.approx(curve.values, abs=1e-5)
    assert env.drawn == 9


def test_a_picture_that_the_observation_has_is_not_drawn_again(make_sarm, make_slider_env):
    sarm, env = make_sarm("side"), make_slider_env(render_mode=None, cameras=("side",))
    steps = roll(EstimateProgress(env, sarm, camera="side"), right(8))
    curve = judged(sarm, make_slider_env(cameras=("side",)), right(8), 10.0)
    assert column(steps, "progress/estimate") == pytest.approx(curve.values, abs=1e-5)
    assert env.drawn == 0


def test_what_only_has_the_shape_of_a_picture_is_not_taken_for_one(make_slider_env, make_sarm):
    env = make_slider_env()
    lookalike = spaces.Box(0, 1, (32, 32, 3), np.float32)
    env.observation_space = spaces.Dict({**env.observation_space.spaces, "top": lookalike})
    steps = roll(EstimateProgress(env, make_sarm(), camera="top"), right(2))
    assert env.drawn == len(steps) == 3


def test_every_episode_begins_with_a_stream_of_its_own(make_sarm, make_slider_env):
    env = ProgressReward(make_slider_env(), make_sarm(), camera="top")
    first, again = roll(env, right(12)), roll(env, right(12))
    assert column(first, "progress/estimate") == column(again, "progress/estimate")
    assert column(first[1:], "reward/shaping") == column(again[1:], "reward/shaping")


def test_looking_less_often_draws_less_and_keeps_what_it_looks_at(make_sarm, make_slider_env):
    sarm, seldom = make_sarm(), make_slider_env()
    always = roll(EstimateProgress(make_slider_env(), sarm, camera="top"), right(13))
    fourth = roll(EstimateProgress(seldom, sarm, camera="top", every=4), right(13))
    looked = column(fourth, "progress/looked_at")
    assert looked == [t % 4 == 0 for t in range(14)]
    assert seldom.drawn == 4
    every, some = column(always, "progress/estimate"), column(fourth, "progress/estimate")
    assert some == pytest.approx([every[t - t % 4] for t in range(14)], abs=1e-6)


def test_what_happens_between_the_looks_adds_up_all_the_same(make_slider_env):
    env = ProgressReward(TimeLimit(make_slider_env(), 7), Scripted((0.1, 0.5, 0.9)), gamma=0.9, every=3)
    steps = roll(env, right(7, 0.1))
    assert steps[-1][3]
    total = sum(0.9**t * added for t, added in enumerate(column(steps[1:], "reward/shaping")))
    assert total == pytest.approx(0.9**7 * 0.9 - 0.1)


def test_an_unknown_progress_is_told_and_the_last_known_one_stands_in(make_slider_env):
    env = ProgressReward(make_slider_env(), Scripted((0.4, np.nan, np.nan, 0.6)), gamma=0.5)
    steps = roll(env, right(3))
    assert np.isnan(column(steps, "progress/estimate")).tolist() == [False, True, True, False]
    assert column(steps, "reward/held") == [False, True, True, False]
    assert column(steps, "reward/potential") == [0.4, 0.4, 0.4, 0.6]
    assert column(steps[1:], "reward/shaping") == pytest.approx([-0.2, -0.2, -0.1])
    assert np.isfinite([step[1] for step in steps]).all()


def test_an_episode_that_begins_unknown_begins_at_zero_whatever_came_before(make_slider_env):
    env = ProgressReward(make_slider_env(), Scripted((np.nan, 0.5)), gamma=1.0)
    for _ in range(2):
        steps = roll(env, right(1))
        assert column(steps, "reward/potential") == [0.0, 0.5]
        assert column(steps, "reward/held") == [True, False]
        assert steps[1][1] == 0.5


def test_an_estimator_that_looks_at_no_pictures_draws_none(make_slider_env):
    env = make_slider_env(render_mode=None)
    steps = roll(EstimateProgress(env, Scripted((0.1, 0.2))), right(1))
    assert column(steps, "progress/estimate") == [0.1, 0.2]
    assert "progress/success" not in steps[0][4]
    assert env.drawn == 0


@pytest.mark.parametrize("control", [controls.clock(), controls.oracle(), controls.constant()])
def test_an_estimator_that_cannot_stream_is_refused_by_name(control, make_slider_env):
    with pytest.raises(
        InvalidValue, match=rf"the estimator '{control.name}' .* does not stream; use .* sarm:RUN"
    ) as told:
        ProgressReward(make_slider_env(), control)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("env", "sarm", "settings", "message"),
    [
        ({"render_mode": None}, {}, {}, "render_mode='rgb_array', not None"),
        ({}, {}, {"every": 0}, "every must be a whole number from 1"),
        ({}, {}, {"fps": 0.0}, r"pass fps=\.\.\."),
        ({}, {}, {"gamma": 2.0}, "gamma must lie in"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_step(make_sarm, make_slider_env, env, sarm, settings, message):
    with pytest.raises(InvalidValue, match=message) as told:
        ProgressReward(make_slider_env(**env), make_sarm(**sarm), **{"camera": "top", **settings})
    assert "\n" not in str(told.value)


def test_an_environment_without_state_or_rate_says_so(make_sarm, make_chain):
    env = make_chain()
    env.render_mode = "rgb_array"
    with pytest.raises(InvalidValue, match=r"needs the robot's state, observation\['state'\]"):
        ProgressReward(env, make_sarm(state_dim=1), camera="top")
    with pytest.raises(InvalidValue, match=r"metadata\['render_fps'\] is None: pass fps="):
        ProgressReward(env, make_sarm(), camera="top")


def test_an_environment_that_does_not_say_what_the_robot_is_told_says_so(make_sarm, make_chain):
    env = make_chain()
    env.render_mode = "rgb_array"
    with pytest.raises(InvalidValue, match=r"needs to know what the robot was told, .*: pass instruction='...'"):
        ProgressReward(env, make_sarm(), camera="top", fps=10).reset()


def test_a_step_before_the_first_reset_says_so(make_sarm, make_slider_env):
    with pytest.raises(ResetNeeded, match=r"call it before step\(\)"):
        ProgressReward(make_slider_env(), make_sarm(), camera="top").step(np.zeros(1, np.float32))


def test_the_wrong_camera_is_named(make_sarm, make_slider_env):
    env = ProgressReward(make_slider_env(), make_sarm())
    with pytest.raises(UnknownName, match="unknown camera 'top'; available: front"):
        env.reset()


def test_a_potential_that_nobody_provides_says_who_would(make_slider_env):
    with pytest.raises(UnknownName, match=r"'progress/estimate'; available: .*progress. Wrap .* in EstimateProgress"):
        ShapeReward(make_slider_env(), estimated_progress).reset()
