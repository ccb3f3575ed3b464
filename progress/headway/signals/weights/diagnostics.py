"""What a person should know of weights before training with them."""

from dataclasses import dataclass

import numpy as np

from headway.episodes import Array

UNIFORM = 0.95
"""From this share of effective frames on, a scheme hardly differs from plain cloning."""
FEW = 0.05
"""Below this share a training sees next to nothing of the dataset."""
SATURATED = 0.5
"""From this share of frames at the highest weight on, a scheme without zeros hardly tells frames apart."""


BINS = 20
"""Of the histogram."""


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """Of the weights of a dataset.

    Attributes:
        frames, weighted: all frames, and those with a weight.
        effective: Kish's effective sample size, (sum w)^2 / sum w^2, over the weighted frames; NaN when none weighs.
        zeros, ones: shares of the weighted frames that weigh 0, and the highest weight there is, if that is not 0.
        mean: of the weights.
        histogram: int64 (20,), weighted frames by weight from 0 to 1.
    """

    frames: int
    weighted: int
    effective: float
    zeros: float
    ones: float
    mean: float
    histogram: Array

    @property
    def warnings(self) -> list[str]:
        """What to look into, a sentence each."""
        found = []
        if self.effective >= UNIFORM * self.weighted:
            found.append(
                f"the weights are nearly uniform (effective sample {self.effective / self.weighted:.0%}): this is "
                "plain cloning; take --scheme rabc-auto, or another --look-ahead"
            )
        elif self.ones > SATURATED and self.zeros == 0:
            found.append(
                f"{self.ones:.0%} of the weights are at their ceiling and none is 0, so that the scheme hardly tells "
                "frames apart; take --scheme rabc-auto, or a longer --look-ahead"
            )
        if not self.effective >= FEW * self.weighted:
            found.append("next to nothing is left to learn from; look at the scores, or take --scheme filter")
        if self.weighted < self.frames:
            found.append(
                f"{self.frames - self.weighted} frames have no weight (null), for want of progress or outcome; leave "
                "them out of training"
            )
        return found

    def __str__(self) -> str:
        return (
            f"{self.weighted} of {self.frames} frames have a weight; mean {self.mean:.3f}, zero {self.zeros:.1%}, "
            f"at the top {self.ones:.1%}, effective sample {self.effective / max(self.weighted, 1):.1%}"
        )


def diagnose(weight: Array) -> Diagnosis:
    """Of weights (frames,) in [0, 1], NaN where there is none."""
    known = np.asarray(weight[~np.isnan(weight)], dtype=np.float64)
    squares = float((known**2).sum())
    effective = float(known.sum() ** 2 / squares) if squares else float("nan")
    zeros = ones = mean = float("nan")
    if known.size:
        zeros, mean = float((known == 0).mean()), float(known.mean())
        ones = float(((known >= known.max() - 1e-9) & (known > 0)).mean())
    histogram = np.histogram(known, bins=BINS, range=(0, 1))[0]
    return Diagnosis(len(weight), len(known), effective, zeros, ones, mean, histogram)
