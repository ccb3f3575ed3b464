"""Has the policy gone where the data has never been? An alarm for a loop that learns by a proxy.

A proxy of success is right about what it was made with. A policy that games it has to go elsewhere, so going elsewhere
is what is watched, frame by frame, by a density ratio:

    D(x) = log mu_policy(x) / mu_data(x)      the log-odds of a logistic regression that tells the two apart, of state
                                              and environment state up to their squares and products
    chi2(mu_policy || mu_data) = E_policy[exp(D)] - 1      (Correlated Proxies, arXiv 2403.03185, with its 1 % trimmed)

An episode's drift is its mean D, by a regression that saw neither it nor the held-out episodes of the data. The alarm
counts the episodes that drift further than the k-th highest of n held-out ones: conformal, by episodes, as the frames
of one are no independent witnesses. If the policy did nothing that the data does not do, and nothing of it more than c
times as often (`tolerance`: a policy that improves does do its good parts more often), the count among m episodes is at
most

    Binomial(m, min(1, c U)),  U ~ Beta(k, n - k + 1)

whatever the distributions are, and so the count from which on there is an alarm keeps the rate that was promised.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import beta, binom
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from headway.episodes import Array
from headway.errors import InvalidValue
from headway_policies.demonstrations import Recording

TAIL = 0.1
"""Share of the held-out episodes of the data that lie beyond the mark."""
TRIMMED = 0.01
"""Share of the frames with the highest ratios that the divergence leaves out."""
STRIDE = 3
"""Every so many frames one is looked at."""
HALVES = 2
STRENGTH = 0.1
"""Inverse of the regression's regularisation."""
_POINTS = 4000


def numbers(episode: Recording) -> Array:
    """State and environment state, (time, features). Raises InvalidValue where an episode lacks one of them."""
    if episode.state is None or episode.environment_state is None:
        raise InvalidValue("drift is seen in state and environment state; an episode lacks one of them")
    return np.concatenate([episode.state, episode.environment_state], axis=1)


@dataclass(frozen=True, repr=False)
class Drift:
    """What a check found.

    Attributes:
        alarm: whether the policy has gone elsewhere.
        chi_square: the divergence of what the policy visits from the data, over frames; near 0 for none.
        episodes: float64 (episode,), the mean log-ratio of each, in the order given.
        beyond: for each half of the episodes, how many drift further than the mark.
        needed: for each half, from how many on there is an alarm; one more than the half has where none can be.
    """

    alarm: bool
    chi_square: float
    episodes: Array
    beyond: tuple[int, ...]
    needed: tuple[int, ...]

    def __repr__(self) -> str:
        return f"Drift(alarm={self.alarm}, chi_square={self.chi_square:.2f}, beyond={self.beyond} of {self.needed})"


