"""Frozen picture towers on a CPU in 8-bit integers: the same networks, their layers multiplied as integers.

Nearly all of a transformer's time goes into its linear layers. Processors with VNNI, AVX-VNNI or AMX multiply 8-bit
integers some four times as fast as float32; PyTorch does it through oneDNN, so nothing more has to be installed.

Each layer y = W x + b becomes, for every token x on its own,

    y = step * scale * (V q) + middle * scale * (V 1) + b,    V = round(W / scale),    q = round((x - middle) / step)

with one scale for each row of W (its largest size / 127), and with the token's own middle and step, such that its
smallest and largest number become -127 and 127. V q is exact in 32-bit integers. As nothing is shared between tokens,
a feature does not depend on the other pictures of a call, nor on how many threads there are.

Rows of weights and tokens with scales of their own: Dettmers et al., "LLM.int8()" (arXiv 2208.07339), section 2.1;
with a zero point for each token, its columns of outliers are not set apart, and no pictures are needed to calibrate.
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from headway.encoders.base import FrameEncoder
from headway.encoders.pretrained import PretrainedFrames
from headway.episodes import Array
from headway.errors import Unsupported

SCHEME = "int8-1"
"""Of the integers, in fingerprints: changes whenever the features it gives could."""
LARGEST = 127
AT_ONCE = 8
"""Pictures. With more, what is between two layers outgrows the blocks that the C library keeps for the next ones, and a
fifth of the time goes into getting memory anew."""


class IntegerLinear(nn.Module):
    """A linear layer in 8-bit integers: float32 (..., in) -> float32 (..., out)."""

    integers: Tensor
    scale: Tensor
    sums: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None):
        super().__init__()
        weight = weight.detach().float()
        scale = _not_zero(weight.abs().amax(1) / LARGEST)
        # what some towers ask for to learn which numbers a layer wants
        self.register_buffer("weight", torch.empty(0))
        integers = (weight / scale[:, None]).round()
        self.register_buffer("integers", integers.to(torch.int8).t())
        self.register_buffer("scale", scale)
        # of the rounded weights: with those of the exact ones, rounding would weigh x - middle in place of x
        self.register_buffer("sums", integers.sum(1) * scale)
        self.register_buffer("bias", torch.zeros(len(weight)) if bias is None else bias.detach().float())

    def forward(self, values: Tensor) -> Tensor:
        tokens = values.reshape(-1, values.shape[-1])
        # aminmax finds both at once, at a tenth of the speed of these two
        low, high = tokens.amin(1, keepdim=True), tokens.amax(1, keepdim=True)
        middle, step = (low + high) / 2, _not_zero((high - low) / (2 * LARGEST))
        whole = torch.sub(tokens, middle).div_(step).round_().to(torch.int8)
        product = torch._int_mm(whole, self.integers).float().mul_(step)
        torch.addcmul(self.bias, product, self.scale, out=product)
        return product.addcmul_(middle, self.sums).view(*values.shape[:-1], -1)


class IntegerPatches(nn.Module):
    """A convolution over patches side by side, as the first layer of most towers: a linear layer of each patch.

    Float32 (batch, in, height, width) -> (batch, out, height // side, width // side).
    """

    def __init__(self, exact: nn.Conv2d):
        super().__init__()
        self.sides = exact.kernel_size
        self.linear = IntegerLinear(exact.weight.flatten(1), exact.bias)
        self.weight = self.linear.weight

    def forward(self, pictures: Tensor) -> Tensor:
        high, wide = self.sides
        down, across = pictures.shape[2] // high, pictures.shape[3] // wide
        whole = pictures[:, :, : down * high, : across * wide]
        patches = rearrange(whole, "b c (d h) (a w) -> b (d a) (c h w)", h=high, w=wide)
        return rearrange(self.linear(patches), "b (d a) out -> b out d a", d=down)


def in_integers(module: nn.Module) -> nn.Module | None:
    """The same layer in 8-bit integers; None for one that stays as it is."""
    # not those derived from them: their owners read their weights
    if type(module) is nn.Linear:
        return IntegerLinear(module.weight, module.bias)
    if type(module) is nn.Conv2d:
        plain = (module.stride, module.padding, module.dilation, module.groups)
        if plain == (module.kernel_size, (0, 0), (1, 1), 1):
            return IntegerPatches(module)
    return None


class IntegerFrames:
    """A frozen tower in 8-bit integers (`headway.encoders.base.FrameEncoder`), float32 features (dimension,).

    The features differ from the exact encoder's by some per cent of their length; `headway.learned.fast.deviation`
    tells by how much, and what that does to progress. Attention, norms, convolutions over patches that overlap and the
    preparation of pictures stay as they are. The exact encoder is left alone, and the fingerprint is another.

    Args:
        exact: the encoder in float32.

    Raises Unsupported, in one line, for an encoder that is no tower of transformers (`tiny`, `pixels`, the ResNets of
    VIP, R3M and LIV), for one that is not on the CPU, and on a processor that cannot multiply 8-bit integers.
    """

    def __init__(self, exact: FrameEncoder):
        if not isinstance(exact, PretrainedFrames):
            raise Unsupported(
                f"the encoder {exact.name} cannot be made faster; only towers of transformers can, such as those of "
                "CLIP, SigLIP and DINOv2"
            )
        if exact._device.type != "cpu":
            raise Unsupported(f"8-bit integers are for the CPU; the encoder {exact.name} is on {exact._device.type}")
        check_processor()
        swapped = {id(module): in_integers(module) for module in exact._network.modules()}
        self._tower = copy.copy(exact)
        # what deepcopy finds in its memory it does not copy: each layer is swapped as its network is copied
        memory = {key: module for key, module in swapped.items() if module is not None}
        self._tower._network = copy.deepcopy(exact._network, memory)
        self.name, self.shape, self.dtype = exact.name, exact.shape, exact.dtype
        self.fingerprint = f"{exact.fingerprint}-{SCHEME}"

    def encode(self, pictures: Sequence[Array]) -> Array:
        """Encode uint8 RGB pictures (height, width, 3), each resized as the model wants: (picture, dimension)."""
        features = np.empty((len(pictures), *self.shape), self.dtype)
        for start in range(0, len(pictures), AT_ONCE):
            features[start : start + AT_ONCE] = self._tower.encode(pictures[start : start + AT_ONCE])
        return features


def check_processor() -> None:
    """Raise Unsupported where 8-bit products would be slow, without oneDNN, or wrong, with sums cut off at 16 bits."""
    if not (torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled):
        raise Unsupported("this build of PyTorch lacks oneDNN, so 8-bit integers would be slow; score without --fast")
    # AVX2 and AVX-512 without VNNI add two products in 16 bits, which these overflow
    largest = torch.full((64, 64), LARGEST, dtype=torch.int8)
    if not bool((torch._int_mm(largest, largest) == 64 * LARGEST**2).all()):
        raise Unsupported(
            "this processor has no instructions for 8-bit products (VNNI, AVX-VNNI or AMX); score without --fast"
        )


def _not_zero(sizes: Tensor) -> Tensor:
    """A row of zeros is divided by something."""
    return sizes.clamp(min=torch.finfo(torch.float32).tiny)
