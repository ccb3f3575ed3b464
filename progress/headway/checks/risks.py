"""Risks: what may tell of a poor episode and is no fault by itself. The higher, the worse; None cannot be known."""

import numpy as np

from headway.checks.check import DEEPEN_GRADE, OURS, REPORT_CARD, Check, Evidence
from headway.episodes import Array

IDLE_WINDOW, IDLE = 0.5, 0.05  # seconds, and share of the range
FAST = 5.0  # Hz; people's own movements end there
SPECTRUM_SECONDS = 1.0  # at least, for a spectrum
AT_LIMIT = 0.01  # of the range
LONGEST_LAG = 1.0  # seconds
CLEAR = 0.3  # correlation, below which a lag means nothing
CLOSED, OPEN = 0.25, 0.75  # of a gripper's range
UNDONE = 0.5  # seconds
SHARP = 80.0  # variance of the Laplacian


def _idle(evidence: Evidence) -> float | None:
    positions = evidence.positions
    if positions is None:
        return None
    window = max(1, round(IDLE_WINDOW * evidence.episode.fps))
    if len(positions) <= window:
        return None
    return float((np.abs(positions[window:] - positions[:-window]) < IDLE).all(axis=1).mean())


def _variation(evidence: Evidence) -> float | None:
    commands = evidence.commands
    if commands is None or len(commands) < 2:
        return None
    return float(np.abs(np.diff(commands, axis=0)).mean() * evidence.episode.fps)


def _fast(evidence: Evidence) -> float | None:
    commands, fps = evidence.commands, evidence.episode.fps
    if commands is None or len(commands) - 1 < SPECTRUM_SECONDS * fps or fps <= 2 * FAST:
        return None
    changes = np.diff(commands, axis=0)
    window = np.hanning(len(changes) + 1)[:-1, None]
    power = np.abs(np.fft.rfft((changes - changes.mean(axis=0)) * window, axis=0)) ** 2
    frequencies = np.fft.rfftfreq(len(changes), 1 / fps)
    total = power.sum()
    return float(power[frequencies > FAST].sum() / total) if total > 0 else None


def _jerk(evidence: Evidence) -> float | None:
    positions, fps = evidence.positions, evidence.episode.fps
    if positions is None or len(positions) < 5:
        return None
    fastest = (np.linalg.norm(np.diff(positions, axis=0), axis=1) * fps).max()
    jerk = np.diff(positions, n=3, axis=0) * fps**3
    seconds = (len(positions) - 1) / fps
    total = float((jerk**2).sum() / fps)
    return float(np.log(seconds**3 / fastest**2 * total)) if fastest > 1e-6 and total > 0 else None


def _paired(evidence: Evidence) -> tuple[Array, Array] | None:
    """Commands and the positions they steer, both as shares of the command's range, (time, pair)."""
    state, action, actions = evidence.state, evidence.action, evidence.numbers.actions
    if state is None or action is None or actions is None:
        return None
    pairs = [(one, other) for one, other in evidence.numbers.pairs if actions.range[other] > 0]
    if not pairs or len(action) < 2:
        return None
    sensed_at, told_at = (list(places) for places in zip(*pairs, strict=True))
    told, sensed = (values / actions.range[told_at] for values in (action[:, told_at], state[:, sensed_at]))
    return (told, sensed) if np.isfinite(told).all() and np.isfinite(sensed).all() else None


def _tracking(evidence: Evidence) -> float | None:
    paired = _paired(evidence)
    if paired is None:
        return None
    told, sensed = paired
    return float(np.abs(told[:-1] - sensed[1:]).mean())


