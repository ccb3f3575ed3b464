"""Stage annotation by a vision-language model: which subtask is under way at each frame, with frame-exact boundaries.

First some frames of the whole episode are asked about, in order of time; then, wherever two neighbours are of different
subtasks, the frames between them, until no frame lies between. A subtask may come again: the robot fell back. The
result is as marks of a person are, and `sarm` trains on it.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import anyio
import numpy as np

from headway.episodes import Array, Stage
from headway.errors import InvalidValue
from headway.vlm.chat import ChatModel, NoReply, Part, Picture, Question, Text
from headway.vlm.clip import evenly
from headway.vlm.judgement import Outcome
from headway.vlm.parsing import read_labelled, read_object

SCENE = (
    "A robot works on this task: {instruction}.\nThe pictures show it in order of time.\nThe scene at the beginning:"
)
ASK = (
    "\nSubtasks, in order: {subtasks}.\nFor each of the frames {labels} say in one short sentence what is "
    "happening, and which subtask is under way; none before the robot begins and when all is done. A robot may fall "
    "back into an earlier one. Answer with JSON only: "
    '{{"stages": [{{"frame": N, "description": "...", "stage": "..."}}]}}'
)
NONE = "none"
PROPOSE = (
    "\nInto which subtasks does the work on this task part? Name 2 to 8, in order, each with one to four words, so "
    "that one of them is under way at any time and where one ends can be seen. "
    'Answer with JSON only: {"subtasks": ["...", "..."]}'
)
TOKENS_A_FRAME = 80
REPAIRS = 2

Look = Callable[[Array], Awaitable[tuple[Picture, ...]]]


@dataclass(frozen=True)
class Annotator:
    """How an episode is looked at.

    Attributes:
        subtasks: names in the task's order.
        frames: of the first look at an episode.
        between: the most frames of one closer look between two of them.
    """

    subtasks: tuple[str, ...]
    frames: int = 30
    between: int = 12

    def __post_init__(self) -> None:
        if not self.subtasks or not all(name.strip() for name in self.subtasks):
            raise InvalidValue(f"subtasks need names, got {list(self.subtasks)}")
        plain = {name.strip().casefold() for name in self.subtasks}
        if NONE in plain or len(plain) < len(self.subtasks):
            raise InvalidValue(f"subtasks need names of their own, and none may be {NONE!r}: {list(self.subtasks)}")
        if self.frames < 2 or self.between < 1:
            raise InvalidValue(f"annotating needs 2 frames and 1 between, got {self.frames} and {self.between}")

    def parts(self, instruction: str, anchor: Picture, pictures: Mapping[int, Picture]) -> tuple[Part, ...]:
        """What is shown and said: the anchor, then each picture after its label."""
        parts: list[Part] = [Text(SCENE.format(instruction=instruction)), anchor]
        for label, picture in pictures.items():
            parts += [Text(f"\nFrame {label}:"), picture]
        asked = ASK.format(subtasks="; ".join(self.subtasks), labels=", ".join(map(str, pictures)))
        return (*parts, Text(asked))

    def named(self, entry: Mapping[str, Any]) -> str | Outcome:
        """The subtask that an entry of a reply names."""
        said = entry.get("stage")
        if said is None:
            return Outcome.MISSING
        plain = {name.casefold(): name for name in (*self.subtasks, NONE)}
        return plain.get(said.strip().casefold(), Outcome.PROSE) if isinstance(said, str) else Outcome.PROSE

    def schema(self) -> Mapping[str, Any]:
        """Of the reply."""
        entry = {
            "type": "object",
            "properties": {
                "frame": {"type": "integer"},
                "description": {"type": "string"},
                "stage": {"type": "string", "enum": [*self.subtasks, NONE]},
            },
            "required": ["frame", "description", "stage"],
            "additionalProperties": False,
        }
        listed = {"stages": {"type": "array", "items": entry}}
        return {"type": "object", "properties": listed, "required": ["stages"], "additionalProperties": False}


@dataclass
class Annotation:
    """What came of one episode.

    Attributes:
        stages: in order of time; empty when nothing could be read.
        outcomes: what became of the frames that were asked about.
    """

    stages: tuple[Stage, ...] = ()
    outcomes: Counter[Outcome] = field(default_factory=Counter)


async def annotate(annotator: Annotator, instruction: str, length: int, look: Look, model: ChatModel) -> Annotation:
    """Annotate one episode.

    Args:
        annotator: what is asked.
        instruction: what the robot was told to do.
        length: frames of the episode.
        look: decodes frames by their numbers, which rise.
        model: whom to ask. NoReply is raised on.
    """
    found = Annotation()
    annotator = within(annotator, (await model.abilities()).pictures)
    (anchor,) = await look(np.array([0]))
    known: dict[int, str] = {}
    wanted = [evenly(length, annotator.frames)]
    while wanted:
        frames = np.unique(np.concatenate(wanted))
        pictures = dict(zip(frames.tolist(), await look(frames), strict=True))
        said: list[dict[int, str]] = [{} for _ in wanted]

        async def ask(number: int, group: Array, pictures: dict[int, Picture], said: list[dict[int, str]]) -> None:
            shown = {int(frame): pictures[int(frame)] for frame in group}
            said[number] = await _ask(annotator, instruction, anchor, shown, model, found.outcomes)

        async with anyio.create_task_group() as tasks:
            for number, group in enumerate(wanted):
                tasks.start_soon(ask, number, group, pictures, said)
        fresh = {frame: name for each in said for frame, name in each.items() if frame not in known}
        known |= fresh
        # a look that tells nothing new would be repeated for ever
        wanted = gaps(known, annotator.between) if fresh else []
    found.stages = stages_of(known, length)
    return found


def within(annotator: Annotator, most: int | None) -> Annotator:
    """The annotator for a model that takes at most `most` pictures a request, the anchor among them."""
    if most is None:
        return annotator
    if most < 3:
        raise InvalidValue(f"annotating needs 3 pictures a request, and this model takes {most}")
    return replace(annotator, frames=min(annotator.frames, most - 1), between=min(annotator.between, most - 1))


async def propose(instruction: str, pictures: Sequence[Picture], model: ChatModel) -> tuple[str, ...]:
    """The subtasks that a model parts a task into, from pictures of one success. Raises NoReply or InvalidValue."""
    parts: list[Part] = [Text(SCENE.format(instruction=instruction)), pictures[0]]
    for label, picture in enumerate(pictures, start=1):
        parts += [Text(f"\nFrame {label}:"), picture]
    reply = await model.ask(Question((*parts, Text(PROPOSE)), 512))
    said, outcome = read_object(reply)
    names = said.get("subtasks") if said else None
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names) or not names:
        raise NoReply(f"{model.name} proposed no subtasks ({outcome}); name them with --subtasks")
    return tuple(dict.fromkeys(name.strip() for name in names))


def gaps(known: Mapping[int, str], most: int) -> list[Array]:
    """For each pair of neighbours of different subtasks, up to `most` frames between them, evenly spread."""
    frames = sorted(known)
    found = []
    for before, after in pairwise(frames):
        if known[before] != known[after] and after - before > 1:
            number = min(most, after - before - 1)
            found.append(np.linspace(before, after, number + 2)[1:-1].round().astype(np.int64))
    return found


def stages_of(known: Mapping[int, str], length: int) -> tuple[Stage, ...]:
    """Stages from what is said of some frames: each frame is of the subtask of the last one spoken of before it."""
    stages: list[Stage] = []
    frames = sorted(known)
    for number, frame in enumerate(frames):
        end = frames[number + 1] if number + 1 < len(frames) else length
        if known[frame] == NONE:
            continue
        if stages and stages[-1].end == frame and stages[-1].name == known[frame]:
            stages[-1] = Stage(known[frame], stages[-1].start, end)
        else:
            stages.append(Stage(known[frame], frame, end))
    return tuple(stages)


async def _ask(
    annotator: Annotator,
    instruction: str,
    anchor: Picture,
    pictures: Mapping[int, Picture],
    model: ChatModel,
    outcomes: Counter[Outcome],
) -> dict[int, str]:
    """Frame -> subtask; what a reply leaves out is asked again."""
    missing, known = dict(pictures), dict[int, str]()
    for attempt in range(1 + REPAIRS):
        parts = annotator.parts(instruction, anchor, missing)
        tokens = 256 + TOKENS_A_FRAME * len(missing)
        reply = await model.ask(Question(parts, tokens, seed=attempt, schema=annotator.schema()))
        readings = read_labelled(reply, missing, "stages", annotator.named)
        known |= readings.values
        outcomes[Outcome.READ] += readings.outcomes.pop(Outcome.READ, 0)
        missing = {frame: picture for frame, picture in missing.items() if frame not in known}
        if not missing or readings.outcomes[Outcome.REFUSED]:
            break
    outcomes.update(readings.outcomes)
    return known
