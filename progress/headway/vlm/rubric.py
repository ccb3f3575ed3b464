"""A rubric: one score from 1 to 5 for a whole episode, judged by its end (RoboReward, arXiv 2601.00675).

    1 nothing that serves the goal has changed    2 a small change, far from enough    3 good progress, but one or more
    major requirements are not met    4 all but one minor requirement    5 all requirements

Progress at the last frame is (r - 1) / 4; nothing is said of the frames before it. One picture a second is shown, the
reply is greedy and has at most 128 tokens, as the released checkpoints (`rubric:FOLDER`) were trained for. The words
are our own: published figures of those checkpoints belong to the words of their model card.
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
from headway.vlm.parsing import answer_of, why_unread

BEFORE = "The pictures show, in order of time, one attempt of a robot at a task."
ASK = (
    "\nThe task was: {instruction}. Judge by the state at the end, however long it took. Score 1: nothing that serves "
    "the goal has changed. 2: a small change, far from enough. 3: good progress, but a major requirement or several "
    "are not met. 4: the right place and the right intent, one minor requirement is missing. 5: every requirement is "
    "met.\nEnd your reply with a line of the form ANSWER: and the score."
)
ANSWER = re.compile(r"ANSWER:[\s*_]*(\d+(?:\.\d+)?)", re.IGNORECASE)
NUMBER = re.compile(r"\d+(?:\.\d+)?")
MAX_TOKENS = 128
# servers' limits and a model's attention end somewhere: a longer episode gets fewer than one a second
MOST = 60


@dataclass(frozen=True)
class Rubric:
    """See the module. `frames` is the most pictures that are shown."""

    frames: int = MOST
    name: str = "rubric"

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise InvalidValue(f"rubric needs at least 2 frames, got {self.frames}")

    @property
    def version(self) -> str:
        return version_of(self, BEFORE, ASK)

    def looks_at(self, length: int, seconds: float) -> Array:
        return evenly(length, min(self.frames, max(2, round(seconds) + 1)))

    async def judge(self, clip: Clip, model: ChatModel) -> Judgement:
        clip = thinned(clip, (await model.abilities()).pictures)
        score, outcome = read_score(await model.ask(Question(self.parts(clip), MAX_TOKENS)))
        if outcome in (Outcome.PROSE, Outcome.MISSING):
            score, outcome = read_score(await model.ask(Question(self.parts(clip), MAX_TOKENS, seed=1)))
        progress, raw = (np.full(len(clip.pictures), np.nan) for _ in range(2))
        progress[-1], raw[-1] = (score - 1) / 4, score
        reason = "a rubric judges an episode by its end" if outcome == Outcome.READ else f"the reply is {outcome}"
        return Judgement(progress, raw, outcomes=Counter({outcome: 1}), reason=reason, clip=clip)

    def parts(self, clip: Clip) -> tuple[Part, ...]:
        return (*prefix_parts(clip, len(clip.pictures), BEFORE), Text(ASK.format(instruction=clip.instruction)))


def read_score(reply: Reply) -> tuple[float, Outcome]:
    """The score that a reply ends with: the last ANSWER, else the only number that there is.

    Of two numbers ("2 out of 5", "step 3 failed, so 1") nobody can tell which is the score.
    """
    text = answer_of(reply)
    unread = why_unread(reply)
    if unread in (Outcome.REFUSED, Outcome.MISSING):
        return float("nan"), unread
    answers = ANSWER.findall(text) or (NUMBER.findall(text) if reply.finish == "stop" else [])
    if not answers or (len(answers) > 1 and not ANSWER.search(text)):
        return float("nan"), unread
    score = float(answers[-1])
    return (score, Outcome.READ) if score in range(1, 6) else (float("nan"), Outcome.OUT_OF_RANGE)
