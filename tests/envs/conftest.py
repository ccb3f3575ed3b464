import pytest

from headway.errors import Unsupported
from headway_envs.recording import Recorder
from headway_envs.simulator import Simulator
from headway_envs.tasks import TASKS


@pytest.fixture(scope="session")
def record_states():
    """Records an episode without pictures; the simulators are shared by all tests."""
    recorders = {task_id: Recorder(task_id, cameras=()) for task_id in TASKS}
    kept = {}

    def record(task_id, seed, kind="expert"):
        if (task_id, seed, kind) not in kept:
            kept[task_id, seed, kind] = recorders[task_id].record(seed, kind)
        return kept[task_id, seed, kind]

    return record


@pytest.fixture
def can_draw():
    """Skips, with the reason, on a machine without GL."""
    simulator = Simulator(TASKS["tidy-drawer"].scene)
    try:
        simulator.frame()
    except Unsupported as error:
        pytest.skip(str(error))
    finally:
        simulator.close()
