"""What stage marks tell of a task's scale."""

from collections.abc import Sequence

import numpy as np

from headway.episodes import Stage
from headway.errors import InvalidValue, UnknownName


def mean_proportions(annotations: Sequence[tuple[Stage, ...]], names: Sequence[str]) -> tuple[float, ...]:
    """Each stage's share of an annotated episode's time, averaged over the episodes: floats (stages,), summing to 1.

    SARM (arXiv 2509.25358), equation 1: a_k = 1/M sum_i L_{i,k} / T_i, the mean of the episodes' own proportions and
    not the ratio of summed lengths. T_i is the time that is marked; a stage that comes again counts each time.

    Args:
        annotations: the marks of M episodes; which of them tell of the task's usual pace is the caller's to choose.
        names: the stages in the task's order.

    Raises:
        InvalidValue: there is no episode, or one without a mark.
        UnknownName: a mark is of a stage that is not among `names`.
    """
    if not annotations or not all(annotations):
        raise InvalidValue("proportions of stages need at least one episode, and a mark in each")
    place = {name: number for number, name in enumerate(names)}
    frames = np.zeros((len(annotations), len(place)))
    for row, stages in zip(frames, annotations, strict=True):
        for stage in stages:
            if stage.name not in place:
                raise UnknownName("stage", stage.name, names, "Stage names must agree")
            row[place[stage.name]] += stage.end - stage.start
    shares: list[float] = (frames / frames.sum(axis=1, keepdims=True)).mean(axis=0).tolist()
    return tuple(shares)
