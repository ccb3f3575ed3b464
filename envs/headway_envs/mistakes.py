"""What can go wrong in a demonstration. Each mistake happens once and can be combined with others."""

from typing import TYPE_CHECKING

import numpy as np

from headway_envs.motion import TRAVEL_HEIGHT, Point, heading, lateral
from headway_envs.tasks.base import Action, Situation
from headway_envs.tasks.grasping import arrived, grasped, picked, put_down

if TYPE_CHECKING:
    from headway_envs.demonstrators import Demonstrator

_LETTING_GO = 8
"""Steps the fingers get to open and the cube to fall."""


class Hesitate:
    """Stand still for `steps` when progress first reaches `at`."""

    def __init__(self, at: float, steps: int):
        self._at = at
        self._left = steps
        self._still: Action | None = None

    def act(self, who: "Demonstrator", situation: Situation, progress: float) -> Action | None:
        if self._still is None:
            if progress < self._at:
                return None
            self._still = situation.hand, who.last[1]
        self._left -= 1
        return self._still if self._left >= 0 else None


class Detour:
    """Visit a place over the table when progress first reaches `at`, with whatever is in the hand."""

    def __init__(self, at: float, via: Point):
        self._at = at
        self._via = via
        self._under_way = False
        self._over = False

    @classmethod
    def drawn(cls, random: np.random.Generator) -> "Detour":
        """Anywhere, at any time."""
        x, y, z = random.uniform((-0.2, -0.2, TRAVEL_HEIGHT), (0.25, 0.15, TRAVEL_HEIGHT + 0.05)).tolist()
        return cls(float(random.uniform(0.03, 0.9)), (x, y, z))

    def act(self, who: "Demonstrator", situation: Situation, progress: float) -> Action | None:
        self._under_way = self._under_way or progress >= self._at
        arrived = lateral(situation.hand, self._via) < 0.02 and situation.hand[2] > TRAVEL_HEIGHT - 0.02
        self._over = self._over or (self._under_way and arrived)
        if self._over or not self._under_way:
            return None
        return heading(situation.hand, self._via), who.last[1]


class PushBack:
    """On the way to the cube, `share` of that stage done, push the drawer back to a travel of `to` metres."""

    def __init__(self, share: float, to: float):
        self._share = share
        self._to = to
        self._under_way = False
        self._over = False

    def act(self, who: "Demonstrator", situation: Situation, progress: float) -> Action | None:
        cube = who.task.to_place[0]
        before, taken = who.task.proportions[:2]
        late = who.task.stage(situation) == 1 and progress >= before + self._share * taken
        self._under_way = self._under_way or (late and not grasped(situation, cube))
        self._over = self._over or (self._under_way and situation.drawer < self._to)
        if self._over or not self._under_way:
            return None
        # whoever believes the cube to be in the drawer closes the drawer
        return who.task.act(situation.with_cube(cube, who.task.place(situation, cube)))


class PutBack:
    """Carry a cube `share` of the way, then put it back on the table where it came from."""

    def __init__(self, cube: int, share: float):
        self._cube = cube
        self._share = share
        self._under_way = False
        self._over = False

    def act(self, who: "Demonstrator", situation: Situation, progress: float) -> Action | None:
        home = who.layout.cubes[self._cube]
        carried = picked(situation, self._cube)
        self._under_way = self._under_way or (carried and _carried_share(who, situation, self._cube) >= self._share)
        self._over = self._over or (self._under_way and not grasped(situation, self._cube))
        if self._over or not self._under_way:
            return None
        return put_down(situation, self._cube, home)


class LetGo:
    """Let a carried cube go somewhere and go on as if it lay in its place. Subclasses say where."""

    def __init__(self, cube: int):
        self._cube = cube
        self._left: int | None = None

    def here(self, who: "Demonstrator", situation: Situation) -> bool:
        """Whether this is where the carried cube is let go."""
        raise NotImplementedError

    def act(self, who: "Demonstrator", situation: Situation, progress: float) -> Action | None:
        if self._left is None:
            if not (picked(situation, self._cube) and self.here(who, situation)):
                return None
            self._left = _LETTING_GO
            self._where = situation.hand
        self._left -= 1
        if self._left == 0:
            who.offset = (0.0, 0.0, 0.0)
            who.beliefs.append(lambda now: now.with_cube(self._cube, who.task.place(now, self._cube)))
        return (self._where, 1.0) if self._left >= 0 else None


class Drop(LetGo):
    """Let the cube go in the air, `share` of the way done."""

    def __init__(self, cube: int, share: float):
        super().__init__(cube)
        self._share = share

    def here(self, who: "Demonstrator", situation: Situation) -> bool:
        high = situation.cubes[self._cube][2] > TRAVEL_HEIGHT - 0.02
        return high and _carried_share(who, situation, self._cube) >= self._share


class PlaceBlindly(LetGo):
    """Let the cube go where its place is believed to be, displaced by `offset` metres, and do not look."""

    def __init__(self, cube: int, offset: Point = (0.0, 0.0, 0.0)):
        super().__init__(cube)
        self._offset = offset

    def act(self, who: "Demonstrator", situation: Situation, progress: float) -> Action | None:
        if self._left is None and picked(situation, self._cube):
            who.offset = self._offset
        return super().act(who, situation, progress)

    def here(self, who: "Demonstrator", situation: Situation) -> bool:
        place = who.task.place(who.believed(situation), self._cube)
        x, y, z = (place[axis] + self._offset[axis] for axis in range(3))
        return arrived(situation.cubes[self._cube], (x, y, z))


class Abandon:
    """Stop when progress reaches `at`, retreat to where the hand was at the start, and wait there for `steps`."""

    def __init__(self, at: float, steps: int):
        self._at = at
        self._left = steps
        self._retreats = False

    def act(self, who: "Demonstrator", situation: Situation, progress: float) -> Action | None:
        self._retreats = self._retreats or progress >= self._at
        if not self._retreats:
            return None
        if lateral(situation.hand, who.layout.hand) < 0.02:
            self._left -= 1
            who.finished = self._left <= 0
        return heading(situation.hand, who.layout.hand), who.last[1]


class WrongObject:
    """Take two cubes for each other all the time."""

    def act(self, who: "Demonstrator", situation: Situation, progress: float) -> Action | None:
        if not who.beliefs:
            one, other = who.task.confusable
            who.beliefs.append(lambda now: now.with_cube(one, now.cubes[other]).with_cube(other, now.cubes[one]))
        return None


def _carried_share(who: "Demonstrator", situation: Situation, cube: int) -> float:
    """How much of the way across, from where the cube lay at the start to its place, is done."""
    place = who.task.place(situation, cube)
    return 1 - lateral(situation.cubes[cube], place) / lateral(who.layout.cubes[cube], place)
