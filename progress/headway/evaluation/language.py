"""Whether an estimator listens: videos of each task under the words of each task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from headway.episodes import Array
from headway.evaluation.reference import Reference
from headway.metrics.language import confusion_margin, confusion_matrix
from headway.signals.summary import final
from headway.tables import Scores

# videos a task: the matrix costs tasks x tasks x VIDEOS episodes
VIDEOS = 8
MOST_TASKS = 8


@dataclass(frozen=True, repr=False)
class Confusion:
    """Mean final progress of the videos of each task under the text of each.

    Attributes:
        instructions: the texts; rows are videos, columns what was said.
        matrix: float (video task, text task).
        margin: mean of the diagonal less mean of the rest.
        episodes: which videos were shown.
    """

    instructions: tuple[str, ...]
    matrix: Array
    margin: float
    episodes: tuple[int, ...]


def videos_of(known: Sequence[Reference]) -> dict[str, list[int]]:
    """Instruction -> the episodes to show under every instruction: the first few that nobody calls a failure.

    Empty with fewer than two instructions; of more than eight the eight with the most episodes are taken.
    """
    found: dict[str, list[int]] = {}
    for reference in known:
        if reference.instruction and reference.success is not False:
            found.setdefault(reference.instruction, []).append(reference.index)
    most = sorted(found, key=lambda text: -len(found[text]))[:MOST_TASKS]
    return {text: found[text][:VIDEOS] for text in found if text in most} if len(most) > 1 else {}


def confusion(videos: dict[str, list[int]], scored_under: Callable[[str, tuple[int, ...]], Scores]) -> Confusion:
    """Score the videos under each text, and put the final progress into a matrix.

    Args:
        videos: instruction -> episodes, as `videos_of` gives them; at least two.
        scored_under: the scores of some episodes under one text.
    """
    texts = tuple(videos)
    episodes = tuple(sorted(index for chosen in videos.values() for index in chosen))
    task_of = {index: number for number, text in enumerate(texts) for index in videos[text]}
    finals = np.empty((len(episodes), len(texts)))
    for column, text in enumerate(texts):
        scores = scored_under(text, episodes)
        finals[:, column] = [final(scores.curve(index)) for index in episodes]
    matrix = confusion_matrix(finals, np.array([task_of[index] for index in episodes]))
    return Confusion(texts, matrix, confusion_margin(matrix), episodes)
