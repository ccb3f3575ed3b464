"""Asking a network for several at once, so that nobody's answer depends on who else asks.

Matrix products of different heights add up in different orders, and a last bit decides, a hundred steps later, whether
a cube is hit. So a network always sees ROWS rows, the missing ones filled with zeros: then each row comes out the same
alone, in company and at any place.
"""

from collections.abc import Callable

import torch
from torch import Tensor

ROWS = 8
"""More make an answer hardly cheaper beside the physics, fewer make it dearer."""


def in_rows(network: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """`network(*inputs)` for inputs (several, ...), computed ROWS at a time."""
    several = len(inputs[0])
    missing = -several % ROWS
    filled = [torch.cat([part, part.new_zeros(missing, *part.shape[1:])]) for part in inputs]
    pieces = [network(*(part[first : first + ROWS] for part in filled)) for first in range(0, several, ROWS)]
    return torch.cat(pieces)[:several]
