"""What `headway train` and the commands that train on the way share."""

from pathlib import Path

from headway.cli.options import Bar, parse_episodes
from headway.errors import DatasetError, InvalidValue
from headway.learned.method import Method, TaskEpisodes
from headway.source import Source


def see_marks(sources: list[Source], marks: Path) -> list[Source]:
    """The one source with the marks of a folder. Raises InvalidValue for several, DatasetError for another's marks."""
    from headway_datasets.marks import read_marks, with_marks

    if len(sources) != 1:
        raise InvalidValue(f"--marks are of one dataset, got {len(sources)}; train on it alone, or install them first")
    return [with_marks(sources[0], read_marks(marks))]


def gather_tasks(sources: list[Source], chosen: str = "") -> list[TaskEpisodes]:
    """The chosen episodes of all sources; sources marked with the same stages are of one task.

    Raises DatasetError when some are marked and others are not.
    """
    found: dict[tuple[str, ...] | None, TaskEpisodes] = {}
    for source in sources:
        numbers = parse_episodes(chosen, source.episode_indices) or source.episode_indices
        before = found.get(source.stage_names)
        episodes = [*(before.episodes if before else ()), *(source.episode(number) for number in numbers)]
        found[source.stage_names] = TaskEpisodes(episodes, source.stage_names, source.dense_stage_names)
    if len(found) > 1 and None in found:
        bare = next(source for source in sources if source.stage_names is None)
        raise DatasetError(
            f"{bare.root} carries no stage marks but other datasets do; mark it, or train on it separately"
        )
    return list(found.values())


def run_training(
    method: Method,
    tasks: list[TaskEpisodes],
    sources: list[Source],
    out: Path,
    folds: int,
    device: str,
    track: str = "",
) -> None:
    """Train, with progress bars, and write the checkpoint to `out`."""
    from headway.encoders.cache import default_cache
    from headway.learned.checkpoint import save_learned
    from headway.learned.cross_fit import train_members
    from headway.learned.diary import waited_share
    from headway.learned.members import Workshop
    from headway.learned.resume import forget_states
    from headway.learned.team import Team
    from headway.learned.train_member import make_reader

    episodes = [episode for task in tasks for episode in task.episodes]
    knowledge = method.study(tasks)
    bare = sum(method.label(e, number, knowledge) is None for number, task in enumerate(tasks) for e in task.episodes)
    if bare:
        print(f"{bare} of {len(episodes)} episodes are not marked in a way {method.name} learns from and are left out")
    if len(episodes) == 1:
        print("one episode proves nothing about accuracy: take this run as a trial of the pipeline, no more")
    workshop = Workshop(default_cache(), out, device, track)
    with Bar("reading", "episode") as bar:
        make_reader(method, workshop).fill_cache(episodes, bar.at)
    with Bar("training", "step") as bar:
        members = train_members(method, tasks, workshop, folds, bar.at_loss)
    if Team(device).leads:
        save_learned(out, method, members, [source.fingerprint for source in sources])
        forget_states(out)
        share = waited_share(out, len(members))
        if share is not None:
            print(f"waited for input in {100 * share:.1f} % of the training time")
