"""Which figures tell an estimator from a clock? Results: judges.md

On tasks of the simulated suite, each with every kind of imperfect demonstration, the truth itself and estimators that
are worse than it by design are judged by `headway.evaluation` beside the blind controls. A figure that cannot tell the
truth from a clock cannot tell anything. Nothing is trained and no picture is looked at.

    .venv/bin/python experiments/judges.py             # four tasks, 120 episodes each, about 10 minutes on 2 cores
    .venv/bin/python experiments/judges.py --fast      # one task, a minute; its figures mean little
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from tqdm import tqdm

from headway import controls
from headway.episodes import Array, Episode
from headway.estimator import Needs
from headway.evaluation.figures import FIGURES
from headway.evaluation.judge import UNINFORMATIVE, WORSE, Judged, judge, verdict
from headway.evaluation.reference import references
from headway_datasets.opening import open_dataset
from headway_envs.collect import collect
from headway_envs.recording import RecordingOptions

TASKS = ("tidy-drawer", "push-to-goal", "lift", "place-in-bin")
SHOWN = (
    *("voc_success", "tau_a_success", "tau_b_success", "drawdown_success", "voc_failed"),
    *("mae_expert", "mae_imperfect", "pearson", "stage_accuracy", "class_accuracy"),
    *("gain_correlation", "weight_correlation"),
    *("tau_all", "tau_failed", "pairs_right", "margin", "success_auroc", "success_ap"),
)


@dataclass
class Args:
    """What to run."""

    episodes: int = 120
    """Episodes of each task; half are experts'."""
    fast: bool = False
    """One task and few episodes, to see that it runs."""
    out: Path = Path("runs/judges")
    """Folder for the demonstrations."""


def noisy(episode: Episode) -> Array | None:
    """The truth with an error of 0.1 a frame, clipped to [0, 1]."""
    if episode.truth is None:
        return None
    noise = np.random.default_rng([1, episode.index]).normal(0, 0.1, len(episode))
    return np.clip(episode.truth.progress + noise, 0, 1)


def optimist(episode: Episode) -> Array | None:
    """The highest true progress so far: never sees a fall."""
    return None if episode.truth is None else np.maximum.accumulate(episode.truth.progress)


JUDGED: dict[str, Callable[[], controls.Control]] = {
    "truth": controls.oracle,
    "truth + noise of 0.1": lambda: controls.Control("noisy", Needs(pictures=False, truth=True), noisy),
    "truth that never falls": lambda: controls.Control("optimist", Needs(pictures=False, truth=True), optimist),
}
BLIND = {"clock": controls.clock, "constant": controls.constant, "random": controls.random}


def judge_task(task: str, args: Args) -> tuple[list[Judged], list[Judged]]:
    """The estimators and the controls of one task."""
    folder = args.out / ("fast" if args.fast else "full") / task
    if not folder.exists():
        collect(
            task, 24 if args.fast else args.episodes, folder, split="test", options=RecordingOptions(robot="gripper")
        )
    source = open_dataset(folder)
    episodes = list(source)
    known = references(episodes, source.stage_names)

    def judged(name: str, make: Callable[[], controls.Control]) -> Judged:
        return judge(name, known, list(make().estimate(episodes)), figures=SHOWN)

    return [judged(*each) for each in JUDGED.items()], [judged(*each) for each in BLIND.items()]


def table(task: str, estimators: Sequence[Judged], blind: Sequence[Judged]) -> str:
    """A figure a row, Markdown; what a control reaches is marked."""
    names = [each.estimator for each in (*estimators, *blind)]
    lines = [f"### {task}", "", f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for figure in SHOWN:
        cells = []
        for each in (*estimators, *blind):
            found = verdict(each, blind, figure) if each in estimators else None
            cells.append(f"{each[figure]} {found.mark}".rstrip() if found else str(each[figure]))
        lines.append(f"| {FIGURES[figure].heading} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(args: Args) -> None:
    tables = [table(task, *judge_task(task, args)) for task in tqdm(TASKS[: 1 if args.fast else None], unit="task")]
    print("\n\n".join(tables))
    print(f"\n{UNINFORMATIVE}: a control is within noise of it (95 % of a paired bootstrap over episodes), so it says")
    print(f"nothing; {WORSE}: a control is better.")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
