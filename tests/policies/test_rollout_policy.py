import json

import numpy as np
import pytest

from headway.errors import CheckpointError
from headway_envs.recording import Recorder, RecordingOptions, ValueOptions
from headway_envs.seeds import unseen_seeds
from headway_envs.simulator import Simulator
from headway_envs.tasks import find_task
from headway_envs.value import state_value
from headway_policies.checkpoint import CONFIG, save_policy
from headway_policies.rollout import evaluate
from headway_policies.rollout_policy import load_rollout_policy

TASK = find_task("tidy-drawer")


@pytest.fixture(scope="module")
def folder(good_policy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tidy"
    save_policy(folder, good_policy)
    return folder


@pytest.fixture(scope="module")
def simulator():
    return Simulator(TASK, "gripper")


def hands(simulator, policy, seed, steps=60):
    """Where the hand is over the first steps of a rollout, (step, xyz)."""
    situation = simulator.reset(TASK.layout(3))
    step = policy.start(simulator, np.random.default_rng(seed))
    places = []
    for _ in range(steps):
        situation = step(situation)
        places.append(situation.hand)
    return np.array(places)


def test_undisturbed_it_does_to_the_last_step_what_an_evaluation_sees(folder, good_policy, simulator):
    (layout_seed,) = unseen_seeds(1)
    (seen,) = evaluate(good_policy, TASK.id, [layout_seed], "gripper")
    situation = simulator.reset(TASK.layout(layout_seed))
    step = load_rollout_policy(folder, disturbance=0).start(simulator, np.random.default_rng(0))
    done = []
    for _ in range(seen.steps):
        situation = step(situation)
        done.append(TASK.success(situation))
    # an evaluation ends when the task has stayed done for half a second
    assert seen.success
    assert done[-11:] == [False] + [True] * 10


def test_rollouts_differ_by_their_disturbance_and_by_nothing_else(folder, simulator):
    policy = load_rollout_policy(folder)
    first, again, other = (hands(simulator, policy, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert 0.0005 < np.abs(first - other).max() < 0.1


def test_a_good_policy_gives_the_start_a_high_value_and_a_lost_cube_none(folder, simulator):
    policy = load_rollout_policy(folder)
    layout = TASK.layout(unseen_seeds(1)[0])
    states = []
    for begin in (layout, layout.with_object(0, (0.8, 0.0, -0.3))):
        simulator.reset(begin)
        states.append(simulator.save())
    start, lost = (state_value(simulator, state, policy, rollouts=3).probability for state in states)
    assert start > 0.6
    assert lost == 0


def test_its_name_tells_folder_and_disturbance_and_changes_with_its_content(folder, good_policy, tmp_path):
    name = load_rollout_policy(folder).name
    assert "tidy (" in name
    assert "0.004 m" in name
    assert load_rollout_policy(folder).name == name
    save_policy(tmp_path / "tidy", good_policy)
    content = json.loads((tmp_path / "tidy" / CONFIG).read_text())
    (tmp_path / "tidy" / CONFIG).write_text(json.dumps(content | {"executed": 2}))
    assert load_rollout_policy(tmp_path / "tidy").name != name


def test_a_policy_for_another_robot_is_refused_before_the_first_step(folder):
    policy = load_rollout_policy(folder)
    with pytest.raises(CheckpointError, match="does not fit tidy-drawer with the robot 'arm'") as raised:
        policy.start(Simulator(TASK, "arm"), np.random.default_rng(0))
    assert "\n" not in str(raised.value)


def test_a_folder_without_a_policy_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="holds no policy"):
        load_rollout_policy(tmp_path)


def test_a_collection_with_a_policy_of_another_robot_is_refused_before_it_begins(folder):
    value = ValueOptions(1, load_rollout_policy(folder))
    with pytest.raises(CheckpointError):
        Recorder("tidy-drawer", RecordingOptions(robot="arm", cameras=(), value=value))
