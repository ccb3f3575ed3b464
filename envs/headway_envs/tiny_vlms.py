"""Random vision-language models of two layers, saved as their real counterparts are, with a byte-level tokenizer.

They see nothing and mean nothing; but they are of the real classes, so that what is exact about those (templates,
caches, positions) can be checked, and what is slow can be timed, without any weights at hand.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

QWEN_MARKS = ("<|im_end|>", "<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
SMOL_MARKS = ("<end_of_utterance>", "<|im_start|>", "<fake_token_around_image>", "<image>", "<global-img>")
# the two turns are told apart by the start of the next, as in the real ones
QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SMOL_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}{{ '<image>' }}"
    "{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
TEXT: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}
# a head's 8 pairs of angles: time, height, width
ROPE: dict[str, Any] = {"rope_type": "default", "mrope_section": [4, 2, 2], "rope_theta": 10000.0}


def tokenizer(marks: tuple[str, ...]) -> hf.PreTrainedTokenizerFast:
    """Bytes, and the words True and " True" as one token each; " False" is six."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("T", "r"), ("Tr", "u"), ("Tru", "e"), ("Ġ", "True")]
    vocabulary = {text: number for number, text in enumerate([*alphabet, *(a + b for a, b in merges)])}
    made = Tokenizer(models.BPE(vocabulary, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    return hf.PreTrainedTokenizerFast(tokenizer_object=made, eos_token=marks[0], pad_token=marks[0])


def _qwen(model: Any, config: Any, vision: dict[str, Any], processor: Any, merge: dict[str, Any]) -> tuple[Any, Any]:
    words = tokenizer(QWEN_MARKS)
    ids = {
        name: words.convert_tokens_to_ids(mark)
        for name, mark in (
            ("image_token_id", "<|image_pad|>"),
            ("video_token_id", "<|video_pad|>"),
            ("vision_start_token_id", "<|vision_start|>"),
            ("vision_end_token_id", "<|vision_end|>"),
        )
    }
    ends: dict[str, Any] = {
        "bos_token_id": None,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }
    text = {**TEXT, **ends, "vocab_size": len(words), "rope_parameters": ROPE, "head_dim": 16}
    network = model(config(text_config=text, vision_config=vision, **ids, tie_word_embeddings=False))
    pictures = hf.Qwen2VLImageProcessor(**merge, min_pixels=32 * 32, max_pixels=128 * 128)
    videos = hf.Qwen3VLVideoProcessor(**merge) if "Qwen3" in model.__name__ else hf.Qwen2VLVideoProcessor(**merge)
    return network, processor(pictures, words, videos, chat_template=QWEN_TEMPLATE)


def qwen3() -> tuple[Any, Any]:
    vision: dict[str, Any] = {
        "depth": 2,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_heads": 4,
        "out_hidden_size": 64,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0],
    }
    merge: dict[str, Any] = {"patch_size": 16, "merge_size": 2}
    return _qwen(hf.Qwen3VLForConditionalGeneration, hf.Qwen3VLConfig, vision, hf.Qwen3VLProcessor, merge)


def qwen2_5() -> tuple[Any, Any]:
    vision: dict[str, Any] = {
        "depth": 2,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_heads": 4,
        "out_hidden_size": 64,
        "patch_size": 16,
        "window_size": 64,
        "fullatt_block_indexes": [1],
    }
    merge: dict[str, Any] = {"patch_size": 16, "merge_size": 2}
    return _qwen(hf.Qwen2_5_VLForConditionalGeneration, hf.Qwen2_5_VLConfig, vision, hf.Qwen2_5_VLProcessor, merge)


def qwen2() -> tuple[Any, Any]:
    vision: dict[str, Any] = {
        "depth": 2,
        "embed_dim": 64,
        "hidden_size": 64,
        "num_heads": 4,
        "patch_size": 16,
        "mlp_ratio": 2,
    }
    merge: dict[str, Any] = {"patch_size": 16, "merge_size": 2}
    return _qwen(hf.Qwen2VLForConditionalGeneration, hf.Qwen2VLConfig, vision, hf.Qwen2VLProcessor, merge)


def _smol(model: Any, config: Any, pictures: Any) -> tuple[Any, Any]:
    words = tokenizer(SMOL_MARKS)
    vision: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 64,
        "patch_size": 16,
    }
    ends: dict[str, Any] = {"pad_token_id": words.pad_token_id, "eos_token_id": words.eos_token_id}
    network = model(
        config(
            text_config=hf.LlamaConfig(**TEXT, vocab_size=len(words), **ends),
            vision_config=vision,
            scale_factor=2,
            image_token_id=words.convert_tokens_to_ids("<image>"),
            tie_word_embeddings=False,
            **ends,
        )
    )
    size: dict[str, Any] = {"size": {"longest_edge": 128}, "max_image_size": {"longest_edge": 64}}
    return network, hf.Idefics3Processor(pictures(**size), words, image_seq_len=4, chat_template=SMOL_TEMPLATE)


MODELS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "qwen3": qwen3,
    "qwen2_5": qwen2_5,
    "qwen2": qwen2,
    "smolvlm": lambda: _smol(hf.SmolVLMForConditionalGeneration, hf.SmolVLMConfig, hf.SmolVLMImageProcessor),
    "idefics3": lambda: _smol(hf.Idefics3ForConditionalGeneration, hf.Idefics3Config, hf.Idefics3ImageProcessor),
}


def save_tiny_vlm(kind: str, folder: Path) -> None:
    """Save a model of one of the kinds of MODELS, with its processor; the same weights each time."""
    torch.manual_seed(len(kind))
    network, processor = MODELS[kind]()
    # ten times what is usual, so that what a picture shows changes an answer by far more than rounding
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
