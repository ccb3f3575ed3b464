import numpy as np
import pytest
from scipy.stats import spearmanr

from headway.episodes import Truth
from headway_envs.metaworld.catalogue import METAWORLD_TASKS
from headway_envs.metaworld.measuring import measure_proportions, measure_task
from headway_envs.metaworld.truth import Scale

NAMES = [task.name for task in METAWORLD_TASKS.values()]


@pytest.mark.parametrize("name", NAMES)
def test_true_progress_rises_with_the_experts_work_and_is_1_exactly_when_the_task_is_done(record, name):
    correlations, succeeded = [], 0
    for seed in range(3):
        truth = record(name, seed).truth
        assert ((truth.progress == 1) == truth.success).all()
        assert truth.progress[0] < 0.3
        if not truth.succeeded:
            continue
        succeeded += 1
        done = int(np.flatnonzero(truth.success)[0])
        assert truth.progress[done - 1] > 0.75, "it does not leap to 1"
        correlations.append(spearmanr(truth.progress[: done + 1], np.arange(done + 1)).statistic)
        assert list(dict.fromkeys(np.maximum.accumulate(truth.stage).tolist()))[-1] == len(truth.stage_names) - 1
    assert succeeded >= 1
    # where the expert often fails it also fumbles where it succeeds
    assert np.median(correlations) > 0.85 or METAWORLD_TASKS[f"metaworld/{name}"].expert_fails


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("stick")])
def test_what_is_missing_of_meta_worlds_criterion_is_0_exactly_when_it_is_met(recorder_of, name):
    recorder = recorder_of(name)
    now = recorder.simulator.reset(1)
    met = []
    while len(met) < 200 and sum(met) < 5:
        assert (now.missing.metres == 0) == now.success
        met.append(now.success)
        now = recorder.simulator.step(recorder.simulator.expert_action(now))
    assert any(met) or recorder.task.expert_fails
    assert not met[0]


def test_progress_is_a_function_of_the_moment_not_of_how_it_came_about(recorder_of):
    recorder = recorder_of("drawer-open")
    simulator = recorder.simulator
    start = simulator.reset(2)
    scale = Scale(recorder.task, start)
    readings = [start]
    for _ in range(85):
        readings.append(simulator.step(simulator.expert_action(readings[-1])))
    forwards = [scale.progress(now) for now in readings]
    backwards = [Scale(recorder.task, start).progress(now) for now in reversed(readings)]
    assert forwards == backwards[::-1]


def test_progress_stands_while_the_demonstrator_does(record):
    for seed in range(4):
        trajectory = record("window-open", seed, "hesitate")
        still = trajectory.truth.imperfection[:, 0]
        # the hand coasts for some steps
        settled = still & np.roll(still, 15) & np.roll(still, 1)
        steps = np.abs(np.diff(trajectory.truth.progress))[settled[1:]]
        assert len(steps) > 3
        assert steps.max() < 0.02


def test_progress_is_lost_when_the_hand_goes_away(record):
    for seed in range(4):
        truth = record("drawer-open", seed, "abandon").truth
        assert truth.progress[-1] < truth.progress.max() - 0.03


def test_proportions_are_medians_of_the_stages_durations():
    def lasting(*durations):
        stage = np.repeat(np.arange(3), durations)
        success = np.arange(len(stage)) >= len(stage) - 1
        return Truth(np.zeros(len(stage), np.float32), stage, success, ("a", "b", "c"), (0.2, 0.3, 0.5))

    truths = [lasting(10, 20, 11), lasting(20, 30, 51), lasting(30, 40, 91)]
    assert measure_proportions(truths) == (0.2, 0.3, 0.5)


def test_the_catalogues_numbers_can_be_measured_again(recorder_of):
    recorder_of("handle-press")
    task = METAWORLD_TASKS["metaworld/handle-press"]
    measured = measure_task(task.id)
    assert (measured.expert, measured.proportions) == (task.expert, task.proportions)
    assert measured.correlation[0] > 0.9
    assert 0.9 < measured.before < 1
