"""`headway train`."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from headway.cli.options import (
    CamerasOption,
    DatasetArgument,
    DeviceOption,
    EpisodesOption,
    RenameOption,
    check_device,
    open_source,
)
from headway.errors import InvalidValue, OutputError
from headway.files import make_folder


def train(
    name: Annotated[Literal["sarm", "heads", "vip", "classifier", "pixels"], tyro.conf.arg(help="what to train")],
    datasets: Annotated[tuple[DatasetArgument, ...], tyro.conf.arg(metavar="DATASET...")],
    /,
    *,
    out: Path,
    folds: int = 1,
    cameras: CamerasOption = "",
    rename: RenameOption = "",
    episodes: EpisodesOption = "",
    marks: Annotated[Path | None, tyro.conf.arg(metavar="MARKS")] = None,
    state: bool = False,
    encoder: Annotated[str, tyro.conf.arg(metavar="ENCODER")] = "tiny",
    text_encoder: Annotated[str, tyro.conf.arg(metavar="ENCODER")] = "ngrams",
    epochs: int = 100,
    image_size: int = 64,
    validation: float = 0.1,
    plain: float = 0.1,
    seed: int = 0,
    device: DeviceOption = "cpu",
    track: Annotated[str, tyro.conf.arg(metavar="trackio|wandb")] = "",
) -> int:
    """Train an estimator on demonstrations; then NAME:RUN names it, such as sarm:runs/tidy.

    With --folds 2 or more, each episode is left out by one fold, so that scoring the same dataset is held out.
    A training cut short goes on from there when the command is repeated. For example:

        headway train sarm demos/tidy --folds 2 --out runs/tidy

    Args:
        out: folder of the new run
        folds: networks to train, each without its share of the episodes; 1 trains one on everything
        marks: stages and success that headway label or headway annotate wrote, in place of the dataset's own
        state: show it the robot's state too
        encoder: of frames: tiny (trained with it), pixels, or a pretrained one by its folder or name; see headway fetch
        text_encoder: of instructions: ngrams, or a pretrained one by its folder or name
        epochs: how often each episode is seen, at most
        image_size: tiny only: pictures are resized to this many pixels square
        validation: share of the episodes held out for early stopping and calibration
        plain: share of the episodes shown as they were recorded, the others are augmented; raise it, to 0.5 or so,
            where what will be scored looks just like these datasets
        seed: of weights, order and augmentation
        track: also send the figures of each epoch there; they are always in training-0.jsonl of the run
    """
    # torch takes a second to import, which no other command should pay for
    from headway.cli.training import gather_tasks, run_training, see_marks
    from headway.learned.inputs import InputConfig
    from headway.learned.method import TrainingConfig
    from headway.learned.methods import METHODS
    from headway.learned.pixels import train_pixels

    if not datasets:
        raise InvalidValue("train needs at least one DATASET after the name of the estimator")
    if seed < 0:
        raise InvalidValue(f"--seed must be 0 or more, got {seed}")
    for option, value in (("--epochs", epochs), ("--image-size", image_size)):
        if value < 1:
            raise InvalidValue(f"{option} must be at least 1, got {value}")
    if track not in ("", "trackio", "wandb"):
        raise InvalidValue(f"--track takes trackio or wandb, got {track!r}")
    sources = [open_source(dataset, cameras, rename) for dataset in datasets]
    if marks is not None:
        sources = see_marks(sources, marks)
    if (out / "config.json").exists():
        raise OutputError(f"{out} already holds a trained estimator; choose another folder with --out, or delete it")
    make_folder(out)
    tasks = gather_tasks(sources, episodes)
    if name == "pixels":
        train_pixels([episode for task in tasks for episode in task.episodes], sources[0].cameras[0], out)
    else:
        inputs = InputConfig(sources[0].cameras, encoder, text_encoder, state, image_size)
        method = METHODS[name](inputs, TrainingConfig(epochs=epochs, validation=validation, plain=plain, seed=seed))
        run_training(method, tasks, sources, out, folds, check_device(device), track)
    print(f"trained; the run is {out}")
    print(f"next: headway score {datasets[0]} --estimator {name}:{out}")
    return 0
