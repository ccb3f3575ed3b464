"""The vector wrappers against the single ones, number by number."""

import sys
from functools import partial

import cloudpickle
import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit

from headway.errors import InvalidValue
from headway_envs.rewards import (
    ProgressReward,
    ShapeReward,
    VectorEstimateProgress,
    VectorProgressReward,
    VectorShapeReward,
    true_progress,
)

# processes started by AsyncVectorEnv cannot import this file
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SETTINGS = {"gamma": 0.9, "scale": 3.0, "camera": "top"}
NUMBER, STEPS, LIMIT = 3, 40, 9


def limited(make):
    return TimeLimit(make(), LIMIT)


def drawn_actions(space, steps):
    space.seed(7)
    return [space.sample() for _ in range(steps)]


def roll_vector(envs, actions):
    """What every call gave; where the environment leaves resets to the user, ended ones are reset before a step."""
    calls = [("reset", *envs.reset(seed=5))]
    ended = np.zeros(envs.num_envs, bool)
    for action in actions:
        if envs.metadata["autoreset_mode"] == AutoresetMode.DISABLED and ended.any():
            calls.append(("reset", *envs.reset(options={"reset_mask": ended})))
        calls.append(("step", *envs.step(action)))
        ended = calls[-1][3] | calls[-1][4]
    envs.close()
    return calls


def roll_singles(envs, actions, disabled):
    """The same on single environments: one list of calls each, with None where a mask left one alone."""
    calls = [[("reset", *env.reset(seed=5 + number))] for number, env in enumerate(envs)]
    ended = [False] * len(envs)
    for action in actions:
        if disabled and any(ended):
            for number, env in enumerate(envs):
                calls[number].append(("reset", *env.reset()) if ended[number] else None)
        for number, env in enumerate(envs):
            if ended[number] and not disabled:
                observation, info = env.reset()
                calls[number].append(("step", observation, 0.0, False, False, info))
            else:
                calls[number].append(("step", *env.step(action[number])))
            ended[number] = calls[number][-1][3] or calls[number][-1][4]
    return calls


def info_of(infos, number):
    """What the infos of a vector environment say of one sub-environment."""
    return {name: infos[name][number] for name in infos if not name.startswith("_") and infos[f"_{name}"][number]}


def assert_equal(together, alone):
    """Exactly, but for infos: those of a call which left a sub-environment alone say nothing of it."""
    for number, calls in enumerate(alone):
        assert len(calls) == len(together)
        for single, batched in zip(calls, together, strict=True):
            info = info_of(batched[-1], number)
            if single is None:
                assert info == {}
                continue
            assert np.array_equal(batched[1]["state"][number], single[1]["state"])
            assert [values[number] for values in batched[2:-1]] == list(single[2:-1])
            assert info == single[-1]


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
@pytest.mark.parametrize(
    ("vectorise", "every"), [(SyncVectorEnv, 1), (SyncVectorEnv, 4), (partial(AsyncVectorEnv, context="spawn"), 1)]
)
def test_the_vector_wrapper_gives_the_numbers_of_the_single_one(make_sarm, make_slider_env, mode, vectorise, every):
    sarm = make_sarm("top", "side", state_dim=1)
    make = partial(limited, partial(make_slider_env, cameras=("side",)))
    envs = VectorProgressReward(vectorise([make] * NUMBER, autoreset_mode=mode), sarm, every=every, **SETTINGS)
    actions = drawn_actions(envs.action_space, STEPS)
    together = roll_vector(envs, actions)
    singles = [ProgressReward(make(), sarm, every=every, **SETTINGS) for _ in range(NUMBER)]
    assert_equal(together, roll_singles(singles, actions, mode == AutoresetMode.DISABLED))

    stepped = [call for call in together if call[0] == "step"]
    assert sum(call[3].sum() for call in stepped) >= 3  # terminations
    assert sum(call[4].sum() for call in stepped) >= 3  # truncations
    assert np.ptp(np.concatenate([call[-1]["progress/estimate"] for call in together])) > 0.05


def test_infos_are_those_of_a_vector_of_wrapped_environments(make_sarm, make_slider_env):
    sarm, make = make_sarm(), partial(limited, make_slider_env)
    outside = VectorProgressReward(SyncVectorEnv([make] * NUMBER), sarm, **SETTINGS)
    inside = SyncVectorEnv([lambda: ProgressReward(make(), sarm, **SETTINGS)] * NUMBER)
    actions = drawn_actions(outside.action_space, STEPS)
    for one, other in zip(roll_vector(outside, actions), roll_vector(inside, actions), strict=True):
        assert set(one[-1]) == set(other[-1])
        for name, values in one[-1].items():
            np.testing.assert_array_equal(values, other[-1][name], err_msg=name)
            assert values.dtype == other[-1][name].dtype


