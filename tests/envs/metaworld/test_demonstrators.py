import numpy as np
import pytest

from headway.errors import InvalidValue
from headway_envs.metaworld.catalogue import find_metaworld_task
from headway_envs.metaworld.demonstrators import HOLD, IMPERFECTIONS, check_kind, kinds_of

SEEDS = range(8)


def at_work(trajectory, name):
    return trajectory.truth.imperfection[:, IMPERFECTIONS.index(name)]


@pytest.mark.parametrize("kind", ["wrong-object", "near-miss+jitter", "expert+jitter", "jitter+jitter", "", "drop"])
def test_a_kind_that_a_task_does_not_have_is_refused_with_those_it_has(kind):
    with pytest.raises(InvalidValue, match="metaworld/button-press has no demonstrator of kind") as caught:
        check_kind(kind, find_metaworld_task("metaworld/button-press"))
    assert "there are expert, hesitate, detour, overshoot, abandon, jitter" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_what_is_grasped_can_be_dropped():
    assert "drop" in kinds_of(find_metaworld_task("metaworld/pick-place"))
    assert "drop" not in kinds_of(find_metaworld_task("metaworld/drawer-open"))
    check_kind("drop+hesitate+jitter", find_metaworld_task("metaworld/pick-place"))


@pytest.mark.parametrize("name", ["drawer-open", "pick-place", "handle-press", "reach"])
def test_experts_end_when_the_task_has_been_done_for_three_frames(record, name):
    for seed in SEEDS:
        trajectory = record(name, seed)
        success = trajectory.truth.success
        assert success[-HOLD:].all()
        assert not success[:-HOLD].any()
        assert not trajectory.truth.imperfection.any()


def test_hesitation_is_labelled_where_the_hand_is_told_to_stay_and_costs_that_many_steps(record):
    for seed in SEEDS:
        hesitant = record("drawer-open", seed, "hesitate")
        still = at_work(hesitant, "hesitate")
        assert 20 <= still.sum() <= 120
        assert not hesitant.action[still, :3].any()
        assert hesitant.action[~still, :3].any(axis=1)[:-HOLD].all()
        assert hesitant.truth.succeeded
        assert len(hesitant) > len(record("drawer-open", seed))


def test_jitter_trembles_only_while_it_is_labelled(record):
    for seed in SEEDS:
        trembling = record("door-lock", seed, "jitter")
        shaking = at_work(trembling, "jitter")
        change = np.abs(np.diff(trembling.action[:, :3], axis=0)).mean(axis=1)
        assert 10 < shaking.sum() <= 90
        assert change[shaking[1:]].mean() > 2 * change[~shaking[1:]].mean()


def test_a_detour_leads_elsewhere_and_back(record):
    for seed in SEEDS:
        trajectory, usual = record("drawer-open", seed, "detour"), record("drawer-open", seed)
        away = at_work(trajectory, "detour")
        gaps = np.linalg.norm(trajectory.state[:, None, :3] - usual.state[None, :, :3], axis=-1).min(axis=1)
        assert gaps[away].max() > 0.05
        assert trajectory.truth.succeeded


def test_overshooting_goes_on_where_the_expert_would_slow_down(record):
    labelled = [at_work(record("assembly", seed, "overshoot"), "overshoot") for seed in SEEDS]
    assert all(6 <= steps.sum() <= 15 for steps in labelled)
    for seed, steps in zip(SEEDS, labelled, strict=True):
        assert np.abs(record("assembly", seed, "overshoot").action[steps, :3]).max(axis=1).min() == pytest.approx(1)
    later = [len(record("assembly", seed, "overshoot")) - len(record("assembly", seed)) for seed in SEEDS]
    assert np.median(later) > 5


def test_whoever_abandons_ends_where_the_hand_began_and_fails(record):
    for name in ("drawer-open", "pick-place"):
        for seed in SEEDS:
            trajectory = record(name, seed, "abandon")
            assert not trajectory.truth.succeeded
            assert np.linalg.norm(trajectory.state[-1, :3] - trajectory.state[0, :3]) < 0.05
            assert at_work(trajectory, "abandon")[-1]


def test_a_dropped_thing_falls_and_true_progress_falls_with_it(record):
    fell = []
    for seed in SEEDS:
        trajectory = record("basketball", seed, "drop")
        letting_go = np.flatnonzero(at_work(trajectory, "drop"))
        height, progress = trajectory.environment_state[:, 2], trajectory.truth.progress
        fell.append(height[letting_go[0]] - height[letting_go[-1] :].min() > 0.05)
        assert progress[letting_go[-1]] < progress[letting_go[0]]
    assert sum(fell) >= 6


def test_imperfections_combine_each_as_it_is_on_its_own(record):
    for seed in SEEDS:
        both = record("drawer-open", seed, "hesitate+jitter")
        alone = record("drawer-open", seed, "hesitate")
        assert at_work(both, "hesitate").sum() == at_work(alone, "hesitate").sum()
        assert at_work(both, "jitter").any()
        assert not at_work(alone, "jitter").any()
