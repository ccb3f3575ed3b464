from collections import Counter

import pytest

from headway.errors import InvalidValue
from headway_envs.demonstrators import KINDS
from headway_envs.mix import default_mix, parse_mix, plan
from headway_envs.seeds import collection_seeds


def test_a_mix_is_scaled_to_one():
    assert parse_mix("expert=3, drop=1") == {"expert": 0.75, "drop": 0.25}
    assert parse_mix("hesitate+jitter=1") == {"hesitate+jitter": 1}
    shares = default_mix(list(KINDS))
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["expert"] == 0.5
    assert len(set(shares.values()) - {0.5}) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("expert=-1", "--mix has 'expert=-1'; write kind=share with a share from 0"),
        ("expert=half", "--mix has 'expert=half'"),
        ("expert", "--mix has 'expert'"),
        ("expert=inf", "--mix has 'expert=inf'"),
        ("expert=0,drop=0", "sum to 0"),
        ("", "sum to 0"),
        ("expert=1,expert=1", "names 'expert' twice"),
    ],
)
def test_an_impossible_mix_is_refused_with_one_line(text, message):
    with pytest.raises(InvalidValue, match=message) as caught:
        parse_mix(text)
    assert "\n" not in str(caught.value)


def test_a_plan_has_the_shares_of_the_mix_spread_over_the_episodes():
    mix = default_mix(list(KINDS))
    jobs = plan(collection_seeds(0, 60), mix, seed=0)
    counts = Counter(kind for _, kind in jobs)
    assert counts["expert"] == 30
    assert {counts[kind] for kind in KINDS if kind != "expert"} <= {2, 3}
    assert 8 < sum(kind == "expert" for _, kind in jobs[:30]) < 22
    assert jobs == plan(collection_seeds(0, 60), mix, seed=0)
    assert [kind for _, kind in jobs] != [kind for _, kind in plan(collection_seeds(1, 60), mix, seed=1)]


@pytest.mark.parametrize("episodes", [1, 7, 13, 100])
def test_a_plan_has_exactly_the_episodes_asked_for(episodes):
    jobs = plan(collection_seeds(2, episodes), parse_mix("expert=1,drop=1,detour=1"), seed=2)
    assert len(jobs) == len({seed for seed, _ in jobs}) == episodes
