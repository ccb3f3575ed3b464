"""A policy that acts on pictures, at the wheel of a real arm: its chunks of actions, each at its time."""

from collections.abc import Mapping

import numpy as np

from headway.episodes import Array
from headway.errors import UnknownName, Unsupported
from headway.pictures import resize
from headway_policies.image_policy import ImagePolicy
from headway_policies.policy_runs import Run

ROUNDING = 1e-6


class ChunkPilot:
    """Carries out a policy's chunks by the clock of the pictures, however often it is asked.

    Args:
        policy: predicts `executed` actions at once.
        fps: of the demonstrations that it learnt from, which is how fast its actions follow each other.
    """

    def __init__(self, policy: ImagePolicy, fps: float):
        self._policy, self._fps = policy, fps
        self.begin()

    @property
    def joints(self) -> tuple[str, ...]:
        """What it senses, in order."""
        return self._policy.signature.state

    @property
    def commands(self) -> tuple[str, ...]:
        """What it tells the arm, in order."""
        return self._policy.signature.action

    def begin(self) -> None:
        """An episode begins."""
        self._chunk: Array | None = None
        self._begun = 0.0

    def act(self, frames: Mapping[str, Array], state: Array | None, seconds: float) -> Array:
        """The action for now, float32 (action,): of pictures uint8 RGB (height, width, 3), the state (dim,), and the
        time since the episode's first view. Raises Unsupported without a state, UnknownName without a camera."""
        at = self._at(seconds)
        if self._chunk is None or not 0 <= at < len(self._chunk):
            self._chunk, self._begun, at = self._plan(frames, state), seconds, 0
        return self._chunk[at]

    def _at(self, seconds: float) -> int:
        return int((seconds - self._begun) * self._fps + ROUNDING)

    def _plan(self, frames: Mapping[str, Array], state: Array | None) -> Array:
        if state is None:
            raise Unsupported("the policy needs the robot's joints; set arm.joints")
        missing = [name for name in self._policy.cameras if name not in frames]
        if missing:
            raise UnknownName("camera", missing[0], frames, "The policy was trained with it")
        size = self._policy.picture_size
        pictures = np.stack([resize(frames[name], size) for name in self._policy.cameras])
        return self._policy.act(state, pictures)


def pilot_of(run: Run, fps: float) -> ChunkPilot:
    """The pilot of a trained run. Raises Unsupported for a policy that is shown what only a simulator knows."""
    if not isinstance(run.policy, ImagePolicy):
        raise Unsupported(
            f"the policy in {run.folder} acts on the simulator's own state, which no arm has; train one that looks: "
            "headway policy train DATASET --policy image"
        )
    return ChunkPilot(run.policy, fps)
