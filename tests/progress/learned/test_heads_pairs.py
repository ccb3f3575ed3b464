"""The pairs that a preference is learned from, and windows with a history drawn at random."""

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.learned.heads_pairs import (
    Pool,
    View,
    add_views,
    by_worth,
    different_task,
    draw_pairs,
    reversed_in_time,
    rewound,
    suboptimal,
)
from headway.learned.heads_windows import redraw
from headway.learned.inputs import Clip
from headway.learned.method import Lesson
from headway.learned.runs import draw_run
from headway.learned.windows import PADDING, backward_windows
from headway.learned.wrong_text import Negatives

HISTORY = 4
SEEDS = range(40)


class Letters:
    """A text encoder: how often each letter comes."""

    name = fingerprint = "letters"
    dimension = 26

    def encode(self, text: str) -> np.ndarray:
        return np.array([text.count(chr(97 + letter)) for letter in range(26)], np.float32)


def lesson(progress, success, instruction="open it", task=0) -> Lesson:
    clip = Clip(
        number=0,
        features=(np.arange(len(progress), dtype=np.float32)[:, None],),
        state=None,
        frames=np.arange(len(progress)),
        gap=1,
        text=Letters().encode(instruction),
        instruction=instruction,
        task=task,
    )
    return Lesson(clip, {"progress": np.asarray(progress, np.float32)}, success)


def pool(*lessons: Lesson) -> Pool:
    runs = [draw_run(each.clip, HISTORY, np.random.default_rng(0)) for each in lessons]
    return Pool(lessons, runs, Negatives(Letters(), ((),), 0.1), HISTORY)


def drawn(kind, of: Pool, number=0):
    """What a kind of pair draws with many seeds."""
    return [kind(of, number, np.random.default_rng(seed)) for seed in SEEDS]


def frames(of: Pool, view: View) -> list[int]:
    """The frames of a view's window, without padding."""
    return of.runs[view.lesson].kept[view.window[view.window != PADDING]].tolist()


RISING = np.linspace(0, 1, 12)
# goes half way and loses it all
LOST = np.concatenate([np.linspace(0, 0.6, 6), np.linspace(0.5, 0.01, 6)])


def test_a_clip_beats_itself_run_back_and_what_is_shown_is_forth_and_back():
    of = pool(lesson(RISING, True))
    for better, worse in drawn(rewound, of):
        first, *forth = frames(of, better)
        assert first == 0
        assert (np.diff(forth) == 1).all()
        first, *back = frames(of, worse)
        turn = int(np.argmax(back))
        assert first == 0
        assert (np.diff(back[: turn + 1]) == 1).all()
        assert (np.diff(back[turn:]) == -1).all()
        assert back[-1] < forth[-1]
        assert (better.worth, worse.worth) == pytest.approx((RISING[forth[-1]], RISING[back[-1]]))


def test_rewinding_what_was_lost_is_better_because_labels_follow_the_pictures():
    of = pool(lesson(LOST, False))
    forward_is_better = set()
    for better, worse in drawn(rewound, of):
        ends = frames(of, better)[-1], frames(of, worse)[-1]
        assert LOST[ends[0]] > LOST[ends[1]]
        forward_is_better.add(ends[0] > ends[1])
    assert forward_is_better == {True, False}


def test_nothing_known_of_progress_makes_no_pair_but_a_success_beats_a_failure():
    unknown = np.full(12, np.nan)
    of = pool(lesson(unknown, False), lesson(unknown, True))
    for kind in (rewound, reversed_in_time, different_task):
        assert set(drawn(kind, of)) == {None}
    for number in (0, 1):
        for better, worse in drawn(suboptimal, of, number):
            assert (better.lesson, worse.lesson) == (1, 0)


def test_attempts_are_compared_when_they_got_differently_far_and_are_of_one_task():
    far, near, nearer = (lesson(RISING * share, False) for share in (0.8, 0.5, 0.4))
    other_task = lesson(RISING, True, task=1)
    of = pool(near, far, nearer, other_task)
    for better, worse in drawn(suboptimal, of):
        assert (better.lesson, worse.lesson) == (1, 0), "0.5 and 0.4 are too close, task 1 is another"
    assert {worse.lesson for _, worse in drawn(suboptimal, of, 1)} == {0, 2}
    assert set(drawn(suboptimal, of, 3)) == {None}
    assert set(drawn(suboptimal, pool(lesson(RISING, True), lesson(RISING, True)))) == {None}


def test_the_end_of_an_attempt_is_compared_and_not_how_far_it_once_got():
    of = pool(lesson(LOST, False), lesson(RISING * 0.4, False))
    for better, worse in drawn(suboptimal, of):
        assert (better.lesson, worse.lesson) == (1, 0)
        assert frames(of, worse) == [0, 8, 9, 10, 11]


