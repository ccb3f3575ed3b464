"""`python -m headway_envs.vlm_server --port 8765` serves until it is interrupted."""

import sys
import threading

import tyro

from headway.errors import HeadwayError
from headway_envs.vlm_server.readers import READERS
from headway_envs.vlm_server.script import Manner, Script
from headway_envs.vlm_server.server import serving


def serve(port: int = 8765, manner: Manner = Manner.HONEST, seed: int = 0) -> None:
    """Stand in for a vision-language model: answer questions about pictures from their pixels.

    Args:
        port: on this machine alone.
        manner: how it comes by its answers.
        seed: of what it leaves to chance, such as the order in which it speaks of frames.
    """
    with serving(Script(manner=manner, seed=seed), port) as server:
        print(f"serving {', '.join(READERS)} at {server.base_url}; Ctrl-C ends it")
        example = f"headway score DATASET --estimator gvl:push-to-goal@{server.base_url}"
        print(f"next: {example}", flush=True)
        threading.Event().wait()


def main() -> int:
    """Exit status: 0 when interrupted, 1 when the port cannot be had, 2 on a usage error."""
    try:
        tyro.cli(serve, prog="python -m headway_envs.vlm_server")
    except HeadwayError as error:
        print(f"headway: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
