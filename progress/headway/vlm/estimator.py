"""A vision-language model as an estimator: a method asks it about the few frames of an episode that it is shown."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack
from dataclasses import asdict, replace
from threading import Lock
from typing import Any

import numpy as np
from anyio.from_thread import BlockingPortal, start_blocking_portal

from headway.episodes import Array, Episode, ProgressCurve
from headway.estimator import Needs
from headway.pictures import interpolate
from headway.vlm.chat import ChatModel
from headway.vlm.clip import Clip, take_clip
from headway.vlm.judgement import Judgement, VlmMethod
from headway.vlm.running import first_error

# so many frames without a value, of those shown, are bridged by their neighbours; more, and nobody knows
BRIDGED = 2


class VlmEstimator:
    """An Estimator. It looks at the first camera, and at frames of its own choice whatever the stride.

    Several threads may ask it for curves at once; their questions share one event loop, and the model bounds how many
    are under way.

    Args:
        name: its spec.
        method: how it asks.
        model: whom it asks.
        examples: the recordings that the model is shown with their completion; to score one is in-sample.

    Attributes:
        outcomes: what became of all replies so far.
        notes: what the method remarked, episode by episode.
    """

    def __init__(self, name: str, method: VlmMethod, model: ChatModel, examples: frozenset[str] = frozenset()):
        self.name = name
        self.method = method
        self.model = model
        self.examples = examples
        self.outcomes: Counter[str] = Counter()
        self.notes: list[Mapping[str, Any]] = []
        self._lock = Lock()
        self._loop = ExitStack()
        self._portal: BlockingPortal | None = None
        self._under_way: set[Future[Judgement]] = set()
        self._stopped = False

    def __repr__(self) -> str:
        return f"VlmEstimator({self.name!r})"

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
        with self._lock:
            outcomes = dict(self.outcomes)
        return {
            "prompt_version": self.method.version,
            "spent": spent,
            "outcomes": outcomes,
            "notes": self.remarks(),
        }

    def remarks(self) -> dict[str, Any]:
        """The notes of all episodes in one: the mean of numbers, and texts that differ one after another."""
        values: dict[str, list[Any]] = {}
        with self._lock:
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
            judgement = self._judge(clip)
            with self._lock:
                self.outcomes.update({outcome.value: times for outcome, times in judgement.outcomes.items()})
                self.notes.append(judgement.notes)
            curve = to_curve(judgement.clip or clip, judgement, self.fingerprint)
            yield replace(curve, in_sample=episode.recording in self.examples)

    def stop(self) -> None:
        """Give up what is being asked: the threads that wait for it get an error at once. It can be asked no more."""
        with self._lock:
            self._stopped = True
            under_way = set(self._under_way)
        for future in under_way:
            future.cancel()

    def close(self) -> None:
        """End the event loop, and the model's connections with it. It may be asked again, which opens new ones."""
        with self._lock:
            portal, self._portal = self._portal, None
        if portal is not None and hasattr(self.model, "aclose"):
            portal.call(self.model.aclose)
        self._loop.close()

    def _judge(self, clip: Clip) -> Judgement:
        with self._lock:
            if self._stopped:
                raise KeyboardInterrupt
            if self._portal is None:
                self._portal = self._loop.enter_context(start_blocking_portal())
            future = self._portal.start_task_soon(self.method.judge, clip, self.model)
            self._under_way.add(future)
        try:
            with first_error():
                return future.result()
        except CancelledError:
            # what a person's Ctrl-C in the main thread comes to here
            raise KeyboardInterrupt from None
        finally:
            with self._lock:
                self._under_way.discard(future)


def to_curve(clip: Clip, judgement: Judgement, fingerprint: str) -> ProgressCurve:
    """A judgement of some frames as a curve of all: straight lines between the frames that have a value.

    Before the first and after the last of them nothing is known, nor where more than two frames in a row that were
    shown have none: NaN.
    """
    values = _spread(judgement.progress, clip)
    looked_at = np.zeros(clip.length, bool)
    looked_at[clip.frames[~np.isnan(judgement.progress)]] = True
    raw, uncertainty, success = (
        None if part is None else _spread(part, clip)
        for part in (judgement.raw, judgement.uncertainty, judgement.success)
    )
    # a frame or two that a reply leaves out are bridged by their neighbours, and then nothing is missing
    reason = (judgement.reason or "the model said nothing of these frames") if np.isnan(values).any() else None
    return ProgressCurve(
        values.clip(0, 1), looked_at, fingerprint, reason, raw=raw, uncertainty=uncertainty, success=success
    )


def _spread(values: Array, clip: Clip) -> Array:
    """Values (pictures,) of a clip -> float32 (time,), linear between known ones that are near, NaN elsewhere."""
    known = np.flatnonzero(~np.isnan(values))
    whole = np.full(clip.length, np.nan, np.float32)
    for run in np.split(known, np.flatnonzero(np.diff(known) > BRIDGED + 1) + 1):
        if len(run):
            frames = clip.frames[run]
            span = slice(int(frames[0]), int(frames[-1]) + 1)
            whole[span] = interpolate(values[run], frames - frames[0], span.stop - span.start)
    return whole
