"""How fast a frozen encoder is on a CPU along several ways, and what each does to progress.

Claims: `headway.encoders.fast` (8-bit integers) encodes pictures, preparation included, at least 2.2 times as fast as
float32, and progress stays within 0.01 in the mean of absolute differences, with heads at random and with heads that
were taught. Beside it, in the same run: bfloat16, and OpenVINO where that is installed (it is no part of headway).

The encoder is a random CLIP ViT-B/32; --tower takes a real one. Pictures are frames of 320x240. The ways take turns;
a ratio is the median over the turns. Heads are taught the stages of some episodes and judged on another.

    .venv/bin/python benchmarks/encoders.py             # some five minutes
    .venv/bin/python benchmarks/encoders.py --fast      # seconds, its figures mean nothing
"""

import copy
import hashlib
import math
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import tyro
from claims import Claim, write_claims
from torch import nn
from untrained import CAMERA, FPS, PUBLISHED, TINY, VIT_B_32, fit_heads, make_sarm, save_clip, write_shapes

from headway.encoders.base import FrameEncoder
from headway.encoders.fast import IntegerFrames, check_processor
from headway.encoders.pretrained import PretrainedFrames
from headway.episodes import Array, Episode
from headway.errors import Unsupported
from headway.learned.estimator import Learned
from headway.learned.trunk import TrunkConfig
from headway.machine import cores
from headway_datasets.opening import open_dataset

BATCH = 32
SIZE = (240, 320)
EXACT, INTEGERS = "float32", "8-bit integers"
LEAST_SPEED, MOST_DEVIATION = 2.2, 0.01


@dataclass
class Args:
    """What to run."""

    tower: Path | None = None
    """Folder of a model of transformers; a random CLIP ViT-B/32 without it."""
    rounds: int = 7
    """Turns of each way, of 32 pictures each."""
    episodes: int = 4
    """Of four seconds each; the last is what the others' marks did not teach."""
    fast: bool = False
    """A small network and little data, to see that it runs."""
    out: Path = Path("runs/encoders-benchmark")
    """Folder for the results."""


class Cast(nn.Module):
    """A network whose products are of bfloat16: under autocast, or with all of its weights cast."""

    def __init__(self, network: nn.Module, whole: bool):
        super().__init__()
        self.config = network.config
        self.network = copy.deepcopy(network).bfloat16() if whole else network
        self.whole = whole

    def forward(self, **inputs: Any) -> Any:
        if self.whole:
            return self.network(**{name: _rounded(value) for name, value in inputs.items()})
        with torch.autocast("cpu", torch.bfloat16):
            return self.network(**inputs)


def _rounded(value: Any) -> Any:
    return value.bfloat16() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


