"""Pictures of the simulation, without a screen.

Shadows, multisampling and reflections are off: Mesa draws them in software, and they cost 16 to 80 times more than the
picture itself. MuJoCo reads MUJOCO_GL when it is imported, so every module that needs mujoco imports it from here.
"""

import os
import sys

if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")

import mujoco

from headway.episodes import Array
from headway.errors import Unsupported

FRAME_SIZE = 96
INSTALL_GL = "sudo apt-get install -y libegl1 libegl-mesa0 libgl1-mesa-dri libgl1"


class FrameRenderer:
    """Draws frames of one model: uint8 RGB (height, width, 3).

    Raises Unsupported, with the line that installs them, when the machine has no GL libraries.
    """

    def __init__(self, model: mujoco.MjModel, height: int = FRAME_SIZE, width: int = FRAME_SIZE):
        model.vis.quality.shadowsize = 0
        model.vis.quality.offsamples = 0
        try:
            self._renderer = mujoco.Renderer(model, height, width)
        except (mujoco.FatalError, ImportError, AttributeError, RuntimeError) as error:
            backend = os.environ.get("MUJOCO_GL", "unset")
            raise Unsupported(
                f"cannot draw frames: no OpenGL context (MUJOCO_GL={backend}: {_first_line(error)}); "
                f"on Debian or Ubuntu run: {INSTALL_GL}"
            ) from error
        for flag in (mujoco.mjtRndFlag.mjRND_REFLECTION, mujoco.mjtRndFlag.mjRND_SHADOW):
            self._renderer.scene.flags[flag] = 0

    def frame(self, data: mujoco.MjData, camera: str = "front") -> Array:
        """The picture that `camera` sees, a new array at each call."""
        self._renderer.update_scene(data, camera)
        return self._renderer.render()

    def close(self) -> None:
        self._renderer.close()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
