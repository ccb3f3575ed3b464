"""How a scene looks in an episode: nothing of it changes what is true of the scene, except the size of cubes."""

from headway_envs.variation.appearance import PLAIN, Look
from headway_envs.variation.dressing import dress
from headway_envs.variation.levels import LEVELS, look

__all__ = ["LEVELS", "PLAIN", "Look", "dress", "look"]
