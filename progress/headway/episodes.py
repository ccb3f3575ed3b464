"""What is scored and what comes out: Episode, Stage, Truth and ProgressCurve.

All are frozen and validated when made. A missing thing is None, never a made-up value.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np

from headway.errors import InvalidValue, UnknownName

Array = np.ndarray


@runtime_checkable
class Frames(Protocol):
    """The pictures of one camera over one episode, decoded only while they are iterated over.

    Iterating yields exactly `len(frames)` arrays, uint8 RGB (height, width, 3), in order, each decoded once.
    It may be iterated over again, which decodes again. Raises VideoError when the video holds fewer frames.

    `identity` names the very pictures: another when they could differ, None where nobody can tell. By it features
    computed from them are found again.
    """

    @property
    def identity(self) -> str | None: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Array]: ...


@dataclass(frozen=True, repr=False)
class ArrayFrames:
    """Frames that are already in memory: `pixels` is uint8 RGB (time, height, width, 3), not to be changed any more."""

    pixels: Array

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 4 or self.pixels.shape[-1] != 3:
            raise InvalidValue(
                f"frames must be uint8 (time, height, width, 3), got {self.pixels.dtype} {self.pixels.shape}"
            )

    @cached_property
    def identity(self) -> str:
        """From every pixel; computed when first asked for."""
        digest = hashlib.sha256(str(self.pixels.shape).encode())
        digest.update(np.ascontiguousarray(self.pixels).data)
        return f"pixels-{digest.hexdigest()[:32]}"

    def __len__(self) -> int:
        return len(self.pixels)

    def __iter__(self) -> Iterator[Array]:
        return iter(self.pixels)

    def __repr__(self) -> str:
        return f"ArrayFrames{self.pixels.shape}"


@dataclass(frozen=True)
class Stage:
    """One stretch of an episode in which one stage of the task is being worked on.

    Frames `start <= t < end` belong to it. `end` is the frame at which the stage is over, so that the end of one
    stage is the start of the next; for the last stage of an episode `end` may equal the episode's length.
    A name may come again later in an episode: the robot fell back.
    """

    name: str
    start: int
    end: int

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidValue(f"a stage needs a name (frames {self.start} to {self.end})")
        if not 0 <= self.start < self.end:
            raise InvalidValue(
                f"stage {self.name!r} runs from frame {self.start} to {self.end}; needs 0 <= start < end"
            )


@dataclass(frozen=True, repr=False)
class Truth:
    """What the simulator knows of an episode, one value a frame.

    Attributes:
        progress: float32 (time,), in [0, 1], on the task's declared scale.
        stage: int64 (time,), index into `stage_names`.
        success: bool (time,), whether the task is done at that frame.
        stage_names: the task's stages in order.
        proportions: float (stages,), how much of the scale each stage takes; sums to 1.
        imperfection: bool (time, kind), which of `imperfections` is at work in the demonstrator at that frame.
        imperfections: the kinds that `imperfection` counts.
        value: float32 (time,), the probability that a known policy finishes from there, by rollouts in the simulator;
            NaN at the frames for which it was not computed.
        value_interval: float32 (time, 2), the ends of its 95 % interval.
    """

    progress: Array
    stage: Array
    success: Array
    stage_names: tuple[str, ...]
    proportions: tuple[float, ...]
    imperfection: Array | None = None
    imperfections: tuple[str, ...] = ()
    value: Array | None = None
    value_interval: Array | None = None

    def __post_init__(self) -> None:
        length = len(self.progress)
        shapes = {
            "imperfection": (length, len(self.imperfections)),
            "value": (length,),
            "value_interval": (length, 2),
        }
        for name, shape in shapes.items():
            part = getattr(self, name)
            if part is not None and part.shape != shape:
                raise InvalidValue(f"truth.{name} of {length} frames must have shape {shape}, got {part.shape}")
        if not len(self.progress) == len(self.stage) == len(self.success):
            raise InvalidValue(
                "truth needs progress, stage and success of one length, got "
                f"{len(self.progress)}, {len(self.stage)} and {len(self.success)}"
            )
        if len(self.stage_names) != len(self.proportions):
            raise InvalidValue(f"{len(self.stage_names)} stages but {len(self.proportions)} proportions")

    def __repr__(self) -> str:
        return f"Truth(time={len(self.progress)}, stages={list(self.stage_names)}, success={self.succeeded})"

    @property
    def succeeded(self) -> bool:
        """Whether the task is done at the last frame."""
        return bool(self.success[-1])


@dataclass(frozen=True, repr=False)
class Episode:
    """One attempt at a task.

    Attributes:
        index: the episode's number in its dataset.
        first_frame: the dataset-wide index of its first frame.
        fps: frames per second.
        cameras: name of a camera -> its frames; all of the same length.
        instruction: what the robot was told to do.
        state: float32 (time, state_dim), what the robot senses of itself.
        environment_state: float32 (time, dim), what a simulator knows of the objects; no real robot has it.
        action: float32 (time, action_dim).
        timestamps: float64 (time,), seconds, as recorded; where frames were dropped they leave a gap.
        state_names, action_names: what the values of `state` and `action` are, in order.
        stages: what an annotator marked, in order of time, without overlap.
        dense_stages: the same episode marked in more and finer stages; SARM's second granularity.
        success: what an annotator says of the whole episode.
        truth: what the simulator knows.
        kind: who made the episode (`expert`, `drop`, ...), where known. For tables only: no estimator may read it.
        recording: identifies what was recorded, whatever its dataset is called and however it is marked; by it an
            estimator knows what it was trained on.
    """

    index: int
    first_frame: int
    fps: float
    cameras: Mapping[str, Frames]
    instruction: str | None = None
    state: Array | None = None
    environment_state: Array | None = None
    action: Array | None = None
    timestamps: Array | None = None
    state_names: tuple[str, ...] | None = None
    action_names: tuple[str, ...] | None = None
    stages: tuple[Stage, ...] | None = None
    dense_stages: tuple[Stage, ...] | None = None
    success: bool | None = None
    truth: Truth | None = None
    kind: str | None = None
    recording: str | None = None

    def __post_init__(self) -> None:
        where = f"episode {self.index}"
        if not self.cameras:
            raise InvalidValue(f"{where} has no camera")
        if not self.fps > 0:
            raise InvalidValue(f"{where} has {self.fps} frames per second; needs more than 0")
        lengths = {f"camera {name}": len(frames) for name, frames in self.cameras.items()}
        for name in ("state", "environment_state", "action", "timestamps"):
            values = getattr(self, name)
            if values is not None:
                lengths[name] = len(values)
        if self.truth is not None:
            lengths["truth"] = len(self.truth.progress)
        if len(set(lengths.values())) != 1:
            raise InvalidValue(f"{where} has parts of different length (frames): {lengths}")
        if len(self) == 0:
            raise InvalidValue(f"{where} has no frames")
        self._check_names(where, "state", self.state, self.state_names)
        self._check_names(where, "action", self.action, self.action_names)
        self._check_stages(where, self.stages, "stage")
        self._check_stages(where, self.dense_stages, "dense stage")

    def _check_names(self, where: str, part: str, values: Array | None, names: tuple[str, ...] | None) -> None:
        if names is not None and (values is None or len(names) != values.shape[1]):
            size = 0 if values is None else values.shape[1]
            raise InvalidValue(f"{where} names {len(names)} values of its {part}, which has {size}")

    def _check_stages(self, where: str, stages: tuple[Stage, ...] | None, word: str) -> None:
        before = 0
        for stage in stages or ():
            if stage.start < before or stage.end > len(self):
                raise InvalidValue(
                    f"{where}: {word} {stage.name!r} runs from frame {stage.start} to {stage.end}; stages may not "
                    f"overlap and must end within the episode's {len(self)} frames"
                )
            before = stage.end

    def __len__(self) -> int:
        return len(next(iter(self.cameras.values())))

    def __repr__(self) -> str:
        parts = [
            f"index={self.index}",
            f"time={len(self)}",
            f"fps={self.fps:g}",
            f"cameras={list(self.cameras)}",
        ]
        for name in ("state", "environment_state", "action"):
            values = getattr(self, name)
            if values is not None:
                parts.append(f"{name}={values.shape}")
        for name in ("stages", "dense_stages"):
            marks = getattr(self, name)
            if marks is not None:
                parts.append(f"{name}={len(marks)}")
        return f"Episode({', '.join(parts)}, success={self.success}, instruction={self.instruction!r})"

    def camera(self, name: str) -> Frames:
        """The frames of one camera; raises UnknownName that lists the cameras there are."""
        if name not in self.cameras:
            raise UnknownName(f"camera in episode {self.index}:", name, self.cameras)
        return self.cameras[name]


@dataclass(frozen=True, repr=False)
class ProgressCurve:
    """An estimate of how far along an episode is, one value a frame.

    Attributes:
        values: float32 (time,), progress in [0, 1], or NaN where `reason` says why there is none.
        looked_at: bool (time,), the frames whose picture the estimator used; the others are interpolated.
        fingerprint: identifies what produced the curve, down to its weights.
        reason: why values are missing; needed when any is NaN.
        stage: int64 (time,), the estimated stage.
        stage_names: the stages that `stage` and `stage_probability` count.
        stage_probability: float32 (time, stage).
        success: float32 (time,), the estimated probability that the task is done.
        uncertainty: float32 (time,), in units of progress.
        raw: float32 (time,), scores before any mapping to [0, 1].
        dense: float32 (time,), progress on the scale of the dense stages, in [0, 1], or NaN as in `values`.
        fold: which cross-fitting fold produced the curve.
        in_sample: True when the estimator was trained on this very episode.
    """

    values: Array
    looked_at: Array
    fingerprint: str
    reason: str | None = None
    stage: Array | None = None
    stage_names: tuple[str, ...] | None = None
    stage_probability: Array | None = None
    success: Array | None = None
    uncertainty: Array | None = None
    raw: Array | None = None
    dense: Array | None = None
    fold: int | None = None
    in_sample: bool = field(default=False)

    def __post_init__(self) -> None:
        for name in ("looked_at", "stage", "stage_probability", "success", "uncertainty", "raw", "dense"):
            part = getattr(self, name)
            if part is not None and len(part) != len(self.values):
                raise InvalidValue(f"a curve of {len(self.values)} values has {name} of length {len(part)}")
        self._check_progress(self.values, "progress", "values")
        if self.dense is not None:
            self._check_progress(self.dense, "dense progress", "dense values")

    def _check_progress(self, values: Array, word: str, plural: str) -> None:
        known = values[~np.isnan(values)]
        if known.size and (known.min() < 0 or known.max() > 1):
            raise InvalidValue(f"{word} must lie in [0, 1], got {known.min():.3g} to {known.max():.3g}")
        if known.size < values.size and not self.reason:
            raise InvalidValue(f"{values.size - known.size} {plural} are NaN; say why in `reason`")

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        last = f"{self.values[-1]:.2f}" if len(self) else "none"
        return f"ProgressCurve(time={len(self)}, last={last}, by={self.fingerprint})"
