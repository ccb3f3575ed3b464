"""Random models of two layers, saved as their real counterparts are."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = ("<pad>", "<s>", "</s>", "<unk>", "put", "the", "red", "cube", "in", "drawer", "open", "close", "now")
VISION = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
TEXT = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": len(WORDS),
    "max_position_embeddings": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
PATCHES = {key: value for key, value in VISION.items() if key != "image_size"}
DINO = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}


def tokenizer() -> hf.PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    marks = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return hf.PreTrainedTokenizerFast(tokenizer_object=words, **marks)


def _clip() -> list:
    sizes = {"shortest_edge": 32}
    config = hf.CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=12)
    return [hf.CLIPModel(config), hf.CLIPImageProcessor(size=sizes, crop_size=32), tokenizer()]


def _siglip() -> list:
    config = hf.SiglipConfig(text_config=TEXT, vision_config=VISION)
    return [hf.SiglipModel(config), hf.SiglipImageProcessor(size={"height": 32, "width": 32}), tokenizer()]


def _siglip2() -> list:
    config = hf.Siglip2Config(text_config=TEXT, vision_config={**PATCHES, "num_patches": 16})
    return [hf.Siglip2Model(config), hf.Siglip2ImageProcessor(patch_size=8, max_num_patches=16), tokenizer()]


def _dino(config: hf.PreTrainedConfig) -> list:
    processor = hf.BitImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return [hf.AutoModel.from_config(config), processor]


def _vjepa2() -> list:
    config = hf.VJEPA2Config(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        mlp_ratio=2,
        crop_size=32,
        patch_size=8,
        frames_per_clip=4,
        pred_hidden_size=24,
        pred_num_hidden_layers=1,
        pred_num_attention_heads=2,
    )
    return [hf.VJEPA2Model(config), hf.VJEPA2VideoProcessor(crop_size=32)]


MODELS: dict[str, Callable[[], list]] = {
    "clip": _clip,
    "siglip": _siglip,
    "siglip2": _siglip2,
    "dinov2": lambda: _dino(hf.Dinov2Config(**DINO)),
    "dinov2_with_registers": lambda: _dino(hf.Dinov2WithRegistersConfig(**DINO)),
    "dinov3_vit": lambda: _dino(hf.DINOv3ViTConfig(**DINO, intermediate_size=32)),
    "dinov3_convnext": lambda: _dino(hf.DINOv3ConvNextConfig(hidden_sizes=[8, 8, 8, 16], depths=[1, 1, 1, 1])),
    "vjepa2": _vjepa2,
    "bert": lambda: [hf.BertModel(hf.BertConfig(**TEXT)), tokenizer()],
    "roberta": lambda: [hf.RobertaModel(hf.RobertaConfig(**TEXT)), tokenizer()],
}


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """saved("clip") -> the folder of a random CLIP; one folder a type, not to be changed."""
    folders: dict[str, Path] = {}

    def save(kind: str) -> Path:
        if kind not in folders:
            folders[kind] = tmp_path_factory.mktemp(kind)
            torch.manual_seed(len(kind))
            model, *others = MODELS[kind]()
            # as drawn, biases are 0 and scales 1: a network that mixed them up would not be noticed
            for weight in model.parameters():
                torch.nn.init.normal_(weight, std=0.2)
            for part in (model, *others):
                part.save_pretrained(folders[kind])
        return folders[kind]

    return save


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    """More than a batch, neither square nor of the size any model wants."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (35, 5, 7, 3), dtype=np.uint8)
    return list(coarse.repeat(8, axis=1).repeat(8, axis=2))
