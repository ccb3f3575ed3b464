import pytest

from headway_policies.policy_evaluation import best_and_worst
from headway_policies.rollout import Rollout


def rollout(seed, progress, steps):
    return Rollout(seed, progress == 1, progress, 0, 0, steps)


SOME = [rollout(0, 0.3, 400), rollout(1, 1.0, 250), rollout(2, 1.0, 200), rollout(3, 0.3, 300), rollout(4, 0.6, 400)]


@pytest.mark.parametrize(
    ("count", "best", "worst"),
    [(1, [2], [0]), (2, [2, 1], [0, 3]), (3, [2, 1, 4], [0, 3]), (9, [2, 1, 4, 3, 0], []), (0, [], [])],
)
def test_the_best_get_far_in_few_steps_and_nobody_is_both(count, best, worst):
    found = best_and_worst(SOME, count)
    assert [[one.layout_seed for one in some] for some in found] == [best, worst]