class OpenVino(nn.Module):
    """A network that OpenVINO runs, its precision `f32` or `bf16`."""

    def __init__(self, network: nn.Module, output: str, pictures: torch.Tensor, precision: str):
        super().__init__()
        import openvino

        self.config, self.output = network.config, output
        settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        self.compiled = openvino.Core().compile_model(_converted(network, output, pictures), "CPU", settings)

    def forward(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        return {self.output: torch.from_numpy(self.compiled([pixel_values.numpy()])[0])}


def _converted(network: nn.Module, output: str, pictures: torch.Tensor) -> Any:
    """A traced network as OpenVINO's own; openvino.convert_model would do the same, and send telemetry."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    class Plain(nn.Module):
        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            return network(pixel_values=pixel_values)[output]  # type: ignore[no-any-return]

    frontend = FrontEndManager().load_by_framework("pytorch")
    with torch.no_grad(), warnings.catch_warnings():
        # of the lines that a trace takes for granted
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        decoder = TorchScriptPythonDecoder(torch.jit.trace(Plain().eval(), pictures, check_trace=False))
    return frontend.convert(frontend.load(decoder))


def with_network(exact: PretrainedFrames, name: str, network: nn.Module) -> PretrainedFrames:
    """The same encoder with another network under a fingerprint of its own."""
    other = copy.copy(exact)
    other._network = network
    other.fingerprint = hashlib.sha256(f"{exact.fingerprint} {name}".encode()).hexdigest()[:16]
    return other


def ways_of(exact: PretrainedFrames, pictures: list[Array]) -> dict[str, FrameEncoder]:
    """Every way of encoding, by name; the exact one is the first."""
    network = exact._network
    ways: dict[str, FrameEncoder] = {
        EXACT: exact,
        "bfloat16, autocast": with_network(exact, "autocast", Cast(network, whole=False)),
        "bfloat16, whole": with_network(exact, "bfloat16", Cast(network, whole=True)),
        INTEGERS: IntegerFrames(exact),
    }
    if find_spec("openvino") is None:
        print("openvino is not installed, so it is left out")
        return ways
    inputs = exact._prepare(pictures[:2])["pixel_values"]
    for precision in ("f32", "bf16"):
        name = f"OpenVINO, {precision}"
        ways[name] = with_network(exact, name, OpenVino(network, exact._tower.output, inputs, precision))
    return ways


def seconds_of(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def take_turns(ways: dict[str, FrameEncoder], pictures: list[Array], rounds: int) -> dict[str, list[float]]:
    """Milliseconds a picture, a turn each; which way is first moves on."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for way in ways.values():
        way.encode(pictures)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(seconds_of(lambda way=ways[name]: way.encode(pictures)) / len(pictures) * 1e3)  # type: ignore[misc]
    return found


def feature_error(way: FrameEncoder, exact: Array, pictures: list[Array]) -> tuple[float, float]:
    """Length of the difference over the length of the exact features: mean and largest."""
    error = np.linalg.norm(way.encode(pictures) - exact, axis=1) / np.linalg.norm(exact, axis=1)
    return float(error.mean()), float(error.max())


def deviations(estimator: Learned, ways: dict[str, FrameEncoder], episodes: list[Episode]) -> dict[str, float]:
    """Mean absolute difference of progress between each way and the exact one."""
    curves: dict[str, Array] = {}
    for name, way in ways.items():
        other = copy.copy(estimator)
        other.eyes = replace(estimator.eyes, frames=way)
        curves[name] = np.concatenate([curve.values for curve in other.estimate(episodes)])
    return {name: float(np.abs(values - curves[EXACT]).mean()) for name, values in curves.items()}


@dataclass(frozen=True)
class Row:
    """What was found of one way."""

    milliseconds: float
    speed: float
    feature_error: float
    largest_feature_error: float
    random_heads: float
    taught_heads: float
    unseen_episode: float


def measure(folder: Path, args: Args) -> tuple[dict[str, Row], float]:
    """A row for every way, and the milliseconds a picture that preparation takes in each."""
    os.environ["HEADWAY_CACHE"] = str(folder / "cache")
    write_shapes(folder / "data", args.episodes, (1 if args.fast else 4) * FPS, SIZE)
    source = open_dataset(folder / "data")
    episodes = [source.episode(number) for number in source.episode_indices]
    frames = list(episodes[0].camera(CAMERA))
    pictures = [frames[place] for place in np.linspace(0, len(frames) - 1, BATCH).astype(int)]
    exact, estimator = encoder_and_sarm(folder, args)
    ways = ways_of(exact, pictures)
    turns = take_turns(ways, pictures, args.rounds)
    preparation = median(seconds_of(lambda: exact._prepare(pictures)) for _ in range(5)) / BATCH * 1e3
    at_random = deviations(estimator, ways, episodes)
    taught = fit_heads(folder / "taught", estimator, episodes[:-1])
    seen, unseen = deviations(taught, ways, episodes[:-1]), deviations(taught, ways, episodes[-1:])
    features = exact.encode(pictures)
    rows = {}
    for name, way in ways.items():
        speed = median(slow / quick for slow, quick in zip(turns[EXACT], turns[name], strict=True))
        error = feature_error(way, features, pictures)
        rows[name] = Row(median(turns[name]), speed, *error, at_random[name], seen[name], unseen[name])
    return rows, preparation


def encoder_and_sarm(folder: Path, args: Args) -> tuple[PretrainedFrames, Learned]:
    """The exact encoder, and an untrained SARM upon it, whose texts go through the random CLIP in any case."""
    clip, size = folder / "clip", TINY if args.fast else VIT_B_32
    trunk = TrunkConfig(64, 2, 2) if args.fast else PUBLISHED
    given = None if args.tower is None else PretrainedFrames(str(args.tower))
    if given is not None:
        # the SARM of benchmarks wants features of pictures and of texts to be alike in length
        size = replace(size, projection=given.shape[0])
    save_clip(clip, size)
    exact = given or PretrainedFrames(str(clip))
    estimator = make_sarm(folder / "sarm", clip, size, trunk)
    estimator.eyes = replace(estimator.eyes, frames=exact)
    return exact, estimator


def table(rows: dict[str, Row], preparation: float) -> str:
    lines = [
        "| way | ms a picture | pictures/s | of float32 | features off, mean (largest) | progress off: random heads | "
        "taught | taught, unseen episode |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        off = f"{row.feature_error:.4f} ({row.largest_feature_error:.4f})"
        lines.append(
            f"| {name} | {row.milliseconds:.1f} | {1e3 / row.milliseconds:.1f} | {row.speed:.2f} x | {off} | "
            f"{row.random_heads:.5f} | {row.taught_heads:.5f} | {row.unseen_episode:.5f} |"
        )
    lines += ["", f"Of each, the preparation of a picture takes {preparation:.2f} ms."]
    return "\n".join(lines)


def claims_of(rows: dict[str, Row]) -> list[Claim]:
    row = rows[INTEGERS]
    off = {"heads at random": row.random_heads, "taught heads": row.taught_heads, "unseen episode": row.unseen_episode}
    return [
        Claim("frozen encoder in 8-bit integers over float32, preparation included", row.speed, "x", LEAST_SPEED),
        *(
            Claim(f"progress with 8-bit integers, mean absolute difference: {name}", value, "", MOST_DEVIATION, False)
            for name, value in off.items()
        ),
    ]


def main(args: Args) -> None:
    if args.fast:
        args.rounds, args.episodes = 1, 2
        print("--fast: a small network and little data; these figures mean nothing")
    torch.set_num_threads(cores())
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        check_processor()
    except Unsupported as error:
        print(error)
        unknown = Row(*[math.nan] * len(fields(Row)))
        write_claims(args.out / "encoders.json", claims_of({INTEGERS: unknown}), {"reason": str(error)})
        return
    with tempfile.TemporaryDirectory() as folder:
        rows, preparation = measure(Path(folder), args)
    print(table(rows, preparation))
    measured = {"ways": {name: asdict(row) for name, row in rows.items()}, "preparation ms": preparation}
    about = {"threads": torch.get_num_threads(), "tower": args.tower.name if args.tower else "random CLIP ViT-B/32"}
    write_claims(args.out / "encoders.json", claims_of(rows), measured | about)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
