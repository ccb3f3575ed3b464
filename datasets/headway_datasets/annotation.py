"""Stage annotation: from the lists that people and tools write to `Stage`s, and the order of a task's stages."""

from collections.abc import Sequence

from headway.annotation import mean_proportions
from headway.episodes import Stage
from headway.errors import DatasetError


def stages_from_marks(marks: Sequence[tuple[str, int, int]], length: int, where: str) -> tuple[Stage, ...]:
    """Stages of an episode of `length` frames from marks (name, first frame, end frame), in order of time.

    The end is the frame at which the stage is over, so that lerobot's shared ends (the end of one stage is the start
    of the next) stay as they are. Marks are clamped to the episode, and those left without a frame are dropped:
    annotators that work in whole seconds write such. Raises DatasetError, beginning with `where`, when a mark ends
    before it starts or stages overlap by more than the one frame that inclusive ends share.
    """
    stages: list[Stage] = []
    for name, start, end in sorted(marks, key=lambda mark: (mark[1], mark[2])):
        if end < start:
            raise DatasetError(f"{where}: stage {name!r} ends at frame {end}, before it starts at {start}; correct it")
        if not name:
            raise DatasetError(f"{where}: the stage at frames {start} to {end} has no name; give it one")
        start, end = max(start, 0), min(end, length)
        if stages and start == stages[-1].end - 1 and end > start + 1:
            start += 1
        if stages and start < stages[-1].end and end > start:
            other = stages[-1]
            raise DatasetError(
                f"{where}: stage {name!r} (frames {start} to {end}) overlaps {other.name!r} (frames {other.start} to "
                f"{other.end}); correct it"
            )
        if start < end:
            stages.append(Stage(name, start, end))
    return tuple(stages)


def stage_order(annotations: Sequence[tuple[Stage, ...]], preferred: Sequence[bool | None]) -> tuple[str, ...] | None:
    """The order of a task's stages: that of the most complete annotation, then whatever other episodes add.

    Args:
        annotations: one an episode.
        preferred: whether each episode succeeded; among equally complete ones a success comes first.

    None when no episode has a stage.
    """
    named = [tuple(dict.fromkeys(stage.name for stage in stages)) for stages in annotations]
    ranked = sorted(range(len(named)), key=lambda episode: (-len(named[episode]), not preferred[episode], episode))
    order = tuple(dict.fromkeys(name for episode in ranked for name in named[episode]))
    return order or None


def declared_proportions(annotations: Sequence[tuple[Stage, ...]]) -> dict[str, float]:
    """The stages of a dataset in order and their mean share of time, as LeRobot declares them beside the annotation.

    The episodes that have every stage count (`headway.annotation.mean_proportions`); where none has, all those
    annotated do. Empty when no episode has a stage.
    """
    order = stage_order(annotations, [None] * len(annotations)) or ()
    complete = [stages for stages in annotations if {stage.name for stage in stages} == set(order)]
    counted = complete or [stages for stages in annotations if stages]
    return dict(zip(order, mean_proportions(counted, order), strict=True)) if order else {}
