"""The processes that train one network together; usually there is only one.

Several come from `accelerate launch --num_processes N`. Every process takes its share of a batch's episodes; sums over
the batch are then sums over all processes, so that N processes take the same steps as one.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from headway.errors import Unsupported


class Team:
    """One process on its own, or one of several.

    Attributes:
        rank: which one this is, from 0; only the first writes files and says what is going on.
        size: how many there are.
        device: what this one computes on.
    """

    def __init__(self, device: str = "cpu"):
        self.size = 1 if self.is_alone() else int(os.environ["WORLD_SIZE"])
        self._accelerator: Any = _accelerator(device) if self.size > 1 else None
        self.rank = 0 if self._accelerator is None else self._accelerator.process_index
        self.device = torch.device(device) if self._accelerator is None else self._accelerator.device

    @staticmethod
    def is_alone() -> bool:
        """Whether this process was started on its own."""
        return int(os.environ.get("WORLD_SIZE", "1")) == 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def share[Thing](self, things: Sequence[Thing]) -> Sequence[Thing]:
        """This process's part of a batch; may be empty."""
        return things[self.rank :: self.size]

    def sum(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all processes."""
        return values if self._accelerator is None else self._accelerator.reduce(values, reduction="sum")

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum the gradients over all processes; a process that had nothing to learn from adds zeros."""
        if self._accelerator is None:
            return
        for parameter in parameters:
            given = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = self.sum(given)

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self._accelerator is not None:
            self._accelerator.wait_for_everyone()


def _accelerator(device: str) -> Any:
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise Unsupported(
            "training in several processes needs accelerate: pip install 'headway[distributed]'"
        ) from error
    return Accelerator(cpu=device == "cpu")
