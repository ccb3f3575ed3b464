"""Whether a picture is new: by when it came, by its stamp, and by what it shows.

A socket that is open proves nothing (a hung bridge keeps it open), a stamp proves little (clocks differ and jump), and
a new stamp does not make a new picture (a camera driver that hangs repeats its last one). So all three are looked at.
"""

from dataclasses import dataclass

from headway_envs.ros.config import Limits
from headway_envs.ros.events import ImageArrived

NANOSECONDS = 1_000_000_000
DRIFT = 1e-3
"""Seconds a second by which two clocks may drift apart; quartz keeps to a tenth of it."""
SETTLING = 10
"""Pictures until the offset of the clocks is taken as known."""


@dataclass(frozen=True)
class Fresh:
    """A picture that counts.

    Attributes:
        number: of its arrival.
        arrived: seconds of the node's clock.
        taken: when it was taken, by the node's clock: its arrival less what it was delayed beyond the quickest one.
        stamp, sequence: of its header, nanoseconds and number; None without.
    """

    number: int
    arrived: float
    taken: float
    stamp: int | None
    sequence: int | None


class ClockOffset:
    """How far the node's clock is ahead of the stamps', at most: the least of (arrival - stamp).

    Delays only ever add to it, so the least is the nearest (as in NTP's clock filter, RFC 5905 section 10). It is never
    forgotten, only raised as fast as clocks drift apart: a link that is slightly too slow holds pictures up by a little
    more each time, and what were to follow that would call any delay fresh.
    """

    def __init__(self) -> None:
        self._least: tuple[float, float] | None = None
        self._count = 0

    def push(self, arrived: float, stamp: float) -> None:
        offset = arrived - stamp
        if self._least is not None:
            offset = min(offset, self._least[1] + DRIFT * max(0.0, arrived - self._least[0]))
        self._least = (arrived, offset)
        self._count += 1

    @property
    def seconds(self) -> float | None:
        """None before the first stamp."""
        return None if self._least is None else self._least[1]

    @property
    def settled(self) -> bool:
        return self._count >= SETTLING


class ImageGate:
    """Lets the pictures of one camera through that count, and says of the others why not.

    `push` gives a Fresh, or the reason against it: `duplicate`, `reordered`, `future`, `frozen`. After a jump of the
    stamps (back by more than `limits.restart`, or to the future for as long) it begins anew, and `restarted` is True
    for that picture: a bag that loops, a simulation that was reset, a clock that was set.
    """

    def __init__(self, limits: Limits):
        self._limits = limits
        self._digest, self._same, self._same_since = "", 0, 0.0
        self._begin()

    def _begin(self) -> None:
        self.offset = ClockOffset()
        self.restarted = False
        self._last: int | None = None
        self._future_since: float | None = None

    def push(self, event: ImageArrived) -> Fresh | str:
        """Judge one arrival; see the class."""
        self.restarted = False
        # a stamp of 0 is what drivers send that set none
        stamp = event.stamp or None
        refused = self._order(event.time, stamp)
        if refused:
            return refused
        if self._frozen(event):
            return "frozen"
        if stamp is None:
            return Fresh(event.number, event.time, event.time, None, event.sequence)
        seconds = stamp / NANOSECONDS
        self.offset.push(event.time, seconds)
        offset = self.offset.seconds
        assert offset is not None
        return Fresh(event.number, event.time, seconds + offset, stamp, event.sequence)

    def skew(self, wall: float) -> float | None:
        """Seconds by which stamps are behind (negative: before) the wall clock, which is `wall` seconds ahead of the
        node's; None without stamps."""
        return None if self.offset.seconds is None else self.offset.seconds + wall

    def _order(self, arrived: float, stamp: int | None) -> str:
        """Why a stamp does not follow the last one; empty where it does."""
        if stamp is None:
            return ""
        if self._last is not None and stamp <= self._last:
            back = (self._last - stamp) / NANOSECONDS
            if back <= self._limits.restart:
                return "duplicate" if stamp == self._last else "reordered"
            self._restart()
        elif self._in_future(arrived, stamp):
            if self._future_since is None:
                self._future_since = arrived
            if arrived - self._future_since < self._limits.restart:
                return "future"
            self._restart()
        self._future_since = None
        self._last = stamp
        return ""

    def _in_future(self, arrived: float, stamp: int) -> bool:
        offset = self.offset.seconds
        if offset is None or not self.offset.settled:
            return False
        return arrived - stamp / NANOSECONDS < offset - self._limits.future

    def _restart(self) -> None:
        self._begin()
        self.restarted = True

    def _frozen(self, event: ImageArrived) -> bool:
        """Whether so many pictures over so long a time were all the same."""
        if event.digest != self._digest:
            self._digest, self._same, self._same_since = event.digest, 0, event.time
        self._same += 1
        long = event.time - self._same_since >= self._limits.frozen_seconds
        return long and self._same >= self._limits.frozen_frames
