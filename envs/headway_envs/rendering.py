"""Pictures of the simulation, without a screen.

Shadows, multisampling and reflections are off: Mesa draws them in software, and they cost 16 to 80 times more than the
picture itself. MuJoCo reads MUJOCO_GL when it is imported, so every module that needs mujoco imports it from here.
"""

import os
import sys
from typing import Any

if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")
    os.environ.setdefault("LP_NUM_THREADS", "0")  # Mesa's own threads make a small frame 20 % dearer

import mujoco
import numpy as np

from headway.episodes import Array
from headway.errors import Unsupported

FRAME_SIZE = 96
INSTALL_GL = "sudo apt-get install -y libegl1 libegl-mesa0 libgl1-mesa-dri libgl1"


class FrameRenderer:
    """Draws frames of one model at a time: uint8 RGB (height, width, 3).

    It stands in for `mujoco.Renderer`, which cannot go on to another model: a new drawing context compiles its shaders
    again, 8 ms, where `show` takes one. It may be used by one thread at a time.

    Raises Unsupported, with the line that installs them, when the machine has no GL libraries.
    """

    def __init__(self, model: mujoco.MjModel, height: int = FRAME_SIZE, width: int = FRAME_SIZE):
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._options = mujoco.MjvOption()
        self._context: Any = None
        self._gl: Any = None
        try:
            self._gl = mujoco.GLContext(width, height)
            self.show(model)
        except (mujoco.FatalError, ImportError, AttributeError, RuntimeError) as error:
            backend = os.environ.get("MUJOCO_GL", "unset")
            raise Unsupported(
                f"cannot draw frames: no OpenGL context (MUJOCO_GL={backend}: {_first_line(error)}); "
                f"on Debian or Ubuntu run: {INSTALL_GL}"
            ) from error

    def show(self, model: mujoco.MjModel) -> None:
        """Draw this model from now on."""
        model.vis.quality.shadowsize = 0
        model.vis.quality.offsamples = 0
        # the whole buffer is cleared for each frame, however small the frame
        model.vis.global_.offwidth, model.vis.global_.offheight = self._rectangle.width, self._rectangle.height
        self._gl.make_current()
        if self._context is not None:
            self._context.free()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = mujoco.MjvScene(model, maxgeom=model.ngeom + model.nsite + 100)
        for flag in (mujoco.mjtRndFlag.mjRND_REFLECTION, mujoco.mjtRndFlag.mjRND_SHADOW):
            self._scene.flags[flag] = 0
        self._model = model

    def frame(self, data: mujoco.MjData, camera: str = "front") -> Array:
        """The picture that `camera` sees, a new array at each call."""
        self._camera.fixedcamid = self._model.camera(camera).id
        mujoco.mjv_updateScene(
            self._model, data, self._options, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )
        self._gl.make_current()
        mujoco.mjr_render(self._rectangle, self._scene, self._context)
        pixels = np.empty((self._rectangle.height, self._rectangle.width, 3), np.uint8)
        mujoco.mjr_readPixels(pixels, None, self._rectangle, self._context)
        return np.ascontiguousarray(pixels[::-1])  # OpenGL's first row is the lowest

    def close(self) -> None:
        """Give the drawing context back."""
        if self._gl is None:
            return
        if self._context is not None:
            self._gl.make_current()  # what is freed are objects of the current context, whosever that is
            self._context.free()
        self._gl.free()
        self._context = self._gl = None

    def __del__(self) -> None:
        if not sys.is_finalizing():  # then the display is gone, and everything on it
            self.close()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
