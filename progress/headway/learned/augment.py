"""Augmentation of pictures, drawn for each episode on its own and the same over all its frames.

A camera that is moved, another light and another table are what an estimator meets at the next bench. So whatever
stands still over the episode is laid over with a random texture, pictures are warped as a camera that rolls, shifts
and comes nearer would see them, and their colours are mixed and bent: domain randomisation (arXiv 1703.06907) of
recorded pictures, with random overlays (arXiv 2011.13389).
"""

import numpy as np
import torch
from torch import Tensor, nn

# a pixel that differs from its median over the episode by this much, of 255, belongs to something that moves
MOVES = 40.0
# frames that the median is taken over
FEW = 7


def augment(pictures: Tensor, rng: np.random.Generator, plain: float = 0.0) -> Tensor:
    """Augment pictures (frame, camera, height, width, 3), 0..255, by one draw a camera: float of the same shape.

    With probability `plain` they are left as they are. Frozen features (frame, camera, dimension) always are.
    """
    if pictures.ndim != 5:
        return pictures
    given = pictures.to(torch.float32)
    if rng.random() < plain:
        return given
    cameras = []
    for camera in given.unbind(dim=1):
        channels = camera.permute(0, 3, 1, 2)
        changed = recolour(warp(retexture(channels, rng), rng), rng)
        cameras.append(changed.permute(0, 2, 3, 1).clamp(0, 255))
    return torch.stack(cameras, dim=1)


def retexture(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Lay random textures over what stands still in pictures (frame, 3, height, width), 0..255.

    A camera that moves sees nothing stand still, and its pictures stay much as they are.
    """
    few = pictures[:: max(1, len(pictures) // FEW)]
    middle = few.median(dim=0, keepdim=True).values
    still = 1 - ((pictures - middle).abs().amax(dim=1, keepdim=True) / MOVES).clamp(max=1)
    size = pictures.shape[-2:]
    # two surfaces, parted by a line anywhere
    part = torch.sigmoid(8 * _wave(size, rng, 0.1, 0.6)).to(pictures.device)
    texture = part * _texture(size, rng).to(pictures.device) + (1 - part) * _texture(size, rng).to(pictures.device)
    # the texture keeps the brightness of what it covers, so that edges stay where they are, on a dark table too
    brightness = middle.mean(dim=1, keepdim=True)
    covered = texture * (brightness / brightness.mean().clamp(min=1)).clamp(max=2)
    strength = still * float(np.sqrt(rng.random()))
    return pictures * (1 - strength) + covered * strength


def warp(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Turn, zoom, stretch and shift pictures (frame, 3, height, width); what comes into view repeats the border."""
    angle, shear = rng.uniform(-0.15, 0.15, 2)
    zoom = np.exp(rng.uniform(-0.18, 0.18) + rng.uniform(-0.1, 0.1, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle) + shear], [np.sin(angle), np.cos(angle)]]) * zoom
    affine = np.concatenate([turn, rng.uniform(-0.25, 0.25, (2, 1))], axis=1).astype(np.float32)
    matrix = torch.as_tensor(affine, device=pictures.device).expand(len(pictures), 2, 3)
    grid = nn.functional.affine_grid(matrix, list(pictures.shape), align_corners=False)
    return nn.functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def recolour(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Give other colours, contrast and brightness to pictures (frame, 3, height, width), 0..255."""
    mix = np.eye(3) + rng.normal(0, 0.18, (3, 3))
    contrast = np.exp(rng.uniform(-0.5, 0.5))
    colours = torch.as_tensor((mix * contrast).astype(np.float32), device=pictures.device)
    middle = pictures.mean()
    mixed = torch.einsum("dc,fchw->fdhw", colours, _bent(pictures, rng) - middle)
    return mixed + middle + float(rng.uniform(-50, 50))


def _bent(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Pictures (frame, 3, height, width), 0..255, with their colours moved by a smooth random map of all colours.

    A linear mix moves every colour alike; this one moves the drawer's red without the cube's green.
    """
    waves = 6
    direction = torch.as_tensor(rng.normal(0, 2.5, (waves, 3)).astype(np.float32), device=pictures.device)
    phase = torch.as_tensor(rng.uniform(0, 2 * np.pi, (waves, 1, 1)).astype(np.float32), device=pictures.device)
    move = torch.as_tensor(rng.normal(0, 14, (3, waves)).astype(np.float32), device=pictures.device)
    heights = torch.sin(torch.einsum("kc,fchw->fkhw", direction, pictures / 127.5 - 1) + phase)
    return pictures + torch.einsum("dk,fkhw->fdhw", move, heights)


def _texture(size: torch.Size, rng: np.random.Generator) -> Tensor:
    """A random pattern between two random colours, 0..255, (1, 3, height, width)."""
    first, second = (torch.as_tensor(rng.uniform(0, 255, (1, 3, 1, 1)).astype(np.float32)) for _ in range(2))
    kind = rng.integers(3)
    if kind == 0:
        cells = [1, 1, *rng.integers(3, 20, size=2)]
        blobs = torch.as_tensor(rng.normal(0.5, 0.5, cells).astype(np.float32))
        pattern = nn.functional.interpolate(blobs, size=size, mode="bilinear")
    elif kind == 1:
        pattern = torch.sigmoid(float(rng.uniform(1, 10)) * _wave(size, rng, 1, 8))
    else:
        pattern = torch.sigmoid(float(rng.uniform(1, 10)) * _wave(size, rng, 1, 6) * _wave(size, rng, 1, 6))
    return first + (second - first) * pattern.clamp(0, 1)


def _wave(size: torch.Size, rng: np.random.Generator, slowest: float, fastest: float) -> Tensor:
    """A plane sine wave of random direction, phase and frequency (cycles a picture), in [-1, 1], (1, 1, h, w)."""
    rows, columns = torch.meshgrid(*(torch.linspace(0, 1, side) for side in size), indexing="ij")
    direction, phase = rng.uniform(0, 2 * np.pi, 2)
    cycles = rng.uniform(slowest, fastest)
    along = float(np.cos(direction)) * rows + float(np.sin(direction)) * columns
    return torch.sin(2 * np.pi * float(cycles) * along + float(phase))[None, None]
