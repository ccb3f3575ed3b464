"""Joint values by name, and every way in which they can be unusable."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import InvalidValue
from headway_envs.ros.joints import JointError, JointOrder, read_joints, read_velocities
from headway_envs.ros.messages import joint_state

WANTED = ("shoulder", "elbow", "wrist")


def reason(message, names=WANTED, read=read_joints):
    with pytest.raises(JointError) as caught:
        read(message, names)
    assert "\n" not in str(caught.value)
    return caught.value.reason


@given(
    st.permutations([*WANTED, "finger", "thumb"]),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=5, max_size=5),
)
def test_the_order_of_the_publisher_does_not_matter_and_more_joints_are_ignored(names, values):
    told = dict(zip(names, values, strict=True))
    for read, message in (
        (read_joints, joint_state(names, values)),
        (read_velocities, joint_state(names, [0.0] * 5, values)),
    ):
        result = read(message, WANTED)
        assert result.dtype == np.float64
        assert result.tolist() == [told[name] for name in WANTED]


def test_velocities_may_be_left_out_and_positions_not():
    message = joint_state(WANTED, [1, 2, 3])
    assert read_velocities(message, WANTED) is None
    assert reason(joint_state(WANTED, [], [1, 2, 3])) == "length"


def test_each_fault_has_its_reason():
    good = joint_state(WANTED, [1.0, 2.0, 3.0])
    assert reason(joint_state(WANTED[:2], [1, 2])) == "missing"
    assert reason(good | {"name": ["shoulder", "elbow", "elbow"], "position": [1.0, 2.0, 2.0]}) == "duplicate"
    assert reason(good | {"position": [1.0, 2.0]}) == "length"
    assert reason(good | {"name": [*WANTED, "more"]}) == "length"
    for bad in (math.nan, math.inf, -math.inf, None, 10**400):
        assert reason(good | {"position": [1.0, bad, 3.0]}) == "not_finite"
    for bad in (True, "2", [2.0], b"2", {}, 1j):
        assert reason(good | {"position": [1.0, bad, 3.0]}) == "malformed"
    for bad in (None, "abc", {}, 3):
        assert reason(good | {"position": bad}) == "malformed"
        assert reason(good | {"name": bad}) == "malformed"
        assert reason(bad) == "malformed"
    assert reason(good | {"name": ["shoulder", 2, "wrist"]}) == "malformed"
    assert reason(good | {"velocity": [1.0]}, read=read_velocities) == "length"
    assert reason(good | {"velocity": [1.0, math.nan, 3.0]}, read=read_velocities) == "not_finite"


def test_what_is_wrong_with_joints_that_nobody_asked_for_does_not_matter():
    message = joint_state(("spare", "spare", *WANTED), [math.nan, 5, 1, 2, 3])
    assert read_joints(message, WANTED).tolist() == [1, 2, 3]


def test_arrays_as_bags_have_them():
    message = joint_state(WANTED, [1, 2, 3]) | {"position": np.array([1.0, 2.0, 3.0])}
    assert read_joints(message, ["wrist"]).tolist() == [3.0]


def test_limits_hold_and_belong_to_their_joint():
    order = JointOrder(("wrist", "elbow"), ((-1.0, 1.0), (0.0, 5.0)))
    assert order.positions(joint_state(("elbow", "wrist"), [4.0, -1.0])).tolist() == [-1.0, 4.0]
    assert order.velocities(joint_state(("elbow", "wrist"), [4.0, 0.0], [9.0, 8.0])).tolist() == [8.0, 9.0]
    with pytest.raises(JointError, match="wrist is at 4") as caught:
        order.positions(joint_state(("elbow", "wrist"), [0.5, 4.0]))
    assert caught.value.reason == "limits"
    assert JointOrder(("wrist",)).positions(joint_state(["wrist"], [1e9])).tolist() == [1e9]


@pytest.mark.parametrize(
    ("names", "limits"),
    [
        ((), ()),
        (("a", "a"), ()),
        (("a",), ((1.0, 0.0),)),
        (("a",), ((0.0, 1.0), (0.0, 1.0))),
        (("a",), ((math.nan, 1),)),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(names, limits):
    with pytest.raises(InvalidValue):
        JointOrder(names, limits)


def test_an_error_travels_between_processes():
    error = pickle.loads(pickle.dumps(JointError("missing", "joint a is not among those told")))  # noqa: S301
    assert (error.reason, str(error)) == ("missing", "joint a is not among those told")


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from(WANTED)


@given(
    st.one_of(
        VALUES,
        st.fixed_dictionaries(
            {}, optional={field: VALUES | st.lists(VALUES, max_size=4) for field in ("name", "position", "velocity")}
        ),
    )
)
def test_garbage_raises_joint_errors_alone(message):
    for read in (read_joints, read_velocities):
        try:
            result = read(message, WANTED)
        except JointError:
            continue
        assert result is None or np.isfinite(result).all()
