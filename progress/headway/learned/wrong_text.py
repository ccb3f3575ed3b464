"""Instructions that a video does not show, as negatives for training."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from headway.encoders.base import TextEncoder
from headway.episodes import Array

VERBS = ("open", "close", "push", "pull", "wipe", "fold", "pour", "stack", "press", "turn", "lift", "throw", "unplug")
THINGS = (
    "door",
    "towel",
    "cup",
    "button",
    "plate",
    "bottle",
    "book",
    "lamp",
    "box",
    "shirt",
    "spoon",
    "window",
    "knob",
)
PLACES = ("on the shelf", "into the sink", "beside the stove", "under the table", "in the basket", "to the left")
# Of the wrong instructions, the share that another task of the training data gives, where there is one.
OTHER_TASKS = 0.5


@dataclass(repr=False)
class Texts:
    """A text encoder that remembers what it encoded: the instructions of a dataset are few and come again."""

    encoder: TextEncoder
    known: dict[str, Array] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.encoder.name

    @property
    def fingerprint(self) -> str:
        return self.encoder.fingerprint

    @property
    def dimension(self) -> int:
        return self.encoder.dimension

    def encode(self, text: str) -> Array:
        """Encode one text: float32 (dimension,)."""
        if text not in self.known:
            self.known[text] = self.encoder.encode(text)
        return self.known[text]


@dataclass(frozen=True, repr=False)
class Negatives:
    """Where wrong instructions are drawn from.

    Attributes:
        texts: the text encoder.
        tasks: every instruction of the training episodes, for each task.
        share: of the windows that are shown with a wrong instruction.
    """

    texts: Texts
    tasks: tuple[tuple[str, ...], ...]
    share: float

    def draw(self, instruction: str, task: int, windows: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Draw, for each of `windows` windows on its own, whether it is shown with a wrong instruction, and which.

        A wrong one is of another task trained on or made up; an episode without an instruction gets none.

        Returns:
            texts: the encoded instructions, float32 (windows, dimension).
            wrong: bool (windows,).
            tasks: int64 (windows,), the task whose instruction is shown; its own where it is right or made up.
        """
        texts = np.repeat(self.texts.encode(instruction)[None], windows, axis=0)
        wrong = (rng.random(windows) < self.share) & bool(instruction)
        tasks = np.full(windows, task, dtype=np.int64)
        elsewhere = [(text, number) for number, those in enumerate(self.tasks) if number != task for text in those]
        for row in np.flatnonzero(wrong):
            if elsewhere and rng.random() < OTHER_TASKS:
                text, tasks[row] = elsewhere[rng.integers(len(elsewhere))]
            else:
                text = wrong_instruction(instruction, rng)
            texts[row] = self.texts.encode(text)
        return texts, wrong, tasks


def instructions_of(episodes: Sequence[str | None]) -> tuple[str, ...]:
    """The different instructions, sorted, without the missing ones."""
    return tuple(sorted({text for text in episodes if text}))


def wrong_instruction(instruction: str, rng: np.random.Generator) -> str:
    """Make up an instruction that shares no word of meaning with `instruction`."""
    used = set(re.findall(r"\w+", instruction.lower()))
    verb = rng.choice([word for word in VERBS if word not in used])
    thing = rng.choice([word for word in THINGS if word not in used])
    place = rng.choice(PLACES) if rng.random() < 0.5 else ""
    return f"{verb} the {thing} {place}".strip()
