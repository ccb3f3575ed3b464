"""From episodes to lessons: choosing those that are held out, and reading what is shown of them."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from headway.encoders.base import FrameEncoder
from headway.encoders.cache import FeatureCache
from headway.episodes import Array, Episode
from headway.learned.inputs import load_clip, state_of
from headway.learned.method import Knowledge, Lesson, Method, TaskEpisodes
from headway.learned.wrong_text import Negatives, Texts, instructions_of

# decoding and small encoders spend their time outside Python
READERS = 2


@dataclass(frozen=True, repr=False)
class Reader:
    """Reads episodes through one method's encoders."""

    method: Method
    encoder: FrameEncoder
    texts: Texts
    cache: FeatureCache

    def read(self, episode: Episode, number: int, task: int, knowledge: Knowledge) -> Lesson | None:
        """One lesson; None when nothing can be learned from the episode."""
        labels = self.method.label(episode, task, knowledge)
        if labels is None:
            return None
        clip = load_clip(episode, self.method.inputs, self.encoder, self.texts, self.cache, number, task)
        kept = {name: part[clip.frames] for name, part in labels.items()}
        return Lesson(clip, kept, episode.success)

    def fill_cache(self, episodes: Sequence[Episode], on_episode: Callable[[int, int], None]) -> None:
        """Decode and encode every episode once, so that all networks trained on them find it done."""

        def fill(episode: Episode) -> None:
            state_of(episode, self.method.inputs, "train without --state")
            keep = self.method.inputs.keep(episode.fps)
            for name in self.method.inputs.cameras:
                self.cache.features(self.encoder, episode.camera(name), keep)

        with ThreadPoolExecutor(READERS) as pool:
            for done, _ in enumerate(pool.map(fill, episodes), start=1):
                on_episode(done, len(episodes))


def split(episodes: Sequence[Episode], share: float, seed: int, needs_demonstration: bool = False) -> Array:
    """Which episodes are held out for validation and calibration: bool (episodes,), successes in proportion.

    Rounded to whole episodes, so of very few none is; where a demonstration (not labelled a failure) is needed, one is
    held out all the same if another is left to learn from.
    """
    rng = np.random.default_rng([seed, 6])
    order = sorted(rng.permutation(len(episodes)), key=lambda i: str(episodes[i].success))
    wanted = round(share * len(episodes))
    held_out = np.zeros(len(episodes), dtype=bool)
    if wanted:
        # evenly spaced over failures, then successes
        places = (np.arange(wanted) + 0.5) * len(episodes) / wanted
        held_out[[order[int(place)] for place in places]] = True
    demonstrations = [i for i in order if episodes[i].success is not False]
    if needs_demonstration and len(demonstrations) > 1 and not held_out[demonstrations].any():
        held_out[demonstrations[0]] = True
    return held_out


def negatives_of(tasks: Sequence[TaskEpisodes], texts: Texts, share: float) -> Negatives:
    """The instructions of all tasks, to draw wrong ones from."""
    known = tuple(instructions_of([episode.instruction for episode in task.episodes]) for task in tasks)
    return Negatives(texts, known, share)
