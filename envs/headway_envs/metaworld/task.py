"""What Headway knows of one of Meta-World's tasks. Importing this needs no Meta-World."""

from dataclasses import dataclass

from headway_envs.metaworld.instructions import INSTRUCTIONS
from headway_envs.motion import Point

PREFIX = "metaworld/"
"""What the ids of these tasks start with."""
VERSION = 1
"""Changes whenever layouts, truth or experts do: recordings of two versions do not compare."""
RELIABLE = 0.95
"""Share of layouts below which an expert counts as failing."""


@dataclass(frozen=True)
class MetaWorldTask:
    """One of Meta-World's tasks.

    Attributes:
        name: Meta-World's, without its version (`drawer-open`).
        stage_names: in order.
        proportions: share of the progress scale that each stage takes; sums to 1.
        expert: in how many of how many layouts Meta-World's scripted expert succeeded.
        tolerance: by how much Meta-World's criterion of success may be missed, in its own unit.
        contact: the hand relative to the thing when it touches it, metres; None where only the hand has to go
            somewhere.
        slack: metres around `contact` that count as touching.
        grip: the opening of the fingers, 0 to 1, at which they hold the thing; None where nothing is grasped.
        approach: metres above `contact` at which the hand has to pass before it comes down; None where it goes
            straight.
        clearance: height in metres at which the thing passes over what is in between; None where nothing is.
        tool: the thing relative to what it acts on when they touch, metres; None where it is not a tool.
    """

    name: str
    stage_names: tuple[str, ...]
    proportions: tuple[float, ...]
    expert: tuple[int, int]
    tolerance: float
    contact: Point | None = None
    slack: float = 0.025
    grip: float | None = None
    approach: float | None = None
    clearance: float | None = None
    tool: Point | None = None

    @property
    def id(self) -> str:
        """As a user writes it."""
        return PREFIX + self.name

    @property
    def instructions(self) -> tuple[str, ...]:
        """What to say to the robot; the first is the usual one, the others are paraphrases."""
        return INSTRUCTIONS[self.name]

    @property
    def expert_fails(self) -> bool:
        """Whether the scripted expert fails in more than 5% of layouts."""
        succeeded, layouts = self.expert
        return succeeded < RELIABLE * layouts

    @property
    def remark(self) -> str:
        """What a list of tasks says beside the instruction; empty where the expert is reliable."""
        succeeded, layouts = self.expert
        return f"(its expert succeeds in {succeeded} of {layouts} layouts)" if self.expert_fails else ""
