"""One scene being simulated: start it from a layout, step it with actions, read where things are, draw it."""

from dataclasses import dataclass

import numpy as np

from headway.episodes import Array
from headway.errors import UnknownName
from headway_envs.motion import Point, Wish
from headway_envs.rendering import FRAME_SIZE, FrameRenderer, mujoco
from headway_envs.robots import DEFAULT_ROBOT, find_robot, make_robot
from headway_envs.scene import scene_spec
from headway_envs.tasks.base import Layout, Situation, Task
from headway_envs.variation import PLAIN, Look, dress

_WHOLE_STATE = mujoco.mjtState.mjSTATE_INTEGRATION


@dataclass(frozen=True, repr=False)
class Saved:
    """All that decides what happens next in a simulator, to the last bit.

    Attributes:
        layout: the episode's.
        look: of the episode.
        values: float64 (values,), MuJoCo's integration state.
    """

    layout: Layout
    look: Look
    values: Array


class Simulator:
    """Steps one task's scene with one robot. The same layout, look and actions give the same states to the last bit.

    Raises UnknownName for an unknown robot or action space, Unsupported where a robot needs what is not installed.
    """

    def __init__(self, task: Task, robot: str = DEFAULT_ROBOT, action_space: str | None = None):
        self.task = task
        find_robot(robot)  # an unknown one is named as such, not as a missing file
        self._made_of = (robot, action_space)
        self._renderers: dict[tuple[int, int], FrameRenderer] = {}
        self._layout = task.layout(0)
        self._build(PLAIN)

    def _build(self, look: Look) -> None:
        """Compile the scene as it looks in one episode."""
        robot, action_space = self._made_of
        spec = scene_spec(robot, self.task.scene)
        dress(spec, look)
        self.look = look
        self.model = spec.compile()
        for renderer in self._renderers.values():
            renderer.show(self.model)
        self.data = mujoco.MjData(self.model)
        self.robot = make_robot(robot, self.model, action_space)
        self.fps = self.robot.fps
        self.model.opt.timestep = 1 / (self.fps * self.robot.physics_steps)
        bodies = [self.model.body(f"object_{number}") for number in range(len(self.task.objects))]
        self._bodies = np.array([body.id for body in bodies])
        self._mocap = [int(body.mocapid[0]) for body in bodies]
        self._free = [None if body.mocapid[0] >= 0 else int(self.model.jnt_qposadr[body.jntadr[0]]) for body in bodies]
        slides = [self.model.joint(f"slide_{number}") for number in range(len(self.task.slides))]
        self._slides = [int(joint.qposadr[0]) for joint in slides]

    def reset(self, layout: Layout, look: Look = PLAIN) -> Situation:
        """Put everything where `layout` says, at rest."""
        if look != self.look:
            self._build(look)
        self._layout = layout
        mujoco.mj_resetData(self.model, self.data)
        for free, mocap, place in zip(self._free, self._mocap, layout.objects, strict=True):
            if free is None:
                self.data.mocap_pos[mocap] = place
            else:
                self.data.qpos[free : free + 7] = (*place, 1, 0, 0, 0)
        for slide, travel in zip(self._slides, layout.travel, strict=True):
            self.data.qpos[slide] = travel
        self.data.userdata[0] = layout.count
        self.robot.place(self.data, layout.hand, layout.opening)
        self._look_around()
        return self.situation()

    def step(self, action: Array, push: Array | None = None) -> Situation:
        """Advance by one control step. `action` (action,) is the robot's; `push` (robot.pushes,), metres of the hand,
        disturbs how it is carried out."""
        self.robot.drive(self.data, action, np.zeros(self.robot.pushes) if push is None else push)
        mujoco.mj_step(self.model, self.data, self.robot.physics_steps)
        self._look_around()
        situation = self.situation()
        count = self.task.counted(situation)
        if count == situation.count:
            return situation
        self.data.userdata[0] = count
        return self.situation()

    def command(self, wish: Wish) -> Array:
        """float64 (action,): the robot's action by which its hand heads for `wish`."""
        return self.robot.command(self.data, wish)

    def situation(self) -> Situation:
        """Where things are now."""
        data = self.data
        return Situation(
            hand=self.robot.hand(data),
            opening=self.robot.opening(data),
            objects=tuple(_point(place) for place in data.xpos[self._bodies].tolist()),
            upright=tuple(data.xmat[self._bodies, 8].tolist()),
            travel=tuple(data.qpos[self._slides].tolist()),
            count=int(data.userdata[0]),
            edge=self._layout.edge,
            variant=self._layout.variant,
        )

    def orientations(self) -> Array:
        """float32 (object, 4): how each object is turned, quaternions w, x, y, z."""
        return self.data.xquat[self._bodies].astype(np.float32)

    def save(self) -> Saved:
        """The present state, for `restore`."""
        values = np.empty(mujoco.mj_stateSize(self.model, _WHOLE_STATE))
        mujoco.mj_getState(self.model, self.data, values, _WHOLE_STATE)
        return Saved(self._layout, self.look, values)

    def restore(self, saved: Saved) -> Situation:
        """Go back to a state that a simulator of the same task and robot saved: what follows is the same bit by bit."""
        self.reset(saved.layout, saved.look)
        mujoco.mj_setState(self.model, self.data, saved.values, _WHOLE_STATE)
        self._look_around()
        return self.situation()

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

    def _look_around(self) -> None:
        """Bring all places up to date: after a step MuJoCo's are those of the physics step before."""
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)


def _point(place: list[float]) -> Point:
    x, y, z = place
    return x, y, z
