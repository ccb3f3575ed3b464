"""Pairs: which of two frames is further, and by how much, added up to a curve.

    v_0 = 0,   v_{i+1} = v_i + (1 - v_i) c_i  for c_i >= 0                                    (after VLAC's critic)
               v_{i+1} = max(0, (v_i + c_i) / (1 + c_i))  for c_i < 0

where c_i in [-1, 1] is the change that a model sees from one frame to the next: of what the frame behind still lacks,
the share that the other one has done. Models favour the picture they see first, or last; so which of the two comes
first is drawn at random, and the sign turned back.

On purpose unlike VLAC, whose model was trained for it: any model is asked, in words. VLAC's description leaves open
how a negative change scales; here it undoes the positive one of the same size, as the question means it.
"""

from collections import Counter
from dataclasses import dataclass

import anyio
import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.vlm.chat import ChatModel, Part, Question, Reply, Text
from headway.vlm.clip import Clip, evenly
from headway.vlm.judgement import Judgement, Outcome, version_of
from headway.vlm.parsing import number, read_object

ASK_SCENE = "A robot works on this task: {instruction}.\nThe scene before the robot begins:"
ASK = (
    "\nIn which of the two frames is the task further along, and by how much? When one frame is further, say which "
    "share of what the other one still lacks it has done, in percent. "
    'Answer with JSON only: {"further": 1, 2 or 0 when they are alike, "percent": 0-100}'
)


@dataclass(frozen=True)
class Pairwise:
    """See the module.

    Attributes:
        frames: how many of an episode are compared, each with the next one.
        seed: of which of two comes first.
    """

    frames: int = 15
    seed: int = 0
    name: str = "pairwise"

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise InvalidValue(f"pairwise needs at least 2 frames, got {self.frames}")

    @property
    def version(self) -> str:
        return version_of(self, ASK_SCENE, ASK)

    def looks_at(self, length: int, seconds: float) -> Array:
        return evenly(length, self.frames)

    async def judge(self, clip: Clip, model: ChatModel) -> Judgement:
        number_of_pairs = len(clip.pictures) - 1
        swapped = np.random.default_rng([self.seed, clip.seed]).random(number_of_pairs) < 0.5
        changes = np.full(number_of_pairs, np.nan)
        outcomes: Counter[Outcome] = Counter()

        async def ask(pair: int) -> None:
            reply = await model.ask(Question(self.parts(clip, pair, bool(swapped[pair])), 256, seed=self.seed))
            change, outcome = read_change(reply)
            changes[pair] = -change if swapped[pair] else change
            outcomes[outcome] += 1

        async with anyio.create_task_group() as tasks:
            for pair in range(number_of_pairs):
                tasks.start_soon(ask, pair)
        missing = int(np.isnan(changes).sum())
        reason = f"{missing} of {number_of_pairs} pairs could not be compared" if missing else ""
        raw = np.concatenate([[0.0], np.cumsum(changes)])
        return Judgement(accumulate(changes), raw, outcomes=outcomes, reason=reason)

    def parts(self, clip: Clip, pair: int, swapped: bool) -> tuple[Part, ...]:
        """The anchor, then frames `pair` and `pair + 1` of the clip, the later one first where swapped."""
        first, second = (pair + 1, pair) if swapped else (pair, pair + 1)
        return (
            Text(ASK_SCENE.format(instruction=clip.instruction)),
            clip.pictures[0],
            Text("\nFrame 1:"),
            clip.pictures[first],
            Text("\nFrame 2:"),
            clip.pictures[second],
            Text(ASK),
        )


def read_change(reply: Reply) -> tuple[float, Outcome]:
    """From a reply, the signed change from frame 1 to frame 2, in [-1, 1]."""
    said, outcome = read_object(reply)
    if said is None:
        return float("nan"), outcome
    further, percent = number(said.get("further")), number(said.get("percent"))
    if further == 0:
        return 0.0, Outcome.READ
    if further is None or percent is None:
        return float("nan"), Outcome.MISSING
    if further not in (1, 2) or not 0 <= percent <= 100:
        return float("nan"), Outcome.OUT_OF_RANGE
    return (percent if further == 2 else -percent) / 100, Outcome.READ


def accumulate(changes: Array) -> Array:
    """Changes (pairs,) in [-1, 1] -> progress (pairs + 1,) in [0, 1]; NaN from the first unknown change on."""
    values = [0.0]
    for change in changes:
        values.append(_after(values[-1], float(change)))
    return np.array(values)


def _after(value: float, change: float) -> float:
    if np.isnan(value) or np.isnan(change):
        return float("nan")
    if change >= 0:
        return value + (1 - value) * change
    # a change of -1 says that everything was done before
    return max(0.0, (value + change) / (1 + change)) if change > -1 else 0.0
