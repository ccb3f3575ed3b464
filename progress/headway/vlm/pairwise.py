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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

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
SCHEMA = {
    "type": "object",
    "properties": {
        "further": {"type": "integer", "enum": [0, 1, 2]},
        "percent": {"type": "integer", "minimum": 0, "maximum": 100},
    },
    "required": ["further", "percent"],
    "additionalProperties": False,
}
# rounds in which frames that could not be compared are passed over
REPAIRS = 2


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
        """Frames that a model cannot compare are left out, and the frames beside them compared with each other."""
        outcomes: Counter[Outcome] = Counter()
        kept = list(range(len(clip.pictures)))
        changes: dict[tuple[int, int], float] = {}
        wanted = list(pairwise(kept))
        for _ in range(1 + REPAIRS):
            found = await self._compare(clip, wanted, model, outcomes)
            changes |= found
            # a model that reads none of them would refuse others too
            if all(np.isnan(change) for change in found.values()):
                break
            kept = passing_over(kept, changes)
            wanted = [pair for pair in pairwise(kept) if pair not in changes]
        progress, raw = (np.full(len(clip.pictures), np.nan) for _ in range(2))
        steps = np.array([changes.get(pair, np.nan) for pair in pairwise(kept)])
        progress[kept] = accumulate(steps)
        raw[kept] = np.concatenate([[0.0], np.cumsum(steps)])
        missing = int(np.isnan(progress).sum())
        reason = f"{missing} of {len(clip.pictures)} frames could not be compared with others" if missing else ""
        return Judgement(progress, raw, outcomes=outcomes, reason=reason)

    async def _compare(
        self, clip: Clip, pairs: Sequence[tuple[int, int]], model: ChatModel, outcomes: Counter[Outcome]
    ) -> dict[tuple[int, int], float]:
        """The change from the first to the second of each pair of places in the clip; NaN where it cannot be read."""
        changes: dict[tuple[int, int], float] = {}

        async def ask(pair: tuple[int, int]) -> None:
            swapped = bool(np.random.default_rng([self.seed, clip.seed, *pair]).random() < 0.5)
            parts = self.parts(clip, *reversed(pair)) if swapped else self.parts(clip, *pair)
            reply = await model.ask(Question(parts, 256, seed=self.seed, schema=SCHEMA))
            change, outcome = read_change(reply)
            changes[pair] = -change if swapped else change
            outcomes[outcome] += 1

        async with anyio.create_task_group() as tasks:
            for pair in pairs:
                tasks.start_soon(ask, pair)
        return changes

    def parts(self, clip: Clip, first: int, second: int) -> tuple[Part, ...]:
        """The anchor, then the clip's pictures at two places, in the order in which they are shown."""
        return (
            Text(ASK_SCENE.format(instruction=clip.instruction)),
            clip.pictures[0],
            Text("\nFrame 1:"),
            clip.pictures[first],
            Text("\nFrame 2:"),
            clip.pictures[second],
            Text(ASK),
        )


def passing_over(kept: Sequence[int], changes: Mapping[tuple[int, int], float]) -> list[int]:
    """The frames without those that could not be compared with the one before them, but for the first and the last.

    Where the last one could not, the one before it may be to blame, and is passed over.
    """
    left = [kept[0], *(place for before, place in pairwise(kept) if not np.isnan(changes.get((before, place), np.nan)))]
    last = kept[-1]
    if left[-1] != last:
        if len(left) > 1 and (left[-1], last) in changes:
            left.pop()
        left.append(last)
    return left


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
