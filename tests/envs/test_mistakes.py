import numpy as np
import pytest

from headway_envs.demonstrators import IMPERFECTIONS, demonstrator, kinds_of
from headway_envs.observations import environment_names
from headway_envs.tasks import TASKS

SEEDS = (1, 2)


def labelled(made, kind):
    """bool (time,)"""
    return made.truth.imperfection[:, IMPERFECTIONS.index(kind)]


def known(made, task_id, *names):
    """float (time, name): what the simulator knows by that name."""
    return made.environment_state[:, [environment_names(TASKS[task_id]).index(name) for name in names]]


def place(made, task_id, thing):
    """float (time, 3)"""
    return known(made, task_id, *(f"{thing}.{axis}" for axis in "xyz"))


def hand(made):
    """float (time, 3)"""
    return made.state[:, :3]


def lost(progress):
    """The most by which progress fell below what had been reached."""
    return (np.maximum.accumulate(progress) - progress).max()


def all_of(record_states, kind):
    """An episode of that kind for each task that has it, and the expert's beside it."""
    tasks = [task_id for task_id, task in TASKS.items() if kind in kinds_of(task)]
    return [(record_states(task_id, 1, kind), record_states(task_id, 1)) for task_id in tasks]


@pytest.mark.parametrize("kind", ["hesitate", "detour", "regress", "overshoot", "jitter"])
def test_these_make_nearly_all_episodes_longer_and_they_still_succeed(record_states, kind):
    pairs = all_of(record_states, kind)
    assert np.mean([made.truth.succeeded for made, _ in pairs]) > 0.85
    assert np.mean([len(made) > len(expert) for made, expert in pairs]) > (0.5 if kind == "jitter" else 0.85)


@pytest.mark.parametrize("kind", ["drop", "near-miss", "wrong-object", "abandon", "undo"])
def test_these_leave_nearly_all_tasks_undone(record_states, kind):
    made = [made for made, _ in all_of(record_states, kind)]
    assert np.mean([one.truth.succeeded for one in made]) < 0.15
    # most of them never succeeded on the way, but for those that had to
    assert np.mean([one.truth.success.any() for one in made]) == pytest.approx(float(kind == "undo"), abs=0.25)
    assert np.mean([len(one) / one.fps < 20 for one in made]) > 0.85


def test_who_hesitates_stands_still_for_seconds(record_states):
    for seed in range(4):
        made = record_states("stack-three", seed, "hesitate")
        still = labelled(made, "hesitate")
        assert 1 <= still.sum() / made.fps <= 6
        steps = np.linalg.norm(np.diff(hand(made), axis=0), axis=1) * made.fps
        assert np.median(steps[still[:-1]]) < 0.06 < np.median(steps[~still[:-1]])


def test_who_takes_a_detour_travels_further_than_the_expert(record_states):
    for seed in range(4):
        detour, expert = (hand(record_states("lift", seed, kind)) for kind in ("detour", "expert"))
        ways = [np.linalg.norm(np.diff(path, axis=0), axis=1).sum() for path in (detour, expert)]
        assert ways[0] > ways[1] + 0.1


@pytest.mark.parametrize("task_id", [task_id for task_id in TASKS if "regress" in kinds_of(TASKS[task_id])])
def test_who_regresses_loses_true_progress_and_then_finishes(record_states, task_id):
    for seed in SEEDS:
        made = record_states(task_id, seed, "regress")
        begin = labelled(made, "regress").argmax()
        assert made.truth.progress[begin] >= 0.1
        assert lost(made.truth.progress[begin:]) > 0.02
        assert lost(made.truth.progress) > lost(record_states(task_id, seed).truth.progress)
        assert made.truth.progress[-1] == 1


@pytest.mark.parametrize("task_id", TASKS)
def test_who_undoes_had_finished_first(record_states, task_id):
    for seed in SEEDS:
        made = record_states(task_id, seed, "undo")
        begin = labelled(made, "undo").argmax()
        assert made.truth.success[begin - round(0.3 * made.fps) : begin + 1].all()
        assert not made.truth.success[-1]
        assert labelled(made, "undo")[begin:].all()


