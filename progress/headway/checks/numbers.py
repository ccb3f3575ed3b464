"""What a dataset's states and actions are like as a whole: limits, ranges, grippers, and what follows what.

One pass over the numbers; no picture is decoded.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from headway.checks.stretches import stretches
from headway.episodes import Array, Episode
from headway.errors import DatasetError
from headway.source import Source

MOST_EPISODES = 1000  # read for the dataset's limits, evenly spread
GRIPPER = re.compile("grip|finger|jaw|claw", re.IGNORECASE)
FEW_VALUES = 5  # an action with no more distinct values is a switch (deepen-grade's number)
NEAR_END, AT_ENDS = 0.1, 0.8  # a gripper spends this share of the frames this near to either end
FOLLOWS = 0.9  # correlation of a command with the state a frame later
HELD = 0.5  # seconds


@dataclass(frozen=True)
class Actions:
    """What a dataset's actions are like, one value a dimension.

    Attributes:
        low, high: the least and the greatest finite value.
        range: between the 1st and the 99th percentile, or from low to high where that is 0.
        grippers: bool, commands to open or close something: by name, by having at most FEW_VALUES values, or by lying
            for AT_ENDS of the frames within NEAR_END of either end.
        stops: bool (2, action_dim), whether the least and the greatest command was held for HELD seconds twice or
            more: values that move freely reach their extreme once.
    """

    low: Array
    high: Array
    range: Array
    grippers: Array
    stops: Array

    @property
    def span(self) -> Array:
        """From low to high."""
        return self.high - self.low


@dataclass(frozen=True)
class Numbers:
    """What is known of a dataset's numbers.

    Attributes:
        state_range: (state_dim,), as that of `Actions`; None without states.
        actions: None without actions.
        pairs: (state dimension, action dimension) of commands that are positions of the state. They are those of the
            same name, or all in order where names do not help and there are as many, of which the state follows the
            command in most episodes; a state that never moves counts with the others.
    """

    state_range: Array | None = None
    actions: Actions | None = None
    pairs: tuple[tuple[int, int], ...] = ()


def read_numbers(source: Source) -> Numbers:
    """Read a dataset's numbers, of MOST_EPISODES episodes at most."""
    wanted = np.linspace(0, len(source) - 1, min(len(source), MOST_EPISODES)).round().astype(int)
    episodes = []
    for place in wanted:
        try:
            episodes.append(source.episode(source.episode_indices[place]))
        except DatasetError:
            # whoever scores that very episode is told
            continue
    return numbers_of(episodes)


def numbers_of(episodes: Sequence[Episode]) -> Numbers:
    """What is known of these episodes' numbers; those of another size than the first one's are left out."""
    states = _alike([(episode.state, episode) for episode in episodes])
    actions = _alike([(episode.action, episode) for episode in episodes])
    state_range = _range(np.concatenate([values for values, _ in states])) if states else None
    if not actions:
        return Numbers(state_range=state_range)
    pooled = np.concatenate([values for values, _ in actions])
    low, high = _extremes(pooled)
    grippers = _grippers(pooled, low, high, actions[0][1].action_names)
    stops = np.array([_stops(actions, limit, high - low) for limit in (low, high)])
    both = [episode for _, episode in actions if episode.state is not None]
    pairs = _pairs(both, len(state_range), grippers) if both and state_range is not None else ()
    return Numbers(state_range, Actions(low, high, _range(pooled), grippers, stops), pairs)


def held(action: Array, limit: Array, span: Array, fps: float) -> list[list[tuple[int, int]]]:
    """For each dimension of (time, dim), the stretches of HELD seconds and more at `limit` (dim,), as (start, end)."""
    least = max(3, round(HELD * fps))
    at = np.abs(action - limit) <= 1e-6 * span
    return [stretches(column, least) for column in at.T]


