"""How a running environment is shown to a streaming estimator."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.estimator import Estimator, Reading, Stream, StreamingEstimator
from headway_envs.rewards.keys import ESTIMATE, LOOKED_AT, SUCCESS


@dataclass(frozen=True)
class Watching:
    """What an estimator is shown of an environment, and how often.

    Attributes:
        estimator: must be able to stream.
        instruction: what the robot is told in every episode; None where each episode's info says it.
        every: show one state in so many; its reading stands until the next.
        fps: steps a second, for the times that go with the frames.
        pictures: the parts of an observation that are shown, each under its own name.
        rendered: the name under which the rendered frame is shown; None where it need not be drawn.
    """

    estimator: StreamingEstimator
    instruction: str | None
    every: int
    fps: float
    pictures: tuple[str, ...]
    rendered: str | None

    def start(self, instruction: str | None) -> "Watcher":
        """Begin an episode, with a stream of its own. `instruction`: what the episode's info says, if it does.

        Raises InvalidValue where nobody says what the estimator needs to know.
        """
        told = self.instruction if self.instruction is not None else instruction
        if self.estimator.needs.instruction and not told:
            raise InvalidValue(
                f"{self.estimator.name!r} needs to know what the robot was told, and the environment's info does not "
                "say: pass instruction='...'"
            )
        return Watcher(self, self.estimator.stream(told))

    def seen(self, observation: Any) -> dict[str, Array]:
        """The parts of an observation, or of a batch of them, that the estimator is given."""
        state = ("state",) if self.estimator.needs.state else ()
        return {name: observation[name] for name in (*self.pictures, *state)}


class Watcher:
    """Watches one running episode."""

    def __init__(self, watching: Watching, stream: Stream):
        self._watching, self._stream = watching, stream
        self._steps = 0
        self._reading: Reading | None = None

    def look(self, seen: Mapping[str, Array], draw: Callable[[], Array]) -> dict[str, float | bool]:
        """What is now known of the newest state of the environment, as it goes into info.

        Args:
            seen: the parts of its observation that the estimator is given.
            draw: renders it, uint8 RGB (height, width, 3); called only when the frame is wanted.
        """
        reading, looks = self._reading, False
        if reading is None or self._steps % self._watching.every == 0:
            reading, looks = self._read(seen, draw), True
        self._steps += 1
        self._reading = reading
        found: dict[str, float | bool] = {ESTIMATE: float(reading.progress), LOOKED_AT: looks}
        if reading.success is not None:
            found[SUCCESS] = float(reading.success)
        return found

    def _read(self, seen: Mapping[str, Array], draw: Callable[[], Array]) -> Reading:
        frames = {name: seen[name] for name in self._watching.pictures}
        if self._watching.rendered is not None:
            frames[self._watching.rendered] = draw()
        return self._stream.push(frames, self._steps / self._watching.fps, seen.get("state"))


def watching(
    env: gymnasium.Env[Any, Any] | VectorEnv[Any, Any, Any],
    estimator: Estimator,
    camera: str,
    instruction: str | None,
    every: int,
    fps: float | None,
) -> Watching:
    """Check that this estimator can watch this environment. Raises InvalidValue with what to do where it cannot."""
    name = getattr(estimator, "name", type(estimator).__name__)
    if not isinstance(estimator, StreamingEstimator):
        raise InvalidValue(
            f"the estimator {name!r} cannot judge a running episode: it does not stream; use one that does, such as "
            "sarm:RUN, or ShapeReward(env, true_progress) for the simulator's own progress"
        )
    space = env.single_observation_space if isinstance(env, VectorEnv) else env.observation_space
    parts = space.spaces if isinstance(space, spaces.Dict) else {}
    pictures = tuple(part for part, kind in parts.items() if _is_picture(kind))
    rendered = camera if estimator.needs.pictures and camera not in pictures else None
    if rendered is not None and env.render_mode != "rgb_array":
        raise InvalidValue(
            f"{name!r} looks at rendered frames: make the environment with render_mode='rgb_array', "
            f"not {env.render_mode!r}, or with the picture {camera!r} in its observation"
        )
    if estimator.needs.state and "state" not in parts:
        raise InvalidValue(f"{name!r} needs the robot's state, observation['state'], which this environment lacks")
    if every < 1:
        raise InvalidValue(f"every must be a whole number from 1 (look at every state), got {every}")
    rate = fps if fps is not None else env.metadata.get("render_fps")
    if rate is None or not rate > 0:
        raise InvalidValue(f"how many steps make a second? metadata['render_fps'] is {rate}: pass fps=...")
    return Watching(estimator, instruction, every, float(rate), pictures, rendered)


def _is_picture(space: spaces.Space[Any]) -> bool:
    """Whether it holds uint8 RGB (height, width, 3)."""
    return isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3 and space.shape[2] == 3