def test_what_undoing_means_depends_on_the_task(record_states):
    pressed = known(record_states("press-three-times", 1, "undo"), "press-three-times", "count")
    assert pressed[-1] > 6
    drawers = [known(record_states("tidy-drawer", seed, "undo"), "tidy-drawer", "drawer")[:, 0] for seed in range(4)]
    last = [
        drawer[record_states("tidy-drawer", seed, "undo").truth.success.argmax() :]
        for seed, drawer in enumerate(drawers)
    ]
    assert all(after.max() > 0.04 for after in last)
    cubes = [place(record_states("tidy-drawer", seed, "undo"), "tidy-drawer", "red cube") for seed in range(4)]
    home = [np.linalg.norm(cube[-1] - cube[0]) < 0.03 for cube in cubes]
    assert any(home)
    assert not all(home)


def test_about_half_of_what_is_dropped_falls_off_the_table_for_good(record_states):
    last = [place(record_states("place-in-bin", seed, "drop"), "place-in-bin", "red cube")[-1] for seed in range(16)]
    gone = [z < -0.3 for _, _, z in last]
    assert 4 <= sum(gone) <= 12
    assert all(abs(x) > 0.33 for (x, _, _), lost in zip(last, gone, strict=True) if lost)
    assert all(-0.01 < z < 0.06 for (_, _, z), lost in zip(last, gone, strict=True) if not lost)


def test_a_dropped_thing_falls_from_the_air_and_nobody_looks(record_states):
    for seed in range(8):
        made = record_states("place-in-bin", seed, "drop")
        height = place(made, "place-in-bin", "red cube")[:, 2]
        wrong = labelled(made, "drop")
        assert height[wrong.argmax()] > 0.07
        assert not wrong[: wrong.argmax()].any()
        # from then on all is wrong, but for moments in which the expert would do the same, such as rise
        assert wrong[wrong.argmax() :].mean() > 0.7
        assert np.ptp(hand(made)[height < 0.03][-20:], axis=0).max() < 0.3


@pytest.mark.parametrize("kind", ["drop", "near-miss"])
@pytest.mark.parametrize("task_id", ["stack-three", "sort-by-colour"])
def test_who_lost_one_thing_goes_on_with_the_next(record_states, task_id, kind):
    for seed in range(4):
        made = record_states(task_id, seed, kind)
        assert len(made) - len(record_states(task_id, seed)) < 7 * made.fps


def test_near_misses_are_near(record_states):
    for seed in range(4):
        lifted = place(record_states("lift", seed, "near-miss"), "lift", "red cube")[:, 2]
        assert 0.07 < lifted.max() < 0.145
        pushed = record_states("push-to-goal", seed, "near-miss")
        puck, mark = (place(pushed, "push-to-goal", name)[-1, :2] for name in ("red puck", "green mark"))
        assert 0.025 < np.linalg.norm(puck - mark) < 0.08
        button = known(
            record_states("press-three-times", seed, "near-miss"), "press-three-times", "red button", "count"
        )
        assert 0.005 < button[:, 0].max() < 0.024
        assert button[-1, 1] == 0
        placed = record_states("place-in-bin", seed, "near-miss")
        cube, bin_ = (place(placed, "place-in-bin", name)[-1, :2] for name in ("red cube", "bin"))
        assert 0.06 < np.abs(cube - bin_).max() < 0.2


def test_a_wrong_object_ends_where_the_right_one_belongs(record_states):
    for seed in SEEDS:
        made = record_states("place-in-bin", seed, "wrong-object")
        red, blue, bin_ = (place(made, "place-in-bin", name) for name in ("red cube", "blue cube", "bin"))
        assert np.abs(blue[-1] - bin_[-1])[:2].max() < 0.075
        assert np.linalg.norm(red[-1] - red[0]) < 0.02
        pressed = known(record_states("press-three-times", seed, "wrong-object"), "press-three-times", "blue button")[
            :, 0
        ]
        assert (np.diff((pressed > 0.024).astype(int)) == 1).sum() == 3


