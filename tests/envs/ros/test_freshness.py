"""Which pictures count. Point by point in test_core.py; here what has to hold of any stream."""

from hypothesis import given, settings
from hypothesis import strategies as st

from headway_envs.ros.config import Limits
from headway_envs.ros.events import ImageArrived
from headway_envs.ros.freshness import NANOSECONDS, ClockOffset, Fresh, ImageGate

EPOCH = 1_700_000_000


def push(gate, arrived, stamp, digest, number=0):
    whole = None if stamp is None else round(stamp * NANOSECONDS)
    return gate.push(ImageArrived(arrived, "front", number, whole, None, digest))


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=60), st.floats(-1e6, 1e6))
@settings(max_examples=60)
def test_a_picture_is_never_younger_than_its_arrival_and_as_old_as_it_was_held_up(delays, ahead):
    """Sent every 50 ms and received in order; the quickest so far defines what is no delay."""
    gate, quickest, arrived = ImageGate(Limits()), float("inf"), 0.0
    for number, delay in enumerate(delays):
        sent = 0.05 * number
        arrived = max(arrived, sent + delay)
        fresh = push(gate, arrived, EPOCH + ahead + sent, str(number), number)
        if not isinstance(fresh, Fresh):
            assert fresh == "future"  # quicker than any of ten before it, by more than the tolerance
            continue
        quickest = min(quickest, arrived - sent)
        assert fresh.taken <= fresh.arrived + 1e-4
        # but for what clocks may have drifted apart since then
        assert -1e-4 < arrived - sent - quickest - (fresh.arrived - fresh.taken) < 1e-3 * arrived + 1e-4


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=80))
@settings(max_examples=60)
def test_stamps_let_through_rise_within_an_episode(stream):
    gate, last, arrived = ImageGate(Limits(restart=100)), -1, 0.0
    for number, (stamp, _) in enumerate(stream):
        arrived += 0.03
        fresh = push(gate, arrived, EPOCH + stamp / 30, str(number), number)
        if isinstance(fresh, Fresh):
            assert fresh.stamp > last
            last = fresh.stamp


def test_a_clock_that_drifts_is_followed():
    offset = ClockOffset()
    for step in range(4000):
        arrived = step * 0.1
        offset.push(arrived, arrived * (1 - 5e-4))  # a clock that loses half a millisecond a second
    assert abs(offset.seconds - 400 * 5e-4) < 1e-3


def test_a_delay_that_grows_slowly_is_no_drift():
    """A link a little too slow for its pictures: each is held up 1 ms longer than the one before."""
    gate = ImageGate(Limits())
    for number in range(3600):
        arrived = number / 30 + 0.001 * number
        fresh = push(gate, arrived, EPOCH + number / 30, str(number), number)
    assert fresh.arrived - fresh.taken > 0.9 * 3.6


def test_one_picture_of_a_past_episode_does_not_begin_another_twice():
    gate = ImageGate(Limits())
    for number in range(20):
        push(gate, number * 0.1, EPOCH + number * 0.1, str(number))
    assert isinstance(push(gate, 2.1, EPOCH - 50, "a"), Fresh)
    assert gate.restarted
    assert isinstance(push(gate, 2.2, EPOCH - 49.9, "b"), Fresh)
    assert not gate.restarted


def test_equal_pictures_count_until_they_are_many_and_last_long():
    def first_refused(period):
        gate = ImageGate(Limits(frozen_frames=15, frozen_seconds=1))
        for number in range(1000):
            if push(gate, number * period, EPOCH + number * period, "same") == "frozen":
                return number
        return None

    assert first_refused(1 / 30) == 30  # a second's worth
    assert first_refused(1 / 5) == 14  # at five a second, fifteen
