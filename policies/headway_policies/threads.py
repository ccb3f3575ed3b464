"""PyTorch on one thread."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch work in one thread, then in as many as before; also a decorator, `@one_thread()`.

    Sums depend on the number of threads, and numbers must not. Networks as small as ours are also faster this way.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
