"""`headway tasks` and `headway collect`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from headway.errors import InvalidValue

if TYPE_CHECKING:
    from headway_envs.collect import Collection
    from headway_envs.recording import ValueOptions
    from headway_envs.value import RolloutPolicy


def tasks() -> int:
    """List the simulated tasks, one a line: its id, then its instruction.

    Those of Meta-World need an environment of their own: make setup-metaworld. For example:

        headway tasks
    """
    from headway_envs.metaworld.catalogue import METAWORLD_TASKS
    from headway_envs.tasks import TASKS

    for task in TASKS.values():
        print(f"{task.id}\t{task.instructions[0]}")
    for other in METAWORLD_TASKS.values():
        print(f"{other.id}\t{other.instructions[0]} {other.remark}".rstrip())
    return 0


def collect(
    task: Annotated[str, tyro.conf.arg(metavar="TASK", help="id of a simulated task; headway tasks lists them")],
    /,
    *,
    episodes: int,
    out: Path,
    mix: str = "",
    variation: str = "none",
    split: str = "",
    seed: int = 0,
    robot: str = "arm",
    action_space: str = "",
    cameras: Annotated[str, tyro.conf.arg(metavar="A,B")] = "",
    size: int = 96,
    disturbance: float = 0.004,
    paraphrase: bool = False,
    value_rollouts: int = 0,
    value_policy: str = "expert",
    workers: int = 0,
) -> int:
    """Record demonstrations of a simulated task as a LeRobot dataset, with the truth beside them.

    A collection cut short goes on from there when the command is repeated. For example:

        headway collect tidy-drawer --episodes 60 --out demos/tidy
        headway collect lift --episodes 20 --mix expert=.5,hesitate+jitter=.3,drop=.2 --variation mild --out demos/lift

    Args:
        episodes: how many
        out: folder of the new dataset
        mix: shares of the demonstrators, such as expert=.5,drop=.5; default: half expert, the rest in equal parts
        variation: of how things look: none, mild, ood (out of distribution), or ood-camera, ood-light, ood-texture,
            ood-colour, ood-size, ood-clutter (out of distribution in that alone)
        split: train, validation, test or test-ood, which share no layout; instead of --seed and --variation
        seed: of layouts, looks, demonstrators and disturbances; other seeds give other episodes
        robot: arm (six joints, 30 Hz) or gripper (a flying hand, 20 Hz, faster)
        action_space: of the arm: joint-target, joint-delta or ee-delta; default: joint-target
        cameras: front, wrist or both; default: front
        size: height and width of a frame in pixels
        disturbance: standard deviation in metres of random pushes on what is carried out; the clean action is recorded
        paraphrase: draw the wording of each episode's instruction
        value_rollouts: also compute the true value of a frame a second, over this many rollouts each; slow
        value_policy: who acts in those rollouts: expert, or the folder of a cloned policy; disturbed as above
        workers: processes; default: one a core
    """
    from headway_envs.collect import collect as record
    from headway_envs.recorders import usual_camera
    from headway_envs.recording import RecordingOptions

    if workers < 0:
        raise InvalidValue(f"--workers must be 1 or more, or 0 for one a core, got {workers}")
    options = RecordingOptions(
        robot=robot,
        action_space=action_space or None,
        cameras=tuple(name.strip() for name in cameras.split(",")) if cameras else (usual_camera(task),),
        size=size,
        disturbance=disturbance,
        variation=variation,
        paraphrase=paraphrase,
        value=_value(value_rollouts, value_policy, disturbance),
    )
    made = record(task, episodes, out, mix or None, seed, split or None, options, workers or None)
    _show(made)
    print(f"next: headway train sarm {out} --folds 2 --out runs/{task}")
    return 0


def _value(rollouts: int, policy: str, disturbance: float) -> "ValueOptions | None":
    from headway_envs.recording import ValueOptions

    if rollouts < 0:
        raise InvalidValue(f"--value-rollouts must be 0 (none) or more, got {rollouts}")
    return ValueOptions(rollouts, _value_policy(policy, disturbance)) if rollouts else None


def _value_policy(policy: str, disturbance: float) -> "RolloutPolicy":
    if policy == "expert":
        from headway_envs.value import DisturbedExpert

        return DisturbedExpert(disturbance)
    from headway_policies.rollout_policy import load_rollout_policy

    return load_rollout_policy(Path(policy), disturbance)


def _show(made: "Collection") -> None:
    """How many of each kind there are, and how many did the task."""
    from headway.cli.show import show
    from headway.report import ReportTable

    rows = [[kind, str(count), str(made.successes[kind])] for kind, count in made.episodes.items()]
    show(ReportTable(made.task_id, ["demonstrator", "episodes", "succeed"], rows))
    been = "are" if made.fresh else "were collected before and are"
    print(f"{sum(made.episodes.values())} episodes, {made.frames} frames, {been} in {made.root}")
