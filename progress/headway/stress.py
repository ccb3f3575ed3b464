"""Stress: episodes changed so that an estimator which goes by time, by habit or by one picture's look goes wrong.

`STRESSES` names the transforms. Each takes an episode and a random generator and gives an episode with all that is
true of it carried along; nothing is decoded before it is looked at. `Stressed` applies one to a whole dataset, which
can then be scored and evaluated as any other.

What holds for all of them. Those that show other frames are made by `headway.replay.replay`, which says what becomes of
truth, marks, label, state and action. Those that change pictures leave everything else as it is. `recording` stays:
an estimator that was trained on the episode is in-sample on the changed one too. `kind` becomes `stress:NAME`.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import cv2
import numpy as np

from headway.edited_clips import play
from headway.episodes import Array, Episode, Stage
from headway.errors import UnknownName, Unsupported
from headway.replay import JoinedFrames, repaint, replay
from headway.source import Source

# goes up whenever a transform comes out differently
VERSION = 1

# shares of the episode
CUT = (0.3, 0.7)
AGAIN_FROM, AGAIN_AT = (0.2, 0.4), (0.5, 0.8)
ENDING = 0.4
MISSING = 0.3
DARK, BRIGHT = 0.4, 1.8
# of each side of the picture
CROPPED = 0.8
JPEG_QUALITY = 10


@dataclass(frozen=True)
class Stress:
    """One transform.

    Attributes:
        transform: (episode, generator) -> episode; where `needs_other`, (episode, generator, other episode) -> episode.
        what: what it does.
        expected: what an estimator that is right does.
        needs_other: whether it takes an episode of another task.
    """

    transform: Callable[..., Episode]
    what: str
    expected: str
    needs_other: bool = False


def truncate(episode: Episode, rng: np.random.Generator) -> Episode:
    """Stop after 30 to 70 % of the frames. The label is of the cut, where a success is mostly none yet."""
    return replay(episode, np.arange(_place(episode, rng, CUT) + 1))


def freeze(episode: Episode, rng: np.random.Generator) -> Episode:
    """Stand still from 30 to 70 % on, robot and world, for as long as the episode goes on. Truth stands still too."""
    return replay(episode, np.minimum(np.arange(len(episode)), _place(episode, rng, CUT)))


def reverse(episode: Episode, rng: np.random.Generator) -> Episode:
    """Run from the last frame to the first. A success ends undone, as its first frame was."""
    return replay(episode, np.arange(len(episode))[::-1])


def repeat(episode: Episode, rng: np.random.Generator) -> Episode:
    """Show a stretch again: on to 50 to 80 %, back at one stroke to 20 to 40 %, and on to the end. Truth falls too."""
    back, at = _place(episode, rng, AGAIN_FROM), _place(episode, rng, AGAIN_AT)
    return replay(episode, np.concatenate([np.arange(at + 1), np.arange(back, len(episode))]))


def fast(episode: Episode, rng: np.random.Generator) -> Episode:
    """Twice the speed: about every second frame, and the first and the last."""
    return _at_speed(episode, 2.0)


def slow(episode: Episode, rng: np.random.Generator) -> Episode:
    """Half the speed: every frame twice."""
    return _at_speed(episode, 0.5)


def drop(episode: Episode, rng: np.random.Generator) -> Episode:
    """Lose 30 % of the frames between the first and the last. Timestamps, where there are any, keep the gaps."""
    kept = rng.random(len(episode)) >= MISSING
    kept[[0, -1]] = True
    shown = np.flatnonzero(kept)
    times = None if episode.timestamps is None else episode.timestamps[shown]
    return replace(replay(episode, shown), timestamps=times)


def ending(episode: Episode, rng: np.random.Generator, other: Episode) -> Episode:
    """From 30 to 70 % on, show the last 40 % of another task's episode under this one's instruction.

    Nothing that is seen after the cut brings this task on, so its truth stands still there and marks end there. State
    and action go on as the other's where they are of the same size, else there are none; of the objects' places
    nothing is known. The cut lies before the first frame that is truly done, unless that is the first of all. An
    estimator trained on the other recording alone is not recognised as in-sample.

    Raises UnknownName when the other episode lacks one of the cameras.
    """
    done = len(episode) if episode.truth is None else _first(episode.truth.success)
    cut = max(min(_place(episode, rng, CUT) + 1, done), 1)
    length = max(round(ENDING * len(other)), 1)
    start = len(other) - length
    frames = play([start, len(other) - 1], [(length - 1) * episode.fps / other.fps])
    tail = replay(other, frames)
    held = replay(episode, np.minimum(np.arange(cut + len(tail)), cut - 1))
    first = replay(episode, np.arange(cut))
    return replace(
        held,
        cameras={name: JoinedFrames(first.camera(name), tail.camera(name)) for name in episode.cameras},
        state=_joined(first.state, tail.state),
        environment_state=None,
        action=_joined(first.action, tail.action),
        stages=_until(held.stages, cut),
        dense_stages=_until(held.dense_stages, cut),
    )


def black(episode: Episode, rng: np.random.Generator) -> Episode:
    """Every camera goes black at 30 to 70 % while the world goes on, and truth with it, unseen."""
    start = _place(episode, rng, CUT)
    return repaint(episode, partial(_black, start=start), f"black from {start}")


def brightness(episode: Episode, rng: np.random.Generator) -> Episode:
    """Every picture at 0.4 or 1.8 times its brightness, the same over the episode."""
    factor = float(rng.choice([DARK, BRIGHT]))
    return repaint(episode, partial(_brightened, factor=factor), f"brightness {factor}")


def crop(episode: Episode, rng: np.random.Generator) -> Episode:
    """A window of 80 % of the height and width, somewhere, the same over the episode, at the size of the whole."""
    top, left = rng.random(2).round(3).tolist()
    return repaint(episode, partial(_cropped, top=top, left=left), f"crop {CROPPED} at {top} {left}")


def jpeg(episode: Episode, rng: np.random.Generator) -> Episode:
    """Every picture compressed as JPEG of quality 10 of 100."""
    return repaint(episode, _compressed, f"jpeg {JPEG_QUALITY}")


def camera(episode: Episode, rng: np.random.Generator) -> Episode:
    """Each camera's name shows the next camera's pictures, the last one's the first's.

    Raises Unsupported for an episode with one camera.
    """
    names = list(episode.cameras)
    if len(names) < 2:
        raise Unsupported(f"episode {episode.index} has no camera besides {names[0]!r} to show in its place")
    swapped = zip(names, names[1:] + names[:1], strict=True)
    return replace(episode, cameras={name: episode.cameras[shown] for name, shown in swapped})


STRESSES: dict[str, Stress] = {
    "truncate": Stress(truncate, "cut off half-way", "the final value falls to the truth at the cut"),
    "freeze": Stress(freeze, "stands still from half-way on", "the curve is flat from there on"),
    "reverse": Stress(reverse, "runs backwards", "the curve falls to 0, and no success at the end"),
    "repeat": Stress(repeat, "a stretch comes again", "the curve falls back at once, and rises over it again"),
    "fast": Stress(fast, "twice as fast", "the same value at the same picture"),
    "slow": Stress(slow, "half as fast", "the same value at the same picture"),
    "drop": Stress(drop, "30 % of the frames are missing", "the same value at the same picture"),
    "ending": Stress(ending, "ends with another task's ending", "neither progress nor success after the cut", True),
    "black": Stress(black, "the picture goes black half-way", "neither progress nor success while it is black"),
    "brightness": Stress(brightness, "darker or brighter throughout", "the same curve"),
    "crop": Stress(crop, "a part of each picture", "the same curve"),
    "jpeg": Stress(jpeg, "compressed until it shows", "the same curve"),
    "camera": Stress(camera, "another camera under each camera's name", "the same curve, or an uncertain one"),
}


class Stressed:
    """A source whose every episode is changed by one stress, the same for the same seed and episode.

    Its frames are numbered anew where episodes change their length. Select cameras of the stressed source, not of the
    one inside, where the stress is `camera`.
    """

    def __init__(self, source: Source, name: str, seed: int = 0, others: Source | None = None):
        """Stress `source`.

        Args:
            source: the dataset.
            name: one of STRESSES.
            seed: of what is drawn.
            others: where `ending` takes episodes of another task from; None for the source itself.

        Raises:
            UnknownName: there is no such stress.
            Unsupported: `camera` of a source with one camera; `ending` where an episode has no other task's to end in.
        """
        if name not in STRESSES:
            raise UnknownName("stress", name, STRESSES)
        if name == "camera" and len(source.cameras) < 2:
            raise Unsupported(f"{source.root} has one camera, {source.cameras[0]!r}; the stress camera needs two")
        self.stress = STRESSES[name]
        self._name, self._seed, self._source = name, seed, source
        self._others: Source = source if others is None else others
        made_of = [source.fingerprint, name, str(seed), str(VERSION)]
        made_of += [self._others.fingerprint] if self.stress.needs_other else []
        self.root: Path = source.root
        self.format = source.format
        self.fingerprint = f"stress-{name}-{hashlib.sha256('\n'.join(made_of).encode()).hexdigest()[:16]}"
        self.cameras = source.cameras
        self.episode_indices: Sequence[int] = source.episode_indices
        self.stage_names = source.stage_names
        self.dense_stage_names = source.dense_stage_names
        if self.stress.needs_other:
            self._check_tasks()

    def __len__(self) -> int:
        return len(self._source)

    def episode(self, index: int) -> Episode:
        """One episode by its number. Raises UnknownName or DatasetError, as the source does."""
        return replace(self._changed(index), first_frame=self._first_frames[index])

    def __iter__(self) -> Iterator[Episode]:
        return (self.episode(index) for index in self.episode_indices)

    def _changed(self, index: int) -> Episode:
        episode = self._source.episode(index)
        rng = np.random.default_rng([self._seed, zlib.crc32(self._name.encode()), index])
        other = [self._other(episode, rng)] if self.stress.needs_other else []
        return replace(self.stress.transform(episode, rng, *other), kind=f"stress:{self._name}")

    @cached_property
    def _first_frames(self) -> dict[int, int]:
        """Where each episode's frames begin. Opens every episode once, without decoding."""
        lengths = [len(self._changed(index)) for index in self.episode_indices]
        starts = np.cumsum([0, *lengths[:-1]]).tolist()
        return dict(zip(self.episode_indices, starts, strict=True))

    @cached_property
    def _tasks(self) -> list[tuple[int, str]]:
        """The number and the instruction of every episode that can lend its ending."""
        known = [(one.index, one.instruction, one.success) for one in self._others]
        return [(index, told) for index, told, success in known if told is not None and success is not False]

    def _check_tasks(self) -> None:
        lent = {told for _, told in self._tasks}
        for one in self._source:
            if one.instruction is None or not lent - {one.instruction}:
                raise Unsupported(
                    f"the stress ending needs an episode of another task than episode {one.index}'s "
                    f"({one.instruction!r}) that is no failure, and {self._others.root} has none"
                )

    def _other(self, episode: Episode, rng: np.random.Generator) -> Episode:
        fitting = [index for index, told in self._tasks if told != episode.instruction]
        return self._others.episode(int(rng.choice(fitting)))


