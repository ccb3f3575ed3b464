"""Examples in context: attempts whose completion is known, shown to a model before the one that it is to judge."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2

from headway.episodes import Episode
from headway.errors import DatasetError, InvalidValue, Unsupported
from headway.vlm.chat import Picture
from headway.vlm.clip import encode, take_clip
from headway.vlm.estimator import VlmEstimator
from headway.vlm.gvl import Gvl, example_of


def with_examples(estimator: VlmEstimator, episodes: Sequence[Episode], goal: Path | None = None) -> VlmEstimator:
    """The same estimator, shown `episodes` and a picture of the goal before each question.

    The episodes may be of another robot, or of a person. One that is scored later counts
    as in-sample.

    Raises:
        Unsupported: its method is not gvl, the only one that takes examples.
        InvalidValue: an episode failed, or has no instruction.
        DatasetError: the goal cannot be read.
    """
    method = estimator.method
    if not isinstance(method, Gvl):
        raise Unsupported(f"examples and a goal are for gvl; {estimator.name} takes none")
    failed = [episode.index for episode in episodes if episode.success is False]
    if failed:
        raise InvalidValue(f"episode {failed[0]} failed, and an example is shown as done at its end; choose successes")
    clips = [take_clip(episode, method.looks_at(len(episode), len(episode) / episode.fps)) for episode in episodes]
    shown = tuple(example_of(clip, method.seed) for clip in clips)
    method = replace(method, examples=shown, goal=None if goal is None else read_picture(goal))
    recordings = frozenset(episode.recording for episode in episodes if episode.recording is not None)
    return VlmEstimator(estimator.name, method, estimator.model, recordings)


def read_picture(path: Path) -> Picture:
    """A picture file, encoded as frames are. Raises DatasetError."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if pixels is None:
        raise DatasetError(f"{path} is not a picture that can be read; give a PNG or JPEG file")
    return encode(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
