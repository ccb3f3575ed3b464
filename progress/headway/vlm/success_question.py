"""A yes-or-no question: has the task been done? (SuccessVQA's pattern, Du et al., arXiv 2303.07280.)

With log-probabilities the answer is p(Yes) / (p(Yes) + p(No)), where both together have at least half of the
probability, else what the model writes. It says nothing of progress.
"""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.vlm.chat import ChatModel, Part, Question, Reply, Text
from headway.vlm.clip import Clip, evenly, prefix_parts, thinned
from headway.vlm.judgement import Judgement, Outcome, version_of
from headway.vlm.logprobs import TOP, answer_probabilities, spellings
from headway.vlm.parsing import answer_of, why_unread

BEFORE = "The pictures show, in order of time, one attempt of a robot at a task."
ASK = (
    "\nThe task was: {instruction}. In the last picture, has the whole task been done? Answer with Yes or No and "
    "nothing else."
)
ANSWERS = ("Yes", "No")
# with less probability on both the reply begins with something else, such as a mark of markdown
ENOUGH = 0.5
WORD = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


@dataclass(frozen=True)
class SuccessQuestion:
    """See the module. `frames` is how many pictures of an episode are shown."""

    frames: int = 8
    name: str = "success"

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise InvalidValue(f"success needs at least 2 frames, got {self.frames}")

    @property
    def version(self) -> str:
        return version_of(self, BEFORE, ASK)

    def looks_at(self, length: int, seconds: float) -> Array:
        return evenly(length, self.frames)

    async def judge(self, clip: Clip, model: ChatModel) -> Judgement:
        abilities = await model.abilities()
        clip, top = thinned(clip, abilities.pictures), TOP if abilities.logprobs else 0
        reply = await model.ask(Question(self.parts(clip), max_tokens=4, top_logprobs=top))
        probability, outcome = read_answer(reply)
        success, nothing = (np.full(len(clip.pictures), np.nan) for _ in range(2))
        success[-1] = probability
        reason = "a yes-or-no question says nothing of progress"
        if outcome != Outcome.READ:
            reason = f"the reply is {outcome}"
        notes = {"from": "log-probabilities" if top else "the written answer"}
        return Judgement(
            nothing, success=success, outcomes=Counter({outcome: 1}), reason=reason, notes=notes, clip=clip
        )

    def parts(self, clip: Clip) -> tuple[Part, ...]:
        return (*prefix_parts(clip, len(clip.pictures), BEFORE), Text(ASK.format(instruction=clip.instruction)))


def read_answer(reply: Reply) -> tuple[float, Outcome]:
    """The probability of a yes, in [0, 1]; NaN where the reply is neither."""
    if reply.finish == "refusal":
        return float("nan"), Outcome.REFUSED
    found = answer_probabilities(reply, {word: _forms(word) for word in ANSWERS})
    if sum(found.values()) >= ENOUGH:
        return found["Yes"] / (found["Yes"] + found["No"]), Outcome.READ
    match = WORD.match(answer_of(reply))
    if match:
        return float(match.group(1).lower() == "yes"), Outcome.READ
    return float("nan"), why_unread(reply)


def _forms(word: str) -> list[str]:
    return [spelt for form in (word, word.lower(), word.upper()) for spelt in spellings(form)]
