import numpy as np
import pytest

from headway.errors import CheckpointError, InvalidValue
from headway_envs.observations import environment_state
from headway_envs.seeds import unseen_seeds
from headway_envs.simulator import Simulator
from headway_envs.tasks import find_task
from headway_policies.lanes import Setting
from headway_policies.recorded_rollouts import Exploration, record_rollouts
from headway_policies.rollout import evaluate

SETTING = Setting("tidy-drawer", "gripper", seconds=6.0)
NOISE = Exploration((0.01, 0.01, 0.01, 0.0), seed=3)


def test_without_noise_a_recorded_rollout_ends_as_an_evaluation_does(good_policy):
    seeds = unseen_seeds(5)
    recorded = record_rollouts(good_policy, SETTING, seeds, together=3)
    assert [outcome for outcome, _ in recorded] == evaluate(
        good_policy, "tidy-drawer", seeds, "gripper", seconds=SETTING.seconds
    )
    for outcome, trajectory in recorded:
        assert len(trajectory) == outcome.steps == len(trajectory.action)
        assert trajectory.seed == outcome.layout_seed
        assert trajectory.truth.succeeded == outcome.success


def test_carrying_out_what_was_recorded_leads_to_what_was_recorded(good_policy):
    """Noise included: what is recorded is what was carried out, and each frame what was seen before its action."""
    [(_, trajectory)] = record_rollouts(good_policy, SETTING, [unseen_seeds(1)[0]], NOISE)
    task = find_task("tidy-drawer")
    simulator = Simulator(task, "gripper")
    situation = simulator.reset(task.layout(trajectory.seed))
    for t, action in enumerate(trajectory.action):
        assert np.array_equal(simulator.robot.state(simulator.data), trajectory.state[t])
        assert np.array_equal(environment_state(task, situation), trajectory.environment_state[t])
        assert task.stage(situation) == trajectory.truth.stage[t]
        situation = simulator.step(action)


def test_noise_is_drawn_by_layout_and_seed_alone(good_policy):
    seeds = unseen_seeds(3)
    together = record_rollouts(good_policy, SETTING, seeds, NOISE, together=3)
    alone = record_rollouts(good_policy, SETTING, seeds[1:2], NOISE)
    assert np.array_equal(together[1][1].action, alone[0][1].action)
    other = record_rollouts(good_policy, SETTING, seeds[1:2], Exploration(NOISE.spread, seed=4))
    clean = record_rollouts(good_policy, SETTING, seeds[1:2])
    starts = [one[0][1].action[0] for one in (alone, other, clean)]
    assert not np.array_equal(starts[0], starts[1])
    assert not np.array_equal(starts[0], starts[2])
    assert starts[0][3] == starts[2][3], "no noise on the grip"


def test_pictures_are_kept_where_they_are_asked_for(good_policy):
    short = Setting("tidy-drawer", "gripper", seconds=0.3)
    [(_, trajectory)] = record_rollouts(good_policy, short, [unseen_seeds(1)[0]], cameras=("front",), size=16)
    episode = trajectory.episode()
    assert trajectory.frames["front"].shape == (6, 16, 16, 3)
    assert len(episode) == 6
    assert episode.kind == "rollout"
    assert episode.action is not None


def test_a_policy_of_another_task_and_noise_of_another_size_are_refused(good_policy):
    with pytest.raises(CheckpointError, match="does not fit lift"):
        record_rollouts(good_policy, Setting("lift", "gripper"), [0])
    with pytest.raises(InvalidValue, match="one spread for each"):
        record_rollouts(good_policy, SETTING, [0], Exploration((0.1,)))
