"""How differently two reward functions would teach: raw, EPIC and STARC distances over the same transitions.

Each is d = sqrt((1 - rho) / 2), from 0 (one is the other times a positive number) to 1 (one is the negation of the
other); what differs is what is taken out of a reward before rho is measured. Undefined is NaN with a reason.

- raw: nothing. Pearson's rho, so a shift alone does not count.
- EPIC (Gleave et al., arXiv 2006.13900): potential shaping, whatever its potential. It asks a reward about pairs
  of states that cannot follow each other, where a learned reward may say anything.
- STARC (Skalse et al., arXiv 2309.15257) with minimal canonicalisation: shaping by those potentials that a basis of
  functions of the state can represent. It asks a reward about the given transitions only, so an array will do.

EPIC alone is blind to nonsense between states; STARC alone takes a potential it cannot represent for a difference.
Look at both, and at the size of the basis. DARD, which needs a simulator, is in `headway_envs.dard`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from headway.episodes import Array
from headway.errors import InvalidValue

Reward = Callable[[Array, Array, Array], Array]
"""(state (n, state_dim), action (n, action_dim), next_state (n, state_dim)) -> reward, float (n,)."""
Features = Callable[[Array], Array]
"""state (n, state_dim) -> float (n, features)."""

# rows that a reward is asked about at once
ROWS = 65_536
# Of ridge regression on columns of mean square 1. Enough for numbers; a representable potential is left by 1e-3 of it.
RIDGE = 1e-8
# What is left of a reward counts as nothing below these shares of its standard deviation and of its size.
NOTHING, ROUNDING = 2e-3, 1e-7


@dataclass(frozen=True, repr=False)
class Transitions:
    """Transitions that rewards are compared on; the distances depend on how they were drawn.

    Attributes:
        state: float (n, state_dim).
        action: float (n, action_dim).
        next_state: float (n, state_dim).
        terminal: bool (n,), whether the episode is over for good at `next_state`; None for nowhere.
    """

    state: Array
    action: Array
    next_state: Array
    terminal: Array | None = None

    def __post_init__(self) -> None:
        number = len(self.state)
        same = self.state.ndim == self.action.ndim == 2 and self.next_state.shape == self.state.shape
        if not same or len(self.action) != number or (self.terminal is not None and self.terminal.shape != (number,)):
            raise InvalidValue(
                "transitions need state (n, dim), action (n, dim), next_state like state and terminal (n,), got "
                f"{self.state.shape}, {self.action.shape}, {self.next_state.shape} and "
                f"{None if self.terminal is None else self.terminal.shape}"
            )
        if number < 3:
            raise InvalidValue(f"a distance between rewards needs at least 3 transitions, got {number}")

    def __len__(self) -> int:
        return len(self.state)


@dataclass(frozen=True)
class Distance:
    """One distance and what it rests on.

    Attributes:
        value: in [0, 1], or NaN.
        reason: why it is NaN.
        transitions: how many.
        samples: EPIC and DARD: how many draws each expectation is over.
        basis: STARC: how many functions a potential is made of.
    """

    value: float
    reason: str = ""
    transitions: int = 0
    samples: int | None = None
    basis: int | None = None


@dataclass(frozen=True, repr=False)
class Canonical:
    """What is left of a reward once everything that makes no difference is taken out.

    Attributes:
        values: float64 (n,).
        nothing: the root mean square up to which that is nothing.
    """

    values: Array
    nothing: float


def raw_distance(first: Reward | Array, second: Reward | Array, at: Transitions) -> Distance:
    """Pearson's distance between the rewards as they are, callables or float (n,)."""
    one, other = (evaluate(reward, at) for reward in (first, second))
    return distance(centred(one, one), centred(other, other))


def epic_distance(
    first: Reward, second: Reward, at: Transitions, gamma: float, samples: int = 256, seed: int = 0
) -> Distance:
    """EPIC: Pearson's distance between the rewards that `epic_canonical` leaves.

    Args:
        first, second: reward functions.
        at: the transitions; the states and actions that expectations are over are drawn from them too.
        gamma: the discount, in [0, 1].
        samples: draws of (action, next state).
        seed: of the draws. Both rewards are asked about the same ones.

    Raises:
        InvalidValue: a reward is no function, or returns another shape than (n,).
    """
    one, other = (epic_canonical(reward, at, gamma, samples, seed) for reward in (first, second))
    return distance(one, other, samples=samples)


