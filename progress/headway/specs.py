"""Specs: the strings that name an estimator anywhere, `NAME` or `NAME:ARGUMENT`.

clock                      t / (T - 1), blind
constant, constant:0.7     blind
random, random:3           blind, the number is the seed
oracle                     the simulator's truth
sarm:RUN                   what `headway train sarm ... --out RUN` wrote
pixels:RUN                 what `headway train pixels ... --out RUN` wrote
untrained:sarm:RUN         the same network with random weights, blind
reversed:SPEC              another estimator, shown each episode backwards; its curve is in the episode's own order
ensemble:SPEC+SPEC         the mean less one standard deviation; ensemble@0.5:SPEC+SPEC takes half of one off
ensemble-min:SPEC+SPEC     the minimum
gvl:MODEL@URL              a vision-language model, asked for the completion of shuffled frames; likewise topreward,
                           verifier, rubric, pairwise and success; or gvl:FOLDER, see headway.vlm.specs
lerobot:FOLDER             a reward model that lerobot loads (docs/lerobot.md)

A name that is not among these is looked up in the entry points `headway.estimators` of the installed packages. That is
how an estimator of one's own gets a name: in its package's pyproject.toml,

    [project.entry-points."headway.estimators"]
    mine = "my_package.my_module:make"

where `make(argument, device)` returns an `Estimator` for the spec `mine:ARGUMENT`. `lerobot` comes in the same way.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import torch

from headway import controls
from headway.ensemble import NAMES, make_ensemble
from headway.errors import InvalidValue, UnknownName, Unsupported
from headway.estimator import Estimator
from headway.learned.checkpoint import load_learned
from headway.learned.estimator import Learned
from headway.learned.methods import METHODS
from headway.learned.pixels import load_pixels
from headway.vlm.specs import VLM_METHODS, make_vlm

ENTRY_POINTS = "headway.estimators"


def make_estimator(spec: str, device: str = "cpu") -> Estimator:
    """Make the estimator a spec names. Raises UnknownName, InvalidValue, CheckpointError or Unsupported."""
    name, _, argument = spec.partition(":")
    makers: dict[str, Callable[[], Estimator]] = {
        "clock": controls.clock,
        "constant": lambda: controls.constant(_number(spec, argument, 0.5)),
        "random": lambda: controls.random(_seed(spec, argument)),
        "oracle": controls.oracle,
        **{method: partial(_load_learned, method, spec, argument, device) for method in METHODS},
        "pixels": lambda: load_pixels(_run(spec, argument)),
        "untrained": lambda: untrained(make_estimator(_wrapped(spec, argument), device)),
        "reversed": lambda: controls.backwards(make_estimator(_wrapped(spec, argument), device)),
        **{method: partial(make_vlm, method, argument, device) for method in VLM_METHODS},
    }
    if name.partition("@")[0] in NAMES:
        return make_ensemble(spec, partial(make_estimator, device=device))
    if name in makers:
        return makers[name]()
    others = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name in others:
        return _make_other(others[name], argument, device)
    known = [*makers, *NAMES, *others]
    raise UnknownName("estimator", spec, known, "A trained one is named NAME:RUN, such as sarm:runs/tidy")


def untrained(estimator: Estimator, seed: int = 0) -> Learned:
    """The same estimator with its networks' weights drawn anew. Raises InvalidValue for one without a network."""
    if not isinstance(estimator, Learned):
        raise InvalidValue(f"untrained: needs an estimator with a network, such as sarm:RUN; got {estimator.name!r}")
    torch.manual_seed(seed)
    method = estimator.method
    members = [replace(member, network=method.network(member.sizes, member.knowledge)) for member in estimator.members]
    name, fingerprint = f"untrained:{estimator.name}", f"untrained-{seed}-{estimator.fingerprint}"
    return Learned(name, fingerprint, method, members, estimator.device)


def _make_other(point: EntryPoint, argument: str, device: str) -> Estimator:
    try:
        make = point.load()
    except (ImportError, AttributeError) as error:
        raise Unsupported(f"the estimator {point.name!r} ({point.value}) cannot be imported: {error}") from error
    estimator: Estimator = make(argument, device)
    return estimator


def _load_learned(name: str, spec: str, argument: str, device: str) -> Learned:
    return load_learned(name, _run(spec, argument), device)


def _run(spec: str, argument: str) -> Path:
    if not argument:
        name = spec.partition(":")[0]
        raise InvalidValue(f"the spec {spec!r} needs the folder of a training run, such as {name}:runs/tidy")
    return Path(argument)


def _wrapped(spec: str, argument: str) -> str:
    if not argument:
        name = spec.partition(":")[0]
        raise InvalidValue(f"the spec {spec!r} needs the spec of another estimator, such as {name}:sarm:runs/tidy")
    return argument


def _seed(spec: str, argument: str) -> int:
    if argument and not argument.isdecimal():
        raise InvalidValue(f"the spec {spec!r} needs a whole number from 0 after the colon, got {argument!r}")
    return int(argument or 0)


def _number(spec: str, argument: str, default: float) -> float:
    try:
        return float(argument) if argument else default
    except ValueError:
        raise InvalidValue(f"the spec {spec!r} needs a number after the colon, got {argument!r}") from None
