"""What an estimator has to be given, and episodes made of what was sent."""

import base64
import binascii
import math
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version

import numpy as np

from headway.ensemble import Ensemble
from headway.episodes import Array, Episode, ProgressCurve
from headway.errors import InvalidValue
from headway.estimator import Estimator, StreamingEstimator
from headway.learned.estimator import Learned
from headway.learned.pixels import PixelDistance
from headway.serve.limits import Limits
from headway.serve.messages import EpisodeJudged, EpisodeSent, Info, LimitsTold, NeedsTold
from headway.serve.pictures import PictureError, check_picture, decode_picture
from headway.serve.worker import Call


@dataclass(frozen=True)
class Desk:
    """An estimator and what it is given.

    Attributes:
        estimator: what judges.
        limits: of what is taken.
    """

    estimator: Estimator
    limits: Limits

    @property
    def streaming(self) -> StreamingEstimator | None:
        """The estimator, where it can judge a running episode."""
        able = isinstance(self.estimator, StreamingEstimator) and not self.estimator.needs.whole_episode
        return self.estimator if able else None  # type: ignore[return-value]

    def info(self) -> Info:
        names = getattr(self.estimator, "stage_names", None)
        cameras = cameras_of(self.estimator)
        return Info(
            estimator=self.estimator.name,
            fingerprint=self.estimator.fingerprint,
            streams=self.streaming is not None,
            needs=NeedsTold(**asdict(self.estimator.needs)),
            cameras=None if cameras is None else list(cameras),
            state_dim=state_dim_of(self.estimator),
            stages=None if names is None else list(names),
            limits=LimitsTold(**asdict(self.limits)),
            versions={"python": platform.python_version(), **{name: version(name) for name in ("headway", "torch")}},
        )

    def check(self, instruction: str | None, cameras: Mapping[str, object], state: Sequence[float] | None) -> None:
        """Raises InvalidValue that names what the estimator needs and was not given."""
        missing = [name for name in cameras_of(self.estimator) or () if name not in cameras]
        if missing:
            raise InvalidValue(f"{self.estimator.name} looks at the camera {missing[0]!r}; sent were {sorted(cameras)}")
        if self.estimator.needs.state and state is None:
            raise InvalidValue(f"{self.estimator.name} needs the robot's state with every frame")
        size = state_dim_of(self.estimator)
        if size is not None and state is not None and len(state) != size:
            raise InvalidValue(f"{self.estimator.name} takes a state of {size} values; sent were {len(state)}")
        self.check_instruction(instruction)

    def check_instruction(self, instruction: str | None) -> None:
        if self.estimator.needs.instruction and not instruction:
            raise InvalidValue(f"{self.estimator.name} needs to know what the robot was told: send instruction")

    def judge(self, sent: EpisodeSent, index: int, first_frame: int, call: Call) -> EpisodeJudged:
        """One episode, in the worker's thread. Raises InvalidValue for one that is not as it should be."""
        rows = {len(row) for row in sent.state or ()}
        if len(rows) > 1:
            raise InvalidValue(f"episodes.{index}: the rows of the state differ in length: {sorted(rows)}")
        self.check(sent.instruction, sent.cameras, sent.state[0] if sent.state else None)
        cameras = {
            name: Received(pictures, f"episodes.{index}.cameras.{name}", self.limits.pixels, call)
            for name, pictures in sent.cameras.items()
        }
        state = np.array(sent.state, np.float32) if sent.state else None
        episode = Episode(index, first_frame, sent.fps, cameras, sent.instruction, state)
        (curve,) = self.estimator.estimate([episode])
        call.check()
        return judged(curve, self.estimator.name)


