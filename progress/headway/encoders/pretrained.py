"""Frozen frame encoders in the layout of Hugging Face transformers: CLIP, SigLIP, DINOv2, DINOv3, V-JEPA 2.

Nothing is downloaded, no code that came with the weights is run, and only safetensors are read.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError
from torch import Tensor, nn

from headway.encoders.quick_gelu import fold_quick_gelu
from headway.episodes import Array
from headway.errors import CheckpointError

BATCH = 32
HUB_NAME = re.compile(r"\w[\w.-]*(/[\w.-]+)?")
# what transformers raises over a folder that is damaged or incomplete
DAMAGED = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, SafetensorError)


@dataclass(frozen=True)
class Tower:
    """How a feature comes out of one type of model.

    Attributes:
        network: the class of transformers that holds no more than what the feature needs.
        output: which of its outputs is the feature.
        part: the part of a two-tower model's config that describes this tower.
        video: pictures go through a video processor, and the feature is the mean over all tokens.
    """

    network: str
    output: str = "pooler_output"
    part: str | None = None
    video: bool = False


# by the model_type of config.json; the hub's SigLIP 2 of fixed resolution say `siglip`, those of NaFlex `siglip2`
TOWERS = {
    "clip": Tower("CLIPVisionModelWithProjection", "image_embeds", "vision_config"),
    "clip_vision_model": Tower("CLIPVisionModelWithProjection", "image_embeds"),
    "siglip": Tower("SiglipVisionModel", part="vision_config"),
    "siglip_vision_model": Tower("SiglipVisionModel"),
    "siglip2": Tower("Siglip2VisionModel", part="vision_config"),
    "siglip2_vision_model": Tower("Siglip2VisionModel"),
    "dinov2": Tower("Dinov2Model"),
    "dinov2_with_registers": Tower("Dinov2WithRegistersModel"),
    "dinov3_vit": Tower("DINOv3ViTModel"),
    "dinov3_convnext": Tower("DINOv3ConvNextModel"),
    "vjepa2": Tower("VJEPA2Model", "last_hidden_state", video=True),
}


class PretrainedFrames:
    """A frozen picture tower (`headway.encoders.base.FrameEncoder`), float32 features (dimension,).

    CLIP: the projected image embedding. SigLIP and SigLIP 2: the attention-pooled embedding. DINOv2 and DINOv3: the
    pooled class token, or pooled map of ConvNeXt. All as the network gives them, not scaled to length 1.

    V-JEPA 2 encodes video, in tubelets of two frames. Here each picture is repeated to fill one tubelet and the
    feature is the mean over its tokens: on purpose one frame at a time, so that what is estimated from it stays
    causal and can be streamed. Its sense of motion is lost.

    On CUDA the network runs in bfloat16, elsewhere in float32; the fingerprint is the same, the features differ by
    rounding.

    Args:
        name: a folder that `save_pretrained` wrote, or the name of a model of the hub that was fetched before.
        device: of torch.

    Raises CheckpointError, in one line, where the model is missing, damaged or of a type not listed in TOWERS.
    """

    def __init__(self, name: str, device: str = "cpu"):
        folder = find_model(name)
        self._tower = TOWERS[supported_type(folder, name, TOWERS, "frame encoder")]
        self._device = torch.device(device)
        self._processor = load_processor(folder, name, self._tower.video)
        self._network = load_tower(folder, name, self._tower.network, self._tower.part).to(self._device)
        self.name = name
        # of the weights as they were saved
        self.fingerprint = fingerprint(self._network, self._processor.to_dict(), self._tower)
        fold_quick_gelu(self._network)
        self.dtype = np.dtype(np.float32)
        self.shape: tuple[int, ...] = self._encode([np.zeros((32, 32, 3), np.uint8)]).shape[1:]

    def encode(self, pictures: Sequence[Array]) -> Array:
        """Encode uint8 RGB pictures (height, width, 3), each resized as the model wants: (picture, dimension)."""
        features = np.empty((len(pictures), *self.shape), self.dtype)
        for start in range(0, len(pictures), BATCH):
            batch = self._encode(pictures[start : start + BATCH])
            features[start : start + BATCH] = batch
        return features

    @torch.inference_mode()
    def _encode(self, pictures: Sequence[Array]) -> Array:
        inputs = self._prepare(pictures)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
            outputs = self._network(**inputs)
        feature: Tensor = outputs[self._tower.output]
        if self._tower.video:
            feature = feature.float().mean(1)
        return feature.float().cpu().numpy()

    def _prepare(self, pictures: Sequence[Array]) -> dict[str, Any]:
        settings: dict[str, Any] = {"return_tensors": "pt", "input_data_format": "channels_last"}
        if not self._tower.video:
            return dict(self._processor(images=list(pictures), **settings).to(self._device))
        videos = self._processor(videos=[picture[None] for picture in pictures], **settings)["pixel_values_videos"]
        tubelet = videos[:, :1].repeat(1, self._network.config.tubelet_size, 1, 1, 1)
        return {"pixel_values_videos": tubelet.to(self._device), "skip_predictor": True}


def find_model(name: str) -> Path:
    """The folder a model lies in: `name` itself, or what was fetched from the hub. Raises CheckpointError."""
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise CheckpointError(
                f"{name} holds no config.json, so it is no model; give the folder of one, or a hub name"
            )
        return folder
    if folder.exists() or not HUB_NAME.fullmatch(name):
        raise CheckpointError(f"{name} is no folder and no hub name; give the folder of a model, or a hub name")
    cached = try_to_load_from_cache(name, "config.json")
    if not isinstance(cached, str):
        raise CheckpointError(
            f"the model {name} is not here: no folder is called so, and it was not fetched; run: headway fetch {name}"
        )
    return Path(cached).parent


def supported_type(folder: Path, name: str, towers: Mapping[str, object], what: str) -> str:
    """The type of the model in a folder. Raises CheckpointError for one that is not among `towers`."""
    kind = model_type(folder, name)
    if kind not in towers:
        raise CheckpointError(f"{name} is a model of type {kind!r}, which is no {what}; supported: {', '.join(towers)}")
    return kind


def model_type(folder: Path, name: str) -> str:
    """The model_type of config.json. Raises CheckpointError."""
    config = read_json(folder / "config.json", name)
    kind = config.get("model_type")
    if not isinstance(kind, str):
        raise CheckpointError(f"{folder / 'config.json'} names no model_type, so {name} is no model of transformers")
    return kind


def read_json(path: Path, name: str) -> dict[str, Any]:
    """Read one of a model's JSON files. Raises CheckpointError."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON; {again(name)}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no JSON object; {again(name)}")
    return content


