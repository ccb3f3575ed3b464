"""Specs: the strings that name an estimator anywhere, `NAME` or `NAME:ARGUMENT`.

clock                      t / (T - 1), blind
constant, constant:0.7     blind
random, random:3           blind, the number is the seed
oracle                     the simulator's truth
sarm:RUN                   what `headway train sarm ... --out RUN` wrote
pixels:RUN                 what `headway train pixels ... --out RUN` wrote
untrained:sarm:RUN         the same network with random weights, blind
"""

from collections.abc import Callable
from pathlib import Path

import torch

from headway import controls
from headway.errors import InvalidValue, UnknownName
from headway.estimator import Estimator
from headway.learned.pixels import load_pixels
from headway.learned.sarm import Sarm, SarmMember
from headway.learned.sarm_checkpoint import load_sarm
from headway.learned.sarm_network import SarmNetwork


def make_estimator(spec: str, device: str = "cpu") -> Estimator:
    """Make the estimator a spec names. Raises UnknownName, InvalidValue or CheckpointError."""
    name, _, argument = spec.partition(":")
    makers: dict[str, Callable[[], Estimator]] = {
        "clock": controls.clock,
        "constant": lambda: controls.constant(_number(spec, argument, 0.5)),
        "random": lambda: controls.random(_seed(spec, argument)),
        "oracle": controls.oracle,
        "sarm": lambda: load_sarm(_run(spec, argument), device),
        "pixels": lambda: load_pixels(_run(spec, argument)),
        "untrained": lambda: untrained(make_estimator(argument, device)),
    }
    if name not in makers:
        raise UnknownName("estimator", spec, makers, "A trained one is named NAME:RUN, such as sarm:runs/tidy")
    return makers[name]()


def untrained(estimator: Estimator, seed: int = 0) -> Sarm:
    """The same estimator with its networks' weights drawn anew. Raises InvalidValue for one without a network."""
    if not isinstance(estimator, Sarm):
        raise InvalidValue(f"untrained: needs an estimator with a network, such as sarm:RUN; got {estimator.name!r}")
    torch.manual_seed(seed)
    members = [
        SarmMember(SarmNetwork(member.network.shape), member.scale, member.trained_on) for member in estimator.members
    ]
    return Sarm(
        f"untrained:{estimator.name}",
        f"untrained-{seed}-{estimator.fingerprint}",
        estimator.config,
        members,
        estimator.device,
    )


def _run(spec: str, argument: str) -> Path:
    if not argument:
        name = spec.partition(":")[0]
        raise InvalidValue(f"the spec {spec!r} needs the folder of a training run, such as {name}:runs/tidy")
    return Path(argument)


def _seed(spec: str, argument: str) -> int:
    if argument and not argument.isdecimal():
        raise InvalidValue(f"the spec {spec!r} needs a whole number from 0 after the colon, got {argument!r}")
    return int(argument or 0)


def _number(spec: str, argument: str, default: float) -> float:
    try:
        return float(argument) if argument else default
    except ValueError:
        raise InvalidValue(f"the spec {spec!r} needs a number after the colon, got {argument!r}") from None