def test_a_clip_beats_itself_played_backwards_which_starts_where_the_clip_ends():
    of = pool(lesson(RISING, True))
    ends = set()
    for better, worse in drawn(reversed_in_time, of):
        forward, backward = frames(of, better), frames(of, worse)
        end = forward[-1]
        ends.add(end)
        assert backward[0] == end
        assert backward[-1] == 0
        assert (np.diff(backward[1:]) == -1).all()
    assert len(ends) > 5
    fell_back = pool(lesson(RISING[::-1], False))
    for better, _ in drawn(reversed_in_time, fell_back):
        assert frames(fell_back, better)[-1] == 0, "of a clip that loses all, the backward play is better"


def test_the_right_instruction_beats_a_wrong_one_once_something_is_done():
    of = pool(lesson(RISING, True))
    pairs = drawn(different_task, of)
    assert any(pair is None for pair in pairs), "at the first frame nothing is done under either"
    for better, worse in filter(None, pairs):
        np.testing.assert_array_equal(better.window, worse.window)
        np.testing.assert_array_equal(better.text, Letters().encode("open it"))
        assert (worse.text != better.text).any()
    assert set(drawn(different_task, pool(lesson(RISING, True, instruction="")))) == {None}


@pytest.mark.parametrize("length", [1, 2, 3])
def test_clips_too_short_to_turn_back_make_no_pair_of_time(length):
    of = pool(lesson(RISING[:length], True), lesson(RISING, False))
    for better, worse in filter(None, [*drawn(rewound, of), *drawn(reversed_in_time, of), *drawn(suboptimal, of)]):
        assert better.window.shape == worse.window.shape == (1 + HISTORY,)
        assert (better.window[-1], worse.window[-1]) != (PADDING, PADDING)
    if length == 1:
        assert set(drawn(rewound, of)) == set(drawn(reversed_in_time, of)) == {None}


def test_each_lesson_draws_with_its_own_generator_and_none_in_validation():
    lessons = [lesson(RISING, True), lesson(LOST, False), lesson(RISING * 0.3, False)]
    of = pool(*lessons)
    assert draw_pairs(of, [None] * 3) == []
    together = draw_pairs(of, [np.random.default_rng(seed) for seed in range(3)])
    alone = [draw_pairs(of, [np.random.default_rng(s) if s == seed else None for s in range(3)]) for seed in range(3)]
    assert all(len(pairs) >= 3 for pairs in alone)
    for (better, worse), (same_better, same_worse) in zip(together, chain(*alone), strict=True):
        np.testing.assert_array_equal(better.window, same_better.window)
        np.testing.assert_array_equal(worse.window, same_worse.window)


def test_views_are_found_again_among_the_windows_of_all_runs():
    of = pool(lesson(RISING, True), lesson(LOST, False), lesson(RISING[:5], False))
    views = [view for pair in draw_pairs(of, [np.random.default_rng(seed) for seed in range(3)]) for view in pair]
    shown, rows = add_views(of.runs, views)
    every = np.concatenate([run.windows for run in shown])
    lessons = np.concatenate([np.full(len(run.windows), number) for number, run in enumerate(shown)])
    own = np.concatenate([run.windows for run in of.runs])
    np.testing.assert_array_equal(every[rows], np.concatenate([own, [view.window for view in views]]))
    assert lessons[rows[len(own) :]].tolist() == [view.lesson for view in views]


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.5))
def test_whoever_is_named_first_the_better_one_is_the_same(one, other, apart):
    view = View(0, np.zeros(5, np.int64), np.zeros(1), one)
    pair, turned = (
        by_worth(a, b, apart) for a, b in ((view, replace(view, worth=other)), (replace(view, worth=other), view))
    )
    assert (pair is None) == (turned is None) == (one == other or abs(one - other) < apart)
    if pair is not None and turned is not None:
        assert pair[0].worth == turned[0].worth > pair[1].worth


def plain(length: int, history: int) -> np.ndarray:
    windows = backward_windows(np.arange(length), 1, history)
    places = np.where(windows == PADDING, PADDING, windows + 1)
    places[:, 0] = 0
    return places


@given(st.integers(1, 40), st.integers(1, 9), st.booleans(), st.integers(0, 5))
def test_a_redrawn_window_keeps_first_frame_present_and_padding_and_never_looks_ahead(length, history, in_order, seed):
    windows = plain(length, history)
    redrawn = redraw(windows, 1.0, in_order, np.random.default_rng(seed))
    np.testing.assert_array_equal(redrawn[:, [0, -1]], windows[:, [0, -1]])
    np.testing.assert_array_equal(redrawn == PADDING, windows == PADDING)
    for window in redrawn:
        past = window[1:-1][window[1:-1] != PADDING]
        assert (past < window[-1]).all()
        assert (past > 0).all()
        assert len(np.unique(past)) == len(past)
        if in_order:
            assert (np.diff(past) > 0).all()


def test_history_is_drawn_from_all_of_the_past_in_any_order_and_for_half_of_the_windows():
    windows = plain(400, 8)
    half = redraw(windows, 0.5, False, np.random.default_rng(0))
    changed = (half != windows).any(axis=1)
    assert 0.4 < changed.mean() < 0.6
    last = half[changed][-50:]
    assert last[:, 1:-1].min() < 100, "far beyond the regular reach of 7 places"
    falls = (np.diff(last[:, 1:-1], axis=1) < 0).mean()
    assert 0.4 < falls < 0.6
