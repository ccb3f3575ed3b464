"""Questions that begin alike, asked in a row: the replies are those of one question at a time, and cost less."""

import json
import random
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import numpy as np
import pytest

from headway.errors import InvalidValue
from headway.vlm.chat import Abilities, NoReply, Picture, Question, Reply, Text, Usage
from headway.vlm.clip import Clip, encode
from headway.vlm.estimator import VlmEstimator
from headway.vlm.judgement import Judgement
from headway.vlm.local import LocalModel
from headway.vlm.local_weights import decode
from headway.vlm.logprobs import TOP
from headway.vlm.prefixes import SharedPrompt, cut
from headway.vlm.verifier import CRITERIA, LETTERS, Verifier

KINDS = ("qwen3", "qwen2_5", "qwen2", "smolvlm", "idefics3")


class OneByOne:
    """The same model with nothing but what every ChatModel has."""

    name, fingerprint, at_once = "one by one", "one by one", 1

    def __init__(self, model: LocalModel):
        self._model = model
        self.asked: list[Question] = []

    @property
    def spent(self) -> Usage:
        return self._model.spent

    async def ask(self, question: Question) -> Reply:
        self.asked.append(question)
        return await self._model.ask(question)

    async def abilities(self) -> Abilities:
        return await self._model.abilities()


@pytest.fixture
def clip(pictures: list[Picture]) -> Clip:
    return Clip(tuple(pictures), np.arange(4) * 10, 40, "put it away", 0)


def judged(method: Verifier, clip: Clip, model: object) -> Judgement:
    return anyio.run(method.judge, clip, model)


def questions_of(clip: Clip, criteria: int = 3) -> list[Question]:
    """As the verifier asks them: all about the first prefix, then all about the second."""
    names, ends = list(CRITERIA)[:criteria], range(1, len(clip.pictures) + 1)
    parts = [Verifier().parts(clip, end, name) for end in ends for name in names]
    return [Question(part, max_tokens=1, top_logprobs=TOP) for part in parts]


