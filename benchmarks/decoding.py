"""What worker processes that decode ahead are worth, and what they hold.

Claims: two workers give at least 1.7 times the frames a second of one where decoding is the bottleneck (whoever reads
the pictures only touches them; 640x480, h264 and AV1); the peak of memory is the same for 10,000 frames as for 200, in
this process and in the workers. In the same run, for comparison: the same loop in this process with all of the codec's
threads and with one, and lerobot's reader, one `dataset[i]` after the other.

The arms take turns; the median of the repeats counts. Workers have started and imported before a measurement begins,
and nothing is decoded ahead at its start, so that nothing is had for free.

    .venv/bin/python benchmarks/decoding.py              # some five minutes
    .venv/bin/python benchmarks/decoding.py --fast       # seconds, its figures mean nothing
"""

import logging
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import av
import numpy as np
import tyro
from claims import Claim, write_claims

from headway.episodes import Array, Episode
from headway.machine import CODEC_THREADS, cores
from headway.scoring.decoding import DecodeAhead
from headway_datasets.lerobot_v3 import LeRobotV3
from headway_datasets.lerobot_writer import LeRobotWriter
from headway_datasets.video import VideoFrames, encode_video

CODECS = ("h264", "av1")
CAMERA = "top"
FPS = 30.0
SMALL, LARGE = (64, 64), (480, 640)
LONG, SHORT = 10_000, 200
BUFFERS = {SMALL: 2, LARGE: 64}
"""MiB of pictures that may be held while memory is measured: less than the short episodes have."""


@dataclass
class Args:
    """What to run."""

    episodes: int = 6
    """Of one measurement."""
    frames: int = 300
    """Of an episode."""
    read: int = 60
    """Frames that lerobot's reader is asked for."""
    repeats: int = 5
    """Of each measurement; the median counts."""
    fast: bool = False
    """A few of everything, to see that it runs."""
    out: Path = Path("runs/decoding-benchmark")
    """Folder for the results."""


