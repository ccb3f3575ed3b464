"""What lies on the desk of somebody who marks: the dataset, the marks so far, a model's proposal."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from headway.episodes import Episode, Stage
from headway.errors import HeadwayError, InvalidValue
from headway.label.marks import EpisodeMarks, Marks, marks_of
from headway.source import Source


class Changed(HeadwayError):
    """An episode was marked elsewhere in the meantime."""


class Desk:
    """Marks of a dataset being made, saved as they are made.

    An episode is sent to the page as {"stages": [[name, start, end], ...], "success": true, false or null}. One that
    is not marked yet begins with what the dataset itself says, as far as its stages are those being marked; its success
    is the proposal's where that has one.

    Args:
        source: the dataset, without the marks.
        marks: those made so far.
        proposed: a model's, to be corrected, or None.
        save: keeps marks for good; whatever it raises, the marks before stay.
    """

    def __init__(self, source: Source, marks: Marks, proposed: Marks | None, save: Callable[[Marks], None]):
        self.source = source
        self.marks = marks
        self.proposed = proposed
        self._save = save
        self._lock = threading.Lock()
        self._reading = threading.Lock()

    def read(self, index: int) -> Episode:
        """One episode of the dataset, from any thread. Raises UnknownName or DatasetError."""
        with self._reading:
            return self.source.episode(index)

    def dataset(self) -> dict[str, Any]:
        """What the page needs once."""
        return {
            "name": self.source.root.name,
            "fingerprint": self.source.fingerprint,
            "stages": list(self.marks.stage_names),
            "cameras": list(self.source.cameras),
            "proposedBy": None if self.proposed is None else self.proposed.made_by,
            "episodes": [
                {"index": index, "marked": index in self.marks.episodes, "success": self._success(index)}
                for index in self.source.episode_indices
            ],
        }

    def episode(self, index: int) -> dict[str, Any]:
        """What the page needs of one episode. Raises UnknownName or DatasetError."""
        episode = self.read(index)
        proposed = self._proposed(index)
        return {
            "index": index,
            "length": len(episode),
            "fps": episode.fps,
            "instruction": episode.instruction,
            "marked": index in self.marks.episodes,
            "marks": _sent(self._marks_of(episode)),
            "unmarked": _sent(self._unmarked(episode)),
            "proposed": None if proposed is None else _sent(proposed),
        }

    def put(self, index: int, before: object, after: object) -> dict[str, Any]:
        """Take the page's marks of an episode and save them; `before` is what the page last got.

        Raises Changed when that is no longer so, InvalidValue for marks that are none, OutputError when they cannot be
        saved.
        """
        episode = self.read(index)
        fresh = _received(episode, after)
        with self._lock:
            if before != _sent(self._marks_of(episode)):
                raise Changed(f"episode {index} was marked in another window; this is what is marked there")
            marks = self.marks.with_episode(index, fresh)
            self._save(marks)
            self.marks = marks
        return self.episode(index)

    def _marks_of(self, episode: Episode) -> EpisodeMarks:
        if episode.index in self.marks.episodes:
            return self.marks.episodes[episode.index]
        return self._unmarked(episode)

    def _unmarked(self, episode: Episode) -> EpisodeMarks:
        """What an episode begins with."""
        known = all(stage.name in self.marks.stage_names for stage in episode.stages or ())
        proposed = self._proposed(episode.index)
        said = None if proposed is None else proposed.success
        return marks_of(episode, episode.stages if known else None, episode.success if said is None else said)

    def _proposed(self, index: int) -> EpisodeMarks | None:
        return None if self.proposed is None else self.proposed.episodes.get(index)

    def _success(self, index: int) -> bool | None:
        return self.marks.episodes[index].success if index in self.marks.episodes else None


def _sent(marks: EpisodeMarks) -> dict[str, Any]:
    return {
        "stages": [[stage.name, stage.start, stage.end] for stage in marks.stages or ()],
        "success": marks.success,
    }


def _received(episode: Episode, content: object) -> EpisodeMarks:
    """Null takes an episode's marks away. Raises InvalidValue for what the page would never send."""
    if content is None:
        return marks_of(episode, None, None)
    if not isinstance(content, Mapping) or not isinstance(content.get("stages"), list):
        raise InvalidValue("marks need a list of stages and a success")
    success = content.get("success")
    if success is not None and not isinstance(success, bool):
        raise InvalidValue(f"success is {success!r}; it is true, false or null")
    return marks_of(episode, tuple(_stage(part) for part in content["stages"]), success)


def _stage(part: object) -> Stage:
    if not isinstance(part, list) or [type(each) for each in part] != [str, int, int]:
        raise InvalidValue(f"a stage is a name, its first frame and its end frame, got {part!r}")
    return Stage(*part)
