"""TOPReward: the log-probability of "True" after growing prefixes of a video (arXiv 2602.19313).

    r_t = log p(a = "True" | pictures 1..t, text)                                   (eq. 1)
    s_t = (r_t - min r) / (max r - min r)   over one episode                         (eq. 2, only with curve=minmax)

The exact form has nothing of a chat template after the text: with one, the paper's correlation falls from 0.945 to
0.500. That needs the model on this machine (`topreward:FOLDER`), where the keys and values of a prefix's pictures are
computed once. Over a server the answer is the first token of the reply, which stands after the template: the weaker
form, and the scores' notes say so.

On purpose unlike the paper: the words are ours; pictures are shown as pictures and not as a video; r sums the spellings
"True" and " True" of the answer; progress is p(True) / (p(True) + p(False)), which can be compared between episodes,
while the minimum and maximum of one episode make every failure end at 1. Success is the mean of the last three raw
values, as in the paper, as a probability. `raw` is always the log-probability.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import anyio
import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.vlm.chat import ChatModel, Part, Picture, Question, Text
from headway.vlm.clip import Clip, evenly, prefix_parts, thinned
from headway.vlm.judgement import Judgement, Outcome, version_of
from headway.vlm.logprobs import TOP, answer_probabilities, spellings

BEFORE = "The pictures show, in order of time, a robot at work on a task up to this moment."
AFTER = (
    "The pictures above show a robot that has completed this task: {instruction}. Decide whether that statement is "
    "True or not. The answer is:"
)
# prefixes whose raw values are averaged for success
LAST = 3
# of True and False together
LEAST = 0.001


@runtime_checkable
class PrefixModel(Protocol):
    """A model on this machine that can be asked without a chat template after the text."""

    def score_prefixes(
        self, pictures: Sequence[Picture], before: str, after: str, answers: Sequence[str], reuse: bool = True
    ) -> Array:
        """Log-probabilities (prefix, answer) of each answer after the first 1, 2, ... pictures and the text."""
        ...


@dataclass(frozen=True)
class TopReward:
    """See the module.

    Attributes:
        frames: K, the prefixes; one ends at each of that many frames, the first and the last among them.
        curve: `probability`, or `minmax` for eq. 2.
    """

    frames: int = 15
    curve: Literal["probability", "minmax"] = "probability"
    name: str = "topreward"

    def __post_init__(self) -> None:
        if self.curve not in ("probability", "minmax"):
            raise InvalidValue(f"topreward's curve is probability or minmax, got {self.curve!r}")

    @property
    def version(self) -> str:
        return version_of(self, BEFORE, AFTER)

    def looks_at(self, length: int, seconds: float) -> Array:
        return evenly(length, self.frames)

    async def judge(self, clip: Clip, model: ChatModel) -> Judgement:
        if isinstance(model, PrefixModel):
            true, false, form = *await self._exact(clip, model), "exact"
        else:
            clip = thinned(clip, (await model.abilities()).pictures)
            true, false, form = *await self._asked(clip, model), "after a chat template, weaker than the exact one"
        judgement = judge_probabilities(true, false, self.curve)
        notes = {"form": form, "probability_of_true_or_false": float(np.mean(true + false))}
        return replace(judgement, notes=notes, clip=clip)

    async def _exact(self, clip: Clip, model: PrefixModel) -> tuple[Array, Array]:
        answers = [*spellings("True"), *spellings("False")]
        after = AFTER.format(instruction=clip.instruction)
        score = model.score_prefixes
        logs = await anyio.to_thread.run_sync(lambda: score(clip.pictures, BEFORE, after, answers))
        probabilities = np.exp(logs)
        return probabilities[:, :2].sum(axis=1), probabilities[:, 2:].sum(axis=1)

    async def _asked(self, clip: Clip, model: ChatModel) -> tuple[Array, Array]:
        if not (await model.abilities()).logprobs:
            raise InvalidValue(
                f"{model.name} gives no log-probabilities, which topreward lives on; use gvl or rubric there, or a "
                "model on this machine"
            )
        found = np.zeros((len(clip.pictures), 2))

        async def ask(number: int) -> None:
            question = Question(self.parts(clip, number + 1), max_tokens=1, top_logprobs=TOP)
            answers = {word: spellings(word) for word in ("True", "False")}
            probabilities = answer_probabilities(await model.ask(question), answers)
            found[number] = [probabilities.get("True", 0), probabilities.get("False", 0)]

        async with anyio.create_task_group() as tasks:
            for number in range(len(clip.pictures)):
                tasks.start_soon(ask, number)
        return found[:, 0], found[:, 1]

    def parts(self, clip: Clip, prefix: int) -> tuple[Part, ...]:
        """What is shown and said of the first `prefix` pictures. Only what is appended changes with the prefix."""
        return (*prefix_parts(clip, prefix, BEFORE), Text("\n" + AFTER.format(instruction=clip.instruction)))


def judge_probabilities(true: Array, false: Array, curve: str = "probability") -> Judgement:
    """From the probabilities (prefix,) of True and False, 0 where a server does not list them.

    What is not listed, or where both are all but impossible, has no value: next to a thousand likelier answers their
    ratio is noise.
    """
    known = (true > 0) & (true + false >= LEAST)
    raw = np.full(len(true), np.nan)
    raw[true > 0] = np.log(true[true > 0])
    progress = np.full(len(true), np.nan)
    progress[known] = true[known] / (true + false)[known]
    if curve == "minmax":
        progress = minmax(np.where(known, raw, np.nan))
    unknown = int(np.isnan(progress).sum())
    outcomes = Counter({Outcome.READ: len(true) - unknown, Outcome.UNLIKELY: unknown})
    reason = f"True and False are unlikely answers to {unknown} of {len(true)} prefixes" if unknown else ""
    return Judgement(progress, raw, success=success_of(raw), outcomes=+outcomes, reason=reason)


def minmax(raw: Array) -> Array:
    """Eq. 2. Unlike the ports, which say 1, an episode whose values are all alike has no curve: NaN."""
    known = raw[~np.isnan(raw)]
    if not known.size or np.ptp(known) == 0:
        return np.full(len(raw), np.nan)
    return (raw - known.min()) / np.ptp(known)


def success_of(raw: Array) -> Array:
    """Float (prefix,): the exponential of the mean of up to the last three log-probabilities at each prefix."""
    means = [raw[max(0, end - LAST) : end].mean() for end in range(1, len(raw) + 1)]
    return np.exp(np.array(means))
