"""How far Meta-World's own criterion of success is from being met, in every one of its tasks.

Nearly every criterion asks a distance to be small, and reports it as `obj_to_target`; what is missing is that distance
less its tolerance. Six report nothing of the kind, or something else, and are measured here. All come from the
simulator's state. What is missing is 0 exactly when the criterion is met, but for stick-pull and stick-push: theirs
also ask for a stick that is in the handle or in the hand.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from headway.episodes import Array


@dataclass(frozen=True)
class Missing:
    """What keeps a criterion from being met.

    Attributes:
        metres: distance still to go, or the like; 0 when the criterion is met.
        moving: float64 (3,), the point that has to get somewhere, metres.
        target: float64 (3,), where it has to get, metres.
    """

    metres: float
    moving: Array
    target: Array


def missing(name: str, tolerance: float, env: Any, observation: Array, info: dict[str, Any]) -> Missing:
    """What is missing in task `name` (without version), from Meta-World's observation (39,) and info of one step."""
    if name in _MEASURED:
        return _MEASURED[name](env, observation, tolerance)
    moving = env.tcp_center if name.startswith("reach") else observation[4:7]
    if name == "peg-insert-side":
        moving = env._get_site_pos("pegHead")
    return Missing(max(0.0, float(info["obj_to_target"]) - tolerance), np.array(moving), np.array(env._target_pos))


def _assembly(env: Any, observation: Array, tolerance: float) -> Missing:
    """The ring has to be around the peg and below its top."""
    ring, top = np.array(env._get_site_pos("RoundNut")), np.array(env._target_pos)
    beside = max(0.0, float(np.linalg.norm((ring - top)[:2])) - tolerance)
    return Missing(float(np.hypot(beside, max(0.0, ring[2] - top[2]))), ring, top)


def _disassemble(env: Any, observation: Array, tolerance: float) -> Missing:
    """The ring's handle has to be higher than a height."""
    handle, top = np.array(observation[4:7]), np.array(env._target_pos)
    return Missing(max(0.0, float(top[2] - handle[2]) + tolerance), handle, top)


def _box_close(env: Any, observation: Array, tolerance: float) -> Missing:
    lid, target = np.array(observation[4:7]), np.array(env._target_pos)
    return Missing(max(0.0, float(np.linalg.norm(lid - target)) - tolerance), lid, target)


def _door_open(env: Any, observation: Array, tolerance: float) -> Missing:
    """Only the handle's sideways place counts."""
    handle, target = np.array(observation[4:7]), np.array(env._target_pos)
    return Missing(max(0.0, float(abs(handle[0] - target[0])) - tolerance), handle, target)


def _lever_pull(env: Any, observation: Array, tolerance: float) -> Missing:
    """The lever has to stand upright, to within pi/24; measured along the arc that its end describes."""
    angle = -float(env.data.joint("LeverAxis").qpos.item())
    off = max(0.0, abs(angle - np.pi / 2) - tolerance)
    return Missing(off * env.LEVER_RADIUS, np.array(observation[4:7]), np.array(env._target_pos))


def _hammer(env: Any, observation: Array, tolerance: float) -> Missing:
    """The nail has to be driven in by more than `tolerance`."""
    driven = float(env.data.joint("NailSlideJoint").qpos.item())
    return Missing(max(0.0, tolerance - driven), np.array(observation[4:7]), np.array(env._target_pos))


_MEASURED: dict[str, Callable[[Any, Array, float], Missing]] = {
    "assembly": _assembly,
    "box-close": _box_close,
    "disassemble": _disassemble,
    "door-open": _door_open,
    "hammer": _hammer,
    "lever-pull": _lever_pull,
}
