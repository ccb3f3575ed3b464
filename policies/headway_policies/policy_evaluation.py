"""Evaluating a run on unseen layouts, kept on disk rollout by rollout.

rollouts.jsonl      what was evaluated, then one line a rollout; an evaluation cut short goes on from there
results.json        the figures
best-1-layout-7.mp4, worst-1-layout-3.mp4, ...      the clearest rollouts
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headway.errors import OutputError
from headway.files import make_folder, replacing, write_json
from headway.metrics.intervals import Estimate
from headway_datasets.video import encode_video
from headway_envs import EPISODE_SECONDS
from headway_envs.seeds import unseen_seeds
from headway_envs.simulator import Simulator
from headway_envs.tasks import find_task
from headway_policies.lanes import Lane, Rollout, Setting
from headway_policies.paired import wilson
from headway_policies.policy_runs import Run
from headway_policies.rollout import Actor, ask, evaluate, where_failures_end

ROLLOUTS = "rollouts.jsonl"
RESULTS = "results.json"
VIDEO_SIZE = 240
VERSION = 1


@dataclass(frozen=True, repr=False)
class Evaluated:
    """What a policy does on unseen layouts.

    Attributes:
        rollouts: one a layout, in the order of the layouts.
        success: share that succeeded, with Wilson's 95 % interval.
        failures: how many of the others ended in each stage.
        fresh: how many were rolled out now; the others were there before.
    """

    rollouts: tuple[Rollout, ...]
    success: Estimate
    failures: dict[str, int]
    fresh: int


def evaluate_run(
    run: Run,
    count: int,
    folder: Path | None = None,
    seconds: float = EPISODE_SECONDS,
    variation: str | None = None,
    workers: int = 1,
    advance: Callable[[int, int], object] = lambda done, total: None,
) -> Evaluated:
    """Roll out the first `count` unseen layouts, those alone that `folder` does not hold yet.

    All runs meet the same layouts, so two of them can be compared layout by layout.

    Args:
        run: whose policy.
        count: layouts.
        folder: for the results; None is `usual_folder`.
        seconds: after which a rollout has failed.
        variation: of how things look; None is that of the demonstrations.
        workers: processes.
        advance: told how many rollouts are there, of how many.

    Raises OutputError when the folder holds another evaluation, and what `evaluate` raises.
    """
    folder = folder or usual_folder(run, seconds, variation)
    seeds = unseen_seeds(count)
    setting = run.setting(seconds, variation)
    about = {"version": VERSION, "policy": run.checksum, **asdict(setting)}
    make_folder(folder)
    known = _take_up(folder / ROLLOUTS, about)
    missing = [seed for seed in seeds if seed not in known]
    missing_yet = set(missing)
    advance(count - len(missing), count)
    with (folder / ROLLOUTS).open("a") as lines:

        def keep(rollout: Rollout) -> None:
            lines.write(json.dumps(asdict(rollout)) + "\n")
            lines.flush()
            known[rollout.layout_seed] = rollout
            missing_yet.discard(rollout.layout_seed)
            advance(count - len(missing_yet), count)

        where = (setting.task_id, missing, setting.robot, setting.action_space, seconds, setting.variation)
        evaluate(run.policy, *where, workers=workers, advance=keep)
    evaluated = _evaluated(setting, [known[seed] for seed in seeds], len(missing))
    write_json(folder / RESULTS, _results(run, about, evaluated))
    return evaluated


def usual_folder(run: Run, seconds: float = EPISODE_SECONDS, variation: str | None = None) -> Path:
    """In the run's own folder: `evaluation`; for other seconds or another variation than usual, one beside it."""
    unusual = [f"{seconds:g}s"] * (seconds != EPISODE_SECONDS)
    if variation not in (None, run.recorded.variation):
        unusual.append(str(variation))
    return run.folder / "-".join(["evaluation", *unusual])


