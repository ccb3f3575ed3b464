"""The faults of a reply's words. Those of the connection (429, 500, a late answer) are the server's own."""

from typing import Any

import numpy as np

from headway_envs.vlm_server.answers import Answer
from headway_envs.vlm_server.script import Fault

REFUSAL = "I'm sorry, but I can't help with that."


def spoil(given: Answer, fault: Fault | None, rng: np.random.Generator) -> str:
    """The words of an answer after a fault has been at it. `given` is changed."""
    if fault is Fault.EMPTY:
        return ""
    if fault in (Fault.REFUSAL, Fault.REFUSAL_IN_PROSE):
        return REFUSAL
    if given.entries:
        _spoil_entries(given, fault, rng)
    words = given.words()
    if fault is Fault.TRUNCATED:
        # never after the last entry: what is left has to be half of something
        return words[: len(words) * 3 // 5]
    if fault is Fault.FENCE:
        return f"```json\n{words}\n```"
    if fault is Fault.PROSE_AROUND:
        return f"The task looks 40 % done over all, frame 3 perhaps 75%.\n\n{words}\n\nI hope this helps {{at 100 %}}!"
    return words


def _spoil_entries(given: Answer, fault: Fault | None, rng: np.random.Generator) -> None:
    entries = given.entries
    chosen = entries[int(rng.integers(len(entries)))]
    number = next(reversed(chosen))  # what is asked for stands last
    if fault is Fault.DUPLICATE:
        entries.insert(int(rng.integers(len(entries) + 1)), chosen | {number: _another(chosen[number], entries)})
    elif fault is Fault.UNKNOWN_FRAME:
        unknown = 1000 + int(rng.integers(1000))
        entries.insert(int(rng.integers(len(entries) + 1)), chosen | {"frame": unknown})
    elif fault is Fault.OUT_OF_RANGE:
        numeric = isinstance(chosen[number], int)
        chosen[number] = int(rng.choice((-20, 140, 1000))) if numeric else "juggle"
    elif fault is Fault.WRONG_TYPE:
        chosen[number] = ["about", "half"]
    elif fault is Fault.MISSING:
        del entries[::3]
    elif fault is Fault.EXTRA_PERCENTAGE:
        for entry in entries:
            entry["description"] = f"the gripper is {int(rng.integers(100))} % open, as in frame 1: 12%"


def _another(value: int | str, entries: list[dict[str, Any]]) -> int | str:
    """A value that the entry could have, but has not."""
    if isinstance(value, int):
        return (value + 37) % 101
    return next((entry["stage"] for entry in entries if entry["stage"] != value), "none")
