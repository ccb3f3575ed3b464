"""What is known of the episodes that curves are held against: a simulator's truth, an annotator's marks, or little."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from headway.episodes import Array, Episode
from headway.errors import DatasetError
from headway.learned.targets import StageScale, fit_scale, label, progress_of

EXPERT = "expert"
TRUTH, MARKS, LABELS, NOTHING = "truth", "marks", "labels", "nothing"
WORDS = {
    TRUTH: "the simulator's truth",
    MARKS: "stage marks, with progress interpolated within stages",
    LABELS: "success labels alone",
    NOTHING: "nothing but video",
}


@dataclass(frozen=True, repr=False)
class Reference:
    """What is known of one episode. A missing thing is None; of a known one, single frames may be unknown.

    Attributes:
        index: the episode's number.
        length: in frames.
        fps: frames per second.
        origin: what it comes from: `truth`, `marks`, `labels` or `nothing`.
        progress: float (time,), in [0, 1], NaN where unknown.
        stage: int64 (time,), index into `stage_names`, -1 where unknown.
        stage_names: the task's stages in order.
        proportions: how much of the scale of progress each stage takes.
        done: bool (time,), whether the task is done at that frame.
        success: whether it is done at the end.
        kind: who made the episode.
        instruction: what the robot was told to do.
    """

    index: int
    length: int
    fps: float
    origin: str
    progress: Array | None = None
    stage: Array | None = None
    stage_names: tuple[str, ...] = ()
    proportions: tuple[float, ...] = ()
    done: Array | None = None
    success: bool | None = None
    kind: str | None = None
    instruction: str | None = None


def references(episodes: Sequence[Episode], stage_names: Sequence[str] | None) -> list[Reference]:
    """What is known of each episode: of the first of truth, marks and labels that it has."""
    scale = _scale(episodes, stage_names)
    return [_reference(episode, scale) for episode in episodes]


def judged_by(known: Sequence[Reference]) -> str:
    """What the episodes are judged by, in words; with how many of them where they differ."""
    count = Counter(reference.origin for reference in known)
    found = [each for each in WORDS if count[each]]
    if len(found) == 1:
        return WORDS[found[0]]
    return ", ".join(f"{WORDS[each]} ({count[each]} of {len(known)})" for each in found)


def _scale(episodes: Sequence[Episode], stage_names: Sequence[str] | None) -> StageScale | None:
    if not stage_names or all(episode.truth is not None for episode in episodes):
        return None
    try:
        return fit_scale([episode for episode in episodes if episode.stages], stage_names)
    except DatasetError:
        # no marked episode is complete, so nothing says how much of the task a stage is
        return None


def _reference(episode: Episode, scale: StageScale | None) -> Reference:
    common = partial(
        Reference,
        index=episode.index,
        length=len(episode),
        fps=episode.fps,
        kind=episode.kind,
        instruction=episode.instruction,
    )
    truth = episode.truth
    if truth is not None:
        return common(
            origin=TRUTH,
            progress=np.asarray(truth.progress, float),
            stage=truth.stage,
            stage_names=truth.stage_names,
            proportions=truth.proportions,
            done=np.asarray(truth.success, bool),
            success=truth.succeeded,
        )
    if episode.stages and scale is not None:
        targets = label(episode, scale)
        done = targets.stage == len(scale.names)
        # marks through the last stage tell of a success; fewer may be a failure, or an annotator in a hurry
        success = (True if done[-1] else None) if episode.success is None else episode.success
        return common(
            origin=MARKS,
            progress=np.asarray(progress_of(targets, scale), float),
            stage=np.where(done, len(scale.names) - 1, targets.stage),
            stage_names=scale.names,
            proportions=scale.proportions,
            done=done,
            success=success,
        )
    return common(origin=NOTHING if episode.success is None else LABELS, success=episode.success)
