"""The arms of rabc.py: what each makes of the same drawn demonstrations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rabc_data import ROBOT, Pool

from headway.episodes import Array
from headway.signals.weights.exponential import awr
from headway.signals.weights.gains import LOOK_AHEAD, gains
from headway.signals.weights.look_ahead import choose_look_ahead
from headway.signals.weights.outcome import advantage_flag, success_filter
from headway.signals.weights.rabc import rabc
from headway.signals.weights.rabc_auto import rabc_auto
from headway.signals.weights.rabc_awr import rabc_awr
from headway.signals.weights.schemes import SCHEMES, choose_scheme
from headway.signals.weights.scored import ScoredFrames
from headway_policies.behaviour_cloning import CloningConfig, clone
from headway_policies.conditioned_cloning import clone_conditioned
from headway_policies.demonstrations import Demonstrations, gather
from headway_policies.rollout import Actor
from headway_policies.signature import signature_of

Weigh = Callable[["Drawn"], Array]


@dataclass(frozen=True, repr=False)
class Drawn:
    """The demonstrations that one seed drew from a pool.

    Attributes:
        demonstrations: their numbers, all frames.
        marks, truth_taught, truth: the same frames with progress by an estimator taught with marks, by one taught with
            the truth, and the truth itself. Outcomes are the label that a person gives.
        detected: the marks' frames with the estimator's own opinion on what succeeded.
        seed: of the draw.
    """

    demonstrations: Demonstrations
    marks: ScoredFrames
    truth_taught: ScoredFrames
    truth: ScoredFrames
    detected: ScoredFrames
    seed: int


def draw(pool: Pool, number: int, seed: int) -> Drawn:
    """`number` episodes of the pool, drawn by `seed`."""
    chosen = np.sort(np.random.default_rng([seed, 11]).choice(len(pool.episodes), number, replace=False))
    episodes = [pool.episodes[i] for i in chosen]
    labels = np.array([float(bool(episode.success)) for episode in episodes])

    def frames(progress: Sequence[Array], success: Array = labels) -> ScoredFrames:
        lengths = [len(episode) for episode in episodes]
        return ScoredFrames(
            np.concatenate(progress).astype(np.float64),
            np.repeat(np.arange(len(episodes)), lengths),
            episodes[0].fps,
            success,
        )

    truth = [episode.truth.progress for episode in episodes if episode.truth is not None]
    marks = [pool.progress["marks"][i] for i in chosen]
    return Drawn(
        gather(episodes, signature_of(pool.task, ROBOT)),
        frames(marks),
        frames([pool.progress["truth"][i] for i in chosen]),
        frames(truth),
        frames(marks, pool.success["marks"][chosen].astype(float)),
        seed,
    )


def auto(frames: ScoredFrames) -> Array:
    """What `headway weights --scheme auto` does."""
    look_ahead = choose_look_ahead(frames).frames
    return SCHEMES[choose_scheme(frames, look_ahead).scheme](frames, look_ahead)


def looking_ahead(rule: Callable[[ScoredFrames, int], Array], frames: ScoredFrames) -> Array:
    """A rule with the look-ahead that is read off the data."""
    return rule(frames, choose_look_ahead(frames).frames)


def shuffled(drawn: Drawn) -> Array:
    """The weights of `auto`, each on a frame drawn at random."""
    return np.random.default_rng([drawn.seed, 12]).permutation(auto(drawn.marks))


ARMS: dict[str, Weigh] = {
    "all": lambda drawn: np.ones(len(drawn.marks)),
    "success filter, labels": lambda drawn: success_filter(drawn.truth),
    "auto": lambda drawn: auto(drawn.marks),
    "oracle": lambda drawn: looking_ahead(rabc_awr, drawn.truth),
    "success filter, detector": lambda drawn: success_filter(drawn.detected),
    "RA-BC as published": lambda drawn: rabc(gains(drawn.marks.progress, drawn.marks.episode, LOOK_AHEAD)),
    "rabc-auto": lambda drawn: looking_ahead(rabc_auto, drawn.marks),
    "rabc-auto, true progress": lambda drawn: looking_ahead(rabc_auto, drawn.truth),
    "AWR": lambda drawn: looking_ahead(awr, drawn.marks),
    "auto, taught by truth": lambda drawn: auto(drawn.truth_taught),
    "RA-BC as published, true progress": lambda drawn: rabc(
        gains(drawn.truth.progress, drawn.truth.episode, LOOK_AHEAD)
    ),
    "AWR, true progress": lambda drawn: looking_ahead(awr, drawn.truth),
    "shuffled weights": shuffled,
}
"""Weighted cloning, by what the weights are; the first four decide."""
DECISIVE = tuple(ARMS)[:4]
CONDITIONED = "advantage-conditioned"
"""Told which frames are good, instead of weighing them."""
ALL_ARMS = (*ARMS, CONDITIONED)


def train(arm: str, drawn: Drawn, config: CloningConfig) -> Actor:
    """The policy of an arm."""
    if arm == CONDITIONED:
        flag = advantage_flag(drawn.marks, choose_look_ahead(drawn.marks).frames)
        return clone_conditioned(drawn.demonstrations, flag, config).policy
    return clone(drawn.demonstrations, ARMS[arm](drawn), config).policy
