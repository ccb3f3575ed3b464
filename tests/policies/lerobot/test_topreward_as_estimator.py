"""lerobot's TOPReward as an estimator, on a random Qwen3-VL of few weights in a folder."""

import numpy as np
import pytest
import torch

from headway.episodes import ArrayFrames, Episode
from headway.specs import make_estimator

pytest.importorskip("lerobot.rewards")
from lerobot.rewards.factory import make_reward_model_config
from tokenizers.pre_tokenizers import ByteLevel

MARKS = ("<|endoftext|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
TEMPLATE = (
    "{% for message in messages %}{% for part in message.content %}"
    "{% if part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endfor %}"
)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    from transformers import (
        Qwen2Tokenizer,
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    folder = tmp_path_factory.mktemp("qwen")
    letters = sorted(ByteLevel.alphabet())
    vocabulary = {word: number for number, word in enumerate([*letters, *MARKS])}
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": list(MARKS)})
    small = {"patch_size": 4, "merge_size": 2, "temporal_patch_size": 2}
    Qwen3VLProcessor(
        Qwen2VLImageProcessor(**small),
        tokenizer,
        Qwen3VLVideoProcessor(**small, size={"shortest_edge": 8 * 8, "longest_edge": 16 * 16 * 64}),
        chat_template=TEMPLATE,
    ).save_pretrained(folder)
    size = {"hidden_size": 16, "intermediate_size": 16}
    config = Qwen3VLConfig(
        text_config=size
        | {
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "vocab_size": len(tokenizer),
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]},
        },
        vision_config=size
        | {
            "depth": 1,
            "num_heads": 2,
            "out_hidden_size": 16,
            "patch_size": 4,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0],
        },
        **{f"{name}_token_id": vocabulary[f"<|{name}|>"] for name in ("vision_start", "vision_end")},
        **{f"{name}_token_id": vocabulary[f"<|{name}_pad|>"] for name in ("image", "video")},
    )
    torch.manual_seed(0)
    Qwen3VLForConditionalGeneration(config).save_pretrained(folder)
    return folder


def test_it_is_a_log_probability_of_the_frames_so_far_and_no_progress(qwen, tmp_path, curve_of):
    settings = {"vlm_name": str(qwen), "device": "cpu", "torch_dtype": "float32", "max_frames": 4}
    config = make_reward_model_config("topreward", **settings)
    config._save_pretrained(tmp_path)
    estimator = make_estimator(f"lerobot:{tmp_path}")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (12, 16, 16, 3), dtype=np.uint8)
    long, short = (Episode(0, 0, 5.0, {"top": ArrayFrames(part)}, "stack") for part in (pixels, pixels[:7]))
    curve, early = curve_of(estimator, long), curve_of(estimator, short)
    assert (curve.raw < 0).all()
    assert np.ptp(curve.raw) > 0
    np.testing.assert_allclose(early.raw, curve.raw[:7], atol=1e-5)
    assert np.isnan(curve.values).all()
    assert "no known scale" in curve.reason
    assert estimator.needs.instruction
    assert not estimator.needs.whole_episode
