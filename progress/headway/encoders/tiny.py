"""A small convolutional frame encoder, trained together with the model that uses it."""

import itertools

import torch
from torch import Tensor, nn


class TinyEncoder(nn.Module):
    """Frames uint8 (batch, height, width, 3) -> features float (batch, dimension).

    Three strided convolutions and a linear layer that keeps where things are: averaging over the picture, as larger
    encoders do, would lose whether a cube lies in the drawer or beside it.
    """

    def __init__(self, image_size: int = 64, dimension: int = 128, width: int = 32):
        super().__init__()
        channels = [3, 2 * width, 3 * width, 3 * width]
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(itertools.pairwise(channels)):
            # a first layer that strides over 4 pixels is as right as two of 2, in half the time
            kernel, stride = (7, 4) if number == 0 else (3, 2)
            layers += [nn.Conv2d(before, after, kernel, stride, kernel // 2), nn.GroupNorm(8, after), nn.SiLU()]
        # frames come with their channels last, and convolutions over that layout are a quarter faster on a CPU
        self.convolutions = nn.Sequential(*layers)
        self.convolutions.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        side = -(-image_size // 16)
        self.head = nn.Sequential(nn.Linear(channels[-1] * side * side, dimension), nn.LayerNorm(dimension))

    def forward(self, frames: Tensor) -> Tensor:
        pictures = frames.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0
        return self.head(self.convolutions(pictures).flatten(1))
