"""TOPReward: exact on a model in memory, and from a server's log-probabilities."""

import numpy as np
import pytest
import torch

from headway.errors import InvalidValue
from headway.vlm.chat import Abilities
from headway.vlm.clip import Clip, encode
from headway.vlm.judgement import Outcome
from headway.vlm.topreward import AFTER, BEFORE, TopReward
from headway_envs.tiny_vlms import save_tiny_vlm
from headway_envs.vlm_server import Script, serving


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    from headway.vlm.local import LocalModel

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("qwen3")
    save_tiny_vlm("qwen3", folder)
    return LocalModel(str(folder))


def by_prefix(weighed, *chances):
    """A planted reply that depends on how many pictures were shown."""
    return lambda question: weighed(chances[len(question.pictures) - 1])


def test_on_a_model_in_memory_it_is_the_sum_over_spellings_without_a_chat_template(tiny, judged):
    rng = np.random.default_rng(0)
    pictures = tuple(encode(rng.integers(0, 256, (3, 4, 3), np.uint8).repeat(32, 0).repeat(32, 1)) for _ in range(5))
    clip = Clip(pictures, np.arange(5), 5, "move it", 0)
    judgement = judged(TopReward(5), clip, tiny)
    after = AFTER.format(instruction=clip.instruction)
    words = ("True", " True", "False", " False")
    # every prefix run anew and whole, and each answer by itself
    logs = [tiny.score_prefixes(clip.pictures, BEFORE, after, [word], reuse=False)[:, 0] for word in words]
    true, false = np.logaddexp(logs[0], logs[1]), np.logaddexp(logs[2], logs[3])
    both = np.logaddexp(true, false)
    assert np.ptp(true) > 0.03, "the pictures make a difference"
    assert judgement.raw == pytest.approx(true, abs=1e-4)
    known = both >= np.log(0.001)
    assert judgement.progress == pytest.approx(np.where(known, np.exp(true - both), np.nan), abs=1e-4, nan_ok=True)
    assert judgement.success[-1] == pytest.approx(np.exp(true[-3:].mean()), rel=1e-4)
    assert judgement.notes["form"] == "exact"
    assert judgement.notes["probability_of_true_or_false"] == pytest.approx(np.exp(both).mean(), rel=1e-4)


def test_in_memory_both_spellings_of_each_answer_count(planted, judged, clip_of, exact):
    """The random model gives False, six bytes of it, next to nothing: so with log-probabilities that are planted."""
    shares = {"True": 0.1, " True": 0.2, "False": 0.3, " False": 0.15}

    class InMemory(planted):
        def score_prefixes(self, pictures, before, after, answers, reuse=True):
            assert (before, after) == (BEFORE, AFTER.format(instruction=exact.instruction))
            return np.log([[shares[answer] / number for answer in answers] for number in range(1, len(pictures) + 1)])

    model = InMemory(lambda question: "", Abilities(logprobs=False, schema=False, pictures=1))
    judgement = judged(TopReward(3), clip_of(exact, 3), model)
    assert model.asked == []
    assert judgement.progress == pytest.approx([0.4] * 3)
    assert judgement.raw == pytest.approx(np.log([0.3, 0.15, 0.1]))


def test_raw_progress_and_success_of_known_probabilities(planted, weighed, judged, clip_of, exact):
    model = planted(
        by_prefix(
            weighed,
            {"True": 0.1, " True": 0.1, "False": 0.6, "no": 0.1},
            {"True": 0.3, "False": 0.1, " False": 0.2},
            {" True": 0.5},
            {"True": 0.8, "False": 0.2},
        )
    )
    judgement = judged(TopReward(4), clip_of(exact, 4), model)
    assert judgement.raw == pytest.approx(np.log([0.2, 0.3, 0.5, 0.8]))
    assert judgement.progress == pytest.approx([0.25, 0.5, 1, 0.8])
    assert judgement.success == pytest.approx(
        [0.2, (0.2 * 0.3) ** (1 / 2), (0.2 * 0.3 * 0.5) ** (1 / 3), (0.3 * 0.5 * 0.8) ** (1 / 3)]
    )
    assert (judgement.reason, judgement.outcomes) == ("", {Outcome.READ: 4})
    assert judgement.notes == {
        "form": "after a chat template, weaker than the exact one",
        "probability_of_true_or_false": pytest.approx((0.8 + 0.6 + 0.5 + 1) / 4),
    }
    assert {(question.max_tokens, question.top_logprobs) for question in model.asked} == {(1, 20)}


