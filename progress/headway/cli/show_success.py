"""Which scored episodes succeed, at a false-positive rate of one's choice."""

import numpy as np

from headway.errors import InvalidValue, Unsupported
from headway.estimator import Estimator
from headway.files import write_json
from headway.learned.estimator import Learned
from headway.signals.calibration import CONFORMAL_ASSUMPTION
from headway.tables import Scores

SUCCESS = "success.json"


def check_rate(rate: float, judge: Estimator) -> float:
    """The success threshold for a rate, before anything is scored. Raises InvalidValue or Unsupported."""
    if not isinstance(judge, Learned):
        raise Unsupported(f"--false-positive-rate needs a trained estimator with a success head; got {judge.name!r}")
    if not 0 < rate < 1:
        raise InvalidValue(f"--false-positive-rate must lie between 0 and 1, both excluded, got {rate}")
    return judge.success_threshold(rate)


def tell_successes(scores: Scores, rate: float, threshold: float) -> None:
    """Print and keep which episodes rise above the threshold at any frame."""
    found = []
    for episode in scores.episodes["episode_index"].to_pylist():
        success = scores.curve(episode, "success")
        if (success[~np.isnan(success)] > threshold).any():
            found.append(episode)
    write_json(
        scores.root / SUCCESS,
        {"false_positive_rate": rate, "threshold": threshold, "episodes": found, "assumes": CONFORMAL_ASSUMPTION},
    )
    print(
        f"{len(found)} of {len(scores.episodes)} episodes succeed, above {threshold:.3f}, with at most {rate:g} of the "
        f"failed ones among them; their numbers are in {scores.root / SUCCESS}"
    )
    print(CONFORMAL_ASSUMPTION)
