"""Exit 0 when MuJoCo can draw one picture here, 1 when the GL libraries it needs are missing."""

import os
import sys

os.environ.setdefault("MUJOCO_GL", "egl")

import mujoco

try:
    model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><light/><geom size='.1'/></worldbody></mujoco>")
    with mujoco.Renderer(model, 16, 16) as renderer:
        renderer.update_scene(mujoco.MjData(model))
        renderer.render()
except (ImportError, AttributeError, RuntimeError, mujoco.FatalError) as error:
    print(f"setup: {type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(1)
