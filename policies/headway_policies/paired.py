"""Two policies on the same layouts: is one better, by how much, and what could such a test have seen at all?

Of n layouts, `both` are done by both policies, `first` by the first alone, `second` by the second alone, `neither` by
none. Only `first` and `second` tell the policies apart (McNemar 1947, Psychometrika 12). All of it is about these two
checkpoints on further layouts. It says nothing about two recipes for training: those differ from seed to seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.stats import binom, binomtest

from headway.errors import InvalidValue
from headway.metrics.intervals import Estimate

LEVEL = 0.05
POWER = 0.8
MOST_LAYOUTS = 100_000
"""Beyond which no number of layouts is named."""
_RARE = 1e-9


@dataclass(frozen=True)
class Paired:
    """How often which of two policies succeeded on the same layouts."""

    both: int
    first: int
    second: int
    neither: int

    def __post_init__(self) -> None:
        counts = (self.both, self.first, self.second, self.neither)
        if min(counts) < 0 or self.layouts < 1:
            raise InvalidValue(f"a comparison needs at least one layout and no count below 0, got {counts}")

    @property
    def layouts(self) -> int:
        """How many there are."""
        return self.both + self.first + self.second + self.neither

    @property
    def apart(self) -> float:
        """Share of the layouts on which the policies end differently."""
        return (self.first + self.second) / self.layouts

    @property
    def successes(self) -> tuple[int, int]:
        """Of the first policy, and of the second."""
        return self.both + self.first, self.both + self.second


def count_pairs(first: Sequence[bool], second: Sequence[bool]) -> Paired:
    """Of outcomes (layouts,) and (layouts,), in the same order of layouts."""
    if len(first) != len(second):
        raise InvalidValue(f"both policies must try the same layouts, got {len(first)} and {len(second)} outcomes")
    one, other = np.asarray(first, bool), np.asarray(second, bool)
    return Paired(
        int((one & other).sum()), int((one & ~other).sum()), int((~one & other).sum()), int((~one & ~other).sum())
    )


def wilson(successes: int, trials: int) -> Estimate:
    """A share with Wilson's 95 % score interval (1927, JASA 22)."""
    found = binomtest(successes, trials).proportion_ci(1 - LEVEL, method="wilson")
    return Estimate(successes / trials, float(found.low), float(found.high))


def mcnemar(pairs: Paired) -> float:
    """Exact two-sided p-value: layouts that tell the policies apart are a fair coin's throws. 1 when there is none."""
    apart = pairs.first + pairs.second
    return float(binomtest(pairs.first, apart).pvalue) if apart else 1.0


def newcombe(pairs: Paired) -> Estimate:
    """How much more often the first succeeds, as a share of layouts, with the 95 % interval of Newcombe's method 10.

    Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions based on paired
    data", Statistics in Medicine 17. From the Wilson intervals (l1, u1) and (l2, u2) of the shares p1 and p2,

        low  = p1 - p2 - sqrt((p1 - l1)^2 - 2 phi (p1 - l1) (u2 - p2) + (u2 - p2)^2)
        high = p1 - p2 + sqrt((u1 - p1)^2 - 2 phi (u1 - p1) (p2 - l2) + (p2 - l2)^2)

    where phi is the correlation of the outcomes, (both neither - first second) / sqrt(product of the four margins),
    whose numerator is lowered by n / 2, to 0 at the lowest, when it is positive; 0 where a margin is 0.
    """
    n = pairs.layouts
    one, two = (wilson(successes, n) for successes in pairs.successes)
    phi = _correlation(pairs)
    down = _length(one.value - one.low, two.high - two.value, phi)
    up = _length(one.high - one.value, two.value - two.low, phi)
    difference = one.value - two.value
    return Estimate(difference, max(-1.0, difference - down), min(1.0, difference + up))