def test_minmax_stretches_the_log_probabilities_of_the_episode(planted, weighed, judged, clip_of, exact):
    model = planted(by_prefix(weighed, {"True": 0.01}, {"True": 0.02, "False": 0.9}, {"True": 0.04, "False": 0.9}))
    judgement = judged(TopReward(3, "minmax"), clip_of(exact, 3), model)
    assert judgement.progress == pytest.approx([0, 0.5, 1])
    assert judgement.raw == pytest.approx(np.log([0.01, 0.02, 0.04]))
    assert judgement.success[-1] == pytest.approx(0.02)


def test_minmax_of_a_rising_episode_ends_at_one_over_a_server(curves_of, watched, exact):
    (curve,) = curves_of(TopReward(7, "minmax"), watched.model(), exact)
    assert (curve.values[0], curve.values[-1]) == (0, 1)
    assert (np.diff(curve.values) > 0).all()
    assert curve.raw[-1] == pytest.approx(np.log(0.95 / (1 + np.exp(-5))), abs=1e-5)
    assert [len(asked.shown) for asked in sorted(watched.asked, key=lambda asked: len(asked.shown))] == [*range(1, 8)]


def test_where_neither_answer_is_likely_there_is_no_progress_and_a_reason(planted, weighed, judged, clip_of, exact):
    model = planted(by_prefix(weighed, {"True": 1e-5, "the": 0.9}, {"True": 0.3, "False": 0.3}, {"False": 0.9}))
    judgement = judged(TopReward(3), clip_of(exact, 3), model)
    assert judgement.progress == pytest.approx([np.nan, 0.5, np.nan], nan_ok=True)
    assert judgement.raw == pytest.approx([np.log(1e-5), np.log(0.3), np.nan], nan_ok=True)
    assert judgement.reason == "True and False are unlikely answers to 2 of 3 prefixes"
    assert judgement.outcomes == {Outcome.READ: 1, Outcome.UNLIKELY: 2}
    assert np.isnan(judgement.success[-1])


def test_a_limit_of_pictures_thins_the_clip(curves_of, watched, exact, planted, honest):
    few = planted(honest, Abilities(logprobs=True, schema=True, pictures=4))
    (curve,) = curves_of(TopReward(13), few, exact)
    assert np.flatnonzero(curve.looked_at).tolist() == [0, 16, 32, 48]
    assert sorted(len(question.pictures) for question in few.asked) == [1, 2, 3, 4]
    true = 1 / (1 + np.exp(-10 * (exact.truth.progress[[0, 16, 32, 48]] - 0.5)))
    # " true" in small letters is no answer of ours: 0.95 of the share is
    assert curve.values[curve.looked_at] == pytest.approx(true, abs=1e-3)
    assert curve.reason is None


def test_a_served_limit_is_found_out_and_kept_to(curves_of, exact):
    from headway.vlm.client import OpenAIModel

    with serving(Script(pictures=4)) as server:
        (curve,) = curves_of(TopReward(13), OpenAIModel("slider", server.base_url), exact)
        asked = [request for request in server.requests if request.number is not None]
    assert curve.looked_at.sum() == 4
    assert sorted(len(request.labels) for request in asked) == [1, 2, 3, 4]


def test_an_unknown_curve_is_one_clear_line():
    with pytest.raises(InvalidValue, match="topreward's curve is probability or minmax, got 'max'"):
        TopReward(curve="max")
