"""The same cloning under several weightings of the frames, side by side on the same unseen layouts.

Every arm is trained with the same seeds and tested on the same layouts, so arms are compared pair by pair. Intervals
resample training seeds and layouts at once, each with replacement (Owen 2007, "The pigeonhole bootstrap", Annals of
Applied Statistics 1(2)): a difference has to hold for other seeds and for other layouts. Of n there are n - 1 drawn,
because drawing n of few seeds makes the interval too narrow (Rao and Wu 1988, JASA 83(401)).
"""

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace

import numpy as np

from headway.episodes import Array
from headway.errors import HeadwayError, InvalidValue, UnknownName
from headway.metrics.intervals import Estimate
from headway_envs import EPISODE_SECONDS
from headway_envs.robots import DEFAULT_ROBOT
from headway_envs.simulator import Simulator
from headway_envs.tasks import find_task
from headway_policies.behaviour_cloning import CloningConfig, clone
from headway_policies.demonstrations import Demonstrations
from headway_policies.rollout import Rollout, evaluate

DRAWS = 4000


@dataclass(frozen=True, repr=False)
class Arm:
    """One weighting, trained once a seed.

    Attributes:
        name: of the arm.
        rollouts: for each training seed, one for each layout.
        success: share of successful rollouts over seeds and layouts.
        frames: that were learnt from.
        left_out: frames without a weight.
    """

    name: str
    rollouts: tuple[tuple[Rollout, ...], ...]
    success: Estimate
    frames: int
    left_out: int

    def __repr__(self) -> str:
        return f"Arm({self.name}, success={self.success}, seeds={len(self.rollouts)})"

    @property
    def by_seed(self) -> tuple[float, ...]:
        """Share of successful rollouts for each training seed."""
        return tuple(float(row.mean()) for row in _outcomes(self.rollouts))