def _place(episode: Episode, rng: np.random.Generator, shares: tuple[float, float]) -> int:
    """A frame somewhere between two shares of the episode."""
    return round(rng.uniform(*shares) * (len(episode) - 1))


def _at_speed(episode: Episode, speed: float) -> Episode:
    last = len(episode) - 1
    shown = play([0, last], [last / speed])
    return replay(episode, shown if shown[-1] == last else np.append(shown, last))


def _first(flags: Array) -> int:
    """The first True; the length when there is none."""
    return int(flags.argmax()) if flags.any() else len(flags)


def _joined(first: Array | None, second: Array | None) -> Array | None:
    fits = first is not None and second is not None and first.shape[1:] == second.shape[1:]
    return np.concatenate([first, second]) if fits else None


def _until(stages: tuple[Stage, ...] | None, cut: int) -> tuple[Stage, ...] | None:
    if stages is None:
        return None
    return tuple(replace(stage, end=min(stage.end, cut)) for stage in stages if stage.start < cut)


def _black(number: int, picture: Array, start: int) -> Array:
    return np.zeros_like(picture) if number >= start else picture


def _brightened(number: int, picture: Array, factor: float) -> Array:
    return (picture * factor).clip(0, 255).round().astype(np.uint8)


def _cropped(number: int, picture: Array, top: float, left: float) -> Array:
    height, width = picture.shape[:2]
    tall, wide = max(round(CROPPED * height), 1), max(round(CROPPED * width), 1)
    row, column = round(top * (height - tall)), round(left * (width - wide))
    return cv2.resize(picture[row : row + tall, column : column + wide], (width, height))


def _compressed(number: int, picture: Array) -> Array:
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    _, packed = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), quality)
    shown = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return cv2.cvtColor(shown, cv2.COLOR_BGR2RGB)
