"""`headway tasks` and `headway collect`."""

from pathlib import Path
from typing import Annotated

import tyro


def tasks() -> int:
    """List the simulated tasks, one a line: its id, then its instruction.

    For example:

        headway tasks
    """
    from headway_envs.tasks import TASKS

    for task in TASKS.values():
        print(f"{task.id}\t{task.instructions[0]}")
    return 0


def collect(
    task: Annotated[str, tyro.conf.arg(metavar="TASK", help="id of a simulated task; headway tasks lists them")],
    /,
    *,
    episodes: int,
    out: Path,
    mix: str = "",
    seed: int = 0,
) -> int:
    """Record demonstrations of a simulated task as a LeRobot dataset, with the truth beside them.

    For example:

        headway collect tidy-drawer --episodes 60 --out demos/tidy

    Args:
        episodes: how many
        out: folder of the new dataset
        mix: shares of the demonstrators, such as expert=.5,drop=.5; default: half expert, the rest in equal parts
        seed: of layouts, demonstrators and disturbances; other seeds give other layouts
    """
    from headway_envs.collect import collect as record

    record(task, episodes=episodes, mix=mix or None, seed=seed, out=out)
    print(f"{episodes} episodes of {task} are in {out}")
    print(f"next: headway train sarm {out} --folds 2 --out runs/{task}")
    return 0
