import pytest

from headway.errors import Unsupported
from headway_envs.metaworld.recorder import MetaWorldRecorder


@pytest.fixture(scope="session")
def recorder_of():
    """Makes recorders of states, undisturbed, by the task's name; each task is loaded once."""
    pytest.importorskip("metaworld", reason="needs Meta-World: make test-metaworld")
    recorders = {}

    def make(name):
        if name not in recorders:
            recorders[name] = MetaWorldRecorder(f"metaworld/{name}", cameras=(), disturbance=0.0)
        return recorders[name]

    return make


@pytest.fixture(scope="session")
def record(recorder_of):
    """Records an episode without frames; what was recorded is shared by all tests."""
    kept = {}

    def recorded(name, seed=0, kind="expert"):
        if (name, seed, kind) not in kept:
            kept[name, seed, kind] = recorder_of(name).record(seed, kind)
        return kept[name, seed, kind]

    return recorded


@pytest.fixture
def can_draw(recorder_of):
    """Skips, with the reason, on a machine without GL."""
    try:
        recorder_of("reach").simulator.frame("corner2", 32)
    except Unsupported as error:
        pytest.skip(str(error))
