"""A cloned policy as the one who acts in the rollouts by which true value is counted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from headway.episodes import Array
from headway_envs.disturbance import DISTURBANCE, Disturbance
from headway_envs.observations import environment_state
from headway_envs.simulator import Simulator
from headway_envs.tasks.base import Situation
from headway_envs.value import RolloutPolicy
from headway_policies.behaviour_cloning import ClonedPolicy
from headway_policies.checkpoint import CONFIG, WEIGHTS, load_policy


@dataclass(frozen=True, repr=False)
class DisturbedClone:
    """A cloned policy, pushed about with that standard deviation in metres: else all rollouts would be one.

    `source` says where it comes from.
    """

    policy: ClonedPolicy
    source: str
    disturbance: float = DISTURBANCE

    @property
    def name(self) -> str:
        return f"behaviour cloning {self.source} disturbed by {self.disturbance:g} m"

    def start(self, simulator: Simulator, random: np.random.Generator) -> Callable[[Situation], Situation]:
        """Raises CheckpointError when the policy learnt another task, robot or action space."""
        self.policy.signature.check_fits(simulator)
        pushes = Disturbance(simulator.robot.pushes, self.disturbance, simulator.fps, random)
        actions = self._actions(simulator)
        return lambda situation: simulator.step(next(actions), pushes.next())

    def _actions(self, simulator: Simulator) -> Iterator[Array]:
        """What to do next, for ever: a few actions of each chunk, then another look."""
        while True:
            state = simulator.robot.state(simulator.data)
            yield from self.policy.act(state, environment_state(simulator.task, simulator.situation()))


def load_rollout_policy(folder: Path, disturbance: float = DISTURBANCE) -> RolloutPolicy:
    """The policy that was saved there, for value rollouts; its name holds the folder's and eight digits that change
    with its content. Raises CheckpointError when it is missing, of another policy, or damaged."""
    policy = load_policy(folder)
    content = sha256((folder / CONFIG).read_bytes() + (folder / WEIGHTS).read_bytes()).hexdigest()
    return DisturbedClone(policy, f"{folder.resolve().name} ({content[:8]})", disturbance)
