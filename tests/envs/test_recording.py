import numpy as np
import pytest

from headway.errors import InvalidValue, UnknownName
from headway_envs.recording import Recorder, RecordingOptions, record
from headway_envs.robots import ROBOTS
from headway_envs.simulator import Simulator
from headway_envs.tasks import TASKS

SEEDS = range(6)
GRIPPER = RecordingOptions(robot="gripper", cameras=())


@pytest.mark.parametrize("robot", ROBOTS)
@pytest.mark.parametrize("task_id", TASKS)
def test_experts_succeed_in_a_reasonable_time_and_stay_done_for_half_a_second(record_states, task_id, robot):
    for seed in SEEDS:
        made = record_states(task_id, seed, robot=robot)
        assert made.truth.succeeded, seed
        assert 2 < len(made) / made.fps < 16
        held = round(0.5 * made.fps)
        assert made.truth.success[-held + 1 :].all()
        assert not made.truth.success[-held - 6 :].all()


@pytest.mark.parametrize("task_id", TASKS)
def test_experts_go_through_every_stage_in_order(record_states, task_id):
    for seed in SEEDS:
        marks = record_states(task_id, seed)
        names = [stage.name for stage in made_stages(marks)]
        assert names == list(TASKS[task_id].stage_names), seed


def made_stages(trajectory):
    from headway_envs.annotation import annotated_stages

    return annotated_stages(trajectory.truth, trajectory.fps)


@pytest.mark.parametrize("robot", ROBOTS)
@pytest.mark.parametrize("task_id", TASKS)
def test_true_progress_of_experts_rises_evenly_within_each_stage(record_states, task_id, robot):
    gaps = []
    for seed in SEEDS:
        made = record_states(task_id, seed, robot=robot)
        truth = made.truth
        before = np.concatenate([[0], np.cumsum(truth.proportions)])
        for stage in made_stages(made):
            number = truth.stage_names.index(stage.name)
            even = np.linspace(before[number], before[number + 1], stage.end - stage.start, endpoint=False)
            gaps.append(np.abs(truth.progress[stage.start : stage.end] - even))
        # never far below what was reached, and at most a twitch in any half second
        reached = np.maximum.accumulate(truth.progress)
        assert (reached - truth.progress).max() < 0.1, seed
        span = made.fps // 2
        assert (truth.progress[span:] - truth.progress[:-span] <= 0).mean() < 0.1
    # truth counts metres, not seconds: slow presses and quick ways bend it a little
    assert np.concatenate(gaps).mean() < 0.07


@pytest.mark.parametrize("kind", ["expert", "regress"])
@pytest.mark.parametrize("robot", ROBOTS)
def test_the_same_seed_gives_the_same_bytes_whatever_was_recorded_before(record_states, kind, robot):
    first = record_states("tidy-drawer", 3, kind, robot)
    other = Recorder("tidy-drawer", RecordingOptions(robot=robot, cameras=()))
    other.record(7, "drop")
    again = other.record(3, kind)
    for part in ("state", "environment_state", "action"):
        assert getattr(first, part).tobytes() == getattr(again, part).tobytes()
    assert first.truth.progress.tobytes() == again.truth.progress.tobytes()


@pytest.mark.parametrize("robot", ROBOTS)
@pytest.mark.parametrize("task_id", TASKS)
def test_the_recorded_action_is_what_the_expert_wants_there_not_what_was_carried_out(record_states, task_id, robot):
    """The expert asks for just those actions; following them without the disturbance leads elsewhere."""
    made = record_states(task_id, 0, robot=robot)
    task = TASKS[task_id]
    simulator = Simulator(task, robot)
    situation = simulator.reset(task.layout(0))
    assert np.allclose(simulator.command(task.act(situation)), made.action[0], atol=1e-6)
    for action in made.action[:60]:
        simulator.step(action)
    assert np.abs(simulator.robot.state(simulator.data) - made.state[60]).max() > 1e-4


