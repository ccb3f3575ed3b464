"""VIP on the toy task: its loss by hand, what it learns without a label, and its goals."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from headway.episodes import ArrayFrames, Episode
from headway.errors import DatasetError, InvalidValue, UnknownName, Unsupported
from headway.learned.checkpoint import load_learned, save_learned
from headway.learned.inputs import Clip, InputConfig
from headway.learned.method import Knowledge, Lesson, Step, TaskEpisodes, TrainingConfig, prepare
from headway.learned.sarm import Sarm
from headway.learned.trunk import Sizes
from headway.learned.vip import GOALS, Vip, draw_pairs, with_goals
from headway.metrics.order import value_order_correlation
from headway.metrics.success import auroc
from headway.signals.summary import final
from headway.specs import untrained

INPUTS = InputConfig(("top",), image_size=32)
TRAINING = TrainingConfig(epochs=20, batch=6, validation=0.2)
GAMMA = 0.9


def bare(episodes):
    return [replace(episode, stages=None, success=None) for episode in episodes]


@pytest.fixture(scope="module")
def vip(learn, session_sliders):
    """Trained on demonstrations that nobody marked or labelled."""
    return learn(Vip(INPUTS, TRAINING), bare(session_sliders(14)))


class Table(torch.nn.Module):
    """Stands in for a network: the embedding of a frame is the feature it is given."""

    def encode(self, frames, state):
        return frames[:, 0]


def clip_of(embedding, gap=1):
    return Clip(0, (embedding,), None, np.arange(len(embedding)), gap, np.zeros(4, np.float32), "")


def step_of(*clips, rngs=None):
    lessons = [Lesson(clip, {}, None) for clip in clips]
    bare = Step(lessons, rngs or [None] * len(clips), None, Knowledge(), torch.device("cpu"))
    return prepare(Vip(INPUTS), bare)


def mean_of(term):
    return float(term.total) / term.count


def test_the_loss_is_that_of_the_paper_with_the_transition_into_the_goal():
    embedding = np.random.default_rng(0).normal(0, 1, (4, 3)).astype(np.float32)
    terms = Vip(INPUTS, gamma=GAMMA).terms(Table(), step_of(clip_of(embedding)))
    attraction, exponentials = [], []
    for k in range(3):
        for goal in range(k + 1, 4):
            here, ahead = (np.linalg.norm(embedding[place] - embedding[goal]) for place in (k, k + 1))
            delta = 0 if k + 1 == goal else -1
            attraction.append((1 - GAMMA) * here)
            exponentials.append(np.exp(-delta + GAMMA * ahead - here))
    assert terms["attraction"].count == terms["repulsion"].count == 6
    assert mean_of(terms["attraction"]) == pytest.approx(np.mean(attraction), abs=1e-5)
    assert mean_of(terms["repulsion"]) == pytest.approx(np.log(np.mean(exponentials)), abs=1e-5)
    norms = np.abs(embedding).sum(axis=1) + np.linalg.norm(embedding, axis=1)
    assert mean_of(terms["size"]) == pytest.approx(norms.mean(), abs=1e-5)
    assert terms["negatives"].count == 0


def test_steps_towards_the_goal_that_are_one_apart_cost_less_than_a_collapse():
    method = Vip(INPUTS, gamma=0.98, penalty=0.0)
    line = np.arange(8, dtype=np.float32)[:, None]
    loss = {}
    shuffled = line[[3, 0, 6, 1, 7, 2, 5, 4]]
    for name, embedding in (("line", line), ("point", np.zeros_like(line)), ("shuffled", shuffled)):
        terms = method.terms(Table(), step_of(clip_of(embedding)))
        loss[name] = mean_of(terms["attraction"]) + mean_of(terms["repulsion"])
    assert loss["line"] < loss["point"]
    assert loss["line"] < loss["shuffled"]


def test_negatives_are_pairs_of_other_episodes_before_the_same_goals():
    method = Vip(INPUTS, gamma=GAMMA, negatives=1)
    embedding = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    before, after, goal = torch.tensor([[0, 2], [1, 3], [1, 3]])

    class Swap:
        def permutation(self, count):
            return np.arange(count)[::-1].copy()

    term = method._negatives(embedding, before, after, goal, Swap())
    expected = []
    for pair, target in ((1, 1), (0, 3)):
        here, ahead = ((embedding[of[pair]] - embedding[target]).norm() for of in (before, after))
        expected.append(torch.exp(1 + GAMMA * ahead - here))
    assert mean_of(term) == pytest.approx(float(torch.stack(expected).mean().log()), abs=1e-5)


def test_drawn_pairs_are_a_gap_apart_and_lie_before_their_goal():
    clip = clip_of(np.zeros((23, 2), np.float32), gap=3)
    rng = np.random.default_rng(0)
    for _ in range(20):
        run, (before, after, goal) = draw_pairs(clip, 4, rng)
        assert (run.kept[after] - run.kept[before] == 3).all()
        assert (run.kept[goal] >= run.kept[after]).all()
        assert len(np.unique(run.kept[before])) == 4
        assert (run.kept[run.windows[:, -1]] == run.kept).all()
    run, triples = draw_pairs(clip, 4, None)
    assert run.kept.tolist() == list(range(0, 23, 3))
    assert triples.shape == (3, 8 * 7 // 2)


def test_the_loss_of_an_episode_too_short_for_a_pair_is_zero_and_has_a_gradient():
    embedding = np.ones((1, 2), np.float32)
    for term in Vip(INPUTS).terms(Table(), step_of(clip_of(embedding))).values():
        assert float(term.total) == 0


def test_it_orders_demonstrations_and_tells_success_where_an_untrained_network_does_not(vip, unseen, one):
    def figures(estimator):
        curves = [one(estimator, episode) for episode in unseen]
        order = [value_order_correlation(c.raw) for c, e in zip(curves, unseen, strict=True) if e.success]
        return np.mean(order), auroc(np.array([final(c.raw) for c in curves]), np.array([e.success for e in unseen]))

    order, told = figures(vip)
    assert order > 0.95
    assert told == 1.0
    assert figures(untrained(vip))[0] < order - 0.1


def test_progress_needs_no_label_and_has_the_scale_of_a_demonstration(vip, unseen, one):
    errors = [np.abs(one(vip, e).values - e.truth.progress).mean() for e in unseen]
    assert np.mean(errors) < 0.12
    assert not one(vip, unseen[0]).in_sample


def test_without_held_out_episodes_there_is_no_progress_and_a_reason(learn, session_sliders, one):
    few = learn(Vip(INPUTS, replace(TRAINING, epochs=1, validation=0.0)), bare(session_sliders(1)))
    curve = one(few, session_sliders(1, seed=3)[0])
    assert np.isnan(curve.values).all()
    assert "no map" in curve.reason
    assert np.isfinite(curve.raw).all()


def test_a_value_does_not_depend_on_later_frames(vip, unseen, one):
    episode = unseen[0]
    pixels = np.stack(list(episode.cameras["top"]))
    whole = one(vip, episode)
    for length in (1, 7, 30):
        cut = Episode(0, 0, episode.fps, {"top": ArrayFrames(pixels[:length])})
        np.testing.assert_allclose(one(vip, cut).values, whole.values[:length], atol=1e-5)


def test_the_stream_says_what_scoring_says(vip, unseen, one):
    episode = unseen[1]
    stream = vip.stream()
    live = [stream.push({"top": picture}, t / episode.fps).progress for t, picture in enumerate(episode.cameras["top"])]
    np.testing.assert_allclose(live, one(vip, episode).values, atol=1e-5)


def test_goals_are_saved_with_the_weights(vip, unseen, one, tmp_path):
    save_learned(tmp_path, vip.method, vip.members)
    again = load_learned("vip", tmp_path)
    assert len(torch.unique(again.members[0].network.goals, dim=0)) == 11  # 14, 3 of them held out
    np.testing.assert_array_equal(one(again, unseen[0]).raw, one(vip, unseen[0]).raw)


def goals_after(method, outcomes):
    """The goals of a network trained on an episode for each outcome, whose last frame is the number of the episode."""
    sizes = Sizes((2,), 1, 4, 0, 1)
    network = method.network(sizes, Knowledge())
    network.encode = lambda frames, state: frames[:, 0].repeat(1, method.dimension // 2)
    lessons = []
    for row, success in enumerate(outcomes):
        features = np.array([[-1, -1], [row, row]], np.float32)
        lessons.append(Lesson(clip_of(features), {}, success))
    method.finish(network, lessons, torch.device("cpu"))
    return network.goals[:, 0].tolist()


def test_goals_are_how_successes_end():
    method = Vip(INPUTS)
    assert set(goals_after(method, [False, True, None, True])) == {1, 3}
    assert set(goals_after(method, [False, None, None])) == {1, 2}
    many = goals_after(method, [True] * 100)
    assert len(set(many)) == GOALS
    assert (min(many), max(many) > 90) == (0, True)
    with pytest.raises(DatasetError, match="none of the 2 episodes"):
        goals_after(method, [False, False])


def test_only_failures_are_nothing_to_learn_a_goal_from(session_sliders):
    with pytest.raises(DatasetError, match="all 3 episodes are labelled a failure"):
        Vip(INPUTS).study([TaskEpisodes(session_sliders(0, failing=3))])


def test_a_goal_picture_takes_the_place_of_the_goals(vip, make_slider):
    episode = make_slider(seed=50)
    middle = len(episode) // 3
    pictures = list(episode.cameras["top"])
    there = with_goals(vip, [{"top": pictures[middle]}])
    (curve,) = there.estimate([episode])
    assert abs(int(curve.raw.argmax()) - middle) <= 1
    assert there.fingerprint != vip.fingerprint
    (before,) = vip.estimate([episode])
    assert before.raw.argmax() > middle


def test_goal_pictures_that_do_not_fit_are_refused(vip, learn, session_sliders):
    picture = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(InvalidValue, match="at least one"):
        with_goals(vip, [])
    with pytest.raises(UnknownName, match="'top'"):
        with_goals(vip, [{"wrist": picture}])
    with pytest.raises(InvalidValue, match="for a vip"):
        with_goals(replace(vip, method=Sarm(INPUTS)), [{"top": picture}])
    method = Vip(replace(INPUTS, use_state=True), replace(TRAINING, epochs=1))
    with pytest.raises(Unsupported, match="state"):
        with_goals(learn(method, session_sliders(3)), [{"top": picture}])


def test_settings_out_of_range_are_refused():
    with pytest.raises(InvalidValue, match="gamma"):
        Vip(INPUTS, gamma=1.0)
    with pytest.raises(InvalidValue, match="pairs"):
        Vip(INPUTS, pairs=0)
    assert Vip(INPUTS).inputs.history == 1
    assert Sarm(INPUTS).inputs.history == INPUTS.history


def test_even_few_episodes_leave_one_to_fit_the_map_on(learn, make_sliders, one):
    few = Vip(INPUTS, TrainingConfig(epochs=1, validation=0))
    estimator = learn(few, make_sliders(3))
    assert not np.isnan(one(estimator, make_sliders(1, seed=5)[0]).values).any()
