"""`headway annotate`."""

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from headway.cli.options import (
    Bar,
    CamerasOption,
    DatasetArgument,
    DeviceOption,
    EpisodesOption,
    check_device,
    default_out,
    open_source,
    parse_episodes,
)
from headway.cli.vlm_options import show_usage
from headway.episodes import Array, Episode
from headway.errors import InvalidValue, OutputError, Unsupported
from headway.label.marks import Marks, marks_of
from headway.source import Source

if TYPE_CHECKING:
    from headway.vlm.annotate import Annotation, Annotator
    from headway.vlm.chat import ChatModel, Picture

# frames of the episode that subtasks are proposed from
PROPOSE_FRAMES = 12


def annotate(
    dataset: DatasetArgument,
    /,
    *,
    by: Annotated[str, tyro.conf.arg(name="with", metavar="MODEL@URL")],
    subtasks: Annotated[str, tyro.conf.arg(metavar="A;B;C")] = "",
    out: Annotated[Path | None, tyro.conf.arg(metavar="MARKS")] = None,
    task: str = "",
    cameras: CamerasOption = "",
    episodes: EpisodesOption = "",
    frames: int = 30,
    device: DeviceOption = "cpu",
) -> int:
    """Let a vision-language model mark where each subtask begins and ends, to the frame. The dataset is only read.

    Without --subtasks the model proposes some, from the first episode. For example:

        headway annotate demos/tidy --subtasks "open;pick;place" --with MODEL@http://localhost:8000/v1

    Args:
        by: the model: MODEL@URL of a server that speaks OpenAI's protocol, or the folder of one on this machine
        subtasks: their names in order
        out: folder for the marks; default: marks/DATASET-MODEL
        task: instruction for every episode, in place of the dataset's own
        frames: of the first look at an episode; closer looks follow wherever a subtask changes
    """
    from headway.vlm.annotate import Annotator
    from headway.vlm.specs import make_model

    source = open_source(dataset, cameras)
    wanted = parse_episodes(episodes, source.episode_indices) or tuple(source.episode_indices)
    model = make_model(by, by, check_device(device))
    folder = out or default_out("marks", dataset, by)
    instruction = task.strip() or None
    names = tuple(part.strip() for part in subtasks.split(";") if part.strip())
    made_by = f"{by} ({frames} frames of {source.cameras[0]}, {instruction or 'the instructions of the dataset'})"
    marks = begin(folder, source, made_by, names or _proposed(source.episode(wanted[0]), instruction, model, folder))
    annotator = Annotator(marks.stage_names, frames)
    left = [index for index in wanted if index not in marks.episodes]
    if not left:
        print(f"{folder} was finished before and is left as it is")
    outcomes = work(source, left, annotator, instruction, model, folder, marks)
    show_usage(model.spent)
    return _tell(folder, wanted, outcomes, dataset)


def begin(folder: Path, source: Source, made_by: str, names: tuple[str, ...]) -> Marks:
    """The marks that `folder` holds of an earlier, unfinished run of the same kind, or none yet."""
    from headway_datasets.marks import ABOUT, read_marks

    if not (folder / ABOUT).exists():
        return Marks(names, {}, made_by, source.fingerprint)
    kept = read_marks(folder)
    if (kept.made_by, kept.fingerprint, kept.stage_names) != (made_by, source.fingerprint, names):
        raise OutputError(
            f"{folder} holds marks of another run (by {kept.made_by}, of {', '.join(kept.stage_names)}); choose "
            "another folder with --out"
        )
    return kept


def work(
    source: Source,
    left: list[int],
    annotator: "Annotator",
    instruction: str | None,
    model: "ChatModel",
    folder: Path,
    marks: Marks,
) -> Counter[str]:
    """Annotate the episodes that are left, several at a time, and write the marks after each one."""
    import anyio

    from headway_datasets.marks import write_marks

    outcomes: Counter[str] = Counter()
    kept, done = marks, 0

    async def one(index: int, limiter: anyio.CapacityLimiter, bar: Bar) -> None:
        nonlocal kept, done
        async with limiter:
            episode = await anyio.to_thread.run_sync(source.episode, index)
            found = await _annotate_episode(annotator, episode, instruction, model)
        outcomes.update({outcome.value: times for outcome, times in found.outcomes.items()})
        if found.stages:
            kept = kept.with_episode(index, marks_of(episode, found.stages, None))
            write_marks(folder, kept)
        done += 1
        bar.at(done, len(left))

    async def every(bar: Bar) -> None:
        limiter = anyio.CapacityLimiter(model.at_once)
        async with anyio.create_task_group() as tasks:
            for index in left:
                tasks.start_soon(one, index, limiter, bar)

    with Bar("annotating", "episode") as bar:
        _run(partial(every, bar))
    return outcomes


async def _annotate_episode(
    annotator: "Annotator", episode: Episode, instruction: str | None, model: "ChatModel"
) -> "Annotation":
    import anyio

    from headway.vlm.annotate import annotate as ask
    from headway.vlm.clip import encode_frames

    told = instruction or episode.instruction
    if not told:
        raise InvalidValue(f"episode {episode.index} has no instruction to judge it by; give one with --task")
    frames = next(iter(episode.cameras.values()))

    async def look(wanted: Array) -> "tuple[Picture, ...]":
        return await anyio.to_thread.run_sync(encode_frames, frames, wanted)

    return await ask(annotator, told, len(episode), look, model)


def _proposed(episode: Episode, instruction: str | None, model: "ChatModel", folder: Path) -> tuple[str, ...]:
    """Subtasks by the model's own proposal; those of an earlier run where there are any."""
    from dataclasses import replace

    from headway.vlm.annotate import propose
    from headway.vlm.clip import evenly, take_clip
    from headway_datasets.marks import ABOUT, read_marks

    if (folder / ABOUT).exists():
        return read_marks(folder).stage_names
    told = replace(episode, instruction=instruction or episode.instruction)
    clip = take_clip(told, evenly(len(told), PROPOSE_FRAMES))
    names = _run(partial(propose, clip.instruction, clip.pictures, model))
    print(f"subtasks, as the model proposes them: {'; '.join(names)}")
    return names


def _run[T](work: Callable[[], Awaitable[T]]) -> T:
    import anyio

    from headway.vlm.running import first_error

    with first_error():
        return anyio.run(work)


def _tell(folder: Path, wanted: tuple[int, ...], outcomes: Counter[str], dataset: str) -> int:
    from headway_datasets.marks import ABOUT, read_marks

    unread = {name: times for name, times in outcomes.items() if name != "read"}
    if unread:
        print("frames that got no subtask: " + ", ".join(f"{name} {times}" for name, times in unread.items()))
    marked = read_marks(folder).episodes if (folder / ABOUT).exists() else {}
    missing = [index for index in wanted if index not in marked]
    if len(marked):
        print(f"marks are in {folder}: {len(marked)} episodes")
        print(f"next: headway label {dataset} --proposed {folder}, to correct them, or")
        print(f"      headway train sarm {dataset} --marks {folder} --out runs/NAME")
    if missing:
        raise Unsupported(f"{len(missing)} of {len(wanted)} episodes could not be annotated, the first is {missing[0]}")
    return 0
