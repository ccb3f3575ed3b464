"""Where Phi comes from.

A potential is a function of observation and info, as `step` and `reset` return them. For a vector environment it is
given the batched ones and returns one value a sub-environment, so that a function which indexes and broadcasts serves
both. Memory is kept beneath it: a stream lives in EstimateProgress, which writes what it reads into info.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from headway.episodes import Array
from headway.errors import UnknownName
from headway_envs.rewards.keys import ESTIMATE

Info = Mapping[str, Any]
Potential = Callable[[Any, Info], Array | float]
"""(observation, info) -> Phi, a float or float (num_envs,); NaN where unknown. Any range, [0, 1] for progress."""


def estimated_progress(observation: Any, info: Info) -> Array:
    """What the estimator says. Raises UnknownName when no EstimateProgress is beneath."""
    return _from_info(info, ESTIMATE, "Wrap the environment in EstimateProgress first")


def true_progress(observation: Any, info: Info) -> Array:
    """The simulator's own progress, for studies: no estimator can do better. Raises UnknownName where there is none."""
    return _from_info(info, "progress", "Only simulated tasks know their progress; use an estimator")


def _from_info(info: Info, key: str, hint: str) -> Array:
    if key not in info:
        raise UnknownName("info key", key, [name for name in info if not name.startswith("_")], hint)
    # vector environments fill with 0 what a sub-environment did not say, and tell by the mask
    return np.where(info.get(f"_{key}", True), info[key], np.nan)
