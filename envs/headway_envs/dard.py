"""DARD: a distance between rewards that asks them about what the simulator says can happen next.

Wulfe et al., arXiv 2201.10081:

    C(R)(s, a, s') = R(s, a, s') + E[gamma R(s', A, S'') - R(s, A, S') - gamma R(S', A, S'')]
    S' ~ T(s, A),  S'' ~ T(s', A),  d = sqrt((1 - rho) / 2) with Pearson's rho

EPIC (`headway.metrics.distances`) draws S' from anywhere; here both ends of a transition lie one step from a visited
state. S' and S'' still need not follow each other. T takes a simulator that can be put back: MuJoCo's own state.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium
import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue, Unsupported
from headway.metrics.distances import Distance, Reward, Transitions, centred, distance, evaluate
from headway_envs.observations import environment_state
from headway_envs.rendering import mujoco
from headway_envs.simulator import Saved, Simulator

_WHOLE_STATE = mujoco.mjtState.mjSTATE_INTEGRATION


class World(Protocol):
    """A simulator that can be put back into a state it was in."""

    def save(self) -> Any:
        """All that decides what happens next."""
        ...

    def restore(self, saved: Any) -> None: ...

    def state(self) -> Array:
        """What rewards are functions of, float (state_dim,)."""
        ...

    def step(self, action: Array) -> Array:
        """Advance by one control step; `state` afterwards."""
        ...


class GymnasiumWorld:
    """A MuJoCo environment of Gymnasium, such as Reacher-v5, whose observation depends on MuJoCo's state alone.

    Raises Unsupported for an environment of another kind.
    """

    def __init__(self, env: gymnasium.Env[Array, Array]):
        self._env: Any = env.unwrapped
        if not all(hasattr(self._env, part) for part in ("model", "data", "do_simulation", "_get_obs")):
            raise Unsupported(f"{env} is no MuJoCo environment of Gymnasium; give one, or a headway_envs Simulator")

    def save(self) -> Array:
        values = np.empty(mujoco.mj_stateSize(self._env.model, _WHOLE_STATE))
        mujoco.mj_getState(self._env.model, self._env.data, values, _WHOLE_STATE)
        return values

    def restore(self, saved: Array) -> None:
        mujoco.mj_setState(self._env.model, self._env.data, saved, _WHOLE_STATE)
        mujoco.mj_forward(self._env.model, self._env.data)

    def state(self) -> Array:
        return np.asarray(self._env._get_obs(), float)

    def step(self, action: Array) -> Array:
        return np.asarray(self._env.step(action)[0], float)


class SimulatorWorld:
    """One of our tasks, reset by the caller. A state is the robot's, then the privileged one of the objects."""

    def __init__(self, simulator: Simulator):
        self._simulator = simulator

    def save(self) -> Saved:
        return self._simulator.save()

    def restore(self, saved: Saved) -> None:
        self._simulator.restore(saved)

    def state(self) -> Array:
        simulator = self._simulator
        objects = environment_state(simulator.task, simulator.situation())
        return np.concatenate([simulator.robot.state(simulator.data), objects]).astype(float)

    def step(self, action: Array) -> Array:
        self._simulator.step(action)
        return self.state()


@dataclass(frozen=True, repr=False)
class Visit:
    """One transition as it happened, and how to get back to both of its ends."""

    state: Array
    action: Array
    next_state: Array
    before: Any
    after: Any


@dataclass(frozen=True, repr=False)
class Branches:
    """Transitions, and where the simulator goes from both of their ends by each of some actions.

    Attributes:
        transitions: n of them.
        actions: float (branch, action_dim), the same for every transition.
        first: float (n, branch, state_dim): S', from the state.
        second: float (n, branch, state_dim): S'', from the next state.
    """

    transitions: Transitions
    actions: Array
    first: Array
    second: Array

    @property
    def rows(self) -> tuple[Array, ...]:
        """(s, s', A, S', S''), each (n * branch, dim)."""
        number, branch, dimension = self.first.shape
        return (
            np.repeat(self.transitions.state, branch, axis=0),
            np.repeat(self.transitions.next_state, branch, axis=0),
            np.tile(self.actions, (number, 1)),
            self.first.reshape(-1, dimension),
            self.second.reshape(-1, dimension),
        )


def visit(world: World, act: Callable[[Array], Array], steps: int) -> list[Visit]:
    """`steps` transitions from where the world is, under the policy `act`: state -> action."""
    visits = []
    state, before = world.state(), world.save()
    for _ in range(steps):
        action = np.asarray(act(state), float)
        next_state, after = world.step(action), world.save()
        visits.append(Visit(state, action, next_state, before, after))
        state, before = next_state, after
    return visits


def branch(world: World, visits: Sequence[Visit], actions: Array) -> Branches:
    """Try each of `actions`, (branch, action_dim), from both ends of each visited transition.

    2 x visits x branch steps of the simulator. The world is left at the last state tried.
    """
    if not len(actions) or not visits:
        raise InvalidValue(f"DARD needs transitions and actions to try, got {len(visits)} and {len(actions)}")
    columns = [np.stack([getattr(one, name) for one in visits]) for name in ("state", "action", "next_state")]
    first = np.stack([_tried(world, one.before, actions) for one in visits])
    second = np.stack([_tried(world, one.after, actions) for one in visits])
    return Branches(Transitions(*columns), actions, first, second)


def dard_distance(first: Reward, second: Reward, branches: Branches, gamma: float) -> Distance:
    """DARD between two reward functions. Both are asked about the same branches, so that potentials cancel exactly."""
    if not 0 <= gamma <= 1:
        raise InvalidValue(f"the discount must lie in [0, 1], got {gamma}")
    owns = [evaluate(reward, branches.transitions) for reward in (first, second)]
    one, other = (
        centred(own + _correction(reward, branches, gamma), own)
        for own, reward in zip(owns, (first, second), strict=True)
    )
    return distance(one, other, samples=len(branches.actions))


def _tried(world: World, saved: Any, actions: Array) -> Array:
    """Where each action leads from a saved state: (branch, state_dim)."""
    reached = []
    for action in actions:
        world.restore(saved)
        reached.append(world.step(action))
    return np.stack(reached)


def _correction(reward: Reward, branches: Branches, gamma: float) -> Array:
    """E[gamma R(s', A, S'') - R(s, A, S') - gamma R(S', A, S'')] of each transition, (n,)."""
    state, next_state, action, first, second = branches.rows
    asked = {"on": (next_state, second), "off": (state, first), "between": (first, second)}
    found = {name: evaluate(reward, Transitions(start, action, end)) for name, (start, end) in asked.items()}
    each = gamma * found["on"] - found["off"] - gamma * found["between"]
    return each.reshape(len(branches.transitions), -1).mean(axis=1)
