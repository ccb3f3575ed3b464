import numpy as np
import pytest

from headway.episodes import Truth
from headway.errors import UnknownName
from headway_envs.demonstrators import KINDS
from headway_envs.recording import Recorder, annotated_stages, record
from headway_envs.tasks import TASKS
from headway_envs.tasks.base import Situation

SEEDS = range(10)
RECOVERING = ("hesitate", "detour", "regress")
FAILING = ("drop", "near-miss", "abandon", "wrong-object")
NAMES = ("a", "b", "c")


def made_truth(stage, done_from=None):
    stage = np.array(stage)
    success = np.arange(len(stage)) >= (len(stage) if done_from is None else done_from)
    return Truth(np.zeros(len(stage), np.float32), stage, success, NAMES, (0.2, 0.3, 0.5))


def marks(truth):
    return [(stage.name, stage.start, stage.end) for stage in annotated_stages(truth)]


@pytest.mark.parametrize("task_id", TASKS)
def test_experts_succeed_in_a_reasonable_time_through_every_stage_in_order(record_states, task_id):
    for seed in SEEDS:
        trajectory = record_states(task_id, seed)
        assert trajectory.truth.succeeded, seed
        assert 100 < len(trajectory.state) < 300
        assert [stage.name for stage in annotated_stages(trajectory.truth)] == list(TASKS[task_id].stage_names)


@pytest.mark.parametrize("task_id", TASKS)
def test_experts_stay_done_for_half_a_second(record_states, task_id):
    for seed in SEEDS:
        success = record_states(task_id, seed).truth.success
        assert success[-9:].all()
        assert not success[-15:].all()


@pytest.mark.parametrize("task_id", TASKS)
def test_true_progress_of_experts_rises_evenly_within_each_stage(record_states, task_id):
    gaps = []
    for seed in SEEDS:
        truth = record_states(task_id, seed).truth
        before = np.concatenate([[0], np.cumsum(truth.proportions)])
        for number, stage in enumerate(annotated_stages(truth)):
            even = np.linspace(before[number], before[number + 1], stage.end - stage.start, endpoint=False)
            gaps.append(np.abs(truth.progress[stage.start : stage.end] - even))
        # never far below what was reached, and at most a twitch in any quarter of a second
        reached = np.maximum.accumulate(truth.progress)
        assert (reached - truth.progress).max() < 0.05
        assert (truth.progress[10:] - truth.progress[:-10] <= 0).mean() < 0.08
    assert np.concatenate(gaps).mean() < 0.02


@pytest.mark.parametrize("task_id", TASKS)
@pytest.mark.parametrize("kind", RECOVERING)
def test_demonstrators_that_recover_succeed_later_than_the_expert(record_states, task_id, kind):
    trajectories = [record_states(task_id, seed, kind) for seed in SEEDS]
    experts = [record_states(task_id, seed) for seed in SEEDS]
    assert sum(trajectory.truth.succeeded for trajectory in trajectories) >= 9
    later = [len(t.state) - len(e.state) for t, e in zip(trajectories, experts, strict=True)]
    assert np.median(later) > 10


@pytest.mark.parametrize("task_id", TASKS)
@pytest.mark.parametrize("kind", FAILING)
def test_demonstrators_that_fail_leave_the_task_undone(record_states, task_id, kind):
    succeeded = [record_states(task_id, seed, kind).truth.succeeded for seed in SEEDS]
    assert sum(succeeded) <= 1


@pytest.mark.parametrize("task_id", TASKS)
def test_hesitation_stands_still_for_a_second_or_more(record_states, task_id):
    for seed in SEEDS:
        hand = record_states(task_id, seed, "hesitate").state[:, :3]
        moved = np.linalg.norm(hand[15:] - hand[:-15], axis=1)
        expert = record_states(task_id, seed).state[:, :3]
        usual = np.linalg.norm(expert[15:] - expert[:-15], axis=1)
        assert (moved < 0.02).sum() > (usual < 0.02).sum()


@pytest.mark.parametrize("task_id", TASKS)
def test_regress_loses_progress_and_gains_it_again(record_states, task_id):
    for seed in SEEDS:
        progress = record_states(task_id, seed, "regress").truth.progress
        lost = (np.maximum.accumulate(progress) - progress).max()
        assert lost > 0.05, seed
        assert progress[-1] == 1


def test_drop_and_near_miss_leave_the_cube_outside_the_closed_drawer(record_states):
    for kind in ("drop", "near-miss"):
        for seed in SEEDS:
            trajectory = record_states("tidy-drawer", seed, kind)
            cube, drawer = trajectory.environment_state[-1, :3], trajectory.environment_state[-1, -1]
            assert drawer < 0.02
            assert abs(cube[0] + 0.12) > 0.1 + 0.02, "beside the drawer, whose half width is 0.1 m"
            assert trajectory.truth.progress.max() > 0.5
            assert trajectory.truth.progress[-1] < 0.2


def test_wrong_object_puts_the_blue_cube_away(record_states):
    for seed in SEEDS:
        trajectory = record_states("tidy-drawer", seed, "wrong-object")
        red, blue = trajectory.environment_state[-1, :3], trajectory.environment_state[-1, 3:6]
        assert np.allclose(red, trajectory.environment_state[0, :3], atol=0.06)
        assert blue[0] < -0.03


