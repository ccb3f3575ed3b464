"""`headway policy train`, `headway policy eval` and `headway policy compare`."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Annotated, Any

import tyro

from headway.cli.policy_compare import compare
from headway.cli.policy_eval import evaluate
from headway.cli.policy_train import train


def _later(command: Callable[..., int]) -> Callable[..., Callable[[], int]]:
    """The command with its options, not run yet: tyro would take an error of its own for a usage error."""

    @wraps(command)
    def bind(*arguments: Any, **options: Any) -> Callable[[], int]:
        return partial(command, *arguments, **options)

    return bind


Command = (
    Annotated[Callable[[], int], tyro.conf.subcommand("train", constructor=_later(train))]
    | Annotated[Callable[[], int], tyro.conf.subcommand("eval", constructor=_later(evaluate))]
    | Annotated[Callable[[], int], tyro.conf.subcommand("compare", constructor=_later(compare))]
)


def policy(*, command: Annotated[Command, tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes]) -> int:
    """Train a policy on demonstrations, weighted or not; evaluate it; compare two on the same layouts.

    Each of the three shows its options and an example with --help. For example:

        headway policy train demos/tidy --out runs/plain
        headway policy eval runs/plain --rollouts 100
        headway policy compare runs/plain runs/weighted
    """
    return command()
