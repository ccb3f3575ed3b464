"""What a person who started the bridge sees: what happens, as it happens, and a line that tells how it stands."""

import json
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console as Terminal
from rich.live import Live
from rich.text import Text

from headway_envs.ros.events import Effect, Event, Logged, Published
from headway_envs.ros.transport import Message

if TYPE_CHECKING:
    from headway_envs.ros.config import BridgeConfig
    from headway_envs.ros.node import Node

BAR = 24
LOOKS = 5
"""Times a second that the line is drawn."""
COLOURS = {"RUNNING": "green", "WAITING": "yellow", "INIT": "yellow", "DEGRADED": "yellow", "STOPPED": "red"}
SIGNS = {"info": "·", "warning": "!", "error": "x"}


class Console:
    """An observer of the node that prints."""

    def __init__(self, config: "BridgeConfig"):
        self._config = config
        self._terminal = Terminal(stderr=True, highlight=False)
        self._result: dict[str, Any] = {}
        self._arrived = threading.Event()
        self._began = time.monotonic()
        self._last = "not connected yet"
        # printed by a thread of its own: a terminal that is held up must hold up nothing but itself
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._print, name="headway-console", daemon=True).start()

    def saw(self, event: Event, effects: Sequence[Effect], pictures: Mapping[int, Message]) -> None:
        """Print what was logged, and keep the newest result."""
        for effect in effects:
            if isinstance(effect, Logged):
                self.say(effect.level, effect.text)
            elif isinstance(effect, Published) and effect.topic == "result":
                self._result = json.loads(effect.message["data"])
                self._arrived.set()

    def say(self, level: str, text: str) -> None:
        """One line."""
        self._last = text
        seconds = time.monotonic() - self._began
        self._lines.put(f"{seconds:8.2f} s {SIGNS.get(level, ' ')} {text}")

    def _print(self) -> None:
        while True:
            self._terminal.print(self._lines.get(), markup=False)

    def first(self, seconds: float) -> str | None:
        """The first reading as one line; None where none comes in time."""
        if not self._arrived.wait(seconds):
            return None
        told = self._result
        return (
            f"progress {told['progress']:.3f}, success {told['success']:.3f}, stage {told['stage'] or '-'}, "
            f"{told['latency_ms']:.0f} ms after the picture came"
        )

    def trouble(self) -> str:
        """What was told last."""
        return self._last

    def show(self, node: "Node", ended: threading.Event) -> None:
        """Keep the line until the end."""
        if not self._terminal.is_terminal:
            while not (ended.wait(1 / LOOKS) or node.broken):
                pass
            return
        with Live(console=self._terminal, refresh_per_second=LOOKS, transient=True) as live:
            while not (ended.wait(1 / LOOKS) or node.broken):
                live.update(self._line(node))

    def summary(self, node: "Node") -> str:
        """What came of it, and what to do next."""
        reporter = node.core.reporter
        times = reporter.quantiles()
        lines = [f"{reporter.results} readings, {reporter.commands} commands"]
        for what, name in (("latency", "latency"), ("age of frames", "frame_age")):
            if f"{name}_p50_ms" in times:
                p50, p95, p99 = (times[f"{name}_p{percent}_ms"] for percent in (50, 95, 99))
                lines.append(f"{what}: p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms")
        if not reporter.results:
            lines.append(f"nothing was read: {self._last}")
        return "\n".join(lines)

    def _line(self, node: "Node") -> Text:
        core, told = node.core, self._result
        line = Text(f"{core.state} {core.reason}".strip().ljust(28), style=COLOURS.get(core.state, ""))
        if told:
            full = round(BAR * told["progress"])
            line.append(f" {'█' * full}{'░' * (BAR - full)} {told['progress']:.2f}", style="default")
            line.append(f"  success {told['success']:.2f}{' DONE' if core.readings.success else ''}", style="default")
            line.append(f"  {told['stage'] or ''}  {told['latency_ms']:.0f} ms", style="default")
        motion = "arm enabled" if core.permission.given else "dry run" if self._config.arm.dry_run else "arm off"
        line.append(f"  [{motion}]", style="bold red" if core.permission.given else "dim")
        return line
