"""Puts a look on a scene before it is compiled. Of what is simulated it changes cubes alone, in size and mass."""

import numpy as np

from headway.episodes import Array
from headway_envs.motion import Point
from headway_envs.rendering import mujoco
from headway_envs.tasks.base import CUBE
from headway_envs.variation.appearance import Distractor, Light, Look, Surface, Tint, View
from headway_envs.variation.colours import tinted
from headway_envs.variation.patterns import shade, texture

WALL = 1.45
"""Metres behind the middle of the table at which the wall stands."""
_FLOOR = -0.4
_WALL_SIZE = (1.5, 0.75, 5.0)
_NO_TINT = Tint()


def dress(spec: mujoco.MjSpec, look: Look) -> None:
    """Change a scene before it is compiled so that it has this look."""
    for camera, view in (("front", look.front), ("wrist", look.wrist)):
        _move(spec.camera(camera), view)
    _light(spec, look.light)
    for geom, surface in (("table", look.table), ("floor", look.floor)):
        if surface is not None:
            _cover(spec, spec.geom(geom), surface)
    if look.wall is not None:
        _cover(spec, _wall(spec), look.wall)
    for distractor in look.distractors:
        _add(spec, distractor)
    _resize_cubes(spec, look.edge)
    _paint(spec, look)


def _move(camera: mujoco.MjsCamera, view: View) -> None:
    if view == View():
        return
    right, up = np.split(np.array(camera.alt.xyaxes), 2)
    axes = np.stack([right, up, np.cross(right, up)], axis=1)
    turned = axes @ _rotation(view.turn)
    back = (0.0, 0.0, view.about)
    camera.pos = camera.pos - axes @ back + turned @ (np.array(view.shift) + back)
    camera.alt.xyaxes = turned[:, :2].T.reshape(-1)


def _light(spec: mujoco.MjSpec, light: Light) -> None:
    lamp = spec.light("lamp")
    lamp.dir = _rotation(light.turn) @ lamp.dir
    lamp.diffuse = lamp.diffuse * light.lamp
    spec.visual.headlight.ambient = np.array(spec.visual.headlight.ambient) * light.ambient


def _cover(spec: mujoco.MjSpec, geom: mujoco.MjsGeom, surface: Surface) -> None:
    pixels = texture(surface)
    image = spec.add_texture(name=geom.name, type=mujoco.mjtTexture.mjTEXTURE_2D)
    image.height, image.width, _ = pixels.shape
    image.data = pixels.tobytes()
    material = spec.add_material(name=geom.name, texuniform=False)
    material.texrepeat = 2 * np.array(geom.size[:2]) / surface.tile
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = geom.name
    geom.material = geom.name
    geom.rgba = (*[shade(surface)] * 3, 1)


def _wall(spec: mujoco.MjSpec) -> mujoco.MjsGeom:
    return spec.worldbody.add_geom(
        name="wall",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=_WALL_SIZE,
        pos=(0, WALL, _FLOOR + _WALL_SIZE[1]),
        quat=(0.5**0.5, 0.5**0.5, 0, 0),  # upright, facing the camera
        contype=0,
        conaffinity=0,
    )


def _add(spec: mujoco.MjSpec, distractor: Distractor) -> None:
    spec.worldbody.add_geom(
        type=getattr(mujoco.mjtGeom, f"mjGEOM_{distractor.shape.upper()}"),
        size=distractor.size,
        pos=distractor.place,
        quat=(np.cos(distractor.turn / 2), 0, 0, np.sin(distractor.turn / 2)),
        rgba=(*distractor.colour, 1),
        contype=0,
        conaffinity=0,
    )


def _resize_cubes(spec: mujoco.MjSpec, edge: float) -> None:
    for geom in spec.geoms:
        if geom.classname.name == "cube":
            geom.size = (edge / 2,) * 3
            geom.mass *= (edge / CUBE) ** 3


def _paint(spec: mujoco.MjSpec, look: Look) -> None:
    for body in spec.worldbody.bodies:
        if body.name.startswith("object_") and look.things:
            tint = look.things[int(body.name.removeprefix("object_")) % len(look.things)]
        else:
            tint = look.furniture
        if tint == _NO_TINT or _is_robot(body):
            continue
        for geom in body.find_all("geom"):
            geom.rgba[:3] = tinted(tuple(geom.rgba[:3].tolist()), tint)


def _is_robot(body: mujoco.MjsBody) -> bool:
    return body.name == "hand" or any(below.name == "hand" for below in body.find_all("body"))


def _rotation(vector: Point) -> Array:
    """The 3x3 rotation of a rotation vector in radians."""
    quaternion, matrix = np.empty(4), np.empty(9)
    angle = float(np.linalg.norm(vector))
    mujoco.mju_axisAngle2Quat(quaternion, np.array(vector) / max(angle, 1e-12), angle)
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)
