"""What a person would rank or filter an episode by, read off its progress curve."""

from typing import Any

import numpy as np

from headway.episodes import Array, Episode, ProgressCurve

# The final value is the mean over this many last frames: one frame alone is noisy.
LAST_FRAMES = 5
# Progress that changes by less than this over half a second counts as standing still.
IDLE_CHANGE = 0.005
# Shorter pauses and smaller falls happen in every demonstration and are not worth a word.
PAUSE_SECONDS = 1.0
FALL = 0.1
DONE = 0.9
# from this share of known frames on they speak for the episode
MOSTLY = 0.8


def summarise(episode: Episode, curve: ProgressCurve) -> dict[str, Any]:
    """One row of the episodes table, without its rank. Undefined values are None, with the curve's reason.

    Of a curve that is known at the end and hardly anywhere else, the final value is told alone; of one that is known
    for the most part, the rest is that of the known frames.
    """
    row: dict[str, Any] = {
        "episode_index": episode.index,
        "length": len(episode),
        "seconds": len(episode) / episode.fps,
        "instruction": episode.instruction,
        "kind": episode.kind,
        "success_label": episode.success,
        "truth_final": None if episode.truth is None else final(episode.truth.progress),
        "fold": curve.fold,
        "in_sample": curve.in_sample,
        "reason": curve.reason,
    }
    values = curve.values
    if curve.success is not None and not np.isnan(curve.success[-1]):
        row["success"] = final(curve.success)
    if not np.isnan(values[-1]):
        row["final"] = final(values)
    known = values[~np.isnan(values)]
    if len(known) < MOSTLY * len(values):
        return row
    row |= {
        "mean": float(known.mean()),
        "maximum": float(known.max()),
        "drawdown": float(_falls(known).max()),
        "idle": float(_still(known, episode.fps).mean()),
        "why": "" if len(known) < len(values) else why(episode, curve),
    }
    if curve.stage is not None and curve.stage_names is not None:
        row["stage"] = curve.stage_names[int(curve.stage[-1])]
    if episode.truth is not None:
        row["truth_mae"] = float(np.nanmean(np.abs(values - episode.truth.progress)))
    return row


def final(values: Array) -> float:
    """The mean of the last five values of (time,), of those among them that are known; NaN when none is."""
    last = values[-LAST_FRAMES:]
    known = last[~np.isnan(last)]
    return float(known.mean()) if known.size else float("nan")


def why(episode: Episode, curve: ProgressCurve) -> str:
    """What pulls an episode down, in words for a person; empty when nothing does."""
    values, fps = curve.values, episode.fps
    words = []
    if final(values) < DONE:
        stage = ""
        if curve.stage is not None and curve.stage_names is not None:
            stage = f" in stage {curve.stage_names[int(curve.stage[-1])]}"
        words.append(f"ends at {final(values):.2f}{stage}")
    falls = _falls(values)
    if falls.max() > FALL:
        words.append(f"falls back by {falls.max():.2f} until {falls.argmax() / fps:.1f} s")
    start, length = _longest_run(_still(values, fps) & (values < DONE))
    if length / fps > PAUSE_SECONDS:
        words.append(f"stands still for {length / fps:.1f} s from {start / fps:.1f} s")
    return ", ".join(words)


def _falls(values: Array) -> Array:
    """How far each value of (time,) lies below the highest before it."""
    return np.maximum.accumulate(values) - values


def _still(values: Array, fps: float) -> Array:
    """Bool (time,): progress changes by less than IDLE_CHANGE within the half second around a frame."""
    reach = max(1, round(fps / 4))
    padded = np.pad(values, reach, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    return np.ptp(windows, axis=1) < IDLE_CHANGE


def _longest_run(flags: Array) -> tuple[int, int]:
    """Start and length of the longest run of True in bool (time,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    if not edges.size:
        return 0, 0
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    longest = int(lengths.argmax())
    return int(starts[longest]), int(lengths[longest])
