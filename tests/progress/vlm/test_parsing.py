"""Replies that models really give: whole, partial, out of order, wrapped in prose, cut off, refused."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.vlm.chat import Reply
from headway.vlm.judgement import Outcome
from headway.vlm.parsing import number, read_frames, read_object


def frames_reply(percent: dict[int, object], **more) -> str:
    entries = [
        {"frame": label, "description": "a {brace} in prose", "completion": value, **more}
        for label, value in percent.items()
    ]
    return json.dumps({"frames": entries})


@given(
    percent=st.dictionaries(st.integers(1, 60), st.integers(0, 100), min_size=1, max_size=30),
    order=st.randoms(use_true_random=False),
    around=st.sampled_from(["{}", "```json\n{}\n```", "Here is 50% of it {{not json}}: {} Done, 100%."]),
)
def test_every_value_goes_to_its_own_frame_in_any_order_and_whatever_stands_around(percent, order, around):
    labels = list(percent)
    order.shuffle(labels)
    text = around.format(frames_reply({label: percent[label] for label in labels}))
    readings = read_frames(Reply(text), set(percent))
    assert readings.values == percent
    assert readings.outcomes == Counter({Outcome.READ: len(percent)})


@given(cut=st.integers(0, 400), number_of=st.integers(1, 8))
def test_of_a_reply_cut_off_anywhere_only_what_is_whole_is_read(cut, number_of):
    percent = {label: 11 * label for label in range(1, number_of + 1)}
    text = frames_reply(percent)[:cut]
    readings = read_frames(Reply(text, finish="length"), percent)
    assert all(percent[label] == value for label, value in readings.values.items())
    assert readings.outcomes[Outcome.TRUNCATED] == number_of - len(readings.values)
    assert len(readings.values) == sum(text.count(f'"completion": {value}}}') for value in percent.values())


@pytest.mark.parametrize(
    ("text", "finish", "outcome"),
    [
        ("", "refusal", Outcome.REFUSED),
        ("I'm sorry, I cannot judge this.", "stop", Outcome.REFUSED),
        ("The first picture shows 40 %, the second 60 %.", "stop", Outcome.PROSE),
        ("40\n60", "stop", Outcome.PROSE),
        ("", "stop", Outcome.MISSING),
        (frames_reply({1: 101}), "stop", Outcome.OUT_OF_RANGE),
        (frames_reply({1: -1}), "stop", Outcome.OUT_OF_RANGE),
        (frames_reply({1: "40 % or 60 %"}), "stop", Outcome.PROSE),
        (frames_reply({1: True}), "stop", Outcome.PROSE),
        (frames_reply({1: float("nan")}), "stop", Outcome.PROSE),
        (frames_reply({1: None}), "stop", Outcome.MISSING),
        ('{"frames": [{"frame": 1, "completion": 40}, {"frame": 1, "completion": 60}]}', "stop", Outcome.DUPLICATE),
        ('{"frames": "none"}', "stop", Outcome.PROSE),
        ('{"frames": [{"frame": 1, "compl', "length", Outcome.TRUNCATED),
    ],
)
def test_what_cannot_be_read_is_named_and_never_becomes_a_number(text, finish, outcome):
    readings = read_frames(Reply(text, finish), [1])
    assert readings.values == {}
    assert readings.outcomes == Counter({outcome: 1})


def test_an_extra_value_is_told_and_shifts_nothing():
    readings = read_frames(Reply(frames_reply({9: 90, 2: 20, 1: 10})), [1, 2, 3])
    assert readings.values == {1: 10, 2: 20}
    assert readings.outcomes == Counter({Outcome.READ: 2, Outcome.MISSING: 1, Outcome.UNKNOWN_FRAME: 1})


def test_the_same_value_twice_is_no_contradiction_and_labels_may_be_spelled_out():
    text = '{"frames": [{"frame": "Frame 3:", "completion": "40%"}, {"frame": 3, "completion": 40.0}]}'
    assert read_frames(Reply(text), [3]).values == {3: 40}


def test_fractions_are_not_taken_for_shares_of_one():
    """0.4 is 0.4 percent: who knows whether the model meant 40."""
    assert read_frames(Reply(frames_reply({1: 0.4, 2: 80})), [1, 2]).values == {1: 0.4, 2: 80}


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_json_makes_the_reader_stumble(anything):
    for text in (json.dumps(anything), json.dumps({"frames": anything}), json.dumps({"frames": [{"frame": anything}]})):
        readings = read_frames(Reply(text), [1, 2])
        assert sum(readings.outcomes.values()) - readings.outcomes[Outcome.UNKNOWN_FRAME] == 2
        read_object(Reply(text))


@given(st.text())
def test_no_text_makes_the_reader_stumble(text):
    assert read_frames(Reply("{" + text), [1]).values == {}


@pytest.mark.parametrize(
    ("value", "read"),
    [(40, 40), ("40 %", 40), ("-3.5", -3.5), ("4 of 5", None), (True, None), (None, None), ([1], None)],
)
def test_numbers(value, read):
    assert number(value) == read