def load_processor(folder: Path, name: str, video: bool) -> Any:
    """What turns pictures into the network's inputs, as the model's folder sets it. Raises CheckpointError."""
    maker = transformers.AutoVideoProcessor if video else transformers.AutoImageProcessor
    try:
        with quiet():
            return maker.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except DAMAGED as error:
        raise CheckpointError(
            f"{name} lacks the settings of its picture processor (preprocessor_config.json), or they are damaged; "
            f"{again(name)}"
        ) from error


def load_tower(
    folder: Path, name: str, network: str, part: str | None = None, dtype: torch.dtype = torch.float32
) -> Any:
    """Load a network of transformers, or one tower of two, frozen. Raises CheckpointError."""
    try:
        with quiet():
            config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            if part is not None:
                width = getattr(config, "projection_dim", None)
                config = getattr(config, part)
                if width is not None:
                    config.projection_dim = width
            model, report = getattr(transformers, network).from_pretrained(
                folder,
                config=config,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                dtype=dtype,
            )
    except DAMAGED as error:
        if not any(folder.glob("*.safetensors")):
            raise CheckpointError(
                f"{name} holds no weights as .safetensors, the only kind read; {again(name)}"
            ) from error
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"the weights of {name} cannot be loaded ({reason[:200]}); {again(name)}") from error
    # transformers draws weights that the file lacks at random; a pooler of sentence encoders is never used
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise CheckpointError(f"the weights of {name} lack {len(missing)} parts, such as {missing[0]}; {again(name)}")
    return model.eval().requires_grad_(False)


def again(name: str) -> str:
    """What to do about a model that is not whole."""
    return "copy the folder again" if Path(name).is_dir() else f"run: headway fetch {name}"


def fingerprint(network: nn.Module, *settings: Any) -> str:
    """Sixteen hexadecimal digits from every weight and from the settings that shape a feature."""
    digest = hashlib.sha256(repr((type(network).__name__, *settings)).encode())
    config = getattr(network, "config", None)
    if config is not None:
        digest.update(config.to_json_string().encode())
    for key, weight in network.state_dict().items():
        digest.update(f"{key}\0{weight.dtype}\0{tuple(weight.shape)}\0".encode())
        digest.update(weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from listing the weights of the tower that was left out, and from drawing bars for files."""
    logging = transformers.utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