def _lag(evidence: Evidence) -> float | None:
    paired = _paired(evidence)
    if paired is None:
        return None
    fps = evidence.episode.fps
    told, sensed = (np.diff(values, axis=0) for values in paired)
    longest = min(round(LONGEST_LAG * fps), len(told) // 2)
    scores = [_correlation(told[: len(told) - lag], sensed[lag:]) for lag in range(longest + 1)]
    best = int(np.argmax(scores))
    return best / fps if scores[best] >= CLEAR else None


def _correlation(one: Array, other: Array) -> float:
    """Of all dimensions of two speeds at once, without taking off their means; 0 where one of them stands still."""
    size = np.linalg.norm(one) * np.linalg.norm(other)
    return float((one * other).sum() / size) if size > 0 else 0.0


def _chatter(evidence: Evidence) -> float | None:
    action, actions, fps = evidence.action, evidence.numbers.actions, evidence.episode.fps
    if action is None or actions is None or not actions.grippers.any():
        return None
    minutes = len(action) / fps / 60
    span = np.where(actions.span > 0, actions.span, 1)
    shares = ((action - actions.low) / span)[:, actions.grippers]
    switches = [_switches(share) for share in shares.T]
    return max(float((np.diff(frames) <= UNDONE * fps).sum() / minutes) for frames in switches)


def _switches(share: Array) -> Array:
    """The frames at which a gripper's command, in [0, 1], changes from closed to open or back."""
    sides = np.where(share >= OPEN, 1, np.where(share <= CLOSED, -1, 0))
    decided = np.flatnonzero(sides)
    return decided[1:][np.diff(sides[decided]) != 0]


def _at_limits(evidence: Evidence) -> float | None:
    action, actions = evidence.action, evidence.numbers.actions
    if action is None or actions is None or not np.isfinite(action).all():
        return None
    chosen = (actions.span > 0) & ~actions.grippers
    low, high = actions.low + AT_LIMIT * actions.span, actions.high - AT_LIMIT * actions.span
    return float(((action <= low) | (action >= high))[:, chosen].mean()) if chosen.any() else None


def _blur(evidence: Evidence) -> float | None:
    shares = [np.clip(1 - seen.sharpness / SHARP, 0, 1).mean() for seen in evidence.seen.values() if len(seen.facts)]
    return float(max(shares)) if shares else None


def _exposure(evidence: Evidence) -> float | None:
    shares = [seen.clipped.mean() for seen in evidence.seen.values() if len(seen.facts)]
    return float(max(shares)) if shares else None


RISKS = (
    Check(
        "idle",
        "idle",
        "share of frames",
        f"Frames from which on no position of the state gets {IDLE:.0%} of its range away within {IDLE_WINDOW:g} s; "
        "the last ones cannot tell.",
        "net motion as in " + REPORT_CARD + ", with a fixed tolerance and the end included",
        _idle,
    ),
    Check(
        "action_variation",
        "action variation",
        "ranges per second",
        "How far commands travel in a second, as a share of their range, the mean over them; grippers do not count.",
        "the path of " + REPORT_CARD + "'s action_tv_ratio, over time in place of displacement",
        _variation,
    ),
    Check(
        "action_high_frequency",
        "fast action energy",
        "share of power",
        f"Power of the frame-to-frame changes of the commands above {FAST:g} Hz (periodogram, Hann window); grippers "
        f"do not count. Needs {SPECTRUM_SECONDS:g} s and more than {2 * FAST:g} frames per second.",
        OURS,
        _fast,
    ),
    Check(
        "jerk",
        "jerk",
        "logarithm",
        "Log dimensionless jerk of the state's positions: ln(T^3 / v_peak^2 * the integral of |jerk|^2).",
        "Hogan and Sternad 2009, Balasubramanian et al. 2015, with the sign turned as in " + REPORT_CARD,
        _jerk,
    ),
    Check(
        "tracking_error",
        "tracking error",
        "share of range",
        "Mean distance of a position command from the state one frame later.",
        REPORT_CARD,
        _tracking,
    ),
    Check(
        "lag",
        "state-action lag",
        "seconds",
        f"The shift of 0 to {LONGEST_LAG:g} s at which the speeds of state and position command correlate best; not "
        f"known where they correlate by less than {CLEAR:g}.",
        OURS,
        _lag,
    ),
    Check(
        "gripper_chatter",
        "gripper chatter",
        "per minute",
        f"How often the command of a gripper is undone within {UNDONE:g} s; it is closed below {CLOSED:.0%} and open "
        f"above {OPEN:.0%} of its range.",
        "as in " + DEEPEN_GRADE + ", which counts all reversals",
        _chatter,
    ),
    Check(
        "at_limits",
        "actions at their limits",
        "share of values",
        f"Values of the action within {AT_LIMIT:.0%} of the dataset's least and greatest; grippers do not count.",
        REPORT_CARD,
        _at_limits,
    ),
    Check(
        "blur",
        "blur",
        "0 to 1",
        f"max(0, 1 - L / {SHARP:g}), where L is the variance of a frame's Laplacian; the mean over frames, the worst "
        "camera. It depends on the scene and the size of the picture.",
        "score_lerobot_episodes",
        _blur,
    ),
    Check(
        "exposure",
        "poor exposure",
        "share of pixels",
        "Pixels that are nearly black or white (5 and less, 250 and more of 255); the worst camera.",
        OURS,
        _exposure,
    ),
)
