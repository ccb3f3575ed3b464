import pytest

from headway.errors import Unsupported
from headway_envs.recording import Recorder, RecordingOptions
from headway_envs.simulator import Simulator
from headway_envs.tasks import TASKS


@pytest.fixture(scope="session")
def record_states():
    """Records an episode without pictures, by the gripper unless told; what was recorded is shared by all tests."""
    recorders = {}
    kept = {}

    def record(task_id, seed, kind="expert", robot="gripper"):
        if (task_id, robot) not in recorders:
            recorders[task_id, robot] = Recorder(task_id, RecordingOptions(robot=robot, cameras=()))
        if (task_id, seed, kind, robot) not in kept:
            kept[task_id, seed, kind, robot] = recorders[task_id, robot].record(seed, kind)
        return kept[task_id, seed, kind, robot]

    return record


@pytest.fixture
def can_draw():
    """Skips, with the reason, on a machine without GL."""
    simulator = Simulator(TASKS["tidy-drawer"], "gripper")
    try:
        simulator.frame()
    except Unsupported as error:
        pytest.skip(str(error))
    finally:
        simulator.close()