def same(replies: Sequence[Reply], expected: Sequence[Reply]) -> None:
    """Up to rounding, which may swap alternatives that are as likely."""
    for reply, known in zip(replies, expected, strict=True):
        assert (reply.text, reply.finish) == (known.text, known.finish)
        (token,), (sure,) = reply.tokens, known.tokens
        assert token.text == sure.text
        assert token.logprob == pytest.approx(sure.logprob, abs=1e-5)
        ranks = [[logprob for _, logprob in each.alternatives] for each in (token, sure)]
        assert ranks[0] == pytest.approx(ranks[1], abs=1e-5)
        # half of the vocabulary are bytes that are no text by themselves
        listed, wanted = (
            {text: logprob for text, logprob in each.alternatives if text != "\ufffd"} for each in (token, sure)
        )
        both = listed.keys() & wanted.keys()
        assert len(both) >= len(wanted) - 1
        assert [listed[text] for text in both] == pytest.approx([wanted[text] for text in both], abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_replies_are_those_of_one_question_at_a_time(kind, saved, clip):
    model = LocalModel(str(saved(kind)))
    questions = questions_of(clip)
    replies = anyio.run(model.first_tokens, questions)
    same(replies, [anyio.run(model.ask, question) for question in questions])
    # pictures, their number and the criterion make far more of a difference than rounding
    best = [reply.tokens[0].alternatives[0] for reply in replies]
    assert len({(text, round(logprob, 4)) for text, logprob in best}) == len(questions)


@pytest.mark.parametrize("kind", ["qwen3", "qwen2", "smolvlm"])
def test_the_verifier_scores_as_if_it_asked_one_by_one(kind, saved, clip):
    model = LocalModel(str(saved(kind)))
    # by chance a random model says a letter now and then; this one, almost always
    rows = model._model.processor.tokenizer.convert_tokens_to_ids(list(LETTERS))
    model._model.network.lm_head.weight[rows] *= 3
    alone = OneByOne(model)
    expected = judged(Verifier(4), clip, alone)
    found = judged(Verifier(4), clip, model)
    assert len(alone.asked) == 12
    np.testing.assert_allclose(found.progress, expected.progress, atol=1e-5)
    np.testing.assert_allclose(found.uncertainty, expected.uncertainty, atol=1e-5)
    assert not np.isnan(found.progress).any()
    assert np.diff(np.sort(found.progress)).min() > 1e-4, "the pictures make a difference"
    assert found.outcomes == expected.outcomes
    assert found.notes["probability_on_letters"] == pytest.approx(expected.notes["probability_on_letters"], abs=1e-4)


@pytest.mark.parametrize("kind", ["qwen3", "smolvlm"])
def test_any_questions_in_any_order_have_their_own_replies(kind, saved, clip):
    """Shorter after longer, another picture in the middle, the same twice, no picture at all."""
    model = LocalModel(str(saved(kind)))
    other = encode(255 - decode(clip.pictures[1]))
    changed = replace(clip, pictures=(clip.pictures[0], other, *clip.pictures[2:]))
    bare = [Question((Text(words),), max_tokens=1, top_logprobs=TOP) for words in ("Which?", "Which", "Why?")]
    questions = [*questions_of(clip, 1), *questions_of(changed, 1), *bare] * 2
    random.Random(0).shuffle(questions)
    same(anyio.run(model.first_tokens, questions), [anyio.run(model.ask, question) for question in questions])


def test_a_picture_is_run_once_and_of_words_only_those_that_differ(saved, clip):
    model = LocalModel(str(saved("qwen3")))
    anyio.run(model.first_tokens, questions_of(clip))
    count = model._model.tokens
    texts = [model._model.render(question.parts, to_answer=True) for question in questions_of(clip)][-3:]
    *pieces, first = texts[0].split("<|image_pad|>")
    second, third = (text.rpartition("<|image_pad|>")[2] for text in texts[1:])
    shown = sum(picture.width * picture.height // 32**2 for picture in clip.pictures)
    # of the criteria after the first, what stands before "... A means nothing / the objects / everything"
    alike = len(count(first.partition("nothing of")[0]))
    assert second[: len(first.partition("nothing of")[0])] == third[: len(first.partition("nothing of")[0])]
    tails = sum(len(count(tail)) for tail in (first, second, third)) - 2 * alike
    assert model.spent.prompt_tokens == sum(len(count(piece)) for piece in pieces) + shown + 4 * tails
    assert (model.spent.requests, model.spent.completion_tokens, model.spent.cache_hits) == (12, 12, 0)
    assert model.spent.seconds > 0


def test_repeats_that_would_say_the_same_are_not_asked(saved, clip):
    model = LocalModel(str(saved("qwen3")))
    clip = replace(clip, pictures=clip.pictures[:2], frames=clip.frames[:2])
    once = judged(Verifier(4), clip, model)
    before = model.spent
    twice = judged(Verifier(4, repeats=2), clip, model)
    assert model.spent.requests - before.requests == before.requests == 6
    assert model.spent.prompt_tokens == 2 * before.prompt_tokens
    np.testing.assert_array_equal(twice.progress, once.progress)
    np.testing.assert_array_equal(twice.uncertainty, once.uncertainty)
    assert twice.outcomes == once.outcomes
    # over a server they are asked: whether its answers differ, nobody knows before
    asked = OneByOne(model)
    np.testing.assert_allclose(judged(Verifier(4, repeats=2), clip, asked).progress, once.progress, atol=1e-5)
    assert len(asked.asked) == 12


def test_a_model_that_ends_its_turn_at_once_says_nothing(saved, clip, tmp_path):
    question = questions_of(clip)[-1]
    plain = LocalModel(str(saved("qwen3")))
    (reply,) = anyio.run(plain.first_tokens, [question])
    ended = plain._model.processor.tokenizer.convert_tokens_to_ids(
        plain._model.processor.tokenizer.tokenize(reply.tokens[0].text)
    )
    folder = shutil.copytree(saved("qwen3"), tmp_path / "model")
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": ended}))
    model = LocalModel(str(folder))
    (reply,) = anyio.run(model.first_tokens, [question])
    alone = anyio.run(model.ask, question)
    assert (reply.text, reply.finish, reply.tokens) == (alone.text, alone.finish, alone.tokens) == ("", "stop", ())


def test_what_first_tokens_does_not_take_is_told_in_one_line(saved, clip):
    model = LocalModel(str(saved("qwen3")))
    question = questions_of(clip)[0]
    for other in (replace(question, max_tokens=2), replace(question, temperature=1.0)):
        with pytest.raises(InvalidValue, match="max_tokens=1 and temperature=0"):
            anyio.run(model.first_tokens, [question, other])
    assert model.spent.requests == 0
    with pytest.raises(NoReply, match="takes 4096 tokens and the question has"):
        anyio.run(model.first_tokens, [replace(question, parts=(*question.parts, Text("a" * 4096)))])


def test_after_an_error_nothing_is_taken_for_known(saved, clip):
    model = LocalModel(str(saved("qwen3")))._model
    texts = [model.render(question.parts, to_answer=True) for question in questions_of(clip, 1)]
    two, three = (cut(model, texts[count - 1], clip.pictures[:count]) for count in (2, 3))
    shared = SharedPrompt(model)
    fresh = shared.run(two)
    with pytest.raises(NoReply):
        shared.run(replace(three, tail=three.tail * 100))
    # now the third picture stands where the words were
    np.testing.assert_allclose(shared.run(two), fresh, atol=1e-4)


@pytest.fixture
def long(make_slider: Callable) -> object:
    return make_slider(seconds=10)


def test_a_run_is_stopped_between_two_questions(saved: Callable[[str], Path], long):
    model = LocalModel(str(saved("qwen3")))
    estimator = VlmEstimator("verifier", Verifier(100), model)
    ended: list[BaseException] = []

    def run() -> None:
        try:
            list(estimator.estimate([long]))
        except BaseException as error:  # noqa: BLE001 - what ends it is what is asked
            ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while model.spent.requests < 2 and time.monotonic() < until:
        time.sleep(0.001)
    estimator.stop()
    thread.join(10)
    estimator.close()
    assert [type(error) for error in ended] == [KeyboardInterrupt]
    assert 2 <= model.spent.requests < 250
