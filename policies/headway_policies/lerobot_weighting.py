"""Weights for policies that lerobot itself weights: a column of pseudo-progress from which its own rule computes them.

lerobot 0.6 weights a frame by d_i = q[min(i + D, last)] - q[i], with q the progress of its file and D the policy's
`chunk_size` (`lerobot.rewards.sarm.rabc`):

    w_i = 0 where d_i < 0,  1 where d_i > kappa,  else clip((d_i - (mu - 2 s)) / (4 s + eps), 0, 1)

with mu and s the mean and the spread of d over all rows of the file. Progress is clipped nowhere, so that q can be
solved backwards from an episode's last frame for any d. Rows of one more episode, whose frames the dataset does not
have, bring mu to 1/2 and s to 1/4; then w = d / (1 + eps) for d from 0 to kappa = 1.

An episode's last frame always has d = 0, and weight 0. lerobot divides the weights of a batch by their mean.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa

from headway.episodes import Array
from headway.errors import InvalidValue
from headway.tables import write_table

KAPPA = 1.0
"""What `--sample_weighting.kappa` has to be."""
EPSILON = 1e-6
"""lerobot's default for `--sample_weighting.epsilon`."""
MEAN, SPREAD = 0.5, 0.25
NOTHING = -1e-3
"""The gain that stands for weight 0; any below 0 would do."""


def takes_static_weights() -> bool:
    """Whether the installed lerobot takes a table of weights as it is: `--sample_weighting.type=static`, lerobot #4222.

    Read from its source, because importing it takes seconds.
    """
    found = find_spec("lerobot")
    folders = found.submodule_search_locations if found else None
    path = Path(next(iter(folders or ["."]))) / "utils" / "sample_weighting.py"
    return path.is_file() and 'config.type == "static"' in path.read_text(encoding="utf-8")


def write_pseudo_progress(path: Path, index: Array, episode: Array, weight: Array, chunk: int) -> None:
    """Write the file for `--sample_weighting.progress_path`, for policies whose `chunk_size` is `chunk`.

    Args:
        path: the parquet file: index, episode_index, frame_index int64, progress_sparse float64.
        index: int64 (frames,), rising: the dataset's number of every frame of the dataset.
        episode: int64 (frames,), the episode of each.
        weight: (frames,), in [0, 1]; a frame without a weight (NaN) is left out like one of weight 0.
        chunk: frames over which lerobot compares.

    Raises InvalidValue where nothing is left to learn from.
    """
    if chunk < 1:
        raise InvalidValue(f"a policy's chunk_size is at least 1, got {chunk}")
    lasts = _lasts(episode)
    gain = np.where(weight > 0, np.nan_to_num(weight) * (4 * SPREAD + EPSILON), NOTHING)
    gain[lasts == np.arange(len(gain))] = 0
    if not (gain > 0).any():
        raise InvalidValue("no frame but the last of an episode weighs more than 0, so there is nothing to learn from")
    balance = balancing_gains(gain)
    firsts = np.flatnonzero(np.diff(lasts, prepend=-1))
    number = np.arange(len(index)) - np.repeat(firsts, np.diff(np.r_[firsts, len(index)]))
    columns = {
        "index": np.r_[index, index.max() + 1 + np.arange(len(balance))],
        "episode_index": np.r_[episode, np.full(len(balance), episode.max() + 1)],
        "frame_index": np.r_[number, np.arange(len(balance))],
        "progress_sparse": np.r_[solved_backwards(gain, lasts, chunk), _solved(balance, chunk)],
    }
    write_table(path, pa.table(columns))


def balancing_gains(gain: Array) -> Array:
    """The fewest further gains, float64 (rows,), with which all together have mean MEAN and spread SPREAD exactly.

    They take two values by turns, and the last is 0, as an episode's last gain must be.
    """
    rows, total, squares = len(gain) + 1, float(gain.sum()), float((gain**2).sum())
    power, lack = MEAN**2 + SPREAD**2, MEAN * rows - total
    # n gains cannot have a mean square below the square of their mean, here n (power (rows + n) - squares) against
    # (MEAN n + lack)^2: n has to lie beyond the root of a quadratic
    a, b = SPREAD**2, power * rows - squares - 2 * MEAN * lack
    root = (-b + np.sqrt(b**2 + 4 * a * lack**2)) / (2 * a)
    number = max(2, 2 * int(np.ceil(root / 2 + 1e-9)))
    mean = (MEAN * (rows + number) - total) / number
    apart = np.sqrt(max((power * (rows + number) - squares) / number - mean**2, 0.0))
    return np.r_[np.tile([mean + apart, mean - apart], number // 2), 0.0]


def solved_backwards(gain: Array, lasts: Array, chunk: int) -> Array:
    """Progress (frames,) whose gain over `chunk` frames is `gain`, 0 at each episode's last frame `lasts` (frames,)."""
    firsts = np.flatnonzero(np.diff(lasts, prepend=-1))
    ends = np.r_[firsts[1:], len(gain)]
    return np.concatenate([_solved(gain[first:end], chunk) for first, end in zip(firsts, ends, strict=True)])


def _solved(gain: Array, chunk: int) -> Array:
    """Of one episode (time,): frames a chunk apart form a chain that ends in the last frame, where progress is 0."""
    backwards = gain[-2::-1]
    width = max(min(chunk, len(backwards)), 1)
    chains = np.pad(backwards, (0, -len(backwards) % width)).reshape(-1, width)
    return np.r_[-np.cumsum(chains, axis=0).ravel()[: len(backwards)][::-1], 0.0]


def _lasts(episode: Array) -> Array:
    """Int (frames,): the place of the last frame of each frame's episode."""
    starts = np.flatnonzero(np.r_[True, episode[1:] != episode[:-1]])
    ends = np.r_[starts[1:], len(episode)]
    return np.repeat(ends - 1, ends - starts)
