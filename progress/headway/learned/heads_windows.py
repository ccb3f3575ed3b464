"""Windows whose history is not a regular one: frames drawn at random from the past, in order of time or shuffled.

RynnValue (arXiv 2608.09853) draws the frames of a video at random and shuffles half of the drawn sets, and finds both
decisive: its model judges every frame of a set, and with regular frames in order the rank of a frame tells its
progress without a look at it. A causal window gives away less. Its first frame and its present keep their places,
whatever happens between them, and only the present is judged. What order and spacing still tell is which way things
move and how fast; where they are drawn at random, the pictures have to tell the rest.

An estimator is asked about regular windows, and those have places that mean "so many gaps ago". So that such windows
are among those learned from, and their places keep that meaning, a share of the windows stays as it is. In the
others a place means nothing but its rank in time (`random`), or nothing at all (`shuffled`).
"""

import numpy as np

from headway.episodes import Array
from headway.learned.windows import PADDING


def redraw(windows: Array, share: float, in_order: bool, rng: np.random.Generator) -> Array:
    """Give a `share` of a run's windows, each drawn on its own, a history drawn from all of their present's past.

    Args:
        windows: places in a run, int64 (windows, 1 + history), as `draw_run` makes them: the first frame is place 0,
            the frames of the run count from 1, the last column is the present.
        share: of the windows that are changed.
        in_order: keep the drawn frames in the order of time; otherwise they are shuffled.
        rng: of the lesson.

    Returns:
        The same shape. First frame, present and the number of padded places stay, unless the window ran back: then its
        past is what lies before its present. No frame is drawn twice, and none that is later than the present.
    """
    drawn = windows.copy()
    room = windows.shape[1] - 2
    for row in np.flatnonzero(rng.random(len(windows)) < share):
        present = windows[row, -1]
        past = rng.permutation(np.arange(1, present))[:room]
        history = np.sort(past) if in_order else past
        drawn[row, 1:] = PADDING
        drawn[row, -1 - len(history) :] = [*history, present]
    return drawn
