import subprocess
import sys

import gymnasium
import pytest

import headway_envs
from headway.errors import UnknownName, Unsupported
from headway_envs.metaworld import environment_id
from headway_envs.metaworld.catalogue import METAWORLD_TASKS, find_metaworld_task
from headway_envs.metaworld.recorder import MetaWorldRecorder
from headway_envs.metaworld.simulator import MetaWorldSimulator


@pytest.fixture
def without_metaworld(monkeypatch):
    """As if it were not installed."""
    for name in ("metaworld", "metaworld.env_dict", "metaworld.policies"):
        monkeypatch.setitem(sys.modules, name, None)


def test_all_fifty_tasks_are_listed_with_an_instruction_and_paraphrases():
    assert len(METAWORLD_TASKS) == 50
    assert all(task_id == task.id == f"metaworld/{task.name}" for task_id, task in METAWORLD_TASKS.items())
    phrases = [task.instructions for task in METAWORLD_TASKS.values()]
    assert all(len(set(words)) == 3 for words in phrases)
    assert len({words[0] for words in phrases}) == 50, "every task can be told from the others by its instruction"


def test_experts_that_fail_are_marked_and_only_those():
    marked = {task.name for task in METAWORLD_TASKS.values() if task.expert_fails}
    assert marked == {
        *("box-close", "disassemble", "peg-insert-side", "push-back", "soccer", "stick-pull", "sweep-into"),
    }
    for task in METAWORLD_TASKS.values():
        succeeded, layouts = task.expert
        assert layouts >= 20
        assert (succeeded / layouts < 0.95) == (task.name in marked) == bool(task.remark)
    assert METAWORLD_TASKS["metaworld/soccer"].remark == "(its expert succeeds in 44 of 50 layouts)"


def test_stages_share_the_whole_scale():
    for task in METAWORLD_TASKS.values():
        assert len(task.proportions) == len(task.stage_names)
        assert sum(task.proportions) == pytest.approx(1)
        assert min(task.proportions) > 0
        assert task.stage_names[0] == "reach"


def test_meta_worlds_own_list_has_no_other_task():
    env_dict = pytest.importorskip("metaworld.env_dict", reason="needs Meta-World: make test-metaworld")
    assert {f"{task.name}-v3" for task in METAWORLD_TASKS.values()} == set(env_dict.ALL_V3_ENVIRONMENTS)


def test_listing_and_registering_the_tasks_imports_no_meta_world():
    code = "import sys, headway_envs, headway_envs.metaworld.recorder; sys.exit('metaworld' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "use",
    [
        lambda: MetaWorldRecorder("metaworld/drawer-open"),
        lambda: MetaWorldSimulator(find_metaworld_task("metaworld/drawer-open")),
        lambda: gymnasium.make("headway/MetaworldDrawerOpen-v0"),
    ],
)
def test_using_a_task_without_meta_world_says_in_one_line_how_to_get_it(without_metaworld, use):
    with pytest.raises(Unsupported, match=r"make setup-metaworld, then use \.venv-metaworld/bin/headway") as caught:
        use()
    assert "\n" not in str(caught.value)


def test_an_unknown_task_is_refused_with_the_known_ones():
    with pytest.raises(UnknownName, match=r"unknown Meta-World task 'metaworld/fly'; available: metaworld/assembly, "):
        MetaWorldRecorder("metaworld/fly")


def test_every_task_is_registered_with_gymnasium_under_a_plain_id():
    assert environment_id("metaworld/drawer-open") == "headway/MetaworldDrawerOpen-v0"
    ids = {environment_id(task_id) for task_id in METAWORLD_TASKS}
    assert len(ids) == 50
    assert ids <= set(gymnasium.registry), headway_envs.__doc__
