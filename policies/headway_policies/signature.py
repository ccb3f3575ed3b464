"""Which values a policy is given and which it answers with: their names, and what follows from those."""

from dataclasses import asdict, dataclass
from functools import cached_property

from headway.errors import CheckpointError, InvalidValue
from headway_envs.observations import environment_names
from headway_envs.robots import DEFAULT_ROBOT
from headway_envs.simulator import Simulator
from headway_envs.tasks import find_task

AXES = ("x", "y", "z")


@dataclass(frozen=True)
class Signature:
    """The names of all values, in order. A policy fits wherever they are the same.

    Attributes:
        state: what the robot senses of itself; `hand.x`, `hand.y` and `hand.z` follow each other somewhere, metres.
        environment_state: what only the simulator knows; first x, y and z of each place, metres.
        action: what the robot is told. Leading values named as the state's are targets for those very values; all
            others are taken as they are, such as changes, which are relative already, and the grip.

    Raises InvalidValue when the state does not say where the hand is.
    """

    state: tuple[str, ...]
    environment_state: tuple[str, ...]
    action: tuple[str, ...]

    def __post_init__(self) -> None:
        if _place(self.state[self.hand]) != "hand":
            raise InvalidValue(f"the state must hold the hand as hand.x, hand.y, hand.z, got {self.state}")

    @cached_property
    def hand(self) -> slice:
        """Where in the state the hand's x, y and z are."""
        first = self.state.index("hand.x") if "hand.x" in self.state else 0
        return slice(first, first + len(AXES))

    @cached_property
    def absolute(self) -> int:
        """How many leading values of an action are targets of the leading values of the state."""
        alike = [action == state for action, state in zip(self.action, self.state, strict=False)]
        return (*alike, False).index(False)

    @cached_property
    def places(self) -> int:
        """With how many places, x, y and z each, the environment state begins."""
        names = self.environment_state
        triples = [names[first : first + len(AXES)] for first in range(0, len(names), len(AXES))]
        return [*map(_place, triples), None].index(None)

    def check_fits(self, simulator: Simulator) -> None:
        """Raises CheckpointError, for a policy with this signature, when the simulator's is another."""
        there = signature_of_simulator(simulator)
        for part, names in asdict(self).items():
            others = getattr(there, part)
            if names == others:
                continue
            at = next(at for at in range(len(names) + 1) if names[at : at + 1] != others[at : at + 1])
            here, needed = (repr(known[at]) if at < len(known) else "nothing" for known in (names, others))
            raise CheckpointError(
                f"the policy does not fit {simulator.task.id} with the robot {simulator.robot.id!r}: value {at} of its "
                f"{part} is {here}, there it is {needed}; it has to learn from this task, robot and action space"
            )


def signature_of(task_id: str, robot: str = DEFAULT_ROBOT, action_space: str | None = None) -> Signature:
    """What a policy for that task, robot and action space sees and answers. Raises what the Simulator raises."""
    return signature_of_simulator(Simulator(find_task(task_id), robot, action_space))


def signature_of_simulator(simulator: Simulator) -> Signature:
    """What a policy that acts there sees and answers."""
    robot = simulator.robot
    return Signature(robot.state_names, environment_names(simulator.task), robot.action_names)


def _place(names: tuple[str, ...]) -> str | None:
    """Whose x, y and z these names are; None when they are something else."""
    whose = names[0].removesuffix(".x") if names else ""
    return whose if names == tuple(f"{whose}.{axis}" for axis in AXES) else None