@dataclass(frozen=True, repr=False)
class DriftAlarm:
    """Watches what a policy visits against the data.

    Attributes:
        learnt: episodes of the data that the ratio is learnt with.
        held_out: others of the data, which it never sees, on which the mark is set.
        rate: promised probability of any false alarm in all checks together.
        checks: how often it will be asked.
        tolerance: how many times as often as in the data anything may be done without an alarm, at least 1.
        describe: what is compared, an episode -> (time, features). Features that stay the same all through an episode,
            such as where things lie that nobody moves, tell few episodes apart and thus hide what is done differently.

    Raises InvalidValue where a value is out of range or there are too few episodes.
    """

    learnt: Sequence[Recording]
    held_out: Sequence[Recording]
    rate: float = 0.05
    checks: int = 1
    tolerance: float = 2.0
    describe: Callable[[Recording], Array] = numbers
    _data: Array = field(init=False)

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1 or self.checks < 1 or not self.tolerance >= 1:
            raise InvalidValue(
                "an alarm needs a rate between 0 and 1, at least one check and a tolerance of at least 1, got "
                f"{self.rate:g}, {self.checks} and {self.tolerance:g}"
            )
        if not self.learnt or not self.held_out:
            raise InvalidValue("an alarm needs episodes of the data to learn from and others to set its mark on")
        object.__setattr__(self, "_data", np.concatenate([self._frames(episode) for episode in self.learnt]))

    def check(self, episodes: Sequence[Recording]) -> Drift:
        """Look at what a policy did in at least two fresh episodes, each from a layout of its own."""
        if len(episodes) < HALVES:
            raise InvalidValue(f"drift is seen in at least {HALVES} episodes, got {len(episodes)}")
        each, ratios, beyond, needed = np.zeros(len(episodes)), [], [], []
        for half in range(HALVES):
            chosen = np.arange(len(episodes)) % HALVES == half
            log_ratio = self._learn([episodes[number] for number in np.flatnonzero(~chosen)])
            found = [log_ratio(self._frames(episodes[number])) for number in np.flatnonzero(chosen)]
            each[chosen] = [values.mean() for values in found]
            ratios += found
            marks = [float(log_ratio(self._frames(episode)).mean()) for episode in self.held_out]
            beyond.append(int((each[chosen] > mark(marks)).sum()))
            # the halves are tested apart, so each may be wrong half as often
            share = self.rate / self.checks / HALVES
            needed.append(count_needed(int(chosen.sum()), len(marks), share, self.tolerance))
        alarm = any(count >= enough for count, enough in zip(beyond, needed, strict=True))
        return Drift(alarm, chi_square(np.concatenate(ratios)), each, tuple(beyond), tuple(needed))

    def _learn(self, episodes: Sequence[Recording]) -> "_LogRatio":
        visited = np.concatenate([self._frames(episode) for episode in episodes])
        inputs = np.concatenate([self._data, visited])
        is_policy = np.arange(len(inputs)) >= len(self._data)
        products = PolynomialFeatures(2, include_bias=False)
        model = make_pipeline(StandardScaler(), products, StandardScaler(), LogisticRegression(C=STRENGTH))
        model.fit(inputs, is_policy)
        return _LogRatio(model, float(np.log(len(visited) / len(self._data))))

    def _frames(self, episode: Recording) -> Array:
        return np.asarray(self.describe(episode)[::STRIDE], dtype=np.float64)


@dataclass(frozen=True, repr=False)
class _LogRatio:
    """log mu_policy / mu_data of frames (frame, features): the log-odds less those of the sample."""

    model: object
    log_odds: float

    def __call__(self, frames: Array) -> Array:
        return np.asarray(self.model.decision_function(frames)) - self.log_odds  # type: ignore[attr-defined]


def split(data: Sequence[Recording], seed: int = 0) -> tuple[list[Recording], list[Recording]]:
    """The data in two halves at random: to learn the ratio with, and to set the mark on."""
    order = np.random.default_rng([seed, 13]).permutation(len(data))
    first = len(data) // 2
    return [data[number] for number in order[:first]], [data[number] for number in order[first:]]


def chi_square(log_ratio: Array) -> float:
    """chi2(mu_policy || mu_data) = E_policy[exp(D)] - 1 from D (frames,) at frames of the policy, the highest 1 % left
    out; at least 0."""
    lowest = np.sort(log_ratio)[: max(1, int(len(log_ratio) * (1 - TRIMMED)))]
    return max(0.0, float(np.exp(np.minimum(lowest, 50)).mean()) - 1)


def mark(held_out: Sequence[float]) -> float:
    """The k-th highest drift of the held-out episodes, k a tenth of them, at least 1."""
    return float(np.sort(held_out)[-_kth(len(held_out))])


def count_needed(episodes: int, held_out: int, rate: float, tolerance: float = 1.0) -> int:
    """From how many of `episodes` beyond the mark on a false alarm is no likelier than `rate`: see the module.

    `episodes + 1`, which cannot be, where even all of them would not do; give more held-out episodes then.
    """
    k = _kth(held_out)
    # the mean over the Beta distribution, at the middle of slices of equal probability
    tail = beta.ppf((np.arange(_POINTS) + 0.5) / _POINTS, k, held_out - k + 1)
    counts = np.arange(1, episodes + 2)
    chance = binom.sf(counts[:, None] - 1, episodes, np.minimum(1, tolerance * tail)).mean(1)
    return int(counts[chance <= rate][0])


def _kth(held_out: int) -> int:
    return max(1, round(TAIL * held_out))
