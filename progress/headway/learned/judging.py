"""A member's judgement of windows of features, of an episode as long as it may be."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from headway.episodes import Array, Episode
from headway.learned.eyes import Eyes
from headway.learned.members import Member
from headway.learned.method import Method, Verdict
from headway.learned.windows import PADDING, backward_windows

WINDOWS = 256
"""Windows judged at once. Always so many, however the features come in, so that no value depends on that."""


def judge_episode(method: Method, member: Member, eyes: Eyes, episode: Episode, looked_at: Array) -> Verdict:
    """What a member says of some frames of an episode, rising, before calibration.

    However long the episode, only the features that a window still needs are held.
    """
    windows = backward_windows(looked_at, method.inputs.gap_seconds * episode.fps, method.inputs.history)
    wanted = np.unique(windows[windows != PADDING])
    text = torch.as_tensor(eyes.hear(episode.instruction or ""), device=eyes.device)
    parts = []
    for features, places in _in_reach(eyes.watch(episode, wanted, member.network), wanted, windows):
        parts.append(_outputs(member, features, places, text))
    return _read(method, member, parts)


def judge(method: Method, member: Member, features: Tensor, windows: Array, text: Array) -> Verdict:
    """Judge windows (window, 1 + history) of indices into features (frame, width), under one encoded instruction."""
    words = torch.as_tensor(text, device=features.device)
    parts = [
        _outputs(member, features, windows[start : start + WINDOWS], words) for start in range(0, len(windows), WINDOWS)
    ]
    return _read(method, member, parts)


def _in_reach(coming: Iterator[Tensor], wanted: Array, windows: Array) -> Iterator[tuple[Tensor, Array]]:
    """Up to WINDOWS windows at a time: features (some, width), and the windows as indices into them, or PADDING.

    Args:
        coming: the features of the `wanted` frames, a few at a time.
        wanted: frame numbers, rising; the first is that of every window's first column.
        windows: (window, 1 + history) of frame numbers, the last column rising.
    """
    held = next(coming)
    # a copy, so that the others of its chunk can be let go
    first = held[:1].clone()
    # `held` are the features of wanted[start : start + len(held)]
    start = 0
    for begin in range(0, len(windows), WINDOWS):
        part = windows[begin : begin + WINDOWS]
        known = part[:, 1:][part[:, 1:] != PADDING]
        oldest, end = np.searchsorted(wanted, known.min()), np.searchsorted(wanted, known.max()) + 1
        while start + len(held) < end:
            held = torch.cat([held, next(coming)])
        held, start = held[oldest - start :].clone(), oldest
        places = np.where(part == PADDING, PADDING, 1 + np.searchsorted(wanted, part) - start)
        places[:, 0] = 0
        yield torch.cat([first, held]), places


@torch.inference_mode()
def _outputs(member: Member, features: Tensor, windows: Array, text: Tensor) -> dict[str, Array]:
    index = torch.as_tensor(windows, device=features.device)
    outputs = member.network.judge(features[index.clamp(min=0)], index == PADDING, text.expand(len(index), -1))
    return {name: tensor.float().cpu().numpy() for name, tensor in outputs.items()}


def _read(method: Method, member: Member, parts: list[dict[str, Array]]) -> Verdict:
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return method.read(joined, member.knowledge)
