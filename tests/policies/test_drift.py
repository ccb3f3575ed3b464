import numpy as np
import pytest
from scipy.stats import betabinom

from headway.errors import InvalidValue
from headway_policies.drift import DriftAlarm, chi_square, count_needed, mark, split


class Visit:
    """An episode that stays near a place of its own: its frames are alike, so they are no independent witnesses."""

    def __init__(self, rng, centre=(0.0, 0.0), spread=1.0, frames=30):
        place = np.asarray(centre) + spread * rng.normal(size=2)
        path = place + 0.1 * rng.normal(size=(frames, 2)).cumsum(0)
        self.state = path.astype(np.float32)
        self.environment_state = np.full((frames, 1), rng.normal(), dtype=np.float32)
        self.action = None


def visits(rng, number, **how):
    return [Visit(rng, **how) for _ in range(number)]


def alarm(rng, number=40, **options):
    return DriftAlarm(visits(rng, number), visits(rng, number), **options)


def test_false_alarms_stay_within_the_rate_that_was_promised():
    rng = np.random.default_rng(0)
    rate, tries = 0.25, 40

    def some(number):
        return visits(rng, number, frames=9)

    rung = sum(DriftAlarm(some(15), some(20), rate, tolerance=1).check(some(16)).alarm for _ in range(tries))
    assert rung <= rate * tries + 2 * np.sqrt(tries * rate * (1 - rate))
    assert rung > 0, "a rate of 25 % leaves room for some"


def test_going_elsewhere_rings_and_more_of_it_diverges_more():
    rng = np.random.default_rng(1)
    watch = alarm(rng, rate=0.01)
    found = [watch.check(visits(rng, 20, centre=(far, 0))) for far in (0.0, 2.0, 6.0)]
    assert [one.alarm for one in found] == [False, False, True] or [one.alarm for one in found] == [False, True, True]
    assert found[0].chi_square < found[1].chi_square < found[2].chi_square
    assert found[2].episodes.mean() > 1 > abs(found[0].episodes.mean())


def test_doing_the_good_half_of_the_data_alone_is_tolerated_and_not_without_tolerance():
    rng = np.random.default_rng(2)
    halves = [(-3, 0), (3, 0)]
    data = [Visit(rng, halves[number % 2], 0.5) for number in range(160)]
    better = visits(rng, 60, centre=halves[0], spread=0.5)
    learnt, held_out = split(data)
    assert not DriftAlarm(learnt, held_out, rate=0.05, tolerance=2).check(better).alarm
    assert DriftAlarm(learnt, held_out, rate=0.05, tolerance=2).check(visits(rng, 60, centre=(0, 5), spread=0.5)).alarm


def test_an_episode_s_drift_is_told_in_the_order_given():
    rng = np.random.default_rng(3)
    elsewhere = {1, 2, 5, 8, 9, 10}
    mixed = [Visit(rng, (8, 0) if number in elsewhere else (0, 0), 0.3) for number in range(12)]
    found = alarm(rng).check(mixed)
    assert set(np.argsort(found.episodes)[-6:].tolist()) == elsewhere


@pytest.mark.parametrize(("episodes", "held_out"), [(15, 37), (20, 30), (5, 8)])
def test_the_count_needed_is_the_exact_one_of_exchangeable_episodes(episodes, held_out):
    k = max(1, round(0.1 * held_out))
    chances = betabinom.sf(np.arange(episodes + 1), episodes, k, held_out - k + 1)
    assert count_needed(episodes, held_out, 0.01) == int(np.flatnonzero(chances <= 0.01)[0]) + 1
    assert count_needed(episodes, held_out, 0.01, 2.0) > count_needed(episodes, held_out, 0.01)


def test_too_few_held_out_episodes_can_never_ring():
    assert count_needed(episodes=3, held_out=2, rate=0.01) == 4
    rng = np.random.default_rng(4)
    few = DriftAlarm(visits(rng, 10), visits(rng, 2), rate=0.01)
    assert not few.check(visits(rng, 6, centre=(30, 0))).alarm


def test_the_divergence_is_that_of_two_normal_distributions():
    rng = np.random.default_rng(5)
    shift = 0.5
    x = rng.normal(shift, 1, 200_000)
    log_ratio = shift * x - shift**2 / 2
    # chi2(N(s, 1) || N(0, 1)) = exp(s^2) - 1, less what the trimmed hundredth holds
    assert chi_square(log_ratio) == pytest.approx(np.exp(shift**2) - 1, rel=0.2)
    assert chi_square(np.zeros(100)) == 0


def test_the_mark_is_a_tenth_from_the_top():
    assert mark(list(range(40))) == 36
    assert mark([3.0, 1.0, 2.0]) == 3


def test_the_data_is_parted_without_loss():
    first, second = split(list(range(11)), seed=1)
    assert sorted([*first, *second]) == list(range(11))
    assert len(first) == 5
    assert split(list(range(11)), seed=1) == (first, second) != split(list(range(11)), seed=2)


@pytest.mark.parametrize("options", [{"rate": 0}, {"rate": 1}, {"checks": 0}, {"tolerance": 0.5}])
def test_an_alarm_says_what_is_wrong_with_its_settings(options):
    with pytest.raises(InvalidValue, match="an alarm needs"):
        alarm(np.random.default_rng(0), 4, **options)


def test_an_alarm_needs_data_and_episodes_to_look_at():
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidValue, match="episodes of the data"):
        DriftAlarm(visits(rng, 3), [])
    with pytest.raises(InvalidValue, match="at least 2 episodes, got 1"):
        alarm(rng, 4).check(visits(rng, 1))
