"""Frozen frame encoders from checkpoints of VIP, R3M and LIV, which were trained on video of people at work.

VIP: Ma et al., arXiv 2210.00030. R3M: Nair et al., arXiv 2203.12601. LIV: Ma et al., arXiv 2306.00958.
"""

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision  # type: ignore[import-untyped]
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.transforms.v2 import functional  # type: ignore[import-untyped]

from headway.encoders.cache import published_path
from headway.encoders.clip_resnet import like
from headway.encoders.pretrained import BATCH, fingerprint
from headway.episodes import Array
from headway.errors import CheckpointError

# blocks of the third stage, and whether blocks have three convolutions
RESNETS: dict[tuple[int, bool], Callable[..., nn.Module]] = {
    (2, False): torchvision.models.resnet18,
    (6, False): torchvision.models.resnet34,
    (6, True): torchvision.models.resnet50,
}


@dataclass(frozen=True)
class Preparation:
    """What is done to a picture, on the scale 0 to 1: resize the shorter side, crop the middle, normalise.

    Attributes:
        shorter: pixels of the shorter side.
        side: pixels of the square cropped.
        antialias: whether shrinking averages over areas.
        mean, std: of the three channels.
    """

    shorter: int
    side: int
    antialias: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


# as the examples of VIP and R3M prepare pictures. VIP's own forward then crops a second time: its test for pictures
# that are cropped already never holds, since it compares a torch.Size with a list. That is not repeated here.
IMAGENET = Preparation(256, 224, True, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class ResNetFrames:
    """A frozen ResNet (`headway.encoders.base.FrameEncoder`), float32 features (dimension,).

    VIP: resnet50 with a last layer of 1024. R3M: resnet18, 34 or 50 without a last layer (512, 512, 2048). LIV: the
    image tower of CLIP RN50 (1024), not scaled to length 1. Which it is, the names of the weights tell.

    Args:
        path: `model.pt` as published, or the same weights as .safetensors.
        name: as the user wrote it.
        device: of torch.

    Raises CheckpointError, in one line, for a file that is missing, damaged or of another layout. A .pt file is read
    with torch's `weights_only`, which runs no code.
    """

    def __init__(self, path: Path, name: str, device: str = "cpu"):
        weights = _read(path)
        try:
            network, self._preparation = _build(path, weights)
        except (RuntimeError, KeyError, IndexError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise CheckpointError(
                f"{path} is no whole checkpoint of VIP, R3M or LIV ({reason}); fetch it again"
            ) from error
        self._device = torch.device(device)
        self._network = network.eval().requires_grad_(False).to(self._device)
        self.name = name
        self.fingerprint = fingerprint(self._network, self._preparation)
        self.dtype = np.dtype(np.float32)
        self.shape: tuple[int, ...] = self._encode([np.zeros((32, 32, 3), np.uint8)]).shape[1:]

    def encode(self, pictures: Sequence[Array]) -> Array:
        """Encode uint8 RGB pictures (height, width, 3), all of one size: (picture, dimension)."""
        features = np.empty((len(pictures), *self.shape), self.dtype)
        for start in range(0, len(pictures), BATCH):
            features[start : start + BATCH] = self._encode(pictures[start : start + BATCH])
        return features

    @torch.inference_mode()
    def _encode(self, pictures: Sequence[Array]) -> Array:
        how = self._preparation
        stacked = torch.from_numpy(np.stack(pictures)).to(self._device).permute(0, 3, 1, 2).float() / 255
        resized = functional.resize(stacked, [how.shorter], antialias=how.antialias)
        cropped = functional.center_crop(resized, [how.side, how.side])
        normal = functional.normalize(cropped, list(how.mean), list(how.std))
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
            return self._network(normal).float().cpu().numpy()


def load_published(name: str, device: str = "cpu") -> ResNetFrames:
    """Load `vip`, `r3m` or `liv` as fetched. Raises CheckpointError where it was not."""
    path = published_path(name)
    if not path.is_file():
        raise CheckpointError(f"the weights of {name} are not here ({path}); run: headway fetch {name}")
    return ResNetFrames(path, name, device)


def _read(path: Path) -> dict[str, Tensor]:
    """A checkpoint's weights by name, float32, without what DataParallel puts before the names."""
    content: Any
    try:
        if path.suffix == ".safetensors":
            content = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist; give a checkpoint of VIP, R3M or LIV") from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read as weights; it is damaged, or holds more than weights") from error
    for key in ("vip", "r3m", "liv"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds no weights by name; give a checkpoint of VIP, R3M or LIV")
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    # LIV's are stored half in float16
    return {
        key.removeprefix("module."): value.float() if value.is_floating_point() else value
        for key, value in tensors.items()
    }


def _build(path: Path, weights: Mapping[str, Tensor]) -> tuple[nn.Module, Preparation]:
    """The network with its weights, and what its pictures need."""
    # R3M's also hold a head for language, LIV's a text tower: neither is needed for pictures
    resnet, clip = _under("convnet.", weights), _under("model.visual.", weights)
    if "attnpool.positional_embedding" in clip:
        network: nn.Module = like(clip)
        network.load_state_dict(clip)
        side = int(network.side)  # type: ignore[arg-type]
        # LIV's forward for tensors shrinks without averaging
        return network, Preparation(side, side, False, CLIP_MEAN, CLIP_STD)
    if "layer1.0.conv1.weight" not in resnet:
        found = next(iter(weights), "no weights at all")
        raise CheckpointError(f"{path} is of no known layout (its first weight is {found}); known: VIP, R3M and LIV")
    blocks = len({key.split(".")[1] for key in resnet if key.startswith("layer3.")})
    network = RESNETS[blocks, "layer1.0.conv3.weight" in resnet](weights=None)
    last = resnet.get("fc.weight")
    network.fc = nn.Identity() if last is None else nn.Linear(last.shape[1], last.shape[0])
    network.load_state_dict(resnet)
    return network, IMAGENET


def _under(prefix: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
