"""Defects: what makes an episode's data wrong, whoever recorded it. Each counts; 0 is none, None cannot be known."""

from collections.abc import Iterable

import numpy as np

from headway.checks.check import DEEPEN_GRADE, OURS, REPORT_CARD, Check, Evidence
from headway.checks.numbers import HELD, held
from headway.checks.pictures import DARK, Seen
from headway.episodes import Array

DROPPED = 1.5  # frame periods between two timestamps, from which on a frame is missing
REPEATED = 0.1  # frame periods, below which a frame has no time of its own
COMMANDED, UNMOVED = 0.1, 0.01  # of the range
OTHERS_MOVE = 0.02  # of the range
BLACK = 0.98  # of the pixels: ffmpeg's blackdetect, picture_black_ratio_th
STILL_SECONDS = 0.5
MOVED = 0.05  # of the range, the mean over what is sensed
SMOOTH = 0.25  # seconds
STILL_ALONE, STILL_SHARE = 10.0, 0.8  # seconds, and of an episode over a second long


def _nonfinite(evidence: Evidence) -> int | None:
    episode = evidence.episode
    columns = [episode.state, episode.action, episode.environment_state, episode.timestamps]
    known = [values.reshape(len(values), -1) for values in columns if values is not None]
    if not known:
        return None
    return int((~np.isfinite(np.concatenate(known, axis=1))).any(axis=1).sum())


def _dead_joints(evidence: Evidence) -> int | None:
    numbers, state, action = evidence.numbers, evidence.state, evidence.action
    reach, actions = numbers.state_range, numbers.actions
    if not numbers.pairs or state is None or action is None or reach is None or actions is None:
        return None
    # whoever is told to move in the last moment cannot have moved yet
    before = max(1, len(action) - round(HELD * evidence.episode.fps))
    dead = 0
    for sensed, told in numbers.pairs:
        command, answer = action[:before, told], state[:, sensed]
        command, answer = command[np.isfinite(command)], answer[np.isfinite(answer)]
        if not len(command) or not len(answer):
            continue
        span = reach[sensed] or np.ptp(command)
        told_to = np.ptp(command) >= COMMANDED * actions.range[told] > 0
        dead += bool(told_to and np.ptp(answer) <= UNMOVED * span)
    return dead


def _dropped(evidence: Evidence) -> int | None:
    periods = _periods(evidence)
    if periods is None:
        return None
    gaps = periods[periods > DROPPED]
    return int(np.rint(gaps).sum() - len(gaps))


def _repeated(evidence: Evidence) -> int | None:
    periods = _periods(evidence)
    return None if periods is None else int((periods < REPEATED).sum())


def _periods(evidence: Evidence) -> Array | None:
    """Frame periods between consecutive timestamps; None where there are none."""
    times = evidence.episode.timestamps
    if times is None:
        return None
    steps = np.diff(times)
    return steps[np.isfinite(steps)] * evidence.episode.fps


def _saturated(evidence: Evidence) -> int | None:
    action, actions = evidence.action, evidence.numbers.actions
    if action is None or actions is None:
        return None
    span = actions.span
    joints = [told for _, told in evidence.numbers.pairs if span[told] > 0 and not actions.grippers[told]]
    if len(joints) < 2:
        return None
    found = np.zeros(len(action), dtype=bool)
    for limit, stops in zip((actions.low, actions.high), actions.stops, strict=True):
        for joint, times in enumerate(held(action, limit, span, evidence.episode.fps)):
            others = [other for other in joints if other != joint]
            for start, end in times if joint in joints and stops[joint] else []:
                moves = np.ptp(action[start:end, others], axis=0) > OTHERS_MOVE * span[others]
                # a joint that rests at its limit from the start is not pushed against it
                found[start:end] |= bool(start > 0 and moves.any())
    return int(found.sum())


def _length(evidence: Evidence) -> int | None:
    return max(seen.amiss for seen in evidence.seen.values())


def _undecodable(evidence: Evidence) -> int | None:
    return max(seen.undecodable for seen in evidence.seen.values())


def _black(evidence: Evidence) -> int | None:
    return _most(int((seen.dark >= BLACK).sum()) for seen in evidence.seen.values() if len(seen.facts))


