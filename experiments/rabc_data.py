"""What rabc.py learns from: a pool of mixed demonstrations for each task, and estimates of their progress.

Every episode of a pool is estimated by a network that never saw it (two folds). `marks` is what a person can give:
episodes with their failures annotated, boundaries off by up to 0.3 s, 5 % of the marks missing. `truth` is taught by
the simulator, an upper bound that no user has.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from headway.encoders.cache import default_cache
from headway.episodes import Array, Episode
from headway.learned.checkpoint import load_learned, save_learned
from headway.learned.cross_fit import train_members
from headway.learned.inputs import InputConfig
from headway.learned.members import Workshop
from headway.learned.method import TaskEpisodes, TrainingConfig
from headway.learned.resume import forget_states
from headway.learned.sarm import Sarm
from headway.scoring import score
from headway.source import Source
from headway.tables import Scores, read_scores
from headway_datasets.opening import open_dataset
from headway_envs.annotation import hurried_stages
from headway_envs.collect import collect
from headway_envs.recording import RecordingOptions

ROBOT = "gripper"
FOLDS = 2
# a quarter experts; 40 % do it in the end, with bad stretches on the way; 35 % do much of it right, and fail
MIX = (
    "expert=.25,detour+hesitate=.08,regress+detour=.08,overshoot+regress=.08,jitter+hesitate=.08,regress+hesitate=.08,"
    "drop=.08,near-miss=.08,undo=.06,abandon+detour=.05,wrong-object=.08"
)
REGIMES = ("marks", "truth")


@dataclass(frozen=True)
class Size:
    """How much is collected and learnt."""

    episodes: int = 300
    epochs: int = 40
    image: int = 64


FAST = Size(episodes=18, epochs=2, image=32)


@dataclass(frozen=True, repr=False)
class Pool:
    """The demonstrations of one task.

    Attributes:
        task: its id.
        episodes: in the dataset's order.
        progress: for each regime, the estimated progress (time,) of each episode.
        success: for each regime, whether each episode was taken for a success, bool (episodes,).
    """

    task: str
    episodes: Sequence[Episode]
    progress: dict[str, list[Array]]
    success: dict[str, Array]


def make_pool(task: str, out: Path, size: Size) -> Pool:
    """The pool of a task; what was made before is only read."""
    folder = out / "pools" / task
    if not folder.exists():
        collect(task, size.episodes, folder, MIX, options=RecordingOptions(robot=ROBOT))
    source = open_dataset(folder)
    scores = {regime: estimate(source, task, regime, out, size) for regime in REGIMES}
    episodes = list(source)
    numbers = [episode.index for episode in episodes]
    return Pool(
        task,
        episodes,
        {regime: [read.curve(number) for number in numbers] for regime, read in scores.items()},
        {regime: np.array([_done(read, number) for number in numbers]) for regime, read in scores.items()},
    )


def estimate(source: Source, task: str, regime: str, out: Path, size: Size) -> Scores:
    """The pool's progress by a network taught that way, each episode by one that was not taught on it."""
    run, scores = out / "estimators" / f"{task}-{regime}", out / "scores" / f"{task}-{regime}"
    method = Sarm(
        InputConfig(source.cameras, image_size=size.image),
        # what is scored looks just like what is learnt from
        TrainingConfig(epochs=size.epochs, plain=0.5),
        **({"teacher": "truth"} if regime == "truth" else {}),
    )
    if not (run / "config.json").exists():
        members = train_members(method, [teach(source, regime)], Workshop(default_cache(), run), FOLDS)
        save_learned(run, method, members)
        forget_states(run)
    return read_scores(score(source, load_learned("sarm", run), scores))


def teach(source: Source, regime: str) -> TaskEpisodes:
    """What a regime lets an estimator know of a pool."""
    if regime == "truth":
        return TaskEpisodes(list(source), source.stage_names)
    rng = np.random.default_rng(7)
    hurried = [
        replace(episode, truth=None, stages=hurried_stages(episode.stages or (), len(episode), episode.fps, rng))
        for episode in source
    ]
    return TaskEpisodes(hurried, source.stage_names)


def _done(scores: Scores, number: int) -> bool:
    """Whether an episode is taken for a success: at its end, its success is likelier than not."""
    success = scores.progress_curve(number).success
    assert success is not None
    return bool(np.nanmean(success[-5:]) > 0.5)
