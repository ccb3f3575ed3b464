"""Rollouts that are kept: what the policy saw, what was carried out, and the truth, which no learner may look at."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue
from headway_envs.annotation import truth
from headway_envs.observations import environment_state
from headway_envs.rendering import FRAME_SIZE
from headway_envs.simulator import Simulator
from headway_envs.tasks.base import Situation
from headway_envs.trajectory import Trajectory
from headway_policies.lanes import Lane, Rollout, Setting
from headway_policies.rollout import Actor, ask
from headway_policies.rows import ROWS

KIND = "rollout"


@dataclass(frozen=True)
class Exploration:
    """How a policy is made to try something else: an offset to what it asks for, the same in all steps of a rollout.

    An episode is then one trial of one other policy, and its score says something about that one; noise drawn anew at
    every step averages out. What is recorded is what was carried out.

    Attributes:
        spread: standard deviation of the offset of each value of an action, (action,), in its own unit.
        share: of the rollouts that have an offset; the others do what the policy wants.
        seed: of the offsets; each layout draws its own.
    """

    spread: tuple[float, ...]
    share: float = 1.0
    seed: int = 0


def record_rollouts(
    policy: Actor,
    setting: Setting,
    layout_seeds: Sequence[int],
    exploration: Exploration | None = None,
    cameras: tuple[str, ...] = (),
    size: int = FRAME_SIZE,
    together: int = ROWS,
) -> list[tuple[Rollout, Trajectory]]:
    """Let the policy act from each layout and keep all of it, in the order of the seeds.

    Frame t is what was seen before action t was carried out; a trajectory is as long as its rollout has steps. The same
    arguments give the same trajectories, whatever `together` is.

    Args:
        policy: who acts.
        setting: where, and for how long at most.
        layout_seeds: from where; take fresh ones for every round.
        exploration: offsets; None is what the policy wants.
        cameras: which to draw; none is several times faster.
        size: of a picture in pixels.
        together: simulators in step.

    Raises CheckpointError when the policy does not fit, InvalidValue for offsets of another size than an action.
    """
    simulator = setting.simulator()
    policy.signature.check_fits(simulator)
    names = simulator.robot.action_names
    if exploration is not None and len(exploration.spread) != len(names):
        raise InvalidValue(f"exploration needs one spread for each of {names}, got {len(exploration.spread)}")
    ended = dict(_roll(policy, setting, layout_seeds, exploration, cameras, size, together))
    return [ended[seed] for seed in layout_seeds]


class _Tape:
    """A lane, and what happened in it since it began a layout."""

    def __init__(
        self,
        setting: Setting,
        layout_seed: int,
        exploration: Exploration | None,
        cameras: tuple[str, ...],
        size: int,
    ):
        self._exploration, self._cameras, self._size = exploration, cameras, size
        self._clear(layout_seed)
        self.lane = Lane(setting, layout_seed, self._see)

    def start(self, layout_seed: int) -> None:
        self._clear(layout_seed)
        self.lane.start(layout_seed)

    def _clear(self, layout_seed: int) -> None:
        self._seed = layout_seed
        self._situations: list[Situation] = []
        self._states: list[Array] = []
        self._actions: list[Array] = []
        self._frames: dict[str, list[Array]] = {name: [] for name in self._cameras}
        self._offset: Array | float = 0.0
        if self._exploration is not None:
            random = np.random.default_rng([self._exploration.seed, layout_seed, 9])
            if random.random() < self._exploration.share:
                self._offset = random.normal(size=len(self._exploration.spread)) * self._exploration.spread

    def _see(self, simulator: Simulator) -> None:
        self._situations.append(simulator.situation())
        self._states.append(simulator.robot.state(simulator.data))
        for name, drawn in self._frames.items():
            drawn.append(simulator.frame(name, self._size, self._size))

    def perform(self, actions: Array) -> Rollout | None:
        """Carry out actions (step, action), each with its offset, until the layout ends."""
        for action in actions:
            carried_out = self._disturbed(action)
            self._actions.append(carried_out)
            outcome = self.lane.perform(carried_out[None])
            if outcome is not None:
                return outcome
        return None

    def _disturbed(self, action: Array) -> Array:
        simulator = self.lane.simulator
        wanted = np.asarray(action, dtype=np.float64)
        wanted = wanted + self._offset
        return np.clip(wanted, simulator.robot.action_low, simulator.robot.action_high).astype(np.float32)

    def trajectory(self) -> Trajectory:
        """What was recorded. The situation after the last action has no frame."""
        simulator, steps = self.lane.simulator, len(self._actions)
        task, situations = simulator.task, self._situations[:steps]
        return Trajectory(
            instruction=task.phrases(situations[0])[0],
            seed=self._seed,
            kind=KIND,
            fps=simulator.fps,
            state=np.stack(self._states[:steps]),
            environment_state=np.stack([environment_state(task, one) for one in situations]),
            action=np.stack(self._actions),
            truth=truth(task, task.layout(self._seed, situations[0].edge), situations),
            frames={name: np.stack(drawn[:steps]) for name, drawn in self._frames.items()},
        )


def _roll(
    policy: Actor,
    setting: Setting,
    layout_seeds: Sequence[int],
    exploration: Exploration | None,
    cameras: tuple[str, ...],
    size: int,
    together: int,
) -> Iterator[tuple[int, tuple[Rollout, Trajectory]]]:
    waiting = deque(dict.fromkeys(layout_seeds))
    tapes = [_Tape(setting, waiting.popleft(), exploration, cameras, size) for _ in range(min(together, len(waiting)))]
    try:
        under_way = list(tapes)
        while under_way:
            going_on = []
            for tape, actions in zip(under_way, ask(policy, [tape.lane for tape in under_way]), strict=True):
                outcome = tape.perform(actions)
                if outcome is not None:
                    yield outcome.layout_seed, (outcome, tape.trajectory())
                    if not waiting:
                        continue
                    tape.start(waiting.popleft())
                going_on.append(tape)
            under_way = going_on
    finally:
        for tape in tapes:
            tape.lane.close()
