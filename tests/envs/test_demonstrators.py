from itertools import combinations

import numpy as np
import pytest

from headway.errors import InvalidValue, UnknownName
from headway_envs.demonstrators import IMPERFECTIONS, KINDS, check_kind, demonstrator, kinds_of
from headway_envs.tasks import TASKS, find_task
from headway_envs.tasks.base import progress

EVERYWHERE = {"expert", "hesitate", "detour", "near-miss", "wrong-object", "abandon", "overshoot", "jitter", "undo"}


def first_step(task, kind, seed):
    layout = task.layout(seed)
    who = demonstrator(kind, task, layout, 20)
    return who, who.act(layout, progress(task, layout, layout))


@pytest.mark.parametrize("task_id", TASKS)
def test_every_task_lists_the_expert_first_and_all_that_can_go_wrong_in_it(task_id):
    kinds = kinds_of(find_task(task_id))
    assert kinds[0] == "expert"
    assert set(kinds) >= EVERYWHERE
    assert list(kinds) == [kind for kind in KINDS if kind in kinds]
    for kind in kinds:
        check_kind(kind, find_task(task_id))


@pytest.mark.parametrize(
    ("kind", "tasks"),
    [
        ("wrong-order", {"tidy-drawer", "stack-three", "sort-by-colour"}),
        ("regress", set(TASKS) - {"press-three-times"}),
        ("drop", set(TASKS) - {"press-three-times", "push-to-goal"}),
    ],
)
def test_mistakes_that_need_something_are_there_only_where_that_is(kind, tasks):
    assert {task_id for task_id, task in TASKS.items() if kind in kinds_of(task)} == tasks


@pytest.mark.parametrize(
    ("task_id", "kind", "error", "message"),
    [
        ("lift", "clumsy", UnknownName, "unknown kind of demonstrator 'clumsy'; available: abandon, .*, undo"),
        ("lift", "drop+clumsy", UnknownName, "unknown kind of demonstrator 'clumsy'"),
        ("lift", "", UnknownName, "unknown kind of demonstrator ''"),
        ("lift", "wrong-order", InvalidValue, "no 'wrong-order' in lift: it has one part only; possible .*: expert, h"),
        (
            "push-to-goal",
            "jitter+drop",
            InvalidValue,
            "no 'drop' in push-to-goal: nothing is carried; possible there: ",
        ),
        ("press-three-times", "regress", InvalidValue, "no 'regress' in press-three-times: what has been counted"),
        ("lift", "drop+jitter+drop", InvalidValue, "'drop\\+jitter\\+drop' names 'drop' twice"),
        ("lift", "expert+drop", InvalidValue, "'expert\\+drop' joins mistakes to an expert.*write 'drop'$"),
    ],
)
def test_a_kind_that_cannot_be_is_refused_with_one_line(task_id, kind, error, message):
    task = find_task(task_id)
    for refuses in (lambda: check_kind(kind, task), lambda: demonstrator(kind, task, task.layout(0), 20)):
        with pytest.raises(error, match=message) as caught:
            refuses()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("task_id", TASKS)
def test_experts_are_labelled_at_no_step(record_states, task_id):
    imperfection = record_states(task_id, 0).truth.imperfection
    assert imperfection.shape[1] == len(IMPERFECTIONS)
    assert not imperfection.any()


@pytest.mark.parametrize("task_id", TASKS)
def test_every_kind_happens_in_every_task_and_no_other_is_labelled(record_states, task_id):
    for kind in kinds_of(TASKS[task_id])[1:]:
        truth = record_states(task_id, 1, kind).truth
        assert truth.imperfections == IMPERFECTIONS
        assert {IMPERFECTIONS[at] for at in np.flatnonzero(truth.imperfection.any(axis=0))} == {kind}


def test_mistakes_happen_elsewhere_in_other_episodes_and_in_the_same_place_again(record_states):
    begins = [labelled(record_states("lift", seed, "hesitate"), "hesitate").argmax() for seed in range(6)]
    assert len(set(begins)) > 3
    again = demonstrator("hesitate", find_task("lift"), find_task("lift").layout(3), 20)
    assert vars(again.mistakes["hesitate"][0]) == vars(
        first_step(find_task("lift"), "hesitate", 3)[0].mistakes["hesitate"][0]
    )


@pytest.mark.parametrize("kind", IMPERFECTIONS)
def test_what_a_mistake_draws_does_not_depend_on_which_others_come_with_it(kind):
    task = find_task("stack-three")
    alone = demonstrator(kind, task, task.layout(5), 20).mistakes[kind]
    others = "+".join(other for other in reversed(IMPERFECTIONS) if other != kind)
    together = demonstrator(f"{others}+{kind}", task, task.layout(5), 20).mistakes[kind]
    assert [drawn(mistake) for mistake in alone] == [drawn(mistake) for mistake in together]
    elsewhere = demonstrator(kind, task, task.layout(6), 20).mistakes[kind]
    assert kind in {"wrong-object", "wrong-order"} or [drawn(m) for m in alone] != [drawn(m) for m in elsewhere]


def test_the_mistakes_of_two_kinds_are_not_drawn_alike():
    task = find_task("stack-three")
    at = [
        demonstrator(kind, task, task.layout(5), 20).mistakes[kind][0]._at
        for kind in ("regress", "abandon", "hesitate")
    ]
    shares = [(at[0] - 0.1) / 0.8, (at[1] - 0.1) / 0.75, (at[2] - 0.05) / 0.9]
    assert all(abs(one - other) > 1e-6 for one, other in combinations(shares, 2))


def test_the_order_in_which_mistakes_are_named_does_not_matter(record_states):
    one, other = (record_states("lift", 2, kind) for kind in ("jitter+hesitate", "hesitate+jitter"))
    assert np.array_equal(one.action, other.action)
    assert np.array_equal(one.truth.imperfection, other.truth.imperfection)


@pytest.mark.parametrize(
    ("task_id", "kind"),
    [
        ("place-in-bin", "hesitate+drop"),
        ("stack-three", "detour+wrong-object"),
        ("lift", "near-miss+wrong-object"),
        ("press-three-times", "near-miss+wrong-object"),
        ("push-to-goal", "regress+overshoot"),
        ("insert-peg", "hesitate+undo"),
    ],
)
def test_mistakes_that_are_joined_all_happen(record_states, task_id, kind):
    made = record_states(task_id, 1, kind)
    for word in kind.split("+"):
        assert labelled(made, word).any(), word
    assert made.truth.imperfection.any(axis=0).sum() == 2


def labelled(made, kind):
    """bool (time,)"""
    return made.truth.imperfection[:, IMPERFECTIONS.index(kind)]


def drawn(mistake):
    values = {name: value for name, value in vars(mistake).items() if name != "_random"}
    return type(mistake).__name__, values
