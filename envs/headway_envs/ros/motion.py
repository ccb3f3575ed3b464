"""Whether a command may be sent, and what of it: the last word before an arm moves."""

import math
from collections.abc import Sequence

from headway_envs.ros.config import Arm, Limits

ROUNDING = 1e-9


class Refused(Exception):
    """A command that must not be sent; `reason` says why."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def limited(command: Sequence[float], state: Sequence[float], arm: Arm) -> tuple[float, ...]:
    """The command within the arm's limits: each joint at most `max_change` from where it is, and within its bounds.

    Args:
        command: (joint + extra,), targets.
        state: (joint,), where the joints are.
        arm: the limits.

    Raises Refused for a command of another length, for one that is not finite (that is a fault and not a large number),
    where it is not known where the joints are, and where both limits cannot hold.
    """
    if len(command) != arm.size:
        raise Refused(f"the command has {len(command)} values, the arm takes {arm.size}")
    if len(state) != len(arm.joints):
        raise Refused("where the joints are is not known")
    if not all(math.isfinite(value) for value in command):
        raise Refused("the command is not finite")
    within = list(command)
    if arm.max_change is not None:
        for joint, now in enumerate(state):
            within[joint] = min(max(within[joint], now - arm.max_change), now + arm.max_change)
    if arm.lower:
        within = [max(value, low) for value, low in zip(within, arm.lower, strict=True)]
    if arm.upper:
        within = [min(value, high) for value, high in zip(within, arm.upper, strict=True)]
    if arm.max_change is not None and any(
        abs(wanted - now) > arm.max_change + ROUNDING for wanted, now in zip(within, state, strict=False)
    ):
        raise Refused("a joint is so far outside its limits that going back would be a jump")
    return tuple(within)


class Estop:
    """The e-stop as the node hears it: latched once pressed, and alive only while it speaks."""

    def __init__(self, limits: Limits):
        self._limits = limits
        self.latched = False
        self._pressed = False
        self._spoke = -math.inf

    def hear(self, pressed: bool, now: float) -> None:
        self._pressed, self._spoke = pressed, now
        self.latched = self.latched or pressed

    def alive(self, now: float) -> bool:
        """Whether it has spoken lately. Silence is no permission."""
        return now - self._spoke <= self._limits.estop_age

    def clear(self) -> bool:
        """Unlatch; False while it is still pressed."""
        if self._pressed:
            return False
        self.latched = False
        return True


class Permission:
    """Whether the arm may move. A person gives it; anything that goes wrong takes it; nothing else gives it back."""

    def __init__(self, arm: Arm, estop: Estop):
        self._dry_run = arm.dry_run
        self._estop = estop
        self.given = False

    def ask(self, running: bool, now: float) -> str:
        """Give permission, or say why not."""
        if self._dry_run:
            return "this is a dry run, which sends no commands; start the node with --motion"
        if self._estop.latched:
            return "the e-stop was pressed; release it and call reset"
        if not self._estop.alive(now):
            return "the e-stop is silent; commands flow only while it speaks"
        if not running:
            return "the node is not RUNNING; see its state"
        self.given = True
        return ""

    def withdraw(self) -> bool:
        """Take it away; whether it was given."""
        given, self.given = self.given, False
        return given