def power(effect: float, apart: float, layouts: int) -> float:
    """Probability that the exact test is significant, summed exactly over all outcomes of it.

    Args:
        effect: true difference in success, a share of layouts from 0 to 1.
        apart: share of layouts on which the policies truly end differently, at least `effect`.
        layouts: how many are tried.
    """
    apart = min(1.0, max(apart, effect))
    if apart == 0:
        return 0.0
    lowest, highest = binom.ppf([_RARE, 1 - _RARE], layouts, apart)
    differing = np.arange(max(1, int(lowest)), int(highest) + 1)
    # significant when the smaller of the two counts is at most `critical`; -1 when no outcome is
    critical = binom.ppf(LEVEL / 2, differing, 0.5).astype(int)
    critical -= binom.cdf(critical, differing, 0.5) > LEVEL / 2
    ahead = (apart + effect) / (2 * apart)
    wins = binom.sf(differing - critical - 1, differing, ahead) + binom.cdf(critical, differing, ahead)
    return float((binom.pmf(differing, layouts, apart) * np.where(critical < 0, 0.0, wins)).sum())


def smallest_effect(apart: float, layouts: int) -> float:
    """The smallest true difference that the test finds with 80 % power, to a tenth of a point; NaN when none.

    The policies are taken to end differently on as large a share of layouts as `apart`, or as the difference itself.
    """
    tried = np.arange(1, 1001) / 1000
    if power(1.0, apart, layouts) < POWER:
        return float("nan")
    # power rises with the effect, so halving finds where it crosses
    low, high = -1, len(tried) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(tried[middle], apart, layouts) >= POWER else (middle, high)
    return float(tried[high])


def layouts_needed(effect: float, apart: float) -> int | None:
    """About how many layouts show a true difference of `effect` with 80 % power; None above MOST_LAYOUTS.

    The exact test's power falls back a little after each of its steps: this is the number at which it has first got
    there when the number is doubled and then halved in between.
    """
    if not 0 < effect <= 1:
        raise InvalidValue(f"the difference to be seen must be above 0 and at most 1, got {effect:g}")
    high = 8
    while power(effect, apart, high) < POWER:
        high *= 2
        if high > MOST_LAYOUTS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, apart, middle) >= POWER else (middle, high)
    return high


def verdict(pairs: Paired, names: tuple[str, str]) -> str:
    """What the comparison says, in words, and what it leaves open."""
    if mcnemar(pairs) < LEVEL:
        ahead, behind = names if pairs.first > pairs.second else names[::-1]
        found = f"{ahead} succeeds more often than {behind}: {_points(newcombe(pairs))}."
    else:
        found = f"Not distinguishable. {_sight(pairs)}"
    return f"{found} This is about two checkpoints; it says nothing about two recipes, whose runs differ by seed."


def _sight(pairs: Paired) -> str:
    smallest = smallest_effect(pairs.apart, pairs.layouts)
    if np.isnan(smallest):
        seen = f"{pairs.layouts} layouts are too few to see any difference with {POWER:.0%} power"
    else:
        seen = f"{pairs.layouts} layouts see a difference of {100 * smallest:.1f} points or more with {POWER:.0%} power"
    wanted = next((effect for effect in (0.1, 0.05, 0.02) if np.isnan(smallest) or effect < smallest), None)
    if wanted is None:
        return f"{seen}."
    needed = layouts_needed(wanted, pairs.apart)
    more = f"about {needed:,}" if needed else f"more than {MOST_LAYOUTS:,}"
    return f"{seen}; to see {wanted * 100:.0f} points you would need {more} rollouts of each."


def _points(difference: Estimate) -> str:
    low, high = sorted((abs(difference.low), abs(difference.high)))
    if difference.low <= 0 <= difference.high:
        # the exact test and the interval need not agree at the border
        low = 0.0
    return f"{100 * abs(difference.value):.1f} points, 95 % interval {100 * low:.1f} to {100 * high:.1f}"


def _correlation(pairs: Paired) -> float:
    one, two = pairs.successes
    margins = one * (pairs.layouts - one) * two * (pairs.layouts - two)
    if not margins:
        return 0.0
    above = pairs.both * pairs.neither - pairs.first * pairs.second
    return (max(above - pairs.layouts / 2, 0.0) if above > 0 else above) / sqrt(margins)


def _length(one: float, other: float, phi: float) -> float:
    return sqrt(max(0.0, one**2 - 2 * phi * one * other + other**2))
