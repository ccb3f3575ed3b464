import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import headway_envs
from headway.errors import InvalidValue, UnknownName
from headway_envs.gym_env import PRIVILEGED, HeadwayEnv
from headway_envs.robots.action_spaces import ACTION_SPACES
from headway_envs.tasks import TASKS

IDS = {
    "lift": "Lift",
    "place-in-bin": "PlaceInBin",
    "stack-three": "StackThree",
    "tidy-drawer": "TidyDrawer",
    "sort-by-colour": "SortByColour",
    "push-to-goal": "PushToGoal",
    "insert-peg": "InsertPeg",
    "press-three-times": "PressThreeTimes",
}


def expert_action(env):
    inner = env.unwrapped
    return inner.simulator.command(inner.task.act(inner.situation)).astype(np.float32)


def test_every_task_of_the_contract_has_an_environment_for_each_robot():
    assert list(TASKS) == list(IDS)
    for name in IDS.values():
        assert {f"headway/{name}-v0", f"headway/{name}Gripper-v0"} <= set(gymnasium.registry)


@pytest.mark.parametrize("name", [f"headway/{name}{robot}-v0" for name in IDS.values() for robot in ("", "Gripper")])
def test_gymnasiums_own_checker_finds_nothing_to_mend(name, can_draw):
    env = gymnasium.make(name, render_mode="rgb_array", size=32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # actions are in radians or metres on purpose, as the recordings have them
        warnings.filterwarnings("ignore", message=".*symmetric and normalized.*")
        check_env(env.unwrapped)
    env.close()


@pytest.mark.parametrize("action_space", ACTION_SPACES)
def test_the_checker_is_content_with_every_action_space_and_with_pictures(action_space, can_draw):
    env = gymnasium.make("headway/Lift-v0", action_space=action_space, cameras=("front", "wrist"), size=32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*symmetric and normalized.*")
        check_env(env.unwrapped, skip_render_check=True)
    observation, _ = env.reset(seed=0)
    assert observation["wrist"].shape == observation["front"].shape == (32, 32, 3)
    env.close()


@pytest.mark.parametrize("task_id", IDS)
def test_a_seed_gives_the_layout_of_the_recordings(task_id, record_states):
    for suffix, robot in (("", "arm"), ("Gripper", "gripper")):
        env = gymnasium.make(f"headway/{IDS[task_id]}{suffix}-v0")
        observation, info = env.reset(seed=6)
        made = record_states(task_id, 6, robot=robot)
        assert np.array_equal(observation["state"], made.state[0])
        assert np.array_equal(observation["environment_state"], made.environment_state[0])
        assert info["instruction"] == made.instruction
        assert (info["stage"], info["success"]) == (0, False)
        assert info["progress"] < 0.02


def test_resetting_without_a_seed_draws_another_layout_each_time():
    env = gymnasium.make("headway/TidyDrawer-v0")
    env.reset(seed=1)
    drawn = [env.reset()[0]["environment_state"].tobytes() for _ in range(3)]
    assert len(set(drawn)) == 3


@pytest.mark.parametrize("task_id", IDS)
def test_the_expert_ends_the_episode_half_a_second_after_it_is_done(task_id):
    env = gymnasium.make(f"headway/{IDS[task_id]}-v0")
    env.reset(seed=0)
    rewards, stages, ended = [], [], False
    while not ended:
        _, reward, terminated, truncated, info = env.step(expert_action(env))
        rewards.append(reward)
        stages.append(info["stage"])
        ended = terminated or truncated
    assert terminated
    assert not truncated
    assert rewards[-15:] == [1.0] * 15
    assert sorted(set(stages)) == list(range(len(TASKS[task_id].stage_names)))
    assert info["progress"] == 1.0


@pytest.mark.parametrize(("name", "steps"), [("StackThree", 600), ("StackThreeGripper", 400)])
def test_an_episode_that_goes_nowhere_is_truncated_after_twenty_seconds(name, steps):
    env = gymnasium.make(f"headway/{name}-v0")
    env.reset(seed=0)
    still = env.unwrapped.simulator.command((env.unwrapped.situation.hand, 1.0)).astype(np.float32)
    ends = []
    for _ in range(steps):
        _, _, terminated, truncated, info = env.step(still)
        ends.append((terminated, truncated))
    assert ends == [(False, False)] * (steps - 1) + [(False, True)]
    assert headway_envs.EPISODE_SECONDS == 20
    assert info["progress"] < 0.02


@pytest.mark.parametrize(("mode", "settings"), [("sync", {}), ("async", {"context": "spawn"})])
def test_environments_run_side_by_side_and_each_gives_what_it_gives_alone(mode, settings):
    # forked workers would hang where this process has drawn a frame or runs threads
    vector = gymnasium.make_vec("headway/LiftGripper-v0", num_envs=3, vectorization_mode=mode, vector_kwargs=settings)
    alone = gymnasium.make("headway/LiftGripper-v0")
    observations, _ = vector.reset(seed=[4, 5, 6])
    rng = np.random.default_rng(0)
    actions = rng.uniform(alone.action_space.low, alone.action_space.high, (20, 3, 4)).astype(np.float32)
    for action in actions:
        observations, *_ = vector.step(action)
    vector.close()
    for number, seed in enumerate((4, 5, 6)):
        alone.reset(seed=seed)
        for action in actions[:, number]:
            observation, *_ = alone.step(action)
        for part, values in observation.items():
            assert np.array_equal(observations[part][number], values), part


def test_what_only_a_simulator_knows_is_flagged():
    env = gymnasium.make("headway/InsertPeg-v0")
    observation, _ = env.reset(seed=0)
    assert set(observation) == {"state", *PRIVILEGED}
    things = len(env.unwrapped.task.objects)
    assert observation["object_orientation"].shape == (4 * things,)
    assert observation["object_orientation"][:4].tolist() == [1, 0, 0, 0]
    assert len(env.unwrapped.state_names) == len(observation["state"])


def test_a_variation_changes_the_picture_and_returns_with_its_seed(can_draw):
    def picture(variation, seed):
        env = gymnasium.make("headway/TidyDrawer-v0", render_mode="rgb_array", variation=variation, size=64)
        env.reset(seed=seed)
        drawn = env.render().astype(int)
        env.close()
        return drawn

    assert np.array_equal(picture("ood", 3), picture("ood", 3))
    assert np.abs(picture("ood", 3) - picture("none", 3)).mean() > 5


def test_a_far_target_moves_the_hand_no_faster_than_a_near_one():
    env = gymnasium.make("headway/TidyDrawerGripper-v0")
    start = env.reset(seed=0)[0]["state"][:3]
    after = env.step(np.array([0.34, 0.26, 0.26, 1.0], dtype=np.float32))[0]["state"][:3]
    assert np.abs(after - start).max() < 0.04


def test_frames_come_only_when_asked_for(can_draw):
    assert gymnasium.make("headway/TidyDrawer-v0").unwrapped.render() is None
    env = gymnasium.make("headway/TidyDrawer-v0", render_mode="rgb_array", size=64, camera="wrist")
    env.reset(seed=0)
    assert env.render().shape == (64, 64, 3)
    env.close()


def test_wrong_settings_are_refused():
    with pytest.raises(UnknownName, match="available: front, wrist"):
        gymnasium.make("headway/TidyDrawer-v0", camera="top")
    with pytest.raises(UnknownName, match="unknown action space 'torque'"):
        gymnasium.make("headway/TidyDrawer-v0", action_space="torque")
    with pytest.raises(InvalidValue, match="render_mode must be 'rgb_array' or None, got 'human'"):
        HeadwayEnv("tidy-drawer", render_mode="human")
