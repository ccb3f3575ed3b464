"""The record of a training run: one JSON line an epoch, and whoever else wants to hear it.

A line holds `epoch`, `loss`, `learning_rate`, `validation_loss` where episodes are held out, `epoch_seconds` with the
`waited_share` of them, in [0, 1], in which the network stood idle for want of its input, and `seconds`.
"""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from headway.errors import Unsupported

Listener = Callable[[Mapping[str, float]], None]


class Diary:
    """Appends one line an epoch to `path`; a run that goes on appends further lines."""

    def __init__(self, path: Path | None, listener: Listener = lambda line: None):
        self._path, self._listener = path, listener
        self._started = time.monotonic()

    def write(self, line: Mapping[str, float]) -> None:
        """Add what is known of one epoch; `seconds` since this process began is added."""
        timed = {**line, "seconds": round(time.monotonic() - self._started, 2)}
        self._listener(timed)
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                file.write(json.dumps(timed) + "\n")


def diary_path(folder: Path, number: int) -> Path:
    """Where a run in `folder` keeps the diary of its network `number`."""
    return folder / f"training-{number}.jsonl"


def waited_share(folder: Path, networks: int) -> float | None:
    """Of the seconds that a run's networks trained for, the share, in [0, 1], in which they waited for their input.

    None where no diary tells. Lines that are cut short, or that an older release wrote, are left out.
    """
    trained = waited = 0.0
    for number in range(networks):
        path = diary_path(folder, number)
        for line in path.read_text().splitlines() if path.is_file() else ():
            with suppress(ValueError, KeyError, TypeError):
                entry = json.loads(line)
                seconds, share = float(entry["epoch_seconds"]), float(entry["waited_share"])
                trained, waited = trained + seconds, waited + seconds * share
    return waited / trained if trained else None


def tracker(name: str, run: str, settings: Mapping[str, object]) -> Listener:
    """A listener that sends every line to `trackio` or `wandb`. Raises Unsupported when it is not installed."""
    if not name:
        return lambda line: None
    try:
        module = __import__(name)
    except ImportError as error:
        raise Unsupported(f"--track {name} needs the package {name}: pip install {name}") from error
    session = module.init(project="headway", name=run, config=dict(settings))
    return session.log