def _frozen(evidence: Evidence) -> int | None:
    return _most(_frozen_frames(seen, evidence) for seen in evidence.seen.values() if len(seen.facts))


def _frozen_frames(seen: Seen, evidence: Evidence) -> int:
    fps, time = evidence.episode.fps, len(evidence.episode)
    positions = evidence.positions
    found = 0
    for start, end in seen.still():
        seconds = (end - start) / fps
        if positions is None:
            alone = end - start >= STILL_SHARE * time and seconds >= 1
            found += end - start if alone or seconds >= STILL_ALONE else 0
        elif seconds >= STILL_SECONDS:
            found += end - start if _movement(positions[start:end], fps) >= MOVED else 0
    return found


def _movement(positions: Array, fps: float) -> float:
    """How far (time, dim) moves but for noise, the mean over its dimensions."""
    window = min(max(1, round(SMOOTH * fps)), len(positions))
    sums = np.cumsum(np.pad(positions, ((1, 0), (0, 0))), axis=0)
    smooth = (sums[window:] - sums[:-window]) / window
    return float(np.ptp(smooth, axis=0).mean())


def _most(counts: Iterable[int]) -> int | None:
    return max(counts, default=None)


DEFECTS = (
    Check(
        "nonfinite",
        "NaN or infinite values",
        "frames",
        "Frames with a value in state, action, environment state or timestamps that is NaN or infinite.",
        REPORT_CARD,
        _nonfinite,
    ),
    Check(
        "dead_joint",
        "joint that never moves",
        "joints",
        f"Joints whose state stays within {UNMOVED:.0%} of its range for the whole episode while their command moves "
        f"over {COMMANDED:.0%} of its own. Needs commands that are positions of the state.",
        REPORT_CARD + "; the tolerances are ours",
        _dead_joints,
    ),
    Check(
        "dropped_timestamps",
        "dropped timestamps",
        "frames",
        f"Frames missing between consecutive timestamps that lie more than {DROPPED:g} frame periods apart.",
        "as in " + DEEPEN_GRADE + ", which allows 3 median periods",
        _dropped,
    ),
    Check(
        "repeated_timestamps",
        "repeated timestamps",
        "frames",
        f"Frames whose timestamp lies less than {REPEATED:g} frame periods after the one before, or before it.",
        OURS,
        _repeated,
    ),
    Check(
        "saturated_action",
        "saturated actions",
        "frames",
        f"Frames in which the command of a joint reaches the dataset's own limit and is held exactly there for {HELD:g}"
        " s or more while other joints' commands move. It is a limit where commands were held at it twice or more in "
        "the dataset. Grippers do not count, and commands must be positions of the state: a speed may well be full "
        "for a while. A joint that is planned to wait at its extreme looks the same.",
        REPORT_CARD + " and " + DEEPEN_GRADE + " count values near the limit; holding and the others' moving are ours",
        _saturated,
    ),
    Check(
        "video_length",
        "video of another length",
        "frames",
        "Frames that the video has too few of for the episode's table, or that the dataset says it has too many; one "
        "too many is a matter of rounding. The worst camera.",
        OURS,
        _length,
    ),
    Check(
        "undecodable_video",
        "undecodable video",
        "frames",
        "Frames from the first that cannot be decoded to the end. The worst camera.",
        OURS,
        _undecodable,
    ),
    Check(
        "black_video",
        "black video",
        "frames",
        f"Frames in which {BLACK:.0%} of the pixels have a luma of {DARK} of 255 or less. The worst camera.",
        "ffmpeg's blackdetect (pic_th 0.98, pix_th 0.10), for single frames",
        _black,
    ),
    Check(
        "frozen_video",
        "frozen video",
        "frames",
        f"Frames of stretches of {STILL_SECONDS:g} s and more in which the picture stands still while the state moves "
        f"by {MOVED:.0%} of its range, the mean over its positions: a robot that holds still is not frozen. Where no "
        f"state is known, stretches of {STILL_ALONE:g} s, or of {STILL_SHARE:.0%} of the episode. The worst camera.",
        OURS,
        _frozen,
    ),
)
