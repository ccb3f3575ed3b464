"""GVL: ask for the completion of shuffled frames (Ma et al., arXiv 2411.04549).

    v~_1 .. v~_T = VLM(o~_1 .. o~_T; instruction, o_1)          (eq. 3; o~ is a random order of o)

A model that is shown a video in order says that it rises, whatever happens in it. Shown in a random order, it has to
look. The first frame is given as what 0 % looks like; without it the arrow of time would be anybody's guess. Before
each percentage stands a description of the frame, which is the reasoning.

On purpose unlike the paper: several orders are asked for and their median is taken, which tells their spread; the
reply is JSON keyed by the frames' labels, and only the frames that it leaves out are asked for again; examples come
before the task's own pictures, so that a server's prefix cache holds them over all episodes; the anchor is the
episode's true first frame (OpenGVL takes the first that was drawn).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import anyio
import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.vlm.chat import ChatModel, Part, Picture, Question, Text
from headway.vlm.clip import Clip, evenly
from headway.vlm.judgement import Judgement, Outcome, version_of
from headway.vlm.parsing import FRAMES_SCHEMA, read_frames

ROLE = (
    "You judge how far a robot has come with a task, from single pictures of it. Completion is a percentage: 0 is the "
    "scene before anything is done, 100 is the task done. The pictures come in random order: look at each for itself, "
    "and do not suppose that a later one shows more of the task done."
)
EXAMPLE = "\nFor comparison, pictures of another attempt, whose task is: {instruction}. Their completion is known."
GOAL = "\nThis is what the scene looks like when the task is done, at 100 %."
TASK = "\nThe task now is: {instruction}.\nThe scene before the robot begins, at 0 %:"
FRAMES = "\nThe pictures to judge, in random order, each after its label:"
ASK = (
    "\nFor each of the frames {labels} say what you see of the task in one short sentence, and then its completion. "
    'Answer with JSON only: {{"frames": [{{"frame": N, "description": "...", "completion": 0-100}}]}}'
)
# of one frame's entry in the reply, generously
TOKENS_A_FRAME = 80
# how often the frames that a reply leaves out are asked for again
REPAIRS = 2


@dataclass(frozen=True, repr=False)
class Example:
    """An attempt whose completion is known, shown before the question.

    Attributes:
        pictures: in any order.
        percent: completion of each, 0 to 100.
        instruction: what was done in it.
    """

    pictures: tuple[Picture, ...]
    percent: tuple[int, ...]
    instruction: str

    def __post_init__(self) -> None:
        if len(self.pictures) != len(self.percent):
            raise InvalidValue(f"an example has {len(self.pictures)} pictures but {len(self.percent)} percentages")

    def __repr__(self) -> str:
        digests = ",".join(picture.digest for picture in self.pictures)
        return f"Example({digests}, {self.percent}, {self.instruction!r})"


def example_of(clip: Clip, seed: int = 0) -> Example:
    """A successful attempt as an example, its pictures shuffled: completion is the share of its time, v_t = t / T."""
    order = np.random.default_rng([seed, clip.seed]).permutation(len(clip.pictures))
    percent = np.round(100 * clip.frames / max(clip.length - 1, 1)).astype(int)
    return Example(
        tuple(clip.pictures[place] for place in order),
        tuple(int(percent[place]) for place in order),
        clip.instruction,
    )


@dataclass(frozen=True)
class Gvl:
    """See the module.

    Attributes:
        frames: how many of an episode are shown.
        permutations: how many random orders are asked for.
        seed: of the orders.
        examples: attempts of the same or another robot, or of a person, whose completion is known.
        goal: a picture of the task done.
        shuffled: False shows the frames in order of time. For the experiment that shows why that means nothing.
    """

    frames: int = 30
    permutations: int = 3
    seed: int = 0
    examples: tuple[Example, ...] = ()
    goal: Picture | None = None
    shuffled: bool = True
    name: str = "gvl"

    def __post_init__(self) -> None:
        if self.frames < 2 or self.permutations < 1:
            raise InvalidValue(
                f"gvl needs at least 2 frames and 1 permutation, got {self.frames} and {self.permutations}"
            )

    @property
    def version(self) -> str:
        goal = self.goal.digest if self.goal else ""
        return version_of(self, goal, ROLE, EXAMPLE, GOAL, TASK, FRAMES, ASK)

    def looks_at(self, length: int, seconds: float) -> Array:
        return evenly(length, self.frames)

    async def judge(self, clip: Clip, model: ChatModel) -> Judgement:
        limit = (await model.abilities()).pictures
        groups = [group for order in self.orders(clip) for group in self._groups(order, limit)]
        results: list[tuple[dict[int, float], Counter[Outcome]]] = [({}, Counter()) for _ in groups]

        async def ask(number: int) -> None:
            results[number] = await self._ask(clip, groups[number], model)

        async with anyio.create_task_group() as tasks:
            for number in range(len(groups)):
                tasks.start_soon(ask, number)
        return self._judgement(clip, results)

    def orders(self, clip: Clip) -> list[Array]:
        """The orders that a clip's pictures are shown in: for each, int64 (pictures,), places in the clip."""
        number = len(clip.pictures)
        if not self.shuffled:
            return [np.arange(number)] * self.permutations
        rngs = [np.random.default_rng([self.seed, clip.seed, count]) for count in range(self.permutations)]
        return [rng.permutation(number) for rng in rngs]

    def parts(self, clip: Clip, shown: Mapping[int, int]) -> tuple[Part, ...]:
        """What is shown and said.

        Args:
            clip: the episode.
            shown: label -> place in the clip, in the order that they are shown in. Labels count on from the examples'.
        """
        parts: list[Part] = [Text(ROLE)]
        label = 0
        for example in self.examples:
            words = EXAMPLE.format(instruction=example.instruction)
            for picture, percent in zip(example.pictures, example.percent, strict=True):
                label += 1
                parts += [Text(f"{words}\nFrame {label}:"), picture]
                words = f"Completion: {percent} %"
            parts.append(Text(words))
        if self.goal is not None:
            parts += [Text(f"{GOAL}\nFrame {label + 1}:"), self.goal]
        parts += [Text(TASK.format(instruction=clip.instruction)), clip.pictures[0]]
        words = FRAMES
        for label, place in shown.items():
            parts += [Text(f"{words}\nFrame {label}:"), clip.pictures[place]]
            words = ""
        parts.append(Text(ASK.format(labels=", ".join(map(str, shown)))))
        return tuple(parts)

    @property
    def _context(self) -> int:
        """Pictures with a label before the first one to judge."""
        return sum(len(example.pictures) for example in self.examples) + (self.goal is not None)

    def _groups(self, order: Array, limit: int | None) -> list[Array]:
        """An order, parted into as many requests as a server's limit of pictures needs."""
        if limit is None or len(order) + self._context + 1 <= limit:
            return [order]
        room = limit - self._context - 1
        if room < 1:
            raise InvalidValue(
                f"the server takes {limit} pictures a request, but the examples, the goal and the anchor are already "
                f"{self._context + 1}; give fewer"
            )
        return np.array_split(order, -(-len(order) // room))

    async def _ask(self, clip: Clip, order: Array, model: ChatModel) -> tuple[dict[int, float], Counter[Outcome]]:
        """Place in the clip -> percent, and what became of each frame at last; what a reply leaves out is asked again.

        A refusal is taken as said.
        """
        missing = {self._context + 1 + number: int(place) for number, place in enumerate(order)}
        percent: dict[int, float] = {}
        outcomes: Counter[Outcome] = Counter()
        for attempt in range(1 + REPAIRS):
            tokens = 256 + TOKENS_A_FRAME * len(missing)
            question = Question(self.parts(clip, missing), tokens, seed=self.seed + attempt, schema=FRAMES_SCHEMA)
            readings = read_frames(await model.ask(question), missing)
            percent |= {missing.pop(label): value for label, value in readings.values.items()}
            outcomes += Counter({name: readings.outcomes[name] for name in (Outcome.READ, Outcome.UNKNOWN_FRAME)})
            if not missing or readings.outcomes[Outcome.REFUSED]:
                break
        counted = (Outcome.READ, Outcome.UNKNOWN_FRAME)
        unread = {name: times for name, times in readings.outcomes.items() if name not in counted}
        return percent, outcomes + Counter(unread)

    def _judgement(self, clip: Clip, results: Sequence[tuple[dict[int, float], Counter[Outcome]]]) -> Judgement:
        said: list[list[float]] = [[] for _ in clip.pictures]
        outcomes: Counter[Outcome] = Counter()
        for percent, found in results:
            outcomes += found
            for place, value in percent.items():
                said[place].append(value)
        raw = np.array([np.median(values) if values else np.nan for values in said])
        # one reading tells nothing of how others would fall out
        spread = np.array([np.std(values) if len(values) > 1 else np.nan for values in said])
        reason = ""
        if np.isnan(raw).any():
            told = ", ".join(f"{name} {times}" for name, times in outcomes.items() if name != Outcome.READ)
            reason = f"no completion for {int(np.isnan(raw).sum())} of {len(raw)} frames ({told})"
        return Judgement(raw / 100, raw, spread / 100, outcomes=outcomes, reason=reason)
