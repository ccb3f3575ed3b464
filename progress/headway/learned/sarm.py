"""SARM: progress from the stage of the task and how far along within it (arXiv 2509.25358).

From the window w_t = (first frame, then `history` frames `gap_seconds` apart, ending at t) and the instruction, one
network gives stage probabilities p_k and within-stage progress tau_k. The paper decodes the most likely stage,
y_t = P_{k*-1} + a_{k*} tau_{k*}; that is kept as `raw`. On purpose we report the expectation,

    y_t = sum_k p_k (P_{k-1} + a_k tau_k),

which does not jump at a boundary, with its standard deviation as the uncertainty. Also on purpose: one class more
than there are stages, "done", whose probability is the success probability; a within-stage output for each stage
instead of one conditioned on the stage; one small network trained from scratch with its frame encoder instead of two
transformers on frozen CLIP features. Windows look backward only, so the estimate is causal.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from headway.episodes import Array, Episode, ProgressCurve
from headway.errors import DatasetError, UnknownName
from headway.estimator import Needs, Reading
from headway.learned.sarm_network import SarmNetwork
from headway.learned.sarm_training import SarmConfig
from headway.learned.targets import StageScale
from headway.learned.windows import PADDING, backward_windows
from headway.pictures import frames_to_look_at, interpolate, resize
from headway.text import encode_text

CHUNK = 256


@dataclass(frozen=True, repr=False)
class SarmMember:
    """One trained network, the scale it was taught, and the recordings it was trained on."""

    network: SarmNetwork
    scale: StageScale
    trained_on: frozenset[str]

    def knows(self, episode: Episode) -> bool:
        """Whether this very recording was among its training episodes."""
        return episode.recording in self.trained_on


@dataclass(frozen=True, repr=False)
class Judgement:
    """What the network says of some frames: stage probabilities (time, stages + 1), within (time, stages)."""

    stages: Array
    within: Array

    def by_stage(self, scale: StageScale) -> Array:
        """The progress each stage would mean, (time, stages + 1)."""
        within = np.concatenate([self.within, np.zeros((len(self.within), 1), np.float32)], axis=1)
        return scale.starts + scale.widths * within

    def moments(self, scale: StageScale) -> tuple[Array, Array]:
        """Mean and standard deviation of progress under the stage probabilities, each (time,)."""
        by_stage = self.by_stage(scale)
        mean = (self.stages * by_stage).sum(axis=1)
        return mean, np.sqrt((self.stages * (by_stage - mean[:, None]) ** 2).sum(axis=1))


@dataclass(repr=False)
class Sarm:
    """The estimator: one member, or the members of a cross-fit, of which each judges what it was not trained on."""

    name: str
    fingerprint: str
    config: SarmConfig
    members: Sequence[SarmMember]
    device: str = "cpu"
    needs: Needs = field(init=False)

    def __post_init__(self) -> None:
        self.needs = Needs(instruction=True, state=self.config.use_state)
        for member in self.members:
            member.network.to(self.device).eval()

    def estimate(self, episodes: Iterable[Episode], stride: int = 1) -> Iterator[ProgressCurve]:
        for episode in episodes:
            unseen = [i for i, member in enumerate(self.members) if not member.knows(episode)]
            number = unseen[0] if unseen else 0
            fold = number if len(self.members) > 1 else None
            yield self._curve(episode, self.members[number], stride, fold, in_sample=not unseen)

    def _curve(
        self, episode: Episode, member: SarmMember, stride: int, fold: int | None, in_sample: bool
    ) -> ProgressCurve:
        looked_at = frames_to_look_at(len(episode), stride)
        windows = backward_windows(looked_at, self.config.gap_seconds * episode.fps, self.config.history)
        wanted = np.unique(windows[windows != PADDING])
        features = encode_episode(member.network, episode, wanted, self.config, self.device)
        slots = np.where(windows == PADDING, PADDING, np.searchsorted(wanted, windows))
        judgement = judge(member.network, features, slots, episode.instruction or "")
        time = len(episode)
        stages = interpolate(judgement.stages, looked_at, time)
        by_stage = judgement.by_stage(member.scale)
        mean, spread = judgement.moments(member.scale)
        likeliest = np.take_along_axis(by_stage, judgement.stages.argmax(axis=1)[:, None], axis=1)[:, 0]
        seen = np.zeros(time, dtype=bool)
        seen[looked_at] = True
        return ProgressCurve(
            values=interpolate(mean, looked_at, time).clip(0, 1),
            looked_at=seen,
            fingerprint=self.fingerprint,
            # the last class, "done", comes after the last stage
            stage=stages.argmax(axis=1).clip(max=len(member.scale.names) - 1),
            stage_names=member.scale.names,
            stage_probability=stages,
            success=stages[:, -1],
            uncertainty=interpolate(spread, looked_at, time),
            raw=interpolate(likeliest, looked_at, time),
            fold=fold,
            in_sample=in_sample,
        )

    def stream(self, instruction: str | None = None) -> "SarmStream":
        """Start judging a running episode, which no member was trained on; the first judges when there are several."""
        return SarmStream(self.members[0], self.config, instruction or "", self.device)


class SarmStream:
    """Judges frames as they come: one encode and one small transformer each, however long the episode gets."""

    def __init__(self, member: SarmMember, config: SarmConfig, instruction: str, device: str):
        self._member, self._config, self._instruction, self._device = member, config, instruction, device
        self._first: Tensor | None = None
        self._times: deque[float] = deque()
        self._features: deque[Tensor] = deque()

    def push(self, frames: Mapping[str, Array], time: float, state: Array | None = None) -> Reading:
        missing = [name for name in self._config.cameras if name not in frames]
        if missing:
            raise UnknownName("camera", missing[0], frames, "The estimator was trained with it")
        if self._config.use_state and state is None:
            raise DatasetError("this estimator was trained with the robot's state; push it with every frame")
        pictures = np.stack([resize(frames[name], self._config.image_size) for name in self._config.cameras])
        feature = _encode(self._member.network, pictures[None], None if state is None else state[None], self._device)
        self._first = feature if self._first is None else self._first
        self._times.append(time)
        self._features.append(feature)
        self._forget(time)
        features = torch.cat([self._first, *self._features])
        judgement = judge(self._member.network, features, self._window(time), self._instruction)
        mean, spread = judgement.moments(self._member.scale)
        names = self._member.scale.names
        stage = names[min(int(judgement.stages.argmax()), len(names) - 1)]
        progress = min(max(float(mean[0]), 0.0), 1.0)
        return Reading(time, progress, stage, float(judgement.stages[0, -1]), float(spread[0]))

    def _forget(self, time: float) -> None:
        """Drop what no window can reach any more, but for one gap of slack."""
        oldest = time - self._config.gap_seconds * (self._config.history + 1)
        while self._times[0] < oldest:
            self._times.popleft()
            self._features.popleft()

    def _window(self, time: float) -> Array:
        """The window that ends now, as places in (first, *features)."""
        wanted = time - np.arange(self._config.history - 1, -1, -1) * self._config.gap_seconds
        nearest = np.abs(np.array(self._times)[None, :] - wanted[:, None]).argmin(axis=1)
        places = np.where(wanted < -1e-6, PADDING, 1 + nearest)
        return np.concatenate([[0], places])[None]


@torch.inference_mode()
def judge(network: SarmNetwork, features: Tensor, windows: Array, instruction: str) -> Judgement:
    """Judge windows (window, 1 + history) of indices into features (frame, width)."""
    index = torch.as_tensor(windows, device=features.device)
    text = torch.as_tensor(encode_text(instruction), device=features.device).expand(len(index), -1)
    stages, withins = [], []
    for part, words in zip(index.split(CHUNK), text.split(CHUNK), strict=True):
        logits, within = network.judge(features[part.clamp(min=0)], part == PADDING, words)
        stages.append(logits.softmax(dim=1).cpu().numpy())
        withins.append(within.cpu().numpy())
    return Judgement(np.concatenate(stages), np.concatenate(withins))


def encode_episode(network: SarmNetwork, episode: Episode, wanted: Array, config: SarmConfig, device: str) -> Tensor:
    """Features (wanted, width) of the `wanted` frames, rising; decodes each camera once, a few frames at a time."""
    if config.use_state and episode.state is None:
        raise DatasetError(f"episode {episode.index} has no state, which this estimator was trained with")
    features: list[Tensor] = []
    chunk: list[Array] = []
    place = 0
    for number, pictures in enumerate(zip(*(episode.camera(name) for name in config.cameras), strict=True)):
        if place < len(wanted) and number == wanted[place]:
            chunk.append(np.stack([resize(picture, config.image_size) for picture in pictures]))
            place += 1
        if chunk and (len(chunk) == CHUNK or place == len(wanted)):
            frames = wanted[place - len(chunk) : place]
            state = episode.state[frames] if config.use_state and episode.state is not None else None
            features.append(_encode(network, np.stack(chunk), state, device))
            chunk = []
    return torch.cat(features)


@torch.inference_mode()
def _encode(network: SarmNetwork, pictures: Array, state: Array | None, device: str) -> Tensor:
    known = None if state is None else torch.as_tensor(state, dtype=torch.float32, device=device)
    return network.encode(torch.as_tensor(pictures, device=device), known)
