"""Pictures of which the checks' facts are noted while somebody else looks at them, so that they are decoded once."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from headway.checks.pictures import Facts, facts_of
from headway.encoders.cache import FeatureCache
from headway.episodes import Array, Episode, Frames
from headway.errors import OutputError


def noted(episode: Episode, cache: FeatureCache) -> Episode:
    """The same episode; once a camera's pictures have been gone through, their facts are in the cache."""
    cameras = {
        name: frames if frames.identity is None or cache.holds(Facts(), frames) else NotedFrames(frames, cache)
        for name, frames in episode.cameras.items()
    }
    return replace(episode, cameras=cameras)


class NotedFrames:
    """Another's frames (`headway.episodes.Frames`), whose facts are kept once all of them have been iterated over."""

    def __init__(self, frames: Frames, cache: FeatureCache):
        self._frames, self._cache = frames, cache

    @property
    def identity(self) -> str | None:
        return self._frames.identity

    def __getattr__(self, name: str) -> Any:
        # what only some kinds of frames have, such as `declared`
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._frames, name)

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Array]:
        found: list[Array] = []
        for picture in self._frames:
            found.append(facts_of(picture))
            # before the last picture is given away: who has it may not ask for another
            if len(found) == len(self._frames):
                # without room for them the checks look for themselves
                with suppress(OutputError):
                    self._cache.keep(Facts(), self._frames, np.stack(found))
            yield picture