def test_on_the_real_task_too(make_sarm, can_draw):
    make = partial(gymnasium.make, "headway/TidyDrawer-v0", render_mode="rgb_array", max_episode_steps=LIMIT)
    settings = {**SETTINGS, "camera": "front"}
    plain = SyncVectorEnv([make] * 2)
    sarm = make_sarm("front", size=96, state_dim=plain.single_observation_space["state"].shape[0])
    envs = VectorProgressReward(plain, sarm, **settings)
    actions = drawn_actions(envs.action_space, 25)
    together = roll_vector(envs, actions)
    alone = roll_singles([ProgressReward(make(), sarm, **settings) for _ in range(2)], actions, disabled=False)
    assert_equal(together, alone)
    assert sum(call[4].sum() for call in together[1:]) == 4


@pytest.mark.parametrize("values", [(0.2, np.nan, 0.7, 0.4), (np.nan, 0.7, np.inf, 0.4)])
def test_the_true_progress_serves_a_vector_as_it_serves_one(make_replay, values):
    makes = [partial(make_replay, values, terminates) for terminates in (True, False)]
    envs = VectorShapeReward(SyncVectorEnv(makes), true_progress, gamma=0.5)
    envs.reset()
    together = [envs.step(np.zeros(2, int)) for _ in range(8)]
    for number, make in enumerate(makes):
        env = ShapeReward(make(), true_progress, gamma=0.5)
        begins = [env.reset()[1]["reward/held"]]
        steps = [env.step(0) for _ in range(3)]
        assert [step[1][number] for step in together] == [*(step[1] for step in steps), 0.0] * 2
        held = [*(step[4]["reward/held"] for step in steps), *begins]
        assert [step[4]["reward/held"][number] for step in together] == held * 2


def test_what_a_sub_environment_does_not_say_is_unknown_rather_than_zero():
    infos = {"progress": np.array([0.5, 0.0]), "_progress": np.array([True, False])}
    np.testing.assert_array_equal(true_progress(None, infos), [0.5, np.nan])


def test_a_reset_of_all_in_the_middle_begins_anew(make_sarm, make_slider_env):
    envs = VectorProgressReward(SyncVectorEnv([partial(limited, make_slider_env)] * 2), make_sarm(), **SETTINGS)
    actions = drawn_actions(envs.action_space, LIMIT)
    envs.reset(seed=5)
    first = [envs.step(action)[1].tolist() for action in actions]  # the last call ends both: a reset was due
    envs.reset(seed=5)
    assert [envs.step(action)[1].tolist() for action in actions] == first


@pytest.mark.parametrize("wrapper", [VectorEstimateProgress, VectorProgressReward, VectorShapeReward])
def test_a_mode_that_hides_the_last_frame_is_refused_in_one_line(make_sarm, make_slider_env, wrapper):
    envs = SyncVectorEnv([make_slider_env] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    source = true_progress if wrapper is VectorShapeReward else make_sarm()
    single = wrapper.__name__.removeprefix("Vector")
    with pytest.raises(InvalidValue, match=rf"^{wrapper.__name__} .*SAME_STEP; or wrap each .* in {single}$") as told:
        wrapper(envs, source)
    assert "\n" not in str(told.value)


def test_in_that_mode_wrapping_each_sub_environment_is_right(make_replay):
    makes = [lambda: ShapeReward(make_replay((0.5, 0.9), False), true_progress, gamma=1.0)] * 2
    envs = SyncVectorEnv(makes, autoreset_mode=AutoresetMode.SAME_STEP)
    envs.reset()
    for _ in range(3):
        _, rewards, _, truncated, infos = envs.step(np.zeros(2, int))
        assert truncated.all()
        assert rewards == pytest.approx([1.4, 1.4])
        assert infos["final_info"]["reward/shaping"] == pytest.approx([0.4, 0.4])


def test_every_sub_environment_is_drawn_once_a_look(make_sarm, make_slider_env):
    envs = SyncVectorEnv([make_slider_env] * 3)
    watched = VectorEstimateProgress(envs, make_sarm(), camera="top", every=2)
    watched.reset(seed=0)
    for _ in range(4):
        watched.step(np.zeros((3, 1), np.float32))
    assert [env.drawn for env in envs.envs] == [3, 3, 3]


def test_a_step_before_the_first_reset_says_so(make_sarm, make_slider_env):
    with pytest.raises(ResetNeeded, match=r"call it before step\(\)"):
        VectorProgressReward(SyncVectorEnv([make_slider_env]), make_sarm(), **SETTINGS).step(np.zeros((1, 1)))


def test_a_vector_is_checked_like_a_single_one(make_sarm, make_slider_env):
    envs = SyncVectorEnv([partial(make_slider_env, render_mode=None)] * 2)
    with pytest.raises(InvalidValue, match="render_mode='rgb_array', not None"):
        VectorProgressReward(envs, make_sarm(), **SETTINGS)
