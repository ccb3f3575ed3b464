"""Specs of encoders: the strings that name a frame or text encoder anywhere.

Frames: `tiny` (pictures for a network trained with the estimator), `pixels`, `vip`, `r3m`, `liv` (as fetched), a
checkpoint of one of these three (`model.pt`, .safetensors, or a folder with model.pt), else the folder or hub name of
a model of transformers. Text: `ngrams`, else the folder or hub name.
"""

from collections.abc import Callable
from pathlib import Path

from headway.encoders.base import FrameEncoder, TextEncoder
from headway.encoders.small import Ngrams, Pictures, Pixels
from headway.errors import InvalidValue

# transformers and torchvision take seconds to import: only those who ask for such a model wait for them

CHECKPOINTS = (".pt", ".pth", ".safetensors")


def make_frame_encoder(spec: str, image_size: int = 64, device: str = "cpu") -> FrameEncoder:
    """Make the frame encoder a spec names.

    Args:
        spec: see above.
        image_size: `tiny` only: pictures are resized to this many pixels square.
        device: of torch, for those with a network.

    Raises InvalidValue for an empty spec, CheckpointError for weights that are missing or do not fit. Nothing is
    downloaded.
    """
    makers: dict[str, Callable[[], FrameEncoder]] = {
        "tiny": lambda: Pictures(image_size),
        "pixels": Pixels,
        "vip": lambda: _published("vip", device),
        "r3m": lambda: _published("r3m", device),
        "liv": lambda: _published("liv", device),
    }
    if not spec:
        raise InvalidValue(f"an encoder needs a name: {', '.join(makers)}, a folder or a hub name")
    return makers[spec]() if spec in makers else _from_weights(spec, device)


def make_text_encoder(spec: str, device: str = "cpu") -> TextEncoder:
    """Make the text encoder a spec names: `ngrams`, the folder of a model, or a hub name.

    Raises InvalidValue for an empty spec, CheckpointError for weights that are missing or do not fit. Nothing is
    downloaded.
    """
    if not spec:
        raise InvalidValue("a text encoder needs a name: ngrams, a folder or a hub name")
    if spec == "ngrams":
        return Ngrams()
    from headway.encoders.text import PretrainedText

    return PretrainedText(spec, device)


def _published(name: str, device: str) -> FrameEncoder:
    from headway.encoders.resnet import load_published

    return load_published(name, device)


def _from_weights(spec: str, device: str) -> FrameEncoder:
    path = Path(spec)
    if (path / "model.pt").is_file() and not (path / "config.json").exists():
        path = path / "model.pt"
    if path.suffix in CHECKPOINTS:
        from headway.encoders.resnet import ResNetFrames

        return ResNetFrames(path, spec, device)
    from headway.encoders.pretrained import PretrainedFrames

    return PretrainedFrames(spec, device)
