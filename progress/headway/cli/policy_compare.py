"""`headway policy compare`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from headway.cli.options import Bar
from headway.cli.policy_eval import RunArgument
from headway.errors import InvalidValue
from headway.files import write_json

if TYPE_CHECKING:
    from headway_policies.paired import Paired
    from headway_policies.policy_runs import Run


def compare(
    first: Annotated[RunArgument, tyro.conf.arg(metavar="RUN_A")],
    second: Annotated[RunArgument, tyro.conf.arg(metavar="RUN_B")],
    /,
    *,
    rollouts: int = 100,
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json")] = None,
    seconds: float = 20,
    workers: int = 1,
) -> int:
    """Let two policies act on the same unseen layouts and say whether one is better, and what could have been seen.

    Rollouts that headway policy eval made before are used. For example:

        headway policy compare runs/plain runs/weighted --rollouts 200

    Args:
        rollouts: how many layouts, the same for both
        out: also write the figures there
        seconds: after which a rollout has failed
        workers: processes; the results are the same
    """
    from headway_policies.paired import count_pairs, verdict
    from headway_policies.policy_evaluation import evaluate_run
    from headway_policies.policy_runs import load_run

    if workers < 1 or not seconds > 0:
        raise InvalidValue(f"--workers takes 1 or more, --seconds above 0; got {workers}, {seconds:g}")
    runs = load_run(first), load_run(second)
    _check_alike(*runs)
    outcomes = []
    for run in runs:
        with Bar(f"rolling out {run.folder.name}", "layout") as bar:
            evaluated = evaluate_run(run, rollouts, None, seconds, None, workers, bar.at)
        outcomes.append([rollout.success for rollout in evaluated.rollouts])
    pairs = count_pairs(*outcomes)
    names = _names(*runs)
    _show(pairs, names, runs[0])
    print(verdict(pairs, names))
    if out is not None:
        write_json(out, _content(pairs, runs))
        print(f"figures are in {out}")
    print("next: to compare recipes, train each with several --seed, on the same seeds, and compare over them")
    return 0


def _check_alike(one: "Run", other: "Run") -> None:
    """Raises InvalidValue when the runs do not act in the same place, or are one policy."""
    for field, value in asdict(one.recorded).items():
        there = getattr(other.recorded, field)
        if value != there:
            raise InvalidValue(
                f"{one.folder} and {other.folder} cannot be compared: their {field} is {value!r} and {there!r}"
            )
    if one.checksum == other.checksum:
        raise InvalidValue(
            f"{one.folder} and {other.folder} are the same policy to the last bit; there is no difference"
        )


def _names(one: "Run", other: "Run") -> tuple[str, str]:
    """The folders' names, or their paths where those are alike."""
    alike = one.folder.resolve().name == other.folder.resolve().name
    return (str(one.folder), str(other.folder)) if alike else (one.folder.resolve().name, other.folder.resolve().name)


def _show(pairs: "Paired", names: tuple[str, str], run: "Run") -> None:
    from headway.cli.show import show
    from headway.report import ReportTable
    from headway_policies.paired import mcnemar, newcombe, smallest_effect, wilson

    rows = []
    for name, successes in zip(names, pairs.successes, strict=True):
        share = wilson(successes, pairs.layouts)
        rows.append([name, f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}]"])
    difference = newcombe(pairs)
    smallest = smallest_effect(pairs.apart, pairs.layouts)
    rows += [
        ["difference", f"{difference.value:+.1%} [{difference.low:+.1%}, {difference.high:+.1%}]"],
        [f"{names[0]} alone / {names[1]} alone", f"{pairs.first} / {pairs.second}"],
        ["both / neither", f"{pairs.both} / {pairs.neither}"],
        ["exact McNemar p", f"{mcnemar(pairs):.3g}"],
        ["smallest difference seen, 80 % power", "none" if smallest != smallest else f"{smallest:.1%}"],
    ]
    note = (
        f"{pairs.layouts} unseen layouts of {run.recorded.task_id}, the same for both; 95 % intervals: Wilson's, of "
        "the difference Newcombe's (method 10); power is exact, for policies that end differently as often as these"
    )
    show(ReportTable("The same layouts for both", ["", "success"], rows, note))


def _content(pairs: "Paired", runs: tuple["Run", "Run"]) -> dict[str, Any]:
    from headway_policies.paired import mcnemar, newcombe, smallest_effect

    smallest = smallest_effect(pairs.apart, pairs.layouts)
    return {
        "runs": [str(run.folder) for run in runs],
        "policies": [run.checksum for run in runs],
        **asdict(runs[0].recorded),
        **asdict(pairs),
        "difference": asdict(newcombe(pairs)),
        "mcnemar_p": mcnemar(pairs),
        "smallest_effect_at_80_percent_power": None if smallest != smallest else smallest,
    }
