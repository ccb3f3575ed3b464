"""Instructions that a video does not show, as negatives for training."""

import re

import numpy as np

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


def wrong_instruction(instruction: str, rng: np.random.Generator) -> str:
    """Make up an instruction that shares no word of meaning with `instruction`."""
    used = set(re.findall(r"\w+", instruction.lower()))
    verb = rng.choice([word for word in VERBS if word not in used])
    thing = rng.choice([word for word in THINGS if word not in used])
    place = rng.choice(PLACES) if rng.random() < 0.5 else ""
    return f"{verb} the {thing} {place}".strip()
