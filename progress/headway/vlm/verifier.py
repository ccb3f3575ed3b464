"""A verifier: the expectation over a scale of letters, from the log-probabilities of the reply's first token.

    R = 1 / (C K) sum_c sum_k sum_g p(v_g | pictures, c) phi(v_g)       (LLM-as-a-Verifier, arXiv 2607.05391)

over C criteria, K repeats and G = 20 letters A to T with phi from 0 to 1, p taken over the letters alone. Asked of
every prefix of the episode it is a curve, in [0, 1] without any minimum or maximum of the episode. An expectation
does not tie as the one letter that a model would write does. What share of the probability was on letters at all is
reported: where it is small the model did not understand, and a score that was not found is NaN, not a tie at one half.

On purpose unlike the source: the reply begins with the letter, with no tag before it to prefill, which not every server
can. The criterion stands last, so that a server's prefix cache holds the pictures for all criteria. A model on this
machine is asked all questions in one row, prefix by prefix, and runs each picture once. As its first token is not
drawn, a repeat would say the same: each question is asked once, whatever K.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import anyio
import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.vlm.chat import ChatModel, Part, Question, Reply, Text
from headway.vlm.clip import Clip, evenly, prefix_parts, thinned
from headway.vlm.judgement import Judgement, Outcome, version_of
from headway.vlm.logprobs import TOP, answer_probabilities, spellings

LETTERS = "ABCDEFGHIJKLMNOPQRST"
BEFORE = "The pictures show, in order of time, a robot at work on a task up to this moment."
ASK = (
    "\nThe task is: {instruction}. Judge the last picture on a scale of 20 letters from A to T: A means {worst}, T "
    "means {best}, and the letters between them are even steps. Answer with one letter and nothing else."
)
# what A and what T mean
CRITERIA: Mapping[str, tuple[str, str]] = {
    "completion": ("nothing of the task has been done", "the whole task has been done"),
    "goal": ("the objects are as far as can be from where the task wants them", "every object is where it should be"),
    "remaining": ("everything is still to do", "nothing is left to do"),
}
# below this much probability on the letters a person is told
LITTLE = 0.5
# below this much there is no score
LEAST = 0.001


@runtime_checkable
class FirstTokenModel(Protocol):
    """A model on this machine: what its questions begin with is computed once, and the same one has the same reply."""

    async def first_tokens(self, questions: Sequence[Question]) -> list[Reply]:
        """The replies to questions for one token that is not drawn. Raises as `ChatModel.ask` does."""
        ...


@dataclass(frozen=True)
class Verifier:
    """See the module.

    Attributes:
        frames: how many prefixes of an episode are judged.
        criteria: C, how many of CRITERIA are asked, in their order.
        repeats: K, each with a seed of its own, for servers whose answers differ; 1 on a model of this machine.
    """

    frames: int = 15
    criteria: int = len(CRITERIA)
    repeats: int = 1
    name: str = "verifier"

    def __post_init__(self) -> None:
        if not 1 <= self.criteria <= len(CRITERIA) or self.repeats < 1:
            raise InvalidValue(
                f"the verifier has 1 to {len(CRITERIA)} criteria and at least 1 repeat, got {self.criteria} and "
                f"{self.repeats}"
            )

    @property
    def version(self) -> str:
        return version_of(self, BEFORE, ASK, str(CRITERIA))

    def looks_at(self, length: int, seconds: float) -> Array:
        return evenly(length, self.frames)

    async def judge(self, clip: Clip, model: ChatModel) -> Judgement:
        abilities = await model.abilities()
        if not abilities.logprobs:
            raise InvalidValue(
                f"{model.name} gives no log-probabilities, which the verifier lives on; use gvl or rubric there"
            )
        clip = thinned(clip, abilities.pictures)
        repeats = 1 if isinstance(model, FirstTokenModel) else self.repeats
        shape = (len(clip.pictures), self.criteria, repeats)
        questions = [self._question(clip, *place) for place in np.ndindex(*shape)]
        if isinstance(model, FirstTokenModel):
            replies = await model.first_tokens(questions)
        else:
            replies = await _ask_each(model, questions)
        spelled = {letter: spellings(letter) for letter in LETTERS}
        found = np.array([expectation(answer_probabilities(reply, spelled)) for reply in replies])
        scores, mass = found.T.reshape(2, *shape)
        return replace(self._judgement(scores, mass), clip=clip)

    def _question(self, clip: Clip, prefix: int, criterion: int, repeat: int) -> Question:
        parts = self.parts(clip, prefix + 1, list(CRITERIA)[criterion])
        return Question(parts, max_tokens=1, temperature=0, seed=repeat, top_logprobs=TOP)

    def parts(self, clip: Clip, prefix: int, criterion: str) -> tuple[Part, ...]:
        worst, best = CRITERIA[criterion]
        asked = ASK.format(instruction=clip.instruction, worst=worst, best=best)
        return (*prefix_parts(clip, prefix, BEFORE), Text(asked))

    def _judgement(self, scores: Array, mass: Array) -> Judgement:
        """From scores and mass (prefix, criterion, repeat); a prefix needs all of its scores."""
        progress = scores.mean(axis=(1, 2))
        missing = int(np.isnan(scores).sum())
        outcomes = Counter({Outcome.READ: scores.size - missing, Outcome.UNLIKELY: missing})
        found = float(np.nanmean(mass)) if not np.isnan(mass).all() else 0.0
        notes: dict[str, Any] = {"probability_on_letters": round(found, 4)}
        if found < LITTLE:
            notes["warning"] = "the model hardly answers with letters; its scores mean little"
        reason = (
            f"a letter of the scale is an unlikely answer to {missing} of {scores.size} questions" if missing else ""
        )
        spread = scores.std(axis=(1, 2)) if scores[0].size > 1 else None
        return Judgement(progress, progress, spread, outcomes=+outcomes, reason=reason, notes=notes)


async def _ask_each(model: ChatModel, questions: Sequence[Question]) -> list[Reply]:
    """All at the same time; the model bounds how many are under way."""
    replies: dict[int, Reply] = {}

    async def ask(number: int) -> None:
        replies[number] = await model.ask(questions[number])

    async with anyio.create_task_group() as tasks:
        for number in range(len(questions)):
            tasks.start_soon(ask, number)
    return [replies[number] for number in range(len(questions))]


def expectation(letters: Mapping[str, float]) -> tuple[float, float]:
    """The expected place on the scale, in [0, 1], and the probability found on its letters.

    NaN where that is next to none.
    """
    probabilities = np.array([letters.get(letter, 0.0) for letter in LETTERS])
    mass = float(probabilities.sum())
    if mass < LEAST:
        return float("nan"), mass
    return float(probabilities @ np.linspace(0, 1, len(LETTERS)) / mass), mass
