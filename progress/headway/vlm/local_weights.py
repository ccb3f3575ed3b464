"""Vision-language models that lie on this machine: finding, loading and feeding them.

Nothing is downloaded, no code that came with the weights is run, and only safetensors are read.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import transformers

from headway.encoders.pretrained import DAMAGED, again, find_model, load_tower, quiet, supported_type
from headway.episodes import Array
from headway.errors import CheckpointError, InvalidValue
from headway.vlm.chat import NoReply, Part, Picture, Text

FILES = ("*.json", "*.jinja", "*.txt", "*.model", "*.safetensors")


@dataclass(frozen=True)
class Kind:
    """How questions are put to one type of model.

    Attributes:
        processor: the class of transformers that turns texts and pictures into the network's inputs.
        pictures: settings of its picture processor.
    """

    processor: str = "AutoProcessor"
    pictures: Mapping[str, Any] = field(default_factory=dict)


# These cut a picture into tiles after making it larger: some 17 times the tokens, and nothing to see in them.
WHOLE = {"do_image_splitting": False}
# By the model_type of config.json. SmolVLM's own processor wants a package to spell a video's length in words;
# Idefics 3's does the same to pictures.
KINDS = {
    "qwen2_vl": Kind(),
    "qwen2_5_vl": Kind(),
    "qwen3_vl": Kind(),
    "idefics3": Kind("Idefics3Processor", WHOLE),
    "smolvlm": Kind("Idefics3Processor", WHOLE),
}


@dataclass(frozen=True, repr=False)
class LoadedModel:
    """A network in memory and what prepares its inputs.

    Attributes:
        folder: where it was loaded from.
        network: of transformers, to be asked for no gradients.
        processor: of transformers.
        pictures: settings of its picture processor.
    """

    folder: Path
    network: Any
    processor: Any
    pictures: Mapping[str, Any]

    def render(self, parts: Sequence[Part], to_answer: bool) -> str:
        """A user turn in the model's own chat template, and the start of the assistant's turn if it is to answer.

        Raises InvalidValue for a text that holds the model's mark for a picture.
        """
        mark = self.processor.image_token
        for part in parts:
            if isinstance(part, Text) and mark in part.text:
                raise InvalidValue(
                    f"the text {part.text!r:.80} holds {mark}, this model's mark for a picture; reword it"
                )
        content = [
            {"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image"} for part in parts
        ]
        turn = {"role": "user", "content": content}
        return self.processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=to_answer)

    def prepare(self, text: str, pictures: Sequence[Picture]) -> dict[str, Any]:
        """What the network takes for a rendered text and its pictures: a batch of one, so there is no padding."""
        inputs = self.processor(
            text=[text],
            images=[decode(picture) for picture in pictures] or None,
            add_special_tokens=False,
            return_tensors="pt",
            input_data_format="channels_last",
            **self.pictures,
        )
        # nothing is padded, so nothing needs a mask
        del inputs["attention_mask"]
        return dict(inputs.to(self.network.device))

    def tokens(self, text: str) -> list[int]:
        """Numbers of a text's tokens, with nothing put around them."""
        return self.processor.tokenizer(text, add_special_tokens=False)["input_ids"]

    def check_text(self, text: str) -> None:
        """Raises InvalidValue for a text that holds the model's mark for a picture."""
        mark = self.processor.image_token
        if mark in text:
            raise InvalidValue(f"the text {text!r:.80} holds {mark}, this model's mark for a picture; reword it")

    def check_length(self, tokens: int) -> None:
        """Raises NoReply for more tokens than the model has positions."""
        limit = getattr(self.network.config.get_text_config(), "max_position_embeddings", tokens)
        if tokens > limit:
            raise NoReply(
                f"{self.folder.name} takes {limit} tokens and the question has {tokens}, the reply included; "
                "show fewer frames"
            )


def load_model(name: str, device: str) -> LoadedModel:
    """Load a folder that `save_pretrained` wrote, or a model of the hub that was fetched before.

    On CUDA the weights are bfloat16, elsewhere float32.

    Raises CheckpointError, in one line, where the model is missing, damaged or of a type not listed in KINDS.
    """
    folder = find_model(name)
    kind = KINDS[supported_type(folder, name, KINDS, "vision-language model that is run here")]
    processor = _load_processor(folder, name, kind)
    dtype = torch.bfloat16 if torch.device(device).type == "cuda" else torch.float32
    network = load_tower(folder, name, "AutoModelForImageTextToText", dtype=dtype)
    # transformers makes an empty tokenizer out of nothing where its files are missing
    if processor.image_token_id != network.config.image_token_id:
        raise CheckpointError(f"{name} lacks its tokenizer, or has that of another model; {again(name)}")
    return LoadedModel(folder, network.to(device), processor, kind.pictures)


def decode(picture: Picture) -> Array:
    """Uint8 RGB (height, width, 3)."""
    pixels = cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise InvalidValue(f"a picture of {len(picture.data)} bytes cannot be decoded as {picture.media_type}")
    return np.ascontiguousarray(pixels[:, :, ::-1])


def fingerprint(folder: Path) -> str:
    """Sixteen hexadecimal digits from the content of every file that shapes an answer."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in FILES for path in folder.glob(pattern)}):
        with path.open("rb") as file:
            digest.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\0".encode())
    return digest.hexdigest()[:16]


def _load_processor(folder: Path, name: str, kind: Kind) -> Any:
    try:
        with quiet():
            maker = getattr(transformers, kind.processor)
            processor = maker.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except DAMAGED as error:
        raise CheckpointError(
            f"{name} lacks the settings of its tokenizer or picture processor, or they are damaged; {again(name)}"
        ) from error
    if not hasattr(processor, "image_processor"):
        raise CheckpointError(f"{name} lacks the settings of its picture processor; {again(name)}")
    if processor.chat_template is None:
        raise CheckpointError(f"{name} has no chat template, so it takes no questions; take its `Instruct` version")
    return processor