def test_disturbance_pushes_the_hand_about(record_states):
    calm = Recorder("tidy-drawer", RecordingOptions(robot="gripper", cameras=(), disturbance=0.0)).record(0)
    disturbed = record_states("tidy-drawer", 0)
    apart = np.abs(calm.state[1:60, :3] - disturbed.state[1:60, :3]).max(axis=1)
    assert 0.001 < np.median(apart) < 0.03


def test_both_robots_are_pushed_about_alike(record_states):
    spread = {}
    for robot, fps in (("gripper", 20), ("arm", 30)):
        calm = Recorder("stack-three", RecordingOptions(robot=robot, cameras=(), disturbance=0.0))
        noisy = Recorder("stack-three", RecordingOptions(robot=robot, cameras=()))
        at = calm.state_names.index("hand.x")
        apart = [
            np.abs(noisy.record(seed).state[: 3 * fps, at : at + 3] - calm.record(seed).state[: 3 * fps, at : at + 3])
            for seed in range(4)
        ]
        spread[robot] = float(np.mean(np.concatenate(apart)))
    assert 0.4 < spread["arm"] / spread["gripper"] < 2.5


def test_an_episode_carries_all_that_is_known_of_it(can_draw):
    episode = record("stack-three", 1, "drop", RecordingOptions(cameras=("front", "wrist"), size=64))
    assert (episode.fps, episode.kind) == (30.0, "drop")
    assert episode.instruction == TASKS["stack-three"].instructions[0]
    assert episode.success is False
    assert episode.state.shape == (len(episode), 20)
    assert episode.action.shape == (len(episode), 7)
    assert episode.environment_state.shape == (len(episode), 9)
    assert episode.state.dtype == episode.action.dtype == np.float32
    assert episode.truth.imperfection.shape == (len(episode), len(episode.truth.imperfections))
    for camera in ("front", "wrist"):
        frames = list(episode.camera(camera))
        assert frames[0].shape == (64, 64, 3)
        assert np.abs(frames[0].astype(int) - frames[-1]).max() > 100


def test_paraphrases_are_drawn_only_when_asked_for():
    task = TASKS["lift"]
    plain = Recorder("lift", GRIPPER)
    assert {plain.record(seed).instruction for seed in range(5)} == {task.instructions[0]}
    varied = Recorder("lift", RecordingOptions(robot="gripper", cameras=(), paraphrase=True))
    drawn = [varied.record(seed).instruction for seed in range(12)]
    assert len(set(drawn)) >= 3
    assert set(drawn) <= set(task.instructions)


def test_the_instruction_says_which_goal_the_episode_has():
    recorder = Recorder("sort-by-colour", GRIPPER)
    goals = {}
    for seed in range(8):
        made = recorder.record(seed)
        goals.setdefault(int(made.environment_state[0, -1]), set()).add(made.instruction)
    assert sorted(goals) == [0, 1]
    assert not goals[0] & goals[1]


def test_unknown_names_are_answered_with_those_there_are():
    with pytest.raises(UnknownName, match=r"unknown task 'tidy'; available: insert-peg, lift, .*tidy-drawer"):
        Recorder("tidy")
    with pytest.raises(UnknownName, match="unknown camera 'top'; available: front, wrist"):
        Recorder("tidy-drawer", RecordingOptions(cameras=("top",)))
    with pytest.raises(UnknownName, match="unknown level of variation 'wild'; available: mild, none, ood"):
        Recorder("tidy-drawer", RecordingOptions(variation="wild"))
    with pytest.raises(UnknownName, match=r"unknown kind of demonstrator 'lazy'; available: abandon, .*wrong-object"):
        Recorder("tidy-drawer", GRIPPER).record(0, "lazy")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"disturbance": -0.1}, "disturbance must be metres from 0"),
        ({"disturbance": float("nan")}, "disturbance must be metres from 0"),
        ({"size": 7}, "even number of pixels from 16 to 480"),
        ({"size": 2000}, "even number of pixels from 16 to 480"),
    ],
)
def test_impossible_settings_are_refused(setting, message):
    with pytest.raises(InvalidValue, match=message):
        RecordingOptions(**setting)
