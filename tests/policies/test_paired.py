from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import InvalidValue
from headway_policies.paired import (
    Paired,
    count_pairs,
    layouts_needed,
    mcnemar,
    newcombe,
    power,
    smallest_effect,
    verdict,
    wilson,
)

COUNTS = st.integers(0, 40)
PAIRS = st.tuples(COUNTS, COUNTS, COUNTS, COUNTS).filter(any).map(lambda counts: Paired(*counts))


def test_the_interval_is_the_published_one():
    # Altman and others 2000, Statistics with Confidence, table 6.2 (worked example of Newcombe's method)
    found = newcombe(Paired(14, 5, 0, 22))
    assert (round(found.value, 3), round(found.low, 3), round(found.high, 3)) == (0.122, 0.011, 0.226)


def test_the_interval_is_that_of_a_textbook_where_outcomes_hardly_correlate():
    # Fagerland and others 2014, BMC Medical Research Methodology: airway reactivity before and after transplantation
    found = newcombe(Paired(1, 1, 7, 12))
    assert (round(found.low, 3), round(found.high, 3)) == (-0.507, -0.026)


def test_wilsons_interval_by_hand():
    # (p + z^2 / 2n +- z sqrt(p q / n + z^2 / 4 n^2)) / (1 + z^2 / n) at 10 of 10: from 1 / (1 + z^2 / n)
    found = wilson(10, 10)
    assert (found.value, found.high) == (1, pytest.approx(1))
    assert found.low == pytest.approx(1 / (1 + 1.959964**2 / 10), abs=1e-5)


@given(PAIRS)
def test_the_interval_holds_the_difference_and_turns_with_the_names(pairs):
    found = newcombe(pairs)
    other = newcombe(Paired(pairs.both, pairs.second, pairs.first, pairs.neither))
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert (found.value, found.low, found.high) == pytest.approx((-other.value, -other.high, -other.low), abs=1e-12)
    assert mcnemar(pairs) == pytest.approx(mcnemar(Paired(pairs.both, pairs.second, pairs.first, pairs.neither)))


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [(0, 0, 1.0), (6, 0, 2 / 64), (0, 5, 2 / 32), (8, 1, 2 * (1 + 9) / 512), (3, 3, 1.0), (2, 12, 0.012939453125)],
)
def test_mcnemars_p_by_counting(first, second, p):
    assert mcnemar(Paired(17, first, second, 4)) == pytest.approx(p)


@given(COUNTS, COUNTS)
def test_layouts_on_which_both_end_alike_do_not_enter_the_test(first, second):
    assert mcnemar(Paired(1, first, second, 0)) == mcnemar(Paired(30, first, second, 90))


@pytest.mark.parametrize(("one", "other", "joint"), [(0.9, 0.8, 0.75), (0.6, 0.6, 0.5), (0.5, 0.3, 0.15)])
def test_the_interval_covers_the_truth_nineteen_times_in_twenty(one, other, joint):
    rng = np.random.default_rng(0)
    shares = [joint, one - joint, other - joint, 1 - one - other + joint]
    tables = rng.multinomial(100, shares, size=600)
    found = [newcombe(Paired(*map(int, table))) for table in tables]
    covered = np.mean([estimate.low <= one - other <= estimate.high for estimate in found])
    assert 0.93 < covered < 0.985


@pytest.mark.parametrize(("effect", "apart", "layouts"), [(0.15, 0.3, 100), (0.1, 0.1, 60), (0.3, 0.5, 40)])
def test_power_is_the_share_of_simulated_comparisons_that_are_significant(effect, apart, layouts):
    rng = np.random.default_rng(1)
    shares = [0.4 * (1 - apart), (apart + effect) / 2, (apart - effect) / 2, 0.6 * (1 - apart)]
    tables = rng.multinomial(layouts, shares, size=2000)
    known = {pair: mcnemar(Paired(0, *pair, layouts)) < 0.05 for pair in {(int(t[1]), int(t[2])) for t in tables}}
    share = np.mean([known[int(table[1]), int(table[2])] for table in tables])
    assert power(effect, apart, layouts) == pytest.approx(share, abs=0.025)


def test_without_any_effect_power_is_at_most_the_level():
    assert all(power(0, apart, layouts) <= 0.05 for apart in (0.05, 0.3, 1.0) for layouts in (6, 30, 300))


def test_when_only_one_policy_ever_wins_power_is_that_of_six_such_layouts():
    # of 40 layouts each tells them apart with probability 0.2: p < 0.05 needs six of them, all one way
    six_or_more = 1 - sum(comb(40, k) * 0.2**k * 0.8 ** (40 - k) for k in range(6))
    assert power(0.2, 0.2, 40) == pytest.approx(six_or_more, abs=1e-6)


def test_the_smallest_effect_is_where_power_reaches_four_fifths():
    smallest = smallest_effect(0.2, 100)
    assert power(smallest, 0.2, 100) >= 0.8 > power(smallest - 0.001, 0.2, 100)
    assert 0.1 < smallest < 0.16
    assert smallest_effect(0.2, 400) < smallest < smallest_effect(0.2, 50)


def test_five_layouts_can_show_nothing():
    assert np.isnan(smallest_effect(0.5, 5))
    assert "too few to see any difference" in verdict(Paired(0, 5, 0, 0), ("a", "b"))


def test_as_many_layouts_as_are_named_show_the_effect():
    needed = layouts_needed(0.1, 0.3)
    # Connor 1987, eq. 3, for the test without exactness: (1.96 sqrt(.3) + .8416 sqrt(.3 - .01))^2 / .01 = 234
    assert 234 < needed < 280
    assert power(0.1, 0.3, needed) >= 0.8
    assert layouts_needed(0.001, 1.0) is None
    with pytest.raises(InvalidValue, match="above 0"):
        layouts_needed(0, 0.3)


def test_the_verdict_is_honest():
    same = verdict(Paired(80, 8, 7, 5), ("plain", "weighted"))
    assert same.startswith("Not distinguishable. 100 layouts see a difference of ")
    assert "to see 10 points you would need about " in same
    better = verdict(Paired(60, 3, 30, 7), ("plain", "weighted"))
    assert better.startswith("weighted succeeds more often than plain: 27.0 points, 95 % interval 1")
    for told in (same, better):
        assert told.endswith("it says nothing about two recipes, whose runs differ by seed.")


def test_pairs_are_counted_layout_by_layout():
    assert count_pairs([True, True, False, False, True], [True, False, True, False, False]) == Paired(1, 2, 1, 1)
    with pytest.raises(InvalidValue, match="same layouts"):
        count_pairs([True], [True, False])
    with pytest.raises(InvalidValue, match="at least one layout"):
        count_pairs([], [])