def film_best_and_worst(
    run: Run,
    evaluated: Evaluated,
    count: int,
    folder: Path | None = None,
    seconds: float = EPISODE_SECONDS,
    variation: str | None = None,
    advance: Callable[[int, int], object] = lambda done, total: None,
) -> list[Path]:
    """Roll out the best and the worst again, the same to the last step, and film them. Arguments as in `evaluate_run`.

    Returns the videos, those that were there before included. Raises Unsupported when the machine cannot draw.
    """
    folder = folder or usual_folder(run, seconds, variation)
    best, worst = best_and_worst(evaluated.rollouts, count)
    chosen = [(f"best-{number}", rollout) for number, rollout in enumerate(best, 1)]
    chosen += [(f"worst-{number}", rollout) for number, rollout in enumerate(worst, 1)]
    paths = []
    for done, (name, rollout) in enumerate(chosen, 1):
        path = folder / f"{name}-layout-{rollout.layout_seed - unseen_seeds(1)[0]}.mp4"
        if not path.is_file():
            with replacing(path) as beside:
                film(run.policy, run.setting(seconds, variation), rollout.layout_seed, beside)
        paths.append(path)
        advance(done, len(chosen))
    for path in {*folder.glob("best-*-layout-*.mp4"), *folder.glob("worst-*-layout-*.mp4")} - set(paths):
        path.unlink()
    return paths


def best_and_worst(rollouts: Sequence[Rollout], count: int) -> tuple[list[Rollout], list[Rollout]]:
    """The best, best first, and the worst, worst first, `count` each and none in both.

    Best is who gets furthest in the fewest steps; worst is who ends with the least progress after the most.
    """
    ranked = sorted(rollouts, key=lambda rollout: (-rollout.progress, rollout.steps, rollout.layout_seed))
    return ranked[:count], ranked[max(count, len(ranked) - count) :][::-1]


def film(policy: Actor, setting: Setting, layout_seed: int, path: Path, camera: str = "front") -> Rollout:
    """Roll out one layout and write its video as mp4: VIDEO_SIZE pixels square, one frame a step."""
    frames = []

    def draw(simulator: Simulator) -> None:
        frames.append(simulator.frame(camera, VIDEO_SIZE, VIDEO_SIZE))

    lane = Lane(setting, layout_seed, draw)
    try:
        rollout = None
        while rollout is None:
            rollout = lane.perform(ask(policy, [lane])[0])
        encode_video(path, frames, lane.simulator.fps)
    finally:
        lane.close()
    return rollout


def _take_up(path: Path, about: dict[str, Any]) -> dict[int, Rollout]:
    """The rollouts that are there, by layout; begins the file where there is none.

    A last line that was cut off is removed. Raises OutputError when the file is of another evaluation.
    """
    lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
    whole = [line for line in lines if line.endswith("\n")]
    if not whole:
        whole = [json.dumps(about) + "\n"]
    try:
        head, *rows = (json.loads(line) for line in whole)
        known = {row["layout_seed"]: Rollout(**row) for row in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path} is damaged ({error}); delete it and evaluate again") from error
    if head != about:
        other = [name for name in sorted({*head, *about}) if head.get(name) != about.get(name)]
        raise OutputError(
            f"{path.parent} holds an evaluation with another {', '.join(other)}; choose another folder with --out, or "
            "delete it"
        )
    if whole != lines:
        with replacing(path) as beside:
            beside.write_text("".join(whole))
    return known


def _evaluated(setting: Setting, rollouts: Sequence[Rollout], fresh: int) -> Evaluated:
    success = wilson(sum(rollout.success for rollout in rollouts), len(rollouts))
    return Evaluated(
        tuple(rollouts), success, where_failures_end(rollouts, find_task(setting.task_id).stage_names), fresh
    )


def _results(run: Run, about: dict[str, Any], evaluated: Evaluated) -> dict[str, Any]:
    steps = [rollout.steps for rollout in evaluated.rollouts if rollout.success]
    return {
        **about,
        "run": str(run.folder),
        "rollouts": len(evaluated.rollouts),
        "success": evaluated.success.value,
        "success_interval_95_wilson": [evaluated.success.low, evaluated.success.high],
        "failures_end_in": evaluated.failures,
        "mean_progress": sum(rollout.progress for rollout in evaluated.rollouts) / len(evaluated.rollouts),
        "mean_steps_of_successes": sum(steps) / len(steps) if steps else None,
        "layouts": [asdict(rollout) for rollout in evaluated.rollouts],
    }
