"""Options that several commands share, and their parsing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from tqdm import tqdm

from headway.errors import InvalidValue, UnknownName
from headway.machine import cores
from headway.source import Source

DatasetArgument = Annotated[
    str,
    tyro.conf.arg(
        metavar="DATASET",
        help="a LeRobot dataset, a robomimic HDF5 file, a Minari dataset (with its rate: 'DATASET?fps=20'), a "
        "ROS bag (.bag, .db3, .mcap), or a folder of videos",
    ),
]
CamerasOption = Annotated[str, tyro.conf.arg(metavar="A,B", help="cameras to use, in this order; default: all")]
RenameOption = Annotated[str, tyro.conf.arg(metavar="OLD=NEW,...", help="call cameras by other names")]
EpisodesOption = Annotated[str, tyro.conf.arg(metavar="A:B", help="only these: 0:50, 7 or 3,5,8; default: all")]
DeviceOption = Annotated[str, tyro.conf.arg(metavar="DEVICE", help="cpu, cuda or cuda:N")]


def open_source(dataset: str, cameras: str = "", rename: str = "") -> Source:
    """Open DATASET with the --cameras and --rename given."""
    from headway_datasets.opening import open_dataset

    names = [name.strip() for name in cameras.split(",") if name.strip()] or None
    return open_dataset(dataset, cameras=names, rename=parse_rename(rename))


def parse_rename(text: str) -> dict[str, str]:
    """`old=new,old2=new2` -> {old: new, old2: new2}."""
    pairs = [pair.split("=") for pair in text.split(",") if pair.strip()]
    if any(len(pair) != 2 or not all(part.strip() for part in pair) for pair in pairs):
        raise InvalidValue(f"--rename needs OLD=NEW pairs with commas between them, got {text!r}")
    return {old.strip(): new.strip() for old, new in pairs}


def parse_episodes(text: str, available: Sequence[int]) -> tuple[int, ...] | None:
    """`0:50`, `7` or `3,5,8` -> the episode numbers, each of which must exist; empty -> None, which means all."""
    if not text:
        return None
    try:
        if ":" in text:
            first, last = (int(part) if part else None for part in text.split(":"))
            low, high = first or 0, last if last is not None else max(available, default=0) + 1
            wanted = tuple(index for index in available if low <= index < high)
        else:
            wanted = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise InvalidValue(f"--episodes needs A:B, or numbers with commas between them, got {text!r}") from None
    range_text = f"{min(available, default=0)} to {max(available, default=0)}"
    missing = [index for index in wanted if index not in set(available)]
    if missing:
        raise UnknownName("episode", str(missing[0]), [range_text])
    if not wanted:
        raise InvalidValue(f"--episodes {text} picks none of the episodes {range_text}")
    return wanted


def parse_shard(text: str) -> tuple[int, int] | None:
    """`3/8` -> (3, 8); empty -> None."""
    if not text:
        return None
    number, slash, count = text.partition("/")
    if not slash or not number.isdecimal() or not count.isdecimal() or not 1 <= int(number) <= int(count):
        raise InvalidValue(f"--shard needs I/N, the I-th of N parts, such as 3/8, got {text!r}")
    return int(number), int(count)


def check_device(device: str) -> str:
    """The device itself, or InvalidValue when torch does not have it here; torch is held to the cores it may use."""
    import torch

    # torch counts a machine's cores, not those that a container may use
    torch.set_num_threads(min(torch.get_num_threads(), cores()))
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidValue(f"--device {device} cannot be used here ({reason}); use cpu") from error
    return device


def default_out(folder: str, *names: str) -> Path:
    """A folder in the current one, named after what goes into it: scores/tidy-clock.

    Of `gvl:MODEL@URL?frames=15` the address is left out: scores/tidy-gvl-MODEL-frames-15.
    """
    slug = "-".join(_short(name) for name in names)
    return Path(folder) / "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in slug)


def _short(name: str) -> str:
    model, served, rest = name.partition("@http")
    if not served:
        return Path(name).name or name
    method, colon, of = model.partition(":")
    settings = rest.partition("?")[2]
    return "-".join(part for part in (method if colon else "", Path(of or method).name, settings) if part)


class Bar:
    """A progress bar that is told how far along it is, not how much was added."""

    def __init__(self, description: str, unit: str):
        self._bar = tqdm(desc=description, unit=unit, dynamic_ncols=True, leave=True)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def at(self, done: int, total: int) -> None:
        self._bar.total = total
        self._bar.n = done
        self._bar.refresh()

    def at_loss(self, done: int, total: int, loss: float) -> None:
        self._bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
        self.at(done, total)