def _alike(parts: Sequence[tuple[Array | None, Episode]]) -> list[tuple[Array, Episode]]:
    known = [(values, episode) for values, episode in parts if values is not None and values.shape[1]]
    return [(values, episode) for values, episode in known if values.shape[1] == known[0][0].shape[1]]


def _extremes(values: Array) -> tuple[Array, Array]:
    """The least and greatest finite values of (time, dim); 0 where none is finite."""
    finite = np.isfinite(values)
    low = np.where(finite, values, np.inf).min(axis=0)
    high = np.where(finite, values, -np.inf).max(axis=0)
    known = finite.any(axis=0)
    return np.where(known, low, 0).astype(np.float64), np.where(known, high, 0).astype(np.float64)


def _range(values: Array) -> Array:
    low, high = _extremes(values)
    clean = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    clean[:, np.isnan(clean).all(axis=0)] = 0
    first, last = np.nanpercentile(clean, [1, 99], axis=0)
    return np.where(last > first, last - first, high - low)


def _grippers(values: Array, low: Array, high: Array, names: Sequence[str] | None) -> Array:
    span = np.where(high > low, high - low, 1)
    shares = (values - low) / span
    near = np.stack([shares <= NEAR_END, shares >= 1 - NEAR_END]).mean(axis=1)
    bimodal = (near.sum(axis=0) >= AT_ENDS) & (near >= NEAR_END / 2).all(axis=0)
    few = np.array([len(np.unique(column[np.isfinite(column)])) <= FEW_VALUES for column in values.T])
    named = np.array([bool(GRIPPER.search(name)) for name in names or [""] * len(low)])
    return named | ((high > low) & (few | bimodal))


def _stops(actions: Sequence[tuple[Array, Episode]], limit: Array, span: Array) -> Array:
    counts = np.zeros(len(limit), dtype=int)
    for values, episode in actions:
        counts += [len(stretches) for stretches in held(values, limit, span, episode.fps)]
    return (counts >= 2) & (span > 0)


def _pairs(episodes: Sequence[Episode], state_dim: int, grippers: Array) -> tuple[tuple[int, int], ...]:
    candidates = _candidates(episodes[0], state_dim, len(grippers))
    votes = {pair: _votes(episodes, *pair) for pair in candidates}
    moving = {pair: said for pair, said in votes.items() if said}
    following = [pair for pair, said in moving.items() if sum(said) * 2 > len(said)]
    # a name that both share may mean a position here and a step there: most must follow
    if len(following) * 2 <= len([pair for pair in moving if not grippers[pair[1]]]):
        return ()
    still = [pair for pair, said in votes.items() if not said and not grippers[pair[1]]]
    return tuple(sorted([*following, *still]))


def _candidates(episode: Episode, state_dim: int, action_dim: int) -> list[tuple[int, int]]:
    states, actions = episode.state_names or (), episode.action_names or ()
    shared = [(states.index(name), place) for place, name in enumerate(actions) if name in states]
    if shared and len(set(states)) == len(states) and len(set(actions)) == len(actions):
        return shared
    return [(place, place) for place in range(state_dim)] if state_dim == action_dim else []


def _votes(episodes: Sequence[Episode], state: int, action: int) -> list[bool]:
    """Of each episode in which both move, whether the state follows the command."""
    said = []
    for episode in episodes:
        commands, states = episode.action, episode.state
        if commands is None or states is None or commands.shape[1] <= action or states.shape[1] <= state:
            continue
        command, answer = commands[:-1, action].astype(np.float64), states[1:, state].astype(np.float64)
        known = np.isfinite(command) & np.isfinite(answer)
        command, answer = command[known], answer[known]
        if len(command) < 3 or np.ptp(command) == 0 or np.ptp(answer) == 0:
            continue
        alike = 0.5 < np.ptp(answer) / np.ptp(command) < 2
        said.append(bool(alike and np.corrcoef(command, answer)[0, 1] >= FOLLOWS))
    return said