class Received:
    """The frames of one camera as they came: their sizes are known to be bearable, and each is decoded when wanted.

    Their identity is None, so that features of what strangers send are not kept on disk.
    """

    identity = None

    def __init__(self, pictures: Sequence[str], where: str, most_pixels: int, call: Call):
        self._where, self._most, self._call = where, most_pixels, call
        self._pictures = [unpacked(picture, f"{where}.{number}") for number, picture in enumerate(pictures)]
        sizes = []
        for number, picture in enumerate(self._pictures):
            call.check()
            with _at(f"{where}.{number}"):
                sizes.append(check_picture(picture, most_pixels))
        if len(set(sizes)) > 1:
            raise InvalidValue(f"{where}: the frames of a camera must be of one size, got {sorted(set(sizes))[:3]}")

    def __len__(self) -> int:
        return len(self._pictures)

    def __iter__(self) -> Iterator[Array]:
        for number, picture in enumerate(self._pictures):
            self._call.check()
            with _at(f"{self._where}.{number}"):
                decoded = decode_picture(picture, self._most)
            yield decoded

    def __repr__(self) -> str:
        return f"Received({len(self)} frames)"


@contextmanager
def _at(where: str) -> Iterator[None]:
    """Says of a picture's error which picture it was."""
    try:
        yield
    except PictureError as error:
        raise PictureError(error.reason, f"{where}: {error}") from None


def unpacked(picture: str, where: str) -> bytes:
    """A picture's bytes. Raises InvalidValue for what is no base64."""
    try:
        return base64.b64decode(picture, validate=True)
    except (binascii.Error, ValueError) as error:
        hint = "; leave out what stands before the comma" if picture.startswith("data:") else ""
        raise InvalidValue(f"{where}: the picture is not in base64{hint}") from error


def decoded(cameras: Mapping[str, str], most_pixels: int) -> dict[str, Array]:
    """The picture of each camera, uint8 RGB (height, width, 3). Raises InvalidValue that names the camera."""
    found = {}
    for name, picture in cameras.items():
        with _at(f"cameras.{name}"):
            found[name] = decode_picture(unpacked(picture, f"cameras.{name}"), most_pixels)
    return found


def judged(curve: ProgressCurve, name: str) -> EpisodeJudged:
    """A curve as it is answered."""
    progress = [share(value) for value in curve.values]
    success = None if curve.success is None else [share(value) for value in curve.success]
    uncertainty = None if curve.uncertainty is None else [spread(value) for value in curve.uncertainty]
    stage = None
    if curve.stage is not None and curve.stage_names is not None:
        stage = [curve.stage_names[number] for number in curve.stage]
    reasons = {}
    for part, values in (("success", success), ("stage", stage), ("uncertainty", uncertainty)):
        if values is None:
            reasons[part] = none_of(name)
        elif None in values:
            reasons[part] = UNKNOWN
    if None in progress:
        reasons["progress"] = curve.reason or UNKNOWN
    return EpisodeJudged(
        frames=len(curve), progress=progress, success=success, stage=stage, uncertainty=uncertainty, reasons=reasons
    )


UNKNOWN = "the estimator gave no number in its range"


def none_of(name: str) -> str:
    """Why there is none of a part that an estimator never gives."""
    return f"{name} gives none"


def share(value: float) -> float | None:
    """The value where it is a number in [0, 1], else None."""
    return float(value) if 0 <= value <= 1 else None


def spread(value: float) -> float | None:
    """The value where it is a finite number from 0, else None."""
    return float(value) if 0 <= value < math.inf else None


def cameras_of(estimator: Estimator) -> tuple[str, ...] | None:
    """The cameras that an estimator looks at; None where that is not known beforehand."""
    if isinstance(estimator, Learned):
        return tuple(estimator.method.inputs.cameras)
    if isinstance(estimator, PixelDistance):
        return (estimator.camera,)
    if isinstance(estimator, Ensemble):
        every = [cameras_of(member) or () for member in estimator.estimators]
        return tuple(dict.fromkeys(name for names in every for name in names)) or None
    return None


def state_dim_of(estimator: Estimator) -> int | None:
    """How many values of the state an estimator takes; None where it takes none, or any."""
    if isinstance(estimator, Learned):
        return estimator.members[0].sizes.state_dim or None
    if isinstance(estimator, Ensemble):
        sizes = [state_dim_of(member) for member in estimator.estimators]
        return next((size for size in sizes if size is not None), None)
    return None
