"""How a running environment is shown to a streaming estimator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
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
        camera: the name under which the rendered frame is pushed, as the estimator was trained with it.
        instruction: what the robot was told; required by estimators that need it.
        every: show one state in so many; its reading stands until the next.
        fps: steps a second, for the times that go with the frames.
    """

    estimator: StreamingEstimator
    camera: str
    instruction: str | None
    every: int
    fps: float

    def start(self) -> "Watcher":
        """Begin an episode, with a stream of its own."""
        return Watcher(self, self.estimator.stream(self.instruction))


class Watcher:
    """Watches one running episode."""

    def __init__(self, watching: Watching, stream: Stream):
        self._watching, self._stream = watching, stream
        self._steps = 0
        self._reading: Reading | None = None

    def look(self, picture: Callable[[], Array], observation: Any) -> dict[str, float | bool]:
        """What is now known of the newest state, as it goes into info.

        `picture` is called only when the frame is wanted: uint8 RGB (height, width, 3).
        """
        reading, looks = self._reading, False
        if reading is None or self._steps % self._watching.every == 0:
            reading, looks = self._read(picture, observation), True
        self._steps += 1
        self._reading = reading
        found: dict[str, float | bool] = {ESTIMATE: float(reading.progress), LOOKED_AT: looks}
        if reading.success is not None:
            found[SUCCESS] = float(reading.success)
        return found

    def _read(self, picture: Callable[[], Array], observation: Any) -> Reading:
        needs = self._watching.estimator.needs
        frames = {self._watching.camera: picture()} if needs.pictures else {}
        state = observation["state"] if needs.state else None
        return self._stream.push(frames, self._steps / self._watching.fps, state)


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
    if estimator.needs.pictures and env.render_mode != "rgb_array":
        raise InvalidValue(
            f"{name!r} looks at rendered frames: make the environment with render_mode='rgb_array', "
            f"not {env.render_mode!r}"
        )
    if estimator.needs.instruction and not instruction:
        raise InvalidValue(f"{name!r} needs to know what the robot was told: pass instruction='...'")
    space = env.single_observation_space if isinstance(env, VectorEnv) else env.observation_space
    if estimator.needs.state and not (isinstance(space, gymnasium.spaces.Dict) and "state" in space.spaces):
        raise InvalidValue(f"{name!r} needs the robot's state, observation['state'], which this environment lacks")
    if every < 1:
        raise InvalidValue(f"every must be a whole number from 1 (look at every state), got {every}")
    rate = fps if fps is not None else env.metadata.get("render_fps")
    if rate is None or not rate > 0:
        raise InvalidValue(f"how many steps make a second? metadata['render_fps'] is {rate}: pass fps=...")
    return Watching(estimator, camera, instruction, every, float(rate))
