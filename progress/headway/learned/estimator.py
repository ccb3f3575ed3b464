"""What all trained estimators share: each frame is encoded once, windows of features are judged, offline and live."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from headway.encoders.base import FrameEncoder, TextEncoder
from headway.encoders.cache import FeatureCache, default_cache
from headway.encoders.make import make_frame_encoder, make_text_encoder
from headway.episodes import Array, Episode, ProgressCurve
from headway.errors import DatasetError, InvalidValue, UnknownName
from headway.estimator import Needs, Reading
from headway.learned.inputs import InputConfig, state_of
from headway.learned.members import Member
from headway.learned.method import Method, Verdict
from headway.learned.windows import PADDING, backward_windows
from headway.pictures import frames_to_look_at, interpolate
from headway.signals.calibration import ConformalSuccess

CHUNK = 256
# pictures come in the size they were recorded at, so few are held at once
PICTURES = 32


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


@dataclass(frozen=True, repr=False)
class Eyes:
    """How pictures, states and words reach a network.

    Attributes:
        inputs: what is shown.
        frames, words: the frozen encoders.
        device: of the network.
        cache: where the features of whole episodes are kept; None for nowhere.
    """

    inputs: InputConfig
    frames: FrameEncoder
    words: TextEncoder
    device: str
    cache: FeatureCache | None = None

    def encode(self, pictures: Array, state: Array | None, network: "torch.nn.Module") -> Tensor:
        """Encoder features (frame, camera, *shape) and state (frame, state_dim) -> a network's (frame, width)."""
        known = None if state is None else torch.as_tensor(state, dtype=torch.float32, device=self.device)
        given = torch.as_tensor(pictures, device=self.device).to(torch.float32)
        with torch.inference_mode():
            return network.encode(given, known)  # type: ignore[operator]

    def see(self, pictures: Sequence[Sequence[Array]]) -> Array:
        """Pictures, (frame)(camera), uint8 RGB of any size -> encoder features (frame, camera, *shape)."""
        cameras = zip(*pictures, strict=True)
        return np.stack([self.frames.encode(list(camera)) for camera in cameras], axis=1)

    def watch(self, episode: Episode, wanted: Array, network: "torch.nn.Module") -> Tensor:
        """Features (wanted, width) of the `wanted` frames, rising; decodes each camera once, a few frames at a time."""
        state = state_of(episode, self.inputs, "this estimator was trained with it")
        features: list[Tensor] = []
        place = 0
        for seen in self._kept(episode) if self._keeps(episode, wanted) else self._decoded(episode, wanted):
            frames = wanted[place : place + len(seen)]
            features.append(self.encode(seen, None if state is None else state[frames], network))
            place += len(seen)
        return torch.cat(features)

    def _keeps(self, episode: Episode, wanted: Array) -> bool:
        """Whether features are worth keeping: of all frames, from an encoder that is more than a resizing."""
        return self.cache is not None and len(wanted) == len(episode) and self.frames.dtype != np.uint8

    def _kept(self, episode: Episode) -> Iterator[Array]:
        """Encoder features of all frames, a few at a time, from the cache."""
        assert self.cache is not None
        cameras = [self.cache.features(self.frames, episode.camera(name)) for name in self.inputs.cameras]
        for first in range(0, len(episode), CHUNK):
            yield np.stack([camera[first : first + CHUNK] for camera in cameras], axis=1)

    def _decoded(self, episode: Episode, wanted: Array) -> Iterator[Array]:
        """Encoder features of the `wanted` frames, a few at a time; each camera is decoded once."""
        chunk: list[tuple[Array, ...]] = []
        place = 0
        for number, pictures in enumerate(zip(*(episode.camera(name) for name in self.inputs.cameras), strict=True)):
            if place < len(wanted) and number == wanted[place]:
                chunk.append(pictures)
                place += 1
            if chunk and (len(chunk) == PICTURES or place == len(wanted)):
                yield self.see(chunk)
                chunk = []
            if place == len(wanted):
                return


def judge_episode(method: Method, member: Member, eyes: Eyes, episode: Episode, looked_at: Array) -> Verdict:
    """What a member says of some frames of an episode, rising, before calibration."""
    windows = backward_windows(looked_at, method.inputs.gap_seconds * episode.fps, method.inputs.history)
    wanted = np.unique(windows[windows != PADDING])
    features = eyes.watch(episode, wanted, member.network)
    places = np.where(windows == PADDING, PADDING, np.searchsorted(wanted, windows))
    return judge(method, member, features, places, eyes.words.encode(episode.instruction or ""))


@torch.inference_mode()
def judge(method: Method, member: Member, features: Tensor, windows: Array, text: Array) -> Verdict:
    """Judge windows (window, 1 + history) of indices into features (frame, width), under one encoded instruction."""
    index = torch.as_tensor(windows, device=features.device)
    words = torch.as_tensor(text, device=features.device)
    parts = []
    for part in index.split(CHUNK):
        outputs = member.network.judge(features[part.clamp(min=0)], part == PADDING, words.expand(len(part), -1))
        parts.append({name: tensor.float().cpu().numpy() for name, tensor in outputs.items()})
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return method.read(joined, member.knowledge)


class LearnedStream:
    """Judges frames as they come: one encode and one small head each, however long the episode gets."""

    def __init__(self, method: Method, member: Member, eyes: Eyes, instruction: str):
        self._method, self._member, self._eyes = method, member, eyes
        self._text = eyes.words.encode(instruction)
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
