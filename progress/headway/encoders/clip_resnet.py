"""The ResNet of CLIP, whose layout LIV's checkpoints have.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (arXiv 2103.00020), section
2.4: three convolutions as the stem, average pooling before every stride, attention in place of the last pooling.
Weights go by the names they have in CLIP's own checkpoints.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import relu, scaled_dot_product_attention

HEAD_WIDTH = 64


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut; a stride is an average over stride x stride."""

    def __init__(self, before: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.pool = nn.AvgPool2d(stride)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or before != 4 * width:
            convolution = nn.Conv2d(before, 4 * width, 1, bias=False)
            parts = [("pool", nn.AvgPool2d(stride)), ("0", convolution), ("1", nn.BatchNorm2d(4 * width))]
            self.downsample = nn.Sequential(OrderedDict(parts))

    def forward(self, maps: Tensor) -> Tensor:
        inner = relu(self.bn1(self.conv1(maps)))
        inner = self.pool(relu(self.bn2(self.conv2(inner))))
        return relu(self.bn3(self.conv3(inner)) + self.downsample(maps))


class AttentionPool(nn.Module):
    """The mean of the map asks all of its places, and itself, what they hold."""

    def __init__(self, side: int, width: int, dimension: int):
        super().__init__()
        self.heads = width // HEAD_WIDTH
        self.positional_embedding = nn.Parameter(Tensor(side * side + 1, width))
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = nn.Linear(width, dimension)

    def forward(self, maps: Tensor) -> Tensor:
        places = maps.flatten(2).transpose(1, 2)
        tokens = nn.functional.pad(places, (0, 0, 1, 0))
        tokens[:, 0] = places.mean(1)
        tokens = tokens + self.positional_embedding
        query, key, value = (
            projection(part).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection, part in ((self.q_proj, tokens[:, :1]), (self.k_proj, tokens), (self.v_proj, tokens))
        )
        return self.c_proj(scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(1))


class ClipResNet(nn.Module):
    """Pictures float (batch, 3, side, side), normalised as CLIP does -> features (batch, dimension).

    Args:
        width: channels of the first stage's inner convolutions; 64 in RN50.
        blocks: of the four stages; 3, 4, 6, 3 in RN50.
        side: of the pictures in pixels; 224 in RN50.
        dimension: of the features; 1024 in RN50.
    """

    def __init__(self, width: int, blocks: tuple[int, ...], side: int, dimension: int):
        super().__init__()
        self.side = side
        channels = (3, width // 2, width // 2, width)
        for number, (before, after) in enumerate(pairwise(channels), 1):
            stride = 2 if number == 1 else 1
            self.add_module(f"conv{number}", nn.Conv2d(before, after, 3, stride, padding=1, bias=False))
            self.add_module(f"bn{number}", nn.BatchNorm2d(after))
        self.pool = nn.AvgPool2d(2)
        before = width
        for number, count in enumerate(blocks, 1):
            inner = width << (number - 1)
            first = Bottleneck(before, inner, 1 if number == 1 else 2)
            before = 4 * inner
            others = [Bottleneck(before, inner, 1) for _ in range(count - 1)]
            self.add_module(f"layer{number}", nn.Sequential(first, *others))
        self.attnpool = AttentionPool(side // 32, before, dimension)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = pictures
        for number in (1, 2, 3):
            maps = relu(self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(maps)))
        maps = self.pool(maps)
        for number in (1, 2, 3, 4):
            maps = self.get_submodule(f"layer{number}")(maps)
        return self.attnpool(maps)


def like(weights: Mapping[str, Tensor]) -> ClipResNet:
    """A network of the shape that `weights` have. Raises KeyError where they are of no ResNet of CLIP."""
    blocks = tuple(
        len({key.split(".")[1] for key in weights if key.startswith(f"layer{number}.")}) for number in (1, 2, 3, 4)
    )
    places = weights["attnpool.positional_embedding"].shape[0] - 1
    return ClipResNet(
        width=weights["layer1.0.conv1.weight"].shape[0],
        blocks=blocks,
        side=32 * math.isqrt(places),
        dimension=weights["attnpool.c_proj.weight"].shape[0],
    )
