"""What a method made of a clip, and what became of the replies it was made from."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from headway.episodes import Array
from headway.vlm.chat import ChatModel
from headway.vlm.clip import Clip

EDITION = "1"


class Outcome(StrEnum):
    """What became of one reply, or of one frame's place in it. Only `READ` gives a number."""

    READ = "read"
    MISSING = "missing"  # the reply says nothing of this frame
    DUPLICATE = "duplicate"  # it says two different things of it
    OUT_OF_RANGE = "out of range"
    REFUSED = "refused"
    TRUNCATED = "truncated"  # cut off before it came to this frame
    PROSE = "prose"  # not of the form that was asked for
    UNKNOWN_FRAME = "unknown frame"  # an extra value, for a frame that was not shown
    UNLIKELY = "unlikely"  # the answers asked for have next to no probability: the model did not understand


@dataclass(frozen=True, repr=False)
class Judgement:
    """Of one clip.

    Attributes:
        progress: float (pictures,), in [0, 1], NaN where nothing could be read.
        raw: float (pictures,), scores before any mapping to [0, 1] (log-probabilities, accumulated differences); NaN
            where there is none.
        uncertainty: float (pictures,), in units of progress.
        success: float (pictures,), probability that the task is done.
        outcomes: how often each came up.
        reason: why values are missing, one line; empty when none is.
        notes: what else a person would want to know, such as the probability found on the scale's letters; texts and
            numbers.
        clip: what was judged, where the model takes fewer pictures than the clip has; None for all of it.
    """

    progress: Array
    raw: Array | None = None
    uncertainty: Array | None = None
    success: Array | None = None
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    reason: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)
    clip: Clip | None = None

    def __repr__(self) -> str:
        return f"Judgement(pictures={len(self.progress)}, outcomes={dict(self.outcomes)})"


class VlmMethod(Protocol):
    """A way to ask a model how far along a robot is.

    Attributes:
        name: of the spec.
        version: of its prompts and settings; changes whenever a word of them does.
    """

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...

    def looks_at(self, length: int, seconds: float) -> Array:
        """Numbers of the frames it wants of an episode of `length` frames, int64, rising."""
        ...

    async def judge(self, clip: Clip, model: ChatModel) -> Judgement:
        """Ask and read. A reply that cannot be read gives NaN and an outcome; NoReply is raised on."""
        ...


def version_of(method: Any, *prompts: str) -> str:
    """The version of a method: from its settings, which are a dataclass of plain values, and its prompts.

    What is not in there is known by `EDITION`: raise it when labels, limits, repairs or the size of pictures change.
    """
    return hashlib.sha256("\n".join([EDITION, repr(method), *prompts]).encode()).hexdigest()[:12]