@dataclass(frozen=True)
class Drawn:
    """Pictures that are made up while they are iterated over: a still ground, and what moves across it."""

    length: int
    size: tuple[int, int]
    seed: int
    identity = None

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Array]:
        height, width = self.size
        rng = np.random.default_rng(self.seed)
        ground = rng.integers(40, 200, (height // 8, width // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        for number in range(self.length):
            # a camera that pans, and an object that crosses it
            picture = np.roll(ground, number, axis=1)
            left = 5 * number % (width * 7 // 8)
            picture[height // 4 : height // 2, left : left + width // 8] = (220, 40, number % 256)
            yield picture


def read(workers: int, episodes: list[Episode]) -> tuple[float, float, float]:
    """Frames a second through `workers` processes (0: this one); CPU ms a frame in this process, and in the workers."""
    with DecodeAhead(workers) as ahead:
        # until all of them have imported what they need
        for episode in ahead.episodes(episodes[: 2 * workers], lambda episode: [CAMERA]):
            look_at(episode)
        begun, own, theirs = time.perf_counter(), time.process_time(), cpu_seconds(ahead.processes)
        count = sum(look_at(episode) for episode in ahead.episodes(episodes, lambda episode: [CAMERA]))
        rate = count / (time.perf_counter() - begun)
        own, theirs = time.process_time() - own, cpu_seconds(ahead.processes) - theirs
        return rate, 1e3 * own / count, 1e3 * theirs / count


def cpu_seconds(processes: list[int]) -> float:
    """That these processes have used so far, of user and system."""
    stats = [Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split() for process in processes]
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")


def look_at(episode: Episode) -> int:
    """Touch every picture; how many there were."""
    count = 0
    for picture in episode.camera(CAMERA):
        count += int(picture[0, 0, 0] >= 0)
    return count


def read_alone(episodes: list[Episode]) -> tuple[float, float, float]:
    """The same in this process with one thread."""
    with patch.dict(os.environ, {CODEC_THREADS: "1"}):
        return read(0, episodes)


def read_with_lerobot(root: Path, count: int) -> tuple[float, float, float]:
    """The same of lerobot's own reader, in order."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    key = f"observation.images.{CAMERA}"
    with patch.dict(os.environ, {"HF_HUB_OFFLINE": "1"}):
        dataset = LeRobotDataset("local/decoding", root=root, video_backend="pyav")
        begun, own = time.perf_counter(), time.process_time()
        for index in range(count):
            float(dataset[index][key][0, 0, 0])
        return count / (time.perf_counter() - begun), 1e3 * (time.process_time() - own) / count, 0.0


def speeds(args: Args, folder: Path, codec: str) -> dict[str, list[tuple[float, float, float]]]:
    """Name of each arm -> what `read` found, one for each repeat."""
    root = folder / codec
    size = SMALL if args.fast else LARGE
    drawn = [
        Episode(number, number * args.frames, FPS, {CAMERA: Drawn(args.frames, size, number)}, "none")
        for number in range(args.episodes)
    ]
    with LeRobotWriter(root, FPS, {CAMERA: size}, codec=codec) as writer:
        for episode in drawn:
            writer.add(episode)
    episodes = list(LeRobotV3(root))
    arms: dict[str, Callable[[], tuple[float, float, float]]] = {
        "one worker": lambda: read(1, episodes),
        "two workers": lambda: read(2, episodes),
        "this process, the codec's threads": lambda: read(0, episodes),
        "this process, one thread": lambda: read_alone(episodes),
        "lerobot's dataset[i]": lambda: read_with_lerobot(root, args.read),
    }
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in arms}
    for repeat in range(args.repeats):
        # who comes first takes turns as well
        for name in list(arms)[:: 1 if repeat % 2 else -1]:
            found[name].append(arms[name]())
    return found


def repeated(source: Path, target: Path, times: int) -> None:
    """The same video over and over in one file, without decoding it."""
    with av.open(str(source)) as reading, av.open(str(target), "w") as writing:
        stream = reading.streams.video[0]
        copied = writing.add_stream_from_template(stream)
        packets = [packet for packet in reading.demux(stream) if packet.size]
        contents = [(bytes(packet), packet.pts, packet.dts, packet.duration, packet.is_keyframe) for packet in packets]
        span = sum(duration for _, _, _, duration, _ in contents)
        for time_around in range(times):
            for content, shown, decoded, duration, key in contents:
                packet = av.Packet(content)
                packet.stream, packet.time_base = copied, stream.time_base
                packet.pts, packet.dts = shown + time_around * span, decoded + time_around * span
                packet.duration, packet.is_keyframe = duration, key
                writing.mux(packet)


def peaks(path: Path, frames: int, buffer: int) -> tuple[float, float, float]:
    """Peak of memory in MiB after some such episodes: of this process, of two workers together, of shared pictures."""
    given = [
        Episode(number, number * frames, FPS, {CAMERA: VideoFrames(path, frames, f"episode {number}")})
        # so many that all come to hold all that they may
        for number in range(max(3, 12 * SHORT // frames))
    ]
    most = 0.0
    with DecodeAhead(2, buffer_bytes=buffer * 2**20) as ahead:
        for episode in ahead.episodes(given, lambda episode: [CAMERA]):
            for number, _ in enumerate(episode.camera(CAMERA)):
                most = most if number % 50 else max(most, shared())
        return peak(os.getpid()), sum(peak(process) for process in ahead.processes), most


def shared() -> float:
    """MiB of pictures in the files without a name that this process and the workers share."""
    files = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    memory = [path.stat() for path in files if "headway-pictures" in str(path.readlink())]
    return sum({file.st_ino: file.st_blocks * 512 for file in memory}.values()) / 2**20


def peak(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def memory(args: Args, folder: Path) -> dict[str, list[float]]:
    """Size and length -> peaks, each in a process that has held nothing else."""
    long, short = (400, 100) if args.fast else (LONG, SHORT)
    found = {}
    for (height, width), buffer in BUFFERS.items():
        once, many = folder / f"once-{width}.mp4", folder / f"many-{width}.mp4"
        encode_video(once, Drawn(short, (height, width), 0), FPS)
        repeated(once, many, long // short)
        for path, frames in ((once, short), (many, long)):
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
                found[f"{width}x{height}, {frames:,} frames"] = list(alone.submit(peaks, path, frames, buffer).result())
    return found


def claims_of(ratios: dict[str, float], held: dict[str, list[float]]) -> list[Claim]:
    found = [
        Claim(f"two decode workers over one, 640x480 {codec}", ratio, "x", 1.7, note="median of the repeats")
        for codec, ratio in ratios.items()
    ]
    rows = list(held.items())
    for (_, short), (name, long) in zip(rows[::2], rows[1::2], strict=True):
        note = "peak of this process, two workers and the pictures they share"
        found.append(Claim(f"memory of {name} over that of {SHORT}", sum(long) / sum(short), "x", 1.1, False, note))
    return found


def main(args: Args) -> None:
    if args.fast:
        args.episodes, args.frames, args.read, args.repeats = 3, 20, 5, 1
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as name:
        rates = {codec: speeds(args, Path(name), codec) for codec in CODECS}
        held = memory(args, Path(name))
    ratios = {
        codec: statistics.median(
            two[0] / one[0] for one, two in zip(rate["one worker"], rate["two workers"], strict=True)
        )
        for codec, rate in rates.items()
    }
    size = "x".join(map(str, (SMALL if args.fast else LARGE)[::-1]))
    print(f"{size}, {args.episodes} episodes of {args.frames} frames, {cores()} cores:\n")
    print("| | | frames a second | CPU ms a frame, this process | CPU ms a frame, workers |\n|---|---|---|---|---|")
    for codec, arms in rates.items():
        for arm, found in arms.items():
            rate, own, theirs = (statistics.median(values) for values in zip(*found, strict=True))
            print(f"| {codec} | {arm} | {rate:,.0f} | {own:.2f} | {theirs:.2f} |")
    small, large = BUFFERS.values()
    print(f"\nPeak of memory, MiB, with {small} MiB for small pictures and {large} for large ones:\n")
    print("| | this process | two workers | shared pictures |\n|---|---|---|---|")
    for what, (own, theirs, pictures) in held.items():
        print(f"| {what} | {own:,.0f} | {theirs:,.0f} | {pictures:,.1f} |")
    if args.fast:
        print("\n--fast: these figures mean nothing")
    args.out.mkdir(parents=True, exist_ok=True)
    measured = {
        "frames a second, CPU ms a frame": rates,
        "peak MiB": held,
        "episodes": args.episodes,
        "frames": args.frames,
    }
    write_claims(args.out / "decoding.json", claims_of(ratios, held), measured)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
