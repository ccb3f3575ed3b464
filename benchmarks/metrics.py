"""How fast the metrics are. Results: metrics.md

Claims: every figure of `headway.metrics` for 100,000 episodes of 200 frames in 60 s on 2 cores, and correlations with
time at least 20 times as fast as a loop that calls scipy for each episode. The loop runs in the same process over some
of the episodes; its time is scaled up to all of them. Its figures have to be the same, or the run fails. Both are the
better of two runs. Values are whole hundredths, so that ties come up all the time. Seconds are of one core (process
time): nothing here runs on more than one.

    .venv/bin/python benchmarks/metrics.py             # about a minute, under 4 GB of memory
    .venv/bin/python benchmarks/metrics.py --fast      # seconds, its figures mean little
"""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from claims import Claim, write_claims
from scipy import stats

from headway.episodes import Array
from headway.metrics import bins, detection, errors, gains, intervals, language, order, ranking, stages, success

# the stages of the made-up task, and the policies and texts that the episodes are dealt out to
PROPORTIONS = (0.2, 0.3, 0.5)
POLICIES = 5
TASKS = 4
LOOK_AHEADS = (1, 5, 10, 25, 50)
SAME = 1e-9


@dataclass
class Args:
    """What to run."""

    episodes: int = 100_000
    """How many."""
    frames: int = 200
    """Of each."""
    loop: int = 2_000
    """Episodes that the loop over scipy runs on."""
    fast: bool = False
    """A few of everything, to see that it runs."""
    out: Path = Path("runs/metrics-benchmark")
    """Folder for the results."""


@dataclass
class Data:
    """Episodes that rise, stall and fall back, and an estimate with noise; (time,) an episode or (episodes,)."""

    estimated: list[Array]
    true: list[Array]
    estimated_stage: list[Array]
    stage: list[Array]
    final: Array
    true_final: Array
    succeeded: Array
    success_frame: list[int | None]
    fired: list[Array]


