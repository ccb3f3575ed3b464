"""Strided runs of episodes: every frame of a run is encoded once, and every window in it is supervised.

Drawing a run reads its pictures, from a disk where they are mapped from one; encoding it does not touch the clip again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from headway.episodes import Array
from headway.learned.augment import augment
from headway.learned.inputs import Clip
from headway.learned.trunk import WindowNetwork
from headway.learned.windows import PADDING, backward_windows


@dataclass(frozen=True, repr=False)
class Run:
    """One clip's frames for one step of training, in memory.

    Attributes:
        kept: int64 (1 + run,), kept frames of the clip: the first, then every `gap`-th from a drawn phase.
        windows: int64 (windows, 1 + history), places in `kept`, PADDING where none; the last is the present.
        pictures: of the kept frames, (1 + run, camera, *shape of the encoder).
        state: of the kept frames, (1 + run, state_dim), or None.
    """

    kept: Array
    windows: Array
    pictures: Array
    state: Array | None

    @property
    def present(self) -> Array:
        """The kept frame that each window ends on, int64 (windows,): its labels are the window's labels."""
        return self.kept[self.windows[:, -1]]


def read_run(clip: Clip, kept: Array, windows: Array) -> Run:
    """Read the pictures of some kept frames, and the state where the clip has it."""
    return Run(kept, windows, clip.pictures(kept), None if clip.state is None else clip.state[kept])


def draw_run(clip: Clip, history: int, rng: np.random.Generator | None) -> Run:
    """Every `gap`-th frame of a clip from a drawn phase (0 without `rng`), and a window that ends at each."""
    phase = 0 if rng is None else rng.integers(min(clip.gap, len(clip)))
    run = np.arange(phase, len(clip), clip.gap)
    windows = backward_windows(np.arange(len(run)), 1, history)
    places = np.where(windows == PADDING, PADDING, windows + 1)
    places[:, 0] = 0
    return read_run(clip, np.concatenate([[0], run]), places)


def encode_runs(
    network: WindowNetwork,
    runs: Sequence[Run],
    rngs: Sequence[np.random.Generator | None],
    device: torch.device,
    plain: float,
) -> tuple[Tensor, Tensor]:
    """Encode the frames of all runs at once, each run augmented by a draw of its own; without a generator, not.

    With probability `plain` a run is left as it is.

    Returns:
        The windows' features (windows, 1 + history, width) of all runs one after another, and their padding, bool
        (windows, 1 + history).
    """
    pictures, states, windows, offset = [], [], [], 0
    for run, rng in zip(runs, rngs, strict=True):
        seen = torch.as_tensor(run.pictures, device=device)
        pictures.append(seen.to(torch.float32) if rng is None else augment(seen, rng, plain).to(torch.float32))
        if run.state is not None:
            states.append(torch.as_tensor(run.state, dtype=torch.float32, device=device))
        windows.append(np.where(run.windows == PADDING, PADDING, run.windows + offset))
        offset += len(run.kept)
    features = network.encode(torch.cat(pictures), torch.cat(states) if states else None)
    index = torch.as_tensor(np.concatenate(windows), device=device)
    return features[index.clamp(min=0)], index == PADDING