def test_abandon_ends_with_a_still_hand_away_from_the_work(record_states):
    for task_id in TASKS:
        for seed in SEEDS:
            trajectory = record_states(task_id, seed, "abandon")
            hand = trajectory.state[:, :3]
            assert np.ptp(hand[-20:], axis=0).max() < 0.04
            assert np.linalg.norm(hand[-1, :2] - hand[0, :2]) < 0.04


def test_true_progress_is_not_a_clock(record_states):
    correlations = [
        np.corrcoef(progress, np.arange(len(progress)))[0, 1]
        for kind in ("drop", "near-miss", "wrong-object")
        for progress in [record_states("tidy-drawer", seed, kind).truth.progress for seed in SEEDS]
    ]
    assert np.median(correlations) < 0.5


def test_mistakes_happen_elsewhere_in_other_episodes(record_states):
    falls = [
        tuple(np.round(record_states("tidy-drawer", seed, "near-miss").environment_state[-1, :3], 3)) for seed in SEEDS
    ]
    assert len(set(falls)) == len(falls)


@pytest.mark.parametrize("kind", ["expert", "regress"])
def test_the_same_seed_gives_the_same_bytes_whatever_was_recorded_before(record_states, kind):
    first = record_states("tidy-drawer", 3, kind)
    other = Recorder("tidy-drawer", cameras=())
    other.record(7, "drop")
    again = other.record(3, kind)
    for part in ("state", "environment_state", "action"):
        assert getattr(first, part).tobytes() == getattr(again, part).tobytes()
    assert first.truth.progress.tobytes() == again.truth.progress.tobytes()


@pytest.mark.parametrize("task_id", TASKS)
def test_the_recorded_action_is_what_the_expert_wants_there_not_what_was_carried_out(record_states, task_id):
    trajectory = record_states(task_id, 0)
    task = TASKS[task_id]
    cubes = len(task.cubes)
    wanted = []
    for own, things in zip(trajectory.state.tolist(), trajectory.environment_state.tolist(), strict=True):
        places = tuple(tuple(things[3 * number : 3 * number + 3]) for number in range(cubes))
        (x, y, z), grip = task.act(Situation(tuple(own[:3]), own[3], places, things[-1] if task.has_drawer else 0.0))
        wanted.append([x, y, z, grip])
    # float32 can tip a threshold in a frame or two
    same = np.isclose(wanted, trajectory.action, atol=1e-4).all(axis=1)
    assert same.mean() > 0.98


def test_disturbance_pushes_the_hand_about(record_states):
    calm = Recorder("tidy-drawer", cameras=(), disturbance=0.0).record(0)
    disturbed = record_states("tidy-drawer", 0)
    apart = np.abs(calm.state[1:60, :3] - disturbed.state[1:60, :3]).max(axis=1)
    assert 0.001 < np.median(apart) < 0.03


def test_an_episode_carries_all_that_is_known_of_it(can_draw):
    episode = record("stack-three", seed=1, kind="drop", index=4, first_frame=900)
    assert (episode.index, episode.first_frame, episode.fps, episode.kind) == (4, 900, 20.0, "drop")
    assert episode.instruction == TASKS["stack-three"].instructions[0]
    assert episode.success is False
    assert episode.state.shape == (len(episode), 4)
    assert episode.environment_state.shape == (len(episode), 9)
    assert episode.state.dtype == episode.action.dtype == np.float32
    frames = list(episode.camera("front"))
    assert frames[0].shape == (96, 96, 3)
    assert np.abs(frames[0].astype(int) - frames[-1]).max() > 100


def test_unknown_names_are_answered_with_those_there_are():
    with pytest.raises(UnknownName, match="unknown task 'tidy'; available: stack-three, tidy-drawer"):
        Recorder("tidy")
    with pytest.raises(UnknownName, match="unknown camera 'top'; available: front, wrist"):
        Recorder("tidy-drawer", cameras=("top",))
    with pytest.raises(UnknownName, match=r"unknown kind of demonstrator 'lazy'; available: abandon, .*wrong-object"):
        Recorder("tidy-drawer", cameras=()).record(0, "lazy")


def test_every_kind_of_the_contract_exists():
    assert list(KINDS) == ["expert", *RECOVERING, *FAILING]


def test_marks_follow_the_true_stages_and_end_when_the_task_is_done():
    truth = made_truth([0] * 10 + [1] * 20 + [2] * 25, done_from=45)
    assert marks(truth) == [("a", 0, 10), ("b", 10, 30), ("c", 30, 45)]


def test_marks_keep_what_fell_back_and_lose_what_flickers():
    truth = made_truth([0] * 10 + [1] * 3 + [0] * 7 + [1] * 20 + [0] * 10)
    assert marks(truth) == [("a", 0, 20), ("b", 20, 40), ("a", 40, 50)]


def test_a_flicker_at_the_very_start_joins_what_follows():
    assert marks(made_truth([1] * 2 + [0] * 10)) == [("a", 0, 12)]


def test_an_episode_shorter_than_the_shortest_mark_has_one():
    assert marks(made_truth([0, 0, 1])) == [("a", 0, 3)]
