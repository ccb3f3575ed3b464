"""What a mistake is."""

from typing import TYPE_CHECKING

from headway_envs.motion import Point, Wish
from headway_envs.tasks.base import Situation

if TYPE_CHECKING:
    from headway_envs.acting import Demonstrator

NOWHERE: Point = (0.0, 0.0, 0.0)


class Mistake:
    """Something that goes wrong in an episode: it misleads, takes over, or alters. Here it does nothing of these.

    Attributes:
        offset: metres by which the demonstrator misjudges the place of what it is about to put down.
        pending: the demonstrator has more to do, though the task is done.
        ended: the demonstrator has nothing more to do, though the task is not.
    """

    offset: Point = NOWHERE
    pending = False
    ended = False

    def perceived[S: Situation](self, situation: S) -> S:
        """What things look like. All the methods below are given situations as they look."""
        return situation

    def act(self, who: "Demonstrator", situation: Situation, progress: float) -> Wish | None:
        """What to do instead of what the expert does, or None to leave it to the expert. Called at every step at which
        no other mistake has taken over. `progress` is what the demonstrator believes it to be."""
        return None

    def believed(self, who: "Demonstrator", situation: Situation) -> Situation:
        """What the demonstrator takes `situation` for."""
        return situation

    def done(self, who: "Demonstrator", believed: Situation) -> bool:
        """Whether this makes the demonstrator take the task for done."""
        return False

    def altered(self, who: "Demonstrator", wish: Wish, progress: float) -> Wish:
        """What becomes of `wish`, whoever had it."""
        return wish
