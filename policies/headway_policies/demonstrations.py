"""What behaviour cloning needs of episodes: the numbers of every frame, without pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from headway.episodes import Array
from headway.errors import DatasetError, InvalidValue
from headway_policies.signature import Signature


class Recording(Protocol):
    """An episode, or anything else with these three."""

    @property
    def state(self) -> Array | None: ...
    @property
    def environment_state(self) -> Array | None: ...
    @property
    def action(self) -> Array | None: ...


@dataclass(frozen=True, repr=False)
class Demonstrations:
    """The frames of several episodes, one episode after another.

    Attributes:
        state: float32 (frames, state_dim), what the robot sensed of itself.
        environment_state: float32 (frames, dim), what only the simulator knew.
        action: float32 (frames, action_dim), what the robot was told.
        episode: int64 (frames,), which episode a frame belongs to.
        signature: what the values of those three are.
    """

    state: Array
    environment_state: Array
    action: Array
    episode: Array
    signature: Signature

    def __post_init__(self) -> None:
        for name in ("state", "environment_state", "action"):
            values = getattr(self, name)
            names = getattr(self.signature, name)
            if values.shape != (len(self.episode), len(names)):
                raise InvalidValue(
                    f"{name} of {len(self.episode)} frames with the values {', '.join(names)} must have shape "
                    f"{(len(self.episode), len(names))}, got {values.shape}; name the task, robot and action space "
                    "that were recorded"
                )
            if not np.isfinite(values).all():
                raise DatasetError(f"{name} holds values that are not finite; leave those episodes out")
        if (np.diff(self.episode) < 0).any():
            raise InvalidValue("frames must lie in order of their episodes")

    def __len__(self) -> int:
        return len(self.episode)

    def __repr__(self) -> str:
        return f"Demonstrations(frames={len(self)}, episodes={len(np.unique(self.episode))})"


def gather(recordings: Sequence[Recording], signature: Signature) -> Demonstrations:
    """The numbers of all recordings, whose values the signature names (`signature_of` knows ours).

    Raises DatasetError where one has no state, environment state or action, InvalidValue where there are more or fewer
    values than names.
    """
    if not recordings:
        raise DatasetError("there is no episode to learn from")
    parts: dict[str, list[Array]] = {"state": [], "environment_state": [], "action": []}
    for number, recording in enumerate(recordings):
        for name, collected in parts.items():
            values = getattr(recording, name)
            if values is None:
                raise DatasetError(
                    f"episode number {number} has no {name}; this policy learns from all three of {list(parts)}"
                )
            collected.append(np.asarray(values, dtype=np.float32))
    widths = {name: sorted({part.shape[1] for part in collected}) for name, collected in parts.items()}
    if any(len(found) > 1 for found in widths.values()):
        raise DatasetError(f"the episodes differ in their number of values a frame: {widths}; learn from one task")
    lengths = [len(part) for part in parts["state"]]
    return Demonstrations(
        **{name: np.concatenate(collected) for name, collected in parts.items()},
        episode=np.repeat(np.arange(len(lengths)), lengths),
        signature=signature,
    )
