"""The algebra of potential-based shaping, on numbers and on arrays alike.

    F(s, s') = gamma * Phi(s') - Phi(s)                         (Ng, Harada, Russell, ICML 1999)

F leaves unchanged which policy is best, because over an episode it adds up to something no action can change:

    sum_t gamma^t F_t = gamma^T Phi(s_T) - Phi(s_0)

provided that Phi(s_T) = 0 where the episode *terminates* (Grzes, AAMAS 2017: otherwise the state one ends in is paid
for). Where it is *truncated* nothing ends but our patience: Phi(s_T) stays, and the learner bootstraps with its own
value of s_T, which in the shaped problem is V(s_T) - Phi(s_T). The two Phi(s_T) cancel.

A potential from a stream depends on what was seen before, not on s alone. The same sum holds for it, with Phi taken
when the state is visited (Devlin, Kudenko, AAMAS 2012), so holding a value over a gap breaks nothing either.
"""

from dataclasses import dataclass

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue


@dataclass(frozen=True)
class Shaping:
    """F, scaled.

    Attributes:
        gamma: the learner's own discount, in [0, 1]; with another one the sum above no longer telescopes.
        scale: factor on F, finite.
    """

    gamma: float = 0.99
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= 1:
            raise InvalidValue(f"gamma must lie in [0, 1] and be the learner's own discount, got {self.gamma}")
        if not np.isfinite(self.scale):
            raise InvalidValue(f"scale must be a finite number, got {self.scale}")

    def __call__(self, before: Array | float, after: Array | float) -> Array:
        """scale * (gamma * after - before), for potentials from `known_potential`."""
        return self.scale * (self.gamma * np.asarray(after) - before)


def known_potential(
    estimate: Array | float, last: Array | float, terminated: Array | bool = False
) -> tuple[Array, Array]:
    """The potential to use, and whether it had to be held: float64 and bool, both of the estimate's shape.

    It is 0 where the episode terminated; `last` where the estimate is NaN or infinite; the estimate elsewhere.
    """
    known = np.isfinite(estimate)
    potential = np.where(terminated, 0.0, np.where(known, estimate, last))
    return potential, ~known & ~np.asarray(terminated)
