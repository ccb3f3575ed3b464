"""The command line, run within the tests' own process, which saves importing torch for each command."""

import sys
from collections.abc import Callable
from contextlib import ExitStack, chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest

from headway.cli import main


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def run(*arguments: object, cwd: Path | None = None) -> Done:
    """Run one command: its exit status and what it printed."""
    with ExitStack() as stack:
        out, err = (stack.enter_context(redirect(StringIO())) for redirect in (redirect_stdout, redirect_stderr))
        stack.enter_context(patch.object(sys, "argv", ["headway", *map(str, arguments)]))
        stack.enter_context(chdir(cwd or Path.cwd()))
        with pytest.raises(SystemExit) as left:
            main()
    return Done(left.value.code or 0, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def headway() -> Callable[..., Done]:
    return run
