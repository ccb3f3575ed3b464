"""The command line: `headway COMMAND`. The only place that may import every room."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True)
class Command:
    """A command, imported only when it is run: some need seconds for what they import.

    Attributes:
        module: of this package.
        function: in it.
        summary: the first line of its docstring.
    """

    module: str
    function: str
    summary: str

    def load(self) -> Callable[..., int]:
        """The function."""
        loaded: Callable[..., int] = getattr(import_module(f"headway.cli.{self.module}"), self.function)
        return loaded


COMMANDS = {
    "demo": Command(
        "demo",
        "demo",
        "Run the main job on simulated demonstrations: collect, train, score, judge, train policies, report.",
    ),
    "tasks": Command("collect", "tasks", "List the simulated tasks, one a line: its id, then its instruction."),
    "collect": Command(
        "collect",
        "collect",
        "Record demonstrations of a simulated task as a LeRobot dataset, with the truth beside them.",
    ),
    "label": Command(
        "label",
        "label",
        "Mark stages and success by hand, with the keyboard, on a page that this machine serves to itself.",
    ),
    "annotate": Command(
        "annotate",
        "annotate",
        "Let a vision-language model mark where each subtask begins and ends, to the frame. The dataset is only read.",
    ),
    "train": Command(
        "train", "train", "Train an estimator on demonstrations; then NAME:RUN names it, such as sarm:runs/tidy."
    ),
    "score": Command(
        "score",
        "score",
        "Score a dataset into tables: progress, stage and success of every frame. It is only read, but for --install.",
    ),
    "merge": Command(
        "merge",
        "merge",
        "Put the shards of one run of headway score together, into the tables that one run alone would have written.",
    ),
    "report": Command(
        "report",
        "report",
        "Write one self-contained page: every episode ranked, with its pictures, its curve and its video.",
    ),
    "evaluate": Command(
        "evaluate",
        "evaluate",
        "Tell whether estimators are right: every figure that the dataset lets one know, beside blind controls.",
    ),
    "weights": Command(
        "weights",
        "weights",
        "Turn scores into a weight for every frame, for behaviour cloning: columns index and weight, in [0, 1].",
    ),
    "policy": Command(
        "policy",
        "policy",
        "Train a policy on demonstrations, weighted or not; evaluate it; compare two on the same layouts.",
    ),
    "filter": Command(
        "filter",
        "filter_dataset",
        "Keep the episodes, and the parts of them, that the scores speak for; the dataset itself is left alone.",
    ),
    "bridge": Command(
        "bridge", "bridge", "Tell progress, reward and success live, beside an arm, through a ROS bridge."
    ),
    "bridge-sim": Command(
        "bridge_sim",
        "bridge_sim",
        "Put a simulated arm behind a rosbridge server, for `headway bridge` to look at as at any other arm.",
    ),
    "watch": Command(
        "watch",
        "watch",
        "Tell progress and success live from a camera of this machine, or from a video file. No ROS is needed.",
    ),
    "replay": Command(
        "replay", "replay", "Live through a recording of headway bridge once more: does the same come out, bit for bit?"
    ),
    "serve": Command(
        "serve",
        "serve",
        "Answer with progress, success and reward over HTTP. Only this machine is answered, but for --host.",
    ),
    "demo-arm": Command(
        "demo_arm",
        "demo_arm",
        "Drive a simulated arm behind a ROS bridge under live progress, inject a fault, replay the recording.",
    ),
    "fetch": Command("fetch", "fetch", "Download a pretrained model, after showing its size and licence."),
}


def main() -> None:
    """Run one command. Exit status: 0 when all of it worked, 2 on a usage error, 1 otherwise."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(overview())
        sys.exit(0)
    name = sys.argv[1]
    if name not in COMMANDS:
        print(f"headway: unknown command {name!r}; available: {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)
    sys.exit(_run(name, sys.argv[2:]))


def overview() -> str:
    """What `headway --help` prints: the commands, one a line."""
    lines = [
        "Tells how far along a robot is, from video and an instruction, and makes that useful.",
        "",
        "usage: headway COMMAND ...        headway COMMAND --help shows its options and an example",
        "",
    ]
    lines += [f"  {name:<11}{command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(lines)


def _run(name: str, arguments: list[str]) -> int:
    import tyro

    from headway.errors import HeadwayError

    try:
        status = tyro.cli(
            COMMANDS[name].load(), prog=f"headway {name}", args=arguments, config=(tyro.conf.FlagCreatePairsOff,)
        )
        sys.stdout.flush()
        return status
    except HeadwayError as error:
        print(f"headway: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # whoever reads the output, such as `head`, has seen enough; Python would complain once more at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        # what no room foresaw: still one line, and where
        print(f"headway: {error.strerror or error}: {error.filename or 'no file named'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nheadway: interrupted; nothing half-done was left in place, so run it again", file=sys.stderr)
        return 130
