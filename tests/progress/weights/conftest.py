import numpy as np
import pytest

from headway.signals.weights.scored import ScoredFrames


def scored_frames(curves, success=1.0, fps=20.0, **columns):
    """Frames of episodes with these curves of progress; `success` of each, or of all."""
    lengths = [len(curve) for curve in curves]
    outcomes = np.broadcast_to(np.asarray(success, dtype=np.float64), len(curves)).copy()
    episode = np.repeat(np.arange(len(curves)), lengths)
    return ScoredFrames(
        np.concatenate([np.asarray(curve, float) for curve in curves]), episode, fps, outcomes, **columns
    )


def ramp(frames, hold=0, start=0.0, end=1.0):
    """Progress at one speed, then standing still."""
    return np.r_[np.linspace(start, end, frames - hold), np.full(hold, end)]


@pytest.fixture(scope="session")
def make_frames():
    return scored_frames


@pytest.fixture(scope="session")
def make_ramp():
    return ramp
