"""Push or give up: the smallest problem on which a naive difference of progress teaches the wrong thing.

One is at progress 0.8. A push earns 1 and ends the episode with 0.3, and otherwise drops everything, to progress 0,
which ends it too. Giving up ends it as it is, for nothing. Only pushing ever earns anything. Discount 0.95.
"""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from headway_envs.rewards import DifferenceReward, ShapeReward

GAMMA = 0.95
AT, SUCCEEDS = 0.8, 0.3
GIVE_UP, PUSH = 0, 1


class PushOrGiveUp(gymnasium.Env[int, int]):
    """Observation: 0. Action: GIVE_UP or PUSH. `info["progress"]` is how far along it is."""

    observation_space = spaces.Discrete(1)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        return 0, {"progress": AT}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        if action == GIVE_UP:
            return 0, 0.0, True, False, {"progress": AT}
        done = self.np_random.random() < SUCCEEDS
        return 0, float(done), True, False, {"progress": float(done)}


def phi(observation: int, info: dict[str, Any]) -> float:
    return float(info["progress"])


ARMS: dict[str, tuple[Callable[[], gymnasium.Env[int, int]], Callable[[float], float]]] = {
    "sparse": (PushOrGiveUp, lambda after: 0.0),
    "difference": (lambda: DifferenceReward(PushOrGiveUp(), phi), lambda after: after - AT),
    "shaped": (lambda: ShapeReward(PushOrGiveUp(), phi, GAMMA), lambda after: GAMMA * 0 - AT),
}
"""For each reward the environment, and what is added to the reward, by hand, when an episode ends at a progress."""


def exactly(added: Callable[[float], float]) -> tuple[float, float]:
    """What giving up and pushing are worth."""
    push = SUCCEEDS * (1 + added(1.0)) + (1 - SUCCEEDS) * added(0.0)
    return added(AT), push


def learnt(env: gymnasium.Env[int, int], seed: int, episodes: int = 3000) -> tuple[float, float]:
    """What Q-learning takes them to be worth, with the rate 1/n, trying both alike."""
    rng = np.random.default_rng(seed)
    q, tried = np.zeros(2), np.zeros(2)
    env.reset(seed=seed)
    for _ in range(episodes):
        env.reset()
        action = int(rng.integers(2))
        _, reward, terminated, _, _ = env.step(action)
        assert terminated
        tried[action] += 1
        q[action] += (reward - q[action]) / tried[action]
    return float(q[GIVE_UP]), float(q[PUSH])


def table(seeds: int) -> str:
    """Worth of both actions, exact and learnt, under each reward; in Markdown."""
    lines = ["| reward | give up, exactly | push, exactly | give up, learnt | push, learnt | seeds that push |"]
    lines.append("|---|---|---|---|---|---|")
    for name, (make, added) in ARMS.items():
        found = np.array([learnt(make(), seed) for seed in range(seeds)])
        push = int((found[:, PUSH] > found[:, GIVE_UP]).sum())
        exact = " | ".join(f"{value:.3f}" for value in exactly(added))
        means = " | ".join(
            f"{found[:, action].mean():.3f} [{found[:, action].min():.3f}, {found[:, action].max():.3f}]"
            for action in (GIVE_UP, PUSH)
        )
        lines.append(f"| {name} | {exact} | {means} | {push} of {seeds} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(5))
