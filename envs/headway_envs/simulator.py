"""One scene being simulated: start it from a layout, step it with actions, read where things are, draw it."""

from pathlib import Path

import numpy as np

from headway.episodes import Array
from headway.errors import UnknownName
from headway_envs.motion import Point, clamp
from headway_envs.rendering import FRAME_SIZE, FrameRenderer, mujoco
from headway_envs.tasks.base import Layout, Situation

FPS = 20
"""Control steps per second."""
ACTION_LOW = (-0.30, -0.28, 0.015, -1.0)
ACTION_HIGH = (0.34, 0.26, 0.26, 1.0)
"""An action is the hand's target (x, y, z) in metres and its grip, from -1 (closed) to 1 (open)."""
REACH = 0.04
"""The furthest a target may be from the hand, in metres and each direction: limits speed, whatever is asked for."""
OPENING_MAX = 0.09
"""Metres between the fingers when open."""

_SCENES = Path(__file__).parent / "scenes"


class Simulator:
    """Steps one scene at 20 Hz (5 ms physics). The same layout and actions give the same states to the last bit."""

    def __init__(self, scene: str):
        self.model = mujoco.MjModel.from_xml_path(str(_SCENES / scene))
        self.data = mujoco.MjData(self.model)
        self._substeps = round(1 / (FPS * self.model.opt.timestep))
        joints = [self.model.joint(index) for index in range(self.model.njnt)]
        address = {joint.name: int(joint.qposadr[0]) for joint in joints}
        self._cubes = [address[name] for name in sorted(address) if name.startswith("cube_")]
        self._drawer = address.get("drawer")
        self._renderers: dict[tuple[int, int], FrameRenderer] = {}

    def reset(self, layout: Layout) -> Situation:
        """Put everything where `layout` says, at rest."""
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:3] = layout.hand
        self.data.qpos[3:5] = layout.opening / 2
        for address, cube in zip(self._cubes, layout.cubes, strict=True):
            self.data.qpos[address : address + 7] = (*cube, 1, 0, 0, 0)
        if self._drawer is not None:
            self.data.qpos[self._drawer] = layout.drawer
        self.data.ctrl[:3] = layout.hand
        self.data.ctrl[3:] = layout.opening / 2
        mujoco.mj_forward(self.model, self.data)
        return self.situation()

    def step(self, action: Array) -> Situation:
        """Advance by one control step (50 ms). `action`: (4,), clipped to ACTION_LOW..ACTION_HIGH and to REACH."""
        values = np.clip(action, ACTION_LOW, ACTION_HIGH).tolist()
        hand = self.data.qpos[:3].tolist()
        for axis in range(3):
            self.data.ctrl[axis] = clamp(values[axis], hand[axis] - REACH, hand[axis] + REACH)
        self.data.ctrl[3:] = (values[3] + 1) / 2 * OPENING_MAX / 2
        mujoco.mj_step(self.model, self.data, self._substeps)
        return self.situation()

    def situation(self) -> Situation:
        """Where things are now."""
        qpos = self.data.qpos
        return Situation(
            hand=_point(qpos, 0),
            opening=float(qpos[3] + qpos[4]),
            cubes=tuple(_point(qpos, address) for address in self._cubes),
            drawer=float(qpos[self._drawer]) if self._drawer is not None else 0.0,
        )

    def frame(self, camera: str = "front", height: int = FRAME_SIZE, width: int = FRAME_SIZE) -> Array:
        """uint8 RGB (height, width, 3). Raises Unsupported when the machine cannot draw."""
        if (height, width) not in self._renderers:
            self._renderers[height, width] = FrameRenderer(self.model, height, width)
        return self._renderers[height, width].frame(self.data, camera)

    def check_camera(self, name: str) -> None:
        """Raises UnknownName, which lists the cameras, when the scene has none of that name."""
        names = [self.model.camera(index).name for index in range(self.model.ncam)]
        if name not in names:
            raise UnknownName("camera", name, names)

    def close(self) -> None:
        """Give the drawing contexts back."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()


def _point(qpos: Array, address: int) -> Point:
    x, y, z = qpos[address : address + 3].tolist()
    return x, y, z
