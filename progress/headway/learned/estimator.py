"""What all trained estimators share: episodes judged whole, and live."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from headway.encoders.cache import default_cache
from headway.encoders.make import make_frame_encoder, make_text_encoder
from headway.episodes import Array, Episode, ProgressCurve
from headway.errors import DatasetError, InvalidValue, UnknownName
from headway.estimator import Needs, Reading
from headway.learned.eyes import Eyes
from headway.learned.judging import judge, judge_episode
from headway.learned.members import Member
from headway.learned.method import Method, Verdict
from headway.learned.windows import PADDING
from headway.pictures import frames_to_look_at, interpolate
from headway.signals.calibration import ConformalSuccess


@dataclass(repr=False)
class Learned:
    """The estimator: one member, or the members of a cross-fit, of which each judges what it was not trained on."""

    name: str
    fingerprint: str
    method: Method
    members: Sequence[Member]
    device: str = "cpu"
    needs: Needs = field(init=False)

    def __post_init__(self) -> None:
        inputs = self.method.inputs
        self.needs = Needs(instruction=self.method.wrong_text > 0, state=inputs.use_state)
        self.eyes = Eyes(
            inputs,
            make_frame_encoder(inputs.encoder, inputs.image_size, self.device),
            make_text_encoder(inputs.text_encoder, self.device),
            self.device,
            default_cache(),
        )
        for member in self.members:
            member.network.to(self.device).eval()

    @property
    def stage_names(self) -> tuple[str, ...] | None:
        """The stages that its curves count, None when it knows none."""
        scales = self.members[0].knowledge.scales
        return None if scales is None else scales.names

    def estimate(self, episodes: Iterable[Episode], stride: int = 1) -> Iterator[ProgressCurve]:
        for episode in episodes:
            unseen = [i for i, member in enumerate(self.members) if not member.knows(episode)]
            number = unseen[0] if unseen else 0
            fold = number if len(self.members) > 1 else None
            yield self._curve(episode, self.members[number], stride, fold, in_sample=not unseen)

    def decodes(self, episode: Episode, stride: int = 1) -> tuple[str, ...]:
        """See `headway.estimator.Decoding`."""
        eyes, looked_at = self.eyes, frames_to_look_at(len(episode), stride)
        if not eyes.keeps(episode, looked_at) or eyes.cache is None:
            return eyes.inputs.cameras
        frames = {name: episode.camera(name) for name in eyes.inputs.cameras}
        return tuple(name for name, pictures in frames.items() if not eyes.cache.holds(eyes.frames, pictures))

    def success_threshold(self, alpha: float) -> float:
        """The success probability above which at most a share `alpha` of failed episodes ever rises.

        See `headway.signals.calibration.ConformalSuccess` and its CONFORMAL_ASSUMPTION. The members of a cross-fit pool
        their failed calibration episodes, each judged by the member it was held out from. Raises InvalidValue where
        there are none, or too few for `alpha`.
        """
        known = [member.calibration.failed for member in self.members]
        maxima = sorted(value for failed in known if failed is not None for value in failed.maxima)
        if not maxima:
            raise InvalidValue(
                f"{self.name} was calibrated on no failed episode, so nothing can be said of false alarms; train it on "
                "data with failures, labelled as such"
            )
        return ConformalSuccess(tuple(maxima)).threshold(alpha)

    def _curve(self, episode: Episode, member: Member, stride: int, fold: int | None, in_sample: bool) -> ProgressCurve:
        looked_at = frames_to_look_at(len(episode), stride)
        verdict = judge_episode(self.method, member, self.eyes, episode, looked_at)
        time = len(episode)
        seen = np.zeros(time, dtype=bool)
        seen[looked_at] = True

        def every(part: Array | None) -> Array | None:
            return None if part is None else interpolate(part, looked_at, time)

        scales = member.knowledge.scales
        stages = every(verdict.stage_probability)
        progress = interpolate(member.calibration.progress_of(verdict), looked_at, time)
        unknown = bool(np.isnan(progress).any())
        return ProgressCurve(
            values=progress,
            looked_at=seen,
            fingerprint=self.fingerprint,
            reason="the checkpoint has no map from raw scores to progress" if unknown else None,
            stage=None if stages is None or scales is None else scales.stage_of(stages),
            stage_names=None if stages is None else self.stage_names,
            stage_probability=stages,
            success=every(member.calibration.success_of(verdict)),
            uncertainty=every(verdict.uncertainty),
            raw=every(verdict.raw),
            dense=every(verdict.dense),
            fold=fold,
            in_sample=in_sample,
        )

    def stream(self, instruction: str | None = None) -> "LearnedStream":
        """Start judging a running episode, which no member was trained on; the first judges when there are several."""
        return LearnedStream(self.method, self.members[0], self.eyes, instruction or "")


class LearnedStream:
    """Judges frames as they come: one encode and one small head each, however long the episode gets."""

    def __init__(self, method: Method, member: Member, eyes: Eyes, instruction: str):
        self._method, self._member, self._eyes = method, member, eyes
        self._text = eyes.hear(instruction)
        self._first: Tensor | None = None
        self._times: deque[float] = deque()
        self._features: deque[Tensor] = deque()

    def push(self, frames: Mapping[str, Array], time: float, state: Array | None = None) -> Reading:
        inputs = self._method.inputs
        missing = [name for name in inputs.cameras if name not in frames]
        if missing:
            raise UnknownName("camera", missing[0], frames, "The estimator was trained with it")
        if inputs.use_state and state is None:
            raise DatasetError("this estimator was trained with the robot's state; push it with every frame")
        seen = self._eyes.see([[frames[name] for name in inputs.cameras]])
        known = state[None] if inputs.use_state and state is not None else None
        feature = self._eyes.encode(seen, known, self._member.network)
        self._first = feature if self._first is None else self._first
        self._times.append(time)
        self._features.append(feature)
        self._forget(time)
        features = torch.cat([self._first, *self._features])
        return self._reading(time, judge(self._method, self._member, features, self._window(time), self._text))

    def _reading(self, time: float, verdict: Verdict) -> Reading:
        calibration, scales = self._member.calibration, self._member.knowledge.scales
        success = calibration.success_of(verdict)
        stage = None
        if verdict.stage_probability is not None and scales is not None:
            stage = scales.names[int(scales.stage_of(verdict.stage_probability)[0])]
        return Reading(
            time,
            float(calibration.progress_of(verdict)[0]),
            stage,
            None if success is None else float(success[0]),
            None if verdict.uncertainty is None else float(verdict.uncertainty[0]),
        )

    def _forget(self, time: float) -> None:
        """Drop what no window can reach any more, but for one gap of slack."""
        oldest = time - self._method.inputs.gap_seconds * (self._method.inputs.history + 1)
        while self._times[0] < oldest:
            self._times.popleft()
            self._features.popleft()

    def _window(self, time: float) -> Array:
        """The window that ends now, as places in (first, *features)."""
        inputs = self._method.inputs
        wanted = time - np.arange(inputs.history - 1, -1, -1) * inputs.gap_seconds
        nearest = np.abs(np.array(self._times)[None, :] - wanted[:, None]).argmin(axis=1)
        places = np.where(wanted < -1e-6, PADDING, 1 + nearest)
        return np.concatenate([[0], places])[None]