def test_a_false_belief_counts_only_where_it_matters(record_states):
    for seed in SEEDS:
        made = record_states("tidy-drawer", seed, "wrong-object")
        wrong = labelled(made, "wrong-object")
        open_ = known(made, "tidy-drawer", "drawer")[:, 0] > 0.13
        assert not wrong[: open_.argmax()].any()
        assert wrong[-1]
        made = record_states("lift", seed, "near-miss")
        held = place(made, "lift", "red cube")[:, 2] > 0.06
        assert not labelled(made, "near-miss")[: held.argmax()].any()


def test_a_wrong_order_does_the_later_part_first_and_then_all_that_is_seen(record_states):
    for seed in SEEDS:
        made = record_states("sort-by-colour", seed, "wrong-order")
        moved = [
            np.linalg.norm(place(made, "sort-by-colour", name) - place(made, "sort-by-colour", name)[0], axis=1) > 0.1
            for name in ("red cube", "blue cube")
        ]
        assert moved[1].argmax() < moved[0].argmax()
        assert made.truth.succeeded
        wrong = labelled(made, "wrong-order")
        assert wrong[0]
        assert not wrong[moved[0].argmax() :].any()
        made = record_states("tidy-drawer", seed, "wrong-order")
        lifted = (place(made, "tidy-drawer", "red cube")[:, 2] > 0.07).argmax()
        assert lifted > 0
        assert known(made, "tidy-drawer", "drawer")[: lifted + 1].max() < 0.01
        assert made.truth.succeeded
        made = record_states("stack-three", seed, "wrong-order")
        gaps = place(made, "stack-three", "green cube") - place(made, "stack-three", "blue cube")
        on_blue = (np.abs(gaps - (0, 0, 0.05)) < 0.025).all(axis=1)
        red = place(made, "stack-three", "red cube")
        assert np.linalg.norm(red[on_blue.argmax()] - red[0]) < 0.01
        assert on_blue.any()


def test_who_overshoots_passes_the_target_and_comes_back(record_states):
    for seed in range(6):
        made = record_states("lift", seed, "overshoot")
        beyond = np.flatnonzero(labelled(made, "overshoot"))
        cube = place(made, "lift", "red cube")[0, :2]
        away = np.linalg.norm(hand(made)[:, :2] - cube, axis=1)
        assert away[beyond[0]] < 0.05
        assert 0.025 < away[beyond[0] :].max() < 0.11


def test_a_trembling_hand_wants_to_go_here_and_there(record_states):
    for seed in range(4):
        made, expert = (record_states("stack-three", seed, kind) for kind in ("jitter", "expert"))
        trembles = labelled(made, "jitter")
        assert trembles.mean() > 0.2
        rough = [np.abs(np.diff(one.action[:, 0], 2)) for one in (made, expert)]
        assert np.median(rough[0][trembles[1:-1]]) > 2 * np.median(rough[1])
    whole = [labelled(record_states("stack-three", seed, "jitter"), "jitter").all() for seed in range(8)]
    assert any(whole)
    assert not all(whole)


def test_who_abandons_lets_go_and_ends_where_the_hand_started(record_states):
    carried = []
    for seed in range(6):
        made = record_states("place-in-bin", seed, "abandon")
        height = place(made, "place-in-bin", "red cube")[:, 2]
        assert np.linalg.norm(hand(made)[-1] - hand(made)[0]) < 0.05
        assert height[-1] < 0.06
        given_up = labelled(made, "abandon")
        assert given_up[given_up.argmax() :].all()
        carried.append(height[given_up.argmax()] > 0.08)
    assert any(carried)


@pytest.mark.parametrize("fps", [20, 30])
def test_a_demonstrator_that_gets_nowhere_gives_up_after_some_seconds(fps):
    task = TASKS["insert-peg"]
    layout = task.layout(0)
    who = demonstrator("expert", task, layout, fps)
    steps = 0
    while not who.finished and steps < 25 * fps:
        who.act(layout, 0.2)
        steps += 1
    assert 7.5 < steps / fps < 8.5


def test_mistakes_last_as_long_at_every_frame_rate(record_states):
    for kind in ("hesitate", "abandon"):
        seconds = [
            labelled(made, kind).sum() / made.fps
            for made in (record_states("place-in-bin", 3, kind, robot) for robot in ("gripper", "arm"))
        ]
        assert abs(seconds[0] - seconds[1]) < 1.5
