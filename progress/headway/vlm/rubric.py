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
from headway.vlm.clip import Clip, evenly
from headway.vlm.judgement import Judgement, Outcome, version_of
from headway.vlm.parsing import REFUSAL
from headway.vlm.topreward import prefix_parts

BEFORE = "The pictures show, in order of time, one attempt of a robot at a task."
ASK = (
    "\nThe task was: {instruction}. Judge by the state at the end, however long it took. Score 1: nothing that serves "
    "the goal has changed. 2: a small change, far from enough. 3: good progress, but a major requirement or several "
    "are not met. 4: the right place and the right intent, one minor requirement is missing. 5: every requirement is "
    "met.\nEnd your reply with a line of the form ANSWER: and the score."
)
ANSWER = re.compile(r"ANSWER:\s*\**\s*(\d+)", re.IGNORECASE)
LONE = re.compile(r"(?<![\d.])([1-5])(?![\d.]*\d)")
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
        reply = await model.ask(Question(self.parts(clip), MAX_TOKENS))
        score, outcome = read_score(reply)
        progress, raw = (np.full(len(clip.pictures), np.nan) for _ in range(2))
        progress[-1], raw[-1] = (score - 1) / 4, score
        reason = "a rubric judges an episode by its end" if outcome == Outcome.READ else f"the reply is {outcome}"
        return Judgement(progress, raw, outcomes=Counter({outcome: 1}), reason=reason)

    def parts(self, clip: Clip) -> tuple[Part, ...]:
        return (*prefix_parts(clip, len(clip.pictures), BEFORE), Text(ASK.format(instruction=clip.instruction)))


def read_score(reply: Reply) -> tuple[float, Outcome]:
    """The score that a reply ends with: the last ANSWER, else the last number from 1 to 5 that stands alone."""
    if reply.finish == "refusal":
        return float("nan"), Outcome.REFUSED
    answers = ANSWER.findall(reply.text)
    if answers:
        score = int(answers[-1])
        return (float(score), Outcome.READ) if 1 <= score <= 5 else (float("nan"), Outcome.OUT_OF_RANGE)
    if reply.finish == "length":
        return float("nan"), Outcome.TRUNCATED
    lone = LONE.findall(reply.text)
    if lone:
        return float(lone[-1]), Outcome.READ
    if not reply.text.strip():
        return float("nan"), Outcome.MISSING
    return float("nan"), Outcome.REFUSED if REFUSAL.search(reply.text) else Outcome.PROSE
