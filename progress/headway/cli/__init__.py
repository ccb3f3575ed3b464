"""The command line: `headway COMMAND`. The only place that may import every room."""

import os
import sys
from collections.abc import Callable

import tyro

from headway.cli.annotate import annotate
from headway.cli.bridge import bridge
from headway.cli.bridge_sim import bridge_sim
from headway.cli.collect import collect, tasks
from headway.cli.demo import demo
from headway.cli.demo_arm import demo_arm
from headway.cli.evaluate import evaluate
from headway.cli.fetch import fetch
from headway.cli.filter import filter_dataset
from headway.cli.label import label
from headway.cli.merge import merge
from headway.cli.policy import policy
from headway.cli.replay import replay
from headway.cli.report import report
from headway.cli.score import score
from headway.cli.serve import serve
from headway.cli.train import train
from headway.cli.watch import watch
from headway.cli.weights import weights
from headway.errors import HeadwayError

COMMANDS: dict[str, Callable[..., int]] = {
    "demo": demo,
    "tasks": tasks,
    "collect": collect,
    "label": label,
    "annotate": annotate,
    "train": train,
    "score": score,
    "merge": merge,
    "report": report,
    "evaluate": evaluate,
    "weights": weights,
    "policy": policy,
    "filter": filter_dataset,
    "bridge": bridge,
    "bridge-sim": bridge_sim,
    "watch": watch,
    "replay": replay,
    "serve": serve,
    "demo-arm": demo_arm,
    "fetch": fetch,
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
    lines += [f"  {name:<11}{(command.__doc__ or '').splitlines()[0]}" for name, command in COMMANDS.items()]
    return "\n".join(lines)


def _run(name: str, arguments: list[str]) -> int:
    try:
        status = tyro.cli(
            COMMANDS[name], prog=f"headway {name}", args=arguments, config=(tyro.conf.FlagCreatePairsOff,)
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
