"""How a scene looks in an episode: nothing here changes what is true of it, except the size of things."""

from dataclasses import dataclass

from headway_envs.rendering import mujoco
from headway_envs.tasks.base import CUBE


@dataclass(frozen=True)
class Look:
    """How one episode looks."""

    edge: float = CUBE


PLAIN = Look()


def dress(spec: mujoco.MjSpec, look: Look) -> None:
    """Change a scene before it is compiled so that it has this look."""