def epic_canonical(reward: Reward, at: Transitions, gamma: float, samples: int = 256, seed: int = 0) -> Canonical:
    """C(R)(s, a, s') = R(s, a, s') + E[gamma R(s', A, S') - R(s, A, S') - gamma R(S, A, S')], centred.

    A and S' are drawn independently of each other (Definition 4.1), and the one sample of them serves everywhere, so
    that each potential cancels to the last digits whatever the sample. The last term is the same for every transition
    and goes with the mean. Episodes are treated as never ending, as the paper does: `terminal` is not read.
    """
    _check_discount(gamma)
    if samples < 1:
        raise InvalidValue(f"EPIC needs at least one sample, got {samples}")
    rng = np.random.default_rng(seed)
    visited = np.concatenate([at.state, at.next_state])
    states = visited[rng.integers(len(visited), size=samples)]
    actions = at.action[rng.integers(len(at), size=samples)]

    def expected(start: Array) -> Array:
        """E[R(start, A, S')], (start,)."""
        size = max(ROWS // samples, 1)
        return np.concatenate([_mean_from(reward, part, actions, states) for part in _parts(start, size)])

    own = evaluate(_function(reward), at)
    values = own + gamma * expected(at.next_state) - expected(at.state)
    return centred(values, own)


def starc_distance(
    first: Reward | Array, second: Reward | Array, at: Transitions, gamma: float, features: Features
) -> Distance:
    """STARC with minimal canonicalisation: ||c1 / ||c1|| - c2 / ||c2|| || / 2 in the L2 norm over the transitions.

    Args:
        first, second: reward functions, or their values float (n,) on the transitions.
        at: the transitions.
        gamma: the discount, in [0, 1].
        features: the basis of potentials, such as `fourier_features` makes.

    Raises:
        InvalidValue: the basis is not smaller than half the number of transitions, and would explain anything away.
    """
    basis = starc_basis(at, gamma, features)
    one, other = (starc_canonical(reward, at, basis) for reward in (first, second))
    return distance(one, other, basis=basis.size)


@dataclass(frozen=True, repr=False)
class StarcBasis:
    """What shaping can do on some transitions, shared by all rewards that are compared there.

    Attributes:
        directions: float64 (n, rank), orthonormal.
        kept: float64 (rank,), which share of each direction shaping takes out: 1 but for the ridge.
        size: features that a potential is made of.
    """

    directions: Array
    kept: Array
    size: int


def starc_basis(at: Transitions, gamma: float, features: Features) -> StarcBasis:
    """The span of gamma f(s') - f(s) over the features f, with f(s') = 0 at a terminal s'."""
    _check_discount(gamma)
    before, after = (np.asarray(features(states), float) for states in (at.state, at.next_state))
    if before.ndim != 2 or len(before) != len(at) or after.shape != before.shape:
        raise InvalidValue(f"features of {len(at)} states must be ({len(at)}, features), got {before.shape}")
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        raise InvalidValue("the features are not finite in every state; a potential has to be")
    if 2 * before.shape[1] > len(at):
        raise InvalidValue(
            f"a basis of {before.shape[1]} functions would explain most of {len(at)} transitions; needs twice as many "
            "transitions as functions"
        )
    going_on = np.ones(len(at)) if at.terminal is None else 1.0 - at.terminal
    shaping = gamma * going_on[:, None] * after - before
    size = np.sqrt(np.square(shaping).mean(axis=0))
    used = shaping[:, size > 0] / size[size > 0]
    directions, spread, _ = np.linalg.svd(used, full_matrices=False)
    return StarcBasis(directions, spread**2 / (spread**2 + RIDGE * len(at)), before.shape[1])


def starc_canonical(reward: Reward | Array, at: Transitions, basis: StarcBasis) -> Canonical:
    """c(R) = R + gamma Phi(s') - Phi(s) with Phi = w f, by ridge: min_w ||c(R)||^2 + lambda ||w||^2.

    Minimal canonicalisation asks for the minimum over all Phi; only those that the basis represents are taken out.
    Where episodes end, a constant reward is no shaping: it pays for going on.
    """
    values = evaluate(reward, at)
    left = values - basis.directions @ (basis.kept * (basis.directions.T @ values))
    return Canonical(left, NOTHING * float(values.std()) + 10 * ROUNDING * _size(values))


def fourier_features(states: Array, number: int = 180, width: float | None = None, seed: int = 0) -> Features:
    """A constant, the state itself, and random Fourier features (Rahimi and Recht 2007): 1 + state_dim + `number`.

    Args:
        states: float (n, state_dim); the features standardise with their mean and spread.
        number: how many cosines; 0 for none.
        width: of the Gaussian kernel that they approximate, in standard deviations; None for sqrt(state_dim).
        seed: of their frequencies.
    """
    middle, spread = states.mean(axis=0), states.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    dimension = states.shape[1]
    rng = np.random.default_rng(seed)
    frequencies = rng.normal(0, 1 / (width or np.sqrt(dimension)), (dimension, number))
    phases = rng.uniform(0, 2 * np.pi, number)

    def features(at: Array) -> Array:
        standard = (at - middle) / spread
        return np.column_stack([np.ones(len(at)), standard, np.cos(standard @ frequencies + phases)])

    return features


def distance(first: Canonical, second: Canonical, samples: int | None = None, basis: int | None = None) -> Distance:
    """sqrt((1 - rho) / 2), where rho is the cosine between what is left of two rewards."""
    sizes = [_size(one.values) for one in (first, second)]
    reason = ""
    for name, one, size in zip(("first", "second"), (first, second), sizes, strict=True):
        if not np.isfinite(size):
            reason = reason or f"the {name} reward is not finite on every transition"
        elif size <= one.nothing:
            reason = reason or f"nothing but a constant or shaping is in the {name} reward"
    if reason:
        return Distance(float("nan"), reason, len(first.values), samples, basis)
    # half the distance between unit vectors: exactly 0 for equal ones, where 1 - rho would leave rounding
    apart = first.values / sizes[0] - second.values / sizes[1]
    return Distance(min(_size(apart) / 2, 1.0), "", len(first.values), samples, basis)


def evaluate(reward: Reward | Array, at: Transitions) -> Array:
    """The rewards of the transitions, float64 (n,). Raises InvalidValue when they are of another shape."""
    given = reward(at.state, at.action, at.next_state) if callable(reward) else reward
    return _checked(given, len(at))


def centred(values: Array, own: Array) -> Canonical:
    """Rewards less their mean, float64 (n,); `own` are those that they were made of, by which rounding is told."""
    return Canonical(values - values.mean(), ROUNDING * (float(own.std()) + _size(own)))


def _mean_from(reward: Reward, start: Array, actions: Array, states: Array) -> Array:
    """The mean of R(start, A, S') over the pairs (A, S'), for each start: (start,)."""
    number = len(actions)
    asked = np.repeat(start, number, axis=0), np.tile(actions, (len(start), 1)), np.tile(states, (len(start), 1))
    return _checked(reward(*asked), len(asked[0])).reshape(len(start), number).mean(axis=1)


def _parts(rows: Array, size: int) -> list[Array]:
    return [rows[first : first + size] for first in range(0, len(rows), size)]


def _checked(rewards: Array, number: int) -> Array:
    values = np.asarray(rewards, float)
    if values.shape != (number,):
        raise InvalidValue(f"rewards of {number} transitions must have shape ({number},), got {values.shape}")
    return values


def _function(reward: Reward | Array) -> Reward:
    if not callable(reward):
        raise InvalidValue("EPIC asks rewards about made-up transitions: give a function, or use STARC for an array")
    return reward


def _size(values: Array) -> float:
    """Root mean square."""
    return float(np.sqrt(np.square(values).mean()))


def _check_discount(gamma: float) -> None:
    if not 0 <= gamma <= 1:
        raise InvalidValue(f"the discount must lie in [0, 1], got {gamma}")
