"""Frozen text encoders with weights: the text towers of CLIP and SigLIP, and sentence encoders.

As for pictures, nothing is downloaded, no code is run that came with the weights, and only safetensors are read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor

from headway.encoders.pretrained import (
    DAMAGED,
    again,
    find_model,
    fingerprint,
    load_tower,
    quiet,
    read_json,
    supported_type,
)
from headway.episodes import Array
from headway.errors import CheckpointError


@dataclass(frozen=True)
class Tower:
    """How a text feature comes out of one type of model.

    Attributes:
        network: the class of transformers.
        output: which of its outputs is the feature; `last_hidden_state` is pooled over the words.
        part: the part of a two-tower model's config that describes this tower.
        fill: SigLIP was trained on lower-case texts padded to its full length, and attends to the padding.
    """

    network: str
    output: str = "last_hidden_state"
    part: str | None = None
    fill: bool = False


TOWERS = {
    "clip": Tower("CLIPTextModelWithProjection", "text_embeds", "text_config"),
    "clip_text_model": Tower("CLIPTextModelWithProjection", "text_embeds"),
    "siglip": Tower("SiglipTextModel", "pooler_output", "text_config", fill=True),
    "siglip_text_model": Tower("SiglipTextModel", "pooler_output", fill=True),
    "siglip2": Tower("Siglip2TextModel", "pooler_output", "text_config", fill=True),
    "siglip2_text_model": Tower("Siglip2TextModel", "pooler_output", fill=True),
    "bert": Tower("BertModel"),
    "distilbert": Tower("DistilBertModel"),
    "mpnet": Tower("MPNetModel"),
    "roberta": Tower("RobertaModel"),
    "xlm-roberta": Tower("XLMRobertaModel"),
}
# where a tokenizer's words lie, any one of these
VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
# their positions are counted from the padding's number plus one, which takes two places away
SHIFTED = ("mpnet", "roberta", "xlm-roberta")


class PretrainedText:
    """A frozen text tower (`headway.encoders.base.TextEncoder`): a unit vector, float32 (dimension,).

    CLIP: the projected embedding. SigLIP and SigLIP 2: the pooled one. Sentence encoders: the mean of the last layer
    over the words (Sentence-BERT, arXiv 1908.10084), or what `1_Pooling/config.json` of sentence-transformers says
    (mean or class token). All are scaled to length 1, as their training compares directions. A text that is too long
    loses its end.

    Args:
        name: a folder that `save_pretrained` wrote, or the name of a model of the hub that was fetched before.
        device: of torch.

    Raises CheckpointError, in one line, where the model is missing, damaged or of a type not listed in TOWERS.
    """

    def __init__(self, name: str, device: str = "cpu"):
        folder = find_model(name)
        kind = supported_type(folder, name, TOWERS, "text encoder")
        self._tower = TOWERS[kind]
        self._device = torch.device(device)
        self._first_token = _pools_first_token(folder, name)
        self._tokenizer = _load_tokenizer(folder, name)
        self._network = load_tower(folder, name, self._tower.network, self._tower.part).to(self._device)
        room = self._network.config.max_position_embeddings - (2 if kind in SHIFTED else 0)
        self._room = min(room, self._tokenizer.model_max_length)
        self.name = name
        self.fingerprint = fingerprint(
            self._network, self._tower, self._first_token, self._room, _tokenizer_text(self._tokenizer)
        )
        self.dimension = len(self._encode("text"))

    def encode(self, text: str) -> Array:
        """Encode one text: a unit vector, float32 (dimension,); zeros for an empty text."""
        if not text.strip():
            return np.zeros(self.dimension, np.float32)
        return self._encode(text)

    @torch.inference_mode()
    def _encode(self, text: str) -> Array:
        tokens = self._tokenizer(
            [text.lower() if self._tower.fill else text],
            padding="max_length" if self._tower.fill else True,
            truncation=True,
            max_length=self._room,
            return_tensors="pt",
        ).to(self._device)
        inputs = {"input_ids": tokens["input_ids"]}
        if int(tokens["input_ids"].max()) >= self._network.config.vocab_size:
            raise CheckpointError(f"the tokenizer and the network of {self.name} do not belong together")
        if not self._tower.fill:
            inputs["attention_mask"] = tokens["attention_mask"]
        output: Tensor = self._network(**inputs)[self._tower.output]
        if self._tower.output == "last_hidden_state":
            # one text alone has no padding: every token counts
            output = output[:, 0] if self._first_token else output.mean(1)
        return torch.nn.functional.normalize(output[0].float(), dim=0).cpu().numpy()


def _load_tokenizer(folder: Path, name: str) -> Any:
    # without its words transformers makes a tokenizer that knows none
    if not any((folder / file).is_file() for file in VOCABULARIES):
        raise CheckpointError(f"the tokenizer of {name} is missing ({', '.join(VOCABULARIES)}); {again(name)}")
    try:
        with quiet():
            return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except DAMAGED as error:
        raise CheckpointError(f"the tokenizer of {name} is damaged; {again(name)}") from error


def _pools_first_token(folder: Path, name: str) -> bool:
    """Whether a sentence encoder's feature is its first token. Raises CheckpointError for what is not known here."""
    if (folder / "2_Dense").exists():
        raise CheckpointError(f"{name} adds a dense layer after pooling, which is not supported; use another model")
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        return False
    modes = {key for key, on in read_json(path, name).items() if key.startswith("pooling_mode") and on}
    known = {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}
    if len(modes) != 1 or not modes <= set(known):
        wanted = ", ".join(sorted(modes)) or "none"
        raise CheckpointError(f"{path} asks for {wanted}; only the mean or the class token is supported")
    return known[modes.pop()]


def _tokenizer_text(tokenizer: Any) -> str:
    """All that a tokenizer goes by."""
    if tokenizer.is_fast:
        return str(tokenizer.backend_tokenizer.to_str())
    return repr(sorted(tokenizer.get_vocab().items()))