@dataclass(frozen=True)
class Difference:
    """How much more often `arm` succeeds than `against`, in shares of rollouts (0.1 is ten points)."""

    arm: str
    against: str
    success: Estimate

    @property
    def distinguishable(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.success.low > 0 or self.success.high < 0

    def __str__(self) -> str:
        points = f"{self.success.value:+.1%} [{self.success.low:+.1%}, {self.success.high:+.1%}]"
        return points if self.distinguishable else f"{points}, not distinguishable"


@dataclass(frozen=True)
class Comparison:
    """All arms, and each but the plain one against it."""

    task_id: str
    training_seeds: tuple[int, ...]
    layout_seeds: tuple[int, ...]
    arms: tuple[Arm, ...]
    differences: tuple[Difference, ...]

    @property
    def caveat(self) -> str:
        """What the intervals leave out, in words; empty when nothing."""
        if len(self.training_seeds) > 1:
            return ""
        return "one training seed: the intervals know nothing of the spread between training runs"


def compare(
    task_id: str,
    demonstrations: Demonstrations,
    arms: Mapping[str, Array],
    against: str,
    training_seeds: Sequence[int],
    layout_seeds: Sequence[int],
    robot: str = DEFAULT_ROBOT,
    action_space: str | None = None,
    config: CloningConfig | None = None,
    seconds: float = EPISODE_SECONDS,
    workers: int = 2,
    advance: Callable[[int], object] = lambda finished: None,
) -> Comparison:
    """Train every arm with every training seed and test each policy on every layout.

    The same arguments give the same numbers, however many workers there are. With more than one, a script that calls
    this needs `if __name__ == "__main__":` around its own work.

    Args:
        task_id: where the policies act.
        demonstrations: frames that all arms learn from.
        arms: name -> weight of each frame, float (frames,).
        against: name of the arm that the others are compared with.
        training_seeds: one training of each arm for each.
        layout_seeds: those to test on; take unseen ones.
        robot: who acts; the one who was recorded.
        action_space: of the arm; None is the robot's usual one.
        config: how to train; its seed is replaced by each training seed.
        seconds: after which a rollout has failed.
        workers: processes; 1 works in this one.
        advance: called with 1 for each policy trained and tested, as a bar's `update`; there are
            `len(arms) * len(training_seeds)`.

    Raises UnknownName (task, robot, action space, `against`), CheckpointError (demonstrations of another task, robot
    or action space), InvalidValue (weights, no seeds), HeadwayError when a worker is killed.
    """
    demonstrations.signature.check_fits(Simulator(find_task(task_id), robot, action_space))
    if against not in arms:
        raise UnknownName("arm to compare with:", against, arms)
    if not training_seeds or not layout_seeds:
        raise InvalidValue("a comparison needs at least one training seed and one layout")
    if workers < 1:
        raise InvalidValue(f"a comparison needs at least one worker, got {workers}")
    config = config or CloningConfig()
    jobs = [_Job(name, weight, replace(config, seed=seed)) for name, weight in arms.items() for seed in training_seeds]
    setting = _Setting(demonstrations, task_id, tuple(layout_seeds), robot, action_space, seconds)
    results = _run(jobs, setting, min(workers, len(jobs)), advance)
    each = len(training_seeds)
    finished = [_arm(name, results[number * each : (number + 1) * each]) for number, name in enumerate(arms)]
    plain = next(arm for arm in finished if arm.name == against)
    differences = tuple(difference(arm, plain) for arm in finished if arm is not plain)
    return Comparison(task_id, tuple(training_seeds), tuple(layout_seeds), tuple(finished), differences)


def _arm(name: str, runs: Sequence["_Run"]) -> Arm:
    rollouts = tuple(run.rollouts for run in runs)
    success = crossed_bootstrap(_outcomes(rollouts), lowest=0)
    return Arm(name, rollouts, success, runs[0].frames, runs[0].left_out)


def difference(arm: Arm, against: Arm) -> Difference:
    """How much more often one arm succeeds than the other, paired by training seed and layout."""
    paired = _outcomes(arm.rollouts) - _outcomes(against.rollouts)
    return Difference(arm.name, against.name, crossed_bootstrap(paired, lowest=-1))


def crossed_bootstrap(values: Array, lowest: float, draws: int = DRAWS, seed: int = 0) -> Estimate:
    """Mean of values (training seed, layout) with its 95 % percentile interval, both resampled with replacement.

    When all values are alike resampling knows no spread. Then the interval is Clopper and Pearson's for an outcome
    that was met on every layout, as if further seeds on the same layouts told nothing new: it reaches
    1 - 0.025^(1 / layouts) from the mean, within `lowest` and 1.
    """
    layouts = values.shape[1]
    mean = float(values.mean())
    if np.ptp(values) == 0:
        reach = 1 - 0.025 ** (1 / layouts)
        return Estimate(mean, max(lowest, mean - reach), min(1.0, mean + reach))
    # rounding: a mean of 0 must not come out beside 0
    low, high = np.quantile(resampled_means(values, seed, draws), [0.025, 0.975]).round(9)
    return Estimate(mean, float(low), float(high))


def resampled_means(values: Array, seed: int, draws: int = DRAWS) -> Array:
    """Means of values (training seed, layout) with both resampled: float64 (draw,). The same seed draws alike for all
    values of one shape."""
    rng = np.random.default_rng(seed)
    seeds, layouts = values.shape
    return np.einsum("ds,sl,dl->d", _shares(rng, seeds, draws), values, _shares(rng, layouts, draws), optimize=True)


def _shares(rng: np.random.Generator, size: int, draws: int) -> Array:
    """How much each of `size` things counts in a resample: (draw, size), rows sum to 1."""
    drawn = max(1, size - 1)
    return rng.multinomial(drawn, np.full(size, 1 / size), size=draws) / drawn


def _outcomes(rollouts: Sequence[Sequence[Rollout]]) -> Array:
    """1 for success, else 0: float64 (training seed, layout)."""
    return np.array([[float(rollout.success) for rollout in row] for row in rollouts])


@dataclass(frozen=True, repr=False)
class _Job:
    arm: str
    weight: Array
    config: CloningConfig


@dataclass(frozen=True, repr=False)
class _Setting:
    demonstrations: Demonstrations
    task_id: str
    layout_seeds: tuple[int, ...]
    robot: str
    action_space: str | None
    seconds: float


@dataclass(frozen=True)
class _Run:
    rollouts: tuple[Rollout, ...]
    frames: int
    left_out: int


def _run(jobs: Sequence[_Job], setting: _Setting, workers: int, advance: Callable[[int], object]) -> list[_Run]:
    if workers == 1:
        return _in_this_process(jobs, setting, advance)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=(setting,)) as pool:
        futures = [pool.submit(_work, job) for job in jobs]
        runs = []
        try:
            for future in futures:
                runs.append(future.result())
                advance(1)
        except BrokenProcessPool as error:
            raise HeadwayError(
                "a process that trains policies was ended from outside, most likely for want of memory; "
                "use fewer workers or fewer episodes"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
    return runs


def _in_this_process(jobs: Sequence[_Job], setting: _Setting, advance: Callable[[int], object]) -> list[_Run]:
    runs = []
    for job in jobs:
        runs.append(_train_and_test(job, setting))
        advance(1)
    return runs


def _train_and_test(job: _Job, setting: _Setting) -> _Run:
    try:
        cloned = clone(setting.demonstrations, job.weight, job.config)
    except InvalidValue as error:
        raise InvalidValue(f"arm {job.arm!r}: {error}") from error
    where = (setting.task_id, setting.layout_seeds, setting.robot, setting.action_space, setting.seconds)
    rollouts = evaluate(cloned.policy, *where)
    return _Run(tuple(rollouts), cloned.frames, cloned.left_out)


_setting: _Setting


def _start_worker(setting: _Setting) -> None:
    global _setting
    _setting = setting


def _work(job: _Job) -> _Run:
    return _train_and_test(job, _setting)
