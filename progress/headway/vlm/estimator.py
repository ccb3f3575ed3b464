"""A vision-language model as an estimator: a method asks it about the few frames of an episode that it is shown."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from threading import Lock
from typing import Any

import numpy as np
from anyio.from_thread import BlockingPortalProvider

from headway.episodes import Array, Episode, ProgressCurve
from headway.estimator import Needs
from headway.pictures import interpolate
from headway.vlm.chat import ChatModel
from headway.vlm.clip import Clip, take_clip
from headway.vlm.judgement import Judgement, VlmMethod
from headway.vlm.running import first_error


@dataclass(frozen=True, repr=False)
class VlmEstimator:
    """An Estimator. It looks at the first camera, and at frames of its own choice whatever the stride.

    Several threads may ask it for curves at once; their questions share one event loop, and the model bounds how many
    are on the way.

    Attributes:
        name: its spec.
        method: how it asks.
        model: whom it asks.
        examples: the recordings that the model is shown with their completion.
        outcomes: what became of all replies so far.
        notes: what the method remarked, episode by episode.
    """

    name: str
    method: VlmMethod
    model: ChatModel
    examples: frozenset[str] = frozenset()
    outcomes: Counter[str] = field(default_factory=Counter, compare=False)
    notes: list[Mapping[str, Any]] = field(default_factory=list, compare=False)
    _portal: BlockingPortalProvider = field(default_factory=BlockingPortalProvider, compare=False)
    _lock: Lock = field(default_factory=Lock, compare=False)

    @property
    def fingerprint(self) -> str:
        parts = [self.method.name, self.method.version, self.model.fingerprint]
        return f"{self.method.name}-{hashlib.sha256('\n'.join(parts).encode()).hexdigest()[:16]}"

    @property
    def needs(self) -> Needs:
        return Needs(instruction=True, whole_episode=True)

    @property
    def at_once(self) -> int:
        """How many episodes it is worth judging at the same time."""
        return self.model.at_once

    def facts(self) -> dict[str, Any]:
        """What a table of its scores should tell: prompt version, what was spent, and what became of the replies."""
        spent = {name: round(value, 3) for name, value in asdict(self.model.spent).items()}
        return {
            "prompt_version": self.method.version,
            "spent": spent,
            "outcomes": dict(self.outcomes),
            "notes": self.remarks(),
        }

    def remarks(self) -> dict[str, Any]:
        """The notes of all episodes in one: the mean of numbers, and texts that differ one after another."""
        values: dict[str, list[Any]] = {}
        for notes in self.notes:
            for name, value in notes.items():
                values.setdefault(name, []).append(value)
        return {
            name: "; ".join(dict.fromkeys(found)) if isinstance(found[0], str) else round(float(np.mean(found)), 4)
            for name, found in values.items()
        }

    def estimate(self, episodes: Iterable[Episode], stride: int = 1) -> Iterator[ProgressCurve]:
        """See Estimator. Raises NoReply when the model cannot be had, InvalidValue without an instruction."""
        for episode in episodes:
            length = len(episode)
            clip = take_clip(episode, self.method.looks_at(length, length / episode.fps))
            with first_error(), self._portal as portal:
                judgement = portal.call(self.method.judge, clip, self.model)
            with self._lock:
                self.outcomes.update({outcome.value: times for outcome, times in judgement.outcomes.items()})
                self.notes.append(judgement.notes)
            curve = to_curve(clip, judgement, self.fingerprint)
            yield replace(curve, in_sample=episode.recording in self.examples)


def to_curve(clip: Clip, judgement: Judgement, fingerprint: str) -> ProgressCurve:
    """A judgement of some frames as a curve of all: straight lines between the frames that have a value.

    Before the first and after the last of them nothing is known: NaN.
    """
    values = _spread(judgement.progress, clip)
    looked_at = np.zeros(clip.length, bool)
    looked_at[clip.frames[~np.isnan(judgement.progress)]] = True
    raw, uncertainty, success = (
        None if part is None else _spread(part, clip)
        for part in (judgement.raw, judgement.uncertainty, judgement.success)
    )
    # a frame that a reply leaves out is bridged by its neighbours, and then nothing is missing
    reason = (judgement.reason or "the model said nothing of these frames") if np.isnan(values).any() else None
    return ProgressCurve(
        values.clip(0, 1), looked_at, fingerprint, reason, raw=raw, uncertainty=uncertainty, success=success
    )


def _spread(values: Array, clip: Clip) -> Array:
    """Values (pictures,) of a clip -> float32 (time,), linear between the known ones and NaN outside of them."""
    known = ~np.isnan(values)
    whole = np.full(clip.length, np.nan, np.float32)
    if known.any():
        frames = clip.frames[known]
        span = slice(int(frames[0]), int(frames[-1]) + 1)
        whole[span] = interpolate(values[known], frames - frames[0], span.stop - span.start)
    return whole