def make(episodes: int, frames: int, seed: int = 0) -> Data:
    """Progress to the nearest hundredth, as a model that is asked for a percentage gives it."""
    rng = np.random.default_rng(seed)
    reach = np.where(rng.random(episodes) < 0.5, 1.1, rng.uniform(0.1, 0.9, episodes))
    time_share = np.linspace(0, 1, frames, dtype=np.float32)
    true = np.minimum(time_share * reach[:, None].astype(np.float32) * 1.2, np.minimum(reach, 1)[:, None])
    dip = rng.integers(frames, size=episodes)[:, None]
    true = np.where((np.arange(frames) > dip) & (np.arange(frames) < dip + frames // 10), 0.8 * true, true)
    noise = rng.normal(0, 0.05, (episodes, frames)).astype(np.float32)
    estimated = (np.rint(np.clip(true + noise, 0, 1) * 100) / 100).astype(np.float32)
    true = (np.rint(true * 100) / 100).astype(np.float32)
    done = true >= 1
    succeeded = done[:, -1]
    success_frame = [int(row.argmax()) if good else None for row, good in zip(done, succeeded, strict=True)]
    return Data(
        list(estimated),
        list(true),
        list(stages.stage_of(estimated, PROPORTIONS)),
        list(stages.stage_of(true, PROPORTIONS)),
        estimated[:, -1].astype(float),
        true[:, -1].astype(float),
        succeeded,
        success_frame,
        [np.flatnonzero(row[1:] & ~row[:-1]) + 1 for row in estimated >= 0.97],
    )


def figures(data: Data) -> dict[str, Callable[[], object]]:
    """Every figure, by the name of its row."""
    ours, theirs, rng = data.estimated, data.true, np.random.default_rng(1)
    number = len(ours)
    policy = rng.integers(POLICIES, size=number).astype(str)
    texts = np.clip(data.final[:, None] + rng.normal(0, 0.1, (number, TASKS)), 0, 1)
    other = rng.permutation(number)
    lengths = np.full(number, len(ours[0]))
    absolute = errors.mean_absolute_errors(ours, theirs)
    return {
        "value-order correlation (Spearman)": lambda: order.value_order_correlations(ours),
        "Kendall's tau-a with time": lambda: order.kendall_tau_a(ours),
        "Kendall's tau-b with time": lambda: order.kendall_tau_b(ours),
        "monotonicity": lambda: order.monotonicity(ours),
        "maximum drawdown": lambda: order.max_drawdown(ours),
        "bumps": lambda: order.bumps(ours),
        "mean absolute error": lambda: errors.mean_absolute_errors(ours, theirs),
        "root mean square error": lambda: errors.root_mean_square_errors(ours, theirs),
        "Pearson, each episode's": lambda: errors.pearsons(ours, theirs),
        "Pearson, pooled": lambda: errors.pooled_pearson(ours, theirs),
        "error after the monotone map": lambda: errors.isotonic_errors(ours, theirs),
        "stage accuracy": lambda: stages.stage_accuracies(data.estimated_stage, data.stage),
        "boundary error": lambda: stages.boundary_errors(data.estimated_stage, data.stage),
        "RoboReward's five marks": lambda: bins.five_bin_mae(data.final, bins.five_bins(data.true_final)),
        "SARM's rollout classes": lambda: bins.class_matrix(bins.rollout_class(ours), bins.rollout_class(theirs)),
        "gain correlation": lambda: gains.gain_correlation(ours, theirs),
        "gain sign": lambda: gains.gain_sign(ours, theirs),
        "weight correlation": lambda: gains.weight_correlation(ours, theirs),
        "agreement on zero weights": lambda: gains.zero_weight_agreement(ours, theirs),
        f"share without gain, {len(LOOK_AHEADS)} look-aheads": lambda: gains.non_positive_share(
            theirs, LOOK_AHEADS, data.stage
        ),
        "tau over ordered pairs of episodes": lambda: ranking.ordered_pair_tau(data.final, data.true_final),
        "tau-b of episodes": lambda: ranking.tau_b(data.final, data.true_final),
        "pairwise accuracy": lambda: ranking.pairwise_accuracy(data.final, data.true_final, 0.05),
        "ranking of policies, 400 draws": lambda: ranking.rank_policies(data.final, data.succeeded, policy),
        "preference accuracy": lambda: ranking.preference_accuracy(data.final, data.final[other]),
        "success margin": lambda: ranking.success_margin(data.final, data.succeeded),
        "confusion matrix": lambda: language.confusion_margin(
            language.confusion_matrix(texts, np.arange(number) % TASKS)
        ),
        "AUROC": lambda: success.auroc(data.final, data.succeeded),
        "average precision": lambda: success.average_precision(data.final, data.succeeded),
        "F1": lambda: success.f1(data.final, data.succeeded, 0.5),
        "Brier": lambda: success.brier(data.final, data.succeeded),
        "calibration error and diagram": lambda: (
            success.expected_calibration_error(data.final, data.succeeded),
            success.reliability(data.final, data.succeeded),
        ),
        "detection": lambda: detection.detections(data.fired, data.success_frame, lengths, 20.0).summary(),
        "a mean's interval, 400 draws": lambda: intervals.bootstrap_mean(absolute),
    }


def seconds_of(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def beside_scipy(data: Data, args: Args) -> dict[str, tuple[float, float]]:
    """Seconds for all episodes, ours (measured) and scipy's (scaled up). Raises ValueError where figures differ."""
    some = data.estimated[: args.loop]
    frame = np.arange(args.frames)
    pairs = args.frames * (args.frames - 1) / 2
    counts = [np.unique(values, return_counts=True)[1] for values in some]
    untied = np.array([pairs - (times * (times - 1) / 2).sum() for times in counts])
    # scipy knows no tau-a: its tau-b is turned into that by the number of ties, off the clock
    compared = {
        "value-order correlation (Spearman)": (order.value_order_correlations, stats.spearmanr, 1.0),
        "Kendall's tau-a with time": (order.kendall_tau_a, stats.kendalltau, np.sqrt(untied / pairs)),
        "Kendall's tau-b with time": (order.kendall_tau_b, stats.kendalltau, 1.0),
    }
    found = {}
    for name, (ours, scipys, factor) in compared.items():

        def loop(scipys: Callable[..., Any] = scipys) -> Array:
            return np.array([scipys(frame, values).statistic for values in some])

        if not np.allclose(ours(some), loop() * factor, rtol=0, atol=SAME, equal_nan=True):
            raise ValueError(f"{name}: not what scipy says")
        taken = min(seconds_of(loop) for _ in range(2)) * len(data.estimated) / len(some)
        found[name] = min(seconds_of(lambda ours=ours: ours(data.estimated)) for _ in range(2)), taken
    return found


def unequal(data: Data, frames: int) -> float:
    """Seconds for the order correlation of the same episodes cut to unequal lengths."""
    lengths = np.random.default_rng(2).integers(frames // 2, frames + 1, len(data.estimated))
    cut = [values[:length] for values, length in zip(data.estimated, lengths, strict=True)]
    return seconds_of(lambda: order.value_order_correlations(cut))


def main(args: Args) -> None:
    if args.fast:
        args.episodes, args.loop = 2_000, 100
    data = make(args.episodes, args.frames)
    rows = {name: seconds_of(work) for name, work in figures(data).items()}
    total = sum(rows.values())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    against = beside_scipy(data, args)
    what = f"{args.episodes:,} episodes of {args.frames} frames"
    lines = [f"| {what} | seconds |", "|---|---|", *(f"| {name} | {taken:.2f} |" for name, taken in rows.items())]
    lines += [f"| **all** | **{total:.1f}** |", ""]
    lines += [
        f"| {what} | seconds | scipy in a loop (over {args.loop:,}, scaled up) | times as fast |",
        "|---" * 4 + "|",
    ]
    lines += [f"| {n} | {ours:.2f} | {loop:.0f} | {loop / ours:.0f} |" for n, (ours, loop) in against.items()]
    ragged = unequal(data, args.frames)
    lines += [
        "",
        f"Order correlation of the same episodes cut to {args.frames // 2} to {args.frames} frames: {ragged:.2f} s.",
    ]
    lines += [f"Peak memory, the data among it: {memory:.1f} GB."]
    print("\n".join(lines))
    if args.fast:
        print("\n--fast: the figures mean nothing")
    claims = [Claim(f"all metrics of {what}", total, "s", 60.0, at_least=False)]
    claims += [
        Claim(f"{name}, over a loop of scipy's", loop / ours, "x", 20.0) for name, (ours, loop) in against.items()
    ]
    write_claims(args.out / "metrics.json", claims, {"seconds": rows, "beside scipy": against, "memory": memory})


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
