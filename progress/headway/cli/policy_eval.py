"""`headway policy eval`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from headway.cli.options import Bar
from headway.errors import InvalidValue

if TYPE_CHECKING:
    from headway_policies.policy_evaluation import Evaluated
    from headway_policies.policy_runs import Run

RunArgument = Annotated[Path, tyro.conf.arg(metavar="RUN", help="a folder that headway policy train made")]


def evaluate(
    run: RunArgument,
    /,
    *,
    rollouts: int = 100,
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
    video: Annotated[int, tyro.conf.arg(metavar="N")] = 0,
    seconds: float = 20,
    variation: str = "",
    workers: int = 1,
) -> int:
    """Let a policy act on layouts that no demonstration shows, the same for every policy.

    An evaluation cut short goes on when the command is repeated; more --rollouts add to those that are there. For
    example:

        headway policy eval runs/weighted --rollouts 100 --video 2

    Args:
        rollouts: how many layouts
        out: folder for the results; default: evaluation, in the run
        video: also film the N best and the N worst rollouts
        seconds: after which a rollout has failed
        variation: of how things look, as headway collect takes it; default: that of the demonstrations
        workers: processes; the results are the same
    """
    from headway_policies.policy_evaluation import RESULTS, evaluate_run, film_best_and_worst, usual_folder
    from headway_policies.policy_runs import load_run

    if video < 0 or workers < 1 or not seconds > 0:
        raise InvalidValue(
            f"--video takes 0 or more, --workers 1 or more, --seconds above 0; got {video}, {workers}, {seconds:g}"
        )
    found = load_run(run)
    where = (seconds, variation or None)
    folder = out or usual_folder(found, *where)
    with Bar("rolling out", "layout") as bar:
        evaluated = evaluate_run(found, rollouts, folder, *where, workers, bar.at)
    if not evaluated.fresh:
        print(f"all {rollouts} rollouts were there before")
    _show(found, evaluated)
    if video:
        with Bar("filming", "video") as bar:
            paths = film_best_and_worst(found, evaluated, video, folder, *where, bar.at)
        print(f"{len(paths)} videos, best-* and worst-*, are in {folder}")
    print(f"results are in {folder / RESULTS}")
    print(f"next: headway policy compare {run} OTHER_RUN --rollouts {rollouts}")
    return 0


def _show(run: "Run", evaluated: "Evaluated") -> None:
    from headway.cli.show import show
    from headway.report import ReportTable

    done, total = sum(rollout.success for rollout in evaluated.rollouts), len(evaluated.rollouts)
    share = evaluated.success
    rows = [["success", f"{done} of {total}", f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}]"]]
    rows += [[f"failed in {name}", str(count), f"{count / total:.1%}"] for name, count in evaluated.failures.items()]
    note = f"{total} unseen layouts of {run.recorded.task_id}, robot {run.recorded.robot}; Wilson's 95 % interval"
    show(ReportTable(f"{run.folder}", ["", "rollouts", "share"], rows, note))
