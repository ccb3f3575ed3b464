"""`headway train`."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from headway.cli.options import (
    Bar,
    CamerasOption,
    DatasetArgument,
    DeviceOption,
    EpisodesOption,
    RenameOption,
    check_device,
    open_source,
    parse_episodes,
)
from headway.episodes import Episode
from headway.errors import DatasetError, InvalidValue, OutputError
from headway.files import make_folder
from headway.source import Source


def train(
    name: Annotated[Literal["sarm", "pixels"], tyro.conf.arg(help="what to train")],
    datasets: Annotated[tuple[DatasetArgument, ...], tyro.conf.arg(metavar="DATASET...")],
    /,
    *,
    out: Path,
    folds: int = 1,
    cameras: CamerasOption = "",
    rename: RenameOption = "",
    episodes: EpisodesOption = "",
    state: bool = False,
    epochs: int = 100,
    image_size: int = 64,
    seed: int = 0,
    device: DeviceOption = "cpu",
) -> int:
    """Train an estimator on annotated demonstrations; then NAME:RUN names it, such as sarm:runs/tidy.

    With --folds 2 or more, each episode is left out by one fold, so that scoring the same dataset is held out.

    For example:

        headway train sarm demos/tidy --folds 2 --out runs/tidy

    Args:
        out: folder of the new run
        folds: sarm only: networks to train, each without its share of the episodes; 1 trains one on everything
        state: sarm only: give it the robot's state too
        epochs: sarm only: how often each episode is seen
        image_size: sarm only: pictures are resized to this many pixels square
        seed: sarm only: of weights, order and augmentation
    """
    from headway.learned.pixels import train_pixels

    if not datasets:
        raise InvalidValue("train needs at least one DATASET after the name of the estimator")
    if seed < 0:
        raise InvalidValue(f"--seed must be 0 or more, got {seed}")
    sources = [open_source(dataset, cameras, rename) for dataset in datasets]
    if (out / "config.json").exists():
        raise OutputError(f"{out} already holds a trained estimator; choose another folder with --out, or delete it")
    make_folder(out)
    chosen = _choose(sources, episodes)
    if name == "pixels":
        train_pixels(chosen, sources[0].cameras[0], out)
    else:
        _train_sarm(sources, chosen, folds, state, epochs, image_size, seed, check_device(device), out)
    print(f"trained; the run is {out}")
    print(f"next: headway score {datasets[0]} --estimator {name}:{out}")
    return 0


def _choose(sources: list[Source], chosen: str) -> list[Episode]:
    episodes = []
    for source in sources:
        numbers = parse_episodes(chosen, source.episode_indices) or source.episode_indices
        episodes += [source.episode(number) for number in numbers]
    return episodes


def _train_sarm(
    sources: list[Source],
    episodes: list[Episode],
    folds: int,
    state: bool,
    epochs: int,
    image_size: int,
    seed: int,
    device: str,
    out: Path,
) -> None:
    from headway.learned.cross_fit import train_members
    from headway.learned.sarm_checkpoint import save_sarm
    from headway.learned.sarm_training import SarmConfig

    for option, value in (("--epochs", epochs), ("--image-size", image_size)):
        if value < 1:
            raise InvalidValue(f"{option} must be at least 1, got {value}")
    names = stage_names(sources)
    marked = [episode for episode in episodes if episode.stages]
    if len(marked) < len(episodes):
        print(f"{len(episodes) - len(marked)} of {len(episodes)} episodes carry no stage marks and are left out")
    if len(marked) == 1:
        print("one episode proves nothing about accuracy: take this run as a trial of the pipeline, no more")
    config = SarmConfig(sources[0].cameras, use_state=state, epochs=epochs, image_size=image_size, seed=seed)
    with Bar("training", "step") as bar:
        members = train_members(marked, names, config, folds, bar.at_loss, device)
    save_sarm(out, config, members)


def stage_names(sources: list[Source]) -> tuple[str, ...]:
    """The stages that all datasets are marked with. Raises DatasetError when there are none, or they differ."""
    names = sources[0].stage_names
    if not names:
        raise DatasetError(
            f"{sources[0].root} carries no stage marks, and SARM learns from them; add sparse_subtask_* columns "
            "(LeRobot) or a `stages` column in episodes.csv (videos)"
        )
    for source in sources[1:]:
        if source.stage_names != names:
            raise DatasetError(
                f"{source.root} is marked with the stages {', '.join(source.stage_names or ('none',))}, but "
                f"{sources[0].root} with {', '.join(names)}; train on datasets of one task"
            )
    return names
