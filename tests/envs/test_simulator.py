import numpy as np
import pytest

from headway_envs.robots import ROBOTS
from headway_envs.simulator import Simulator
from headway_envs.tasks import TASKS


def run(simulator, situation, steps, random=None):
    """The expert, pushed about; what is true of the state afterwards, to the last bit."""
    for _ in range(steps):
        push = None if random is None else random.normal(0, 0.004, simulator.robot.pushes)
        situation = simulator.step(simulator.command(simulator.task.act(situation)), push)
    return simulator.save().values.tobytes()


@pytest.mark.parametrize("robot", ROBOTS)
@pytest.mark.parametrize("task_id", TASKS)
def test_what_follows_a_restored_state_is_the_same_to_the_last_bit(task_id, robot):
    task = TASKS[task_id]
    simulator = Simulator(task, robot)
    situation = simulator.reset(task.layout(2))
    run(simulator, situation, 70, np.random.default_rng(0))
    saved = simulator.save()
    situation = simulator.situation()
    after = run(simulator, situation, 60, np.random.default_rng(1))
    # through other episodes, in this simulator and in a new one
    run(simulator, simulator.reset(task.layout(9)), 20)
    for other in (simulator, Simulator(task, robot)):
        assert other.restore(saved) == situation
        assert run(other, situation, 60, np.random.default_rng(1)) == after


def test_situations_are_those_of_the_state_not_of_the_physics_step_before():
    task = TASKS["tidy-drawer"]
    simulator = Simulator(task, "gripper")
    simulator.reset(task.layout(0))
    for _ in range(10):
        situation = simulator.step(np.array([0.2, 0.0, 0.2, 1.0]))
        body = simulator.data.site("pinch").xpos
        assert np.allclose(situation.hand, body, atol=1e-12)


def test_a_thing_beyond_the_edge_of_the_table_is_lost():
    task = TASKS["stack-three"]
    simulator = Simulator(task, "gripper")
    layout = task.layout(0).with_object(2, (0.37, 0.0, 0.025))
    simulator.reset(layout)
    for _ in range(20):
        situation = simulator.step(np.array([0.0, 0.0, 0.2, 1.0]))
    assert situation.objects[2][2] < -0.3


def test_orientations_and_tilt_follow_a_thing_that_topples():
    task = TASKS["stack-three"]
    simulator = Simulator(task, "gripper")
    simulator.reset(task.layout(0))
    assert simulator.situation().upright == pytest.approx((1.0, 1.0, 1.0))
    assert np.allclose(simulator.orientations(), [[1, 0, 0, 0]] * 3)
    address = int(simulator.model.joint("object_1").qposadr[0])
    simulator.data.qpos[address + 3 : address + 7] = (np.cos(0.5), np.sin(0.5), 0, 0)  # 1 rad about x
    simulator.restore(simulator.save())
    assert simulator.situation().upright[1] == pytest.approx(np.cos(1.0))
