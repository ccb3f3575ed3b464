"""CLIP's activation in one pass over its input instead of four, which is a seventh of a frame's time on a CPU.

x sigmoid(1.702 x) = silu(1.702 x) / 1.702: the factor goes into the linear layer before, its inverse into the one
after, and torch computes silu at once and in place. Equal but for rounding.
"""

from torch import Tensor, nn
from transformers.activations import QuickGELUActivation

FACTOR = 1.702


class SiluInPlace(nn.Module):
    """silu of a tensor that nobody needs any more."""

    def forward(self, values: Tensor) -> Tensor:
        return nn.functional.silu(values, inplace=True)


def fold_quick_gelu(network: nn.Module) -> None:
    """Replace every QuickGELU between two linear layers `fc1` and `fc2`; other activations stay as they are."""
    for block in network.modules():
        layers = [getattr(block, name, None) for name in ("fc1", "fc2")]
        if not isinstance(getattr(block, "activation_fn", None), QuickGELUActivation):
            continue
        before, after = layers
        if isinstance(before, nn.Linear) and isinstance(after, nn.Linear):
            before.weight.data *= FACTOR
            if before.bias is not None:
                before.bias.data *= FACTOR
            after.weight.data /= FACTOR
            block.activation_fn = SiluInPlace()
