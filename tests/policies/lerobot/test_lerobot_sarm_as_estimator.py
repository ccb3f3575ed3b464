"""lerobot's own SARM as an estimator, with a random CLIP of few weights laid where lerobot looks for the real one."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from headway.episodes import ArrayFrames
from headway.errors import DatasetError
from headway.specs import make_estimator

pytest.importorskip("lerobot.rewards")
pytest.importorskip("faker", reason="lerobot's SARM processor asks for it (lerobot[sarm])")
from dataclasses import replace

import huggingface_hub.constants
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.rewards.factory import make_reward_model, make_reward_model_config, make_reward_pre_post_processors

CLIP = "openai/clip-vit-base-patch32"
GAP = 3


def save_clip(folder: Path) -> None:
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    config = CLIPConfig(
        text_config={**small, **ends, "vocab_size": len(words), "max_position_embeddings": 16},
        vision_config={**small, "image_size": 32, "patch_size": 16},
        projection_dim=12,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)
    pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(pictures, tokenizer).save_pretrained(folder)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A hub cache in which CLIP's place is taken; the code that looks for it is the real one."""
    cache = tmp_path_factory.mktemp("hub")
    home = cache / f"models--{CLIP.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs/main").write_text("0" * 40)
    save_clip(home / "snapshots" / ("0" * 40))
    patch = pytest.MonkeyPatch()
    patch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def sarm(clip, root, tmp_path_factory):
    """lerobot's SARM for the toy task, and its preprocessor, saved as lerobot-train saves them."""
    folder = tmp_path_factory.mktemp("sarm")
    dataset = LeRobotDataset("local/slider", root=root, video_backend="pyav")
    small = {"hidden_dim": 12, "num_heads": 2, "num_layers": 1, "image_dim": 12, "text_dim": 12, "frame_gap": GAP}
    # left in training its processor would show every batch with a wrong instruction
    small["language_perturbation_probability"] = 1.0
    config = make_reward_model_config("sarm", device="cpu", image_key="observation.images.top", **small)
    torch.manual_seed(0)
    model = make_reward_model(config, dataset_meta=dataset.meta).eval()
    process, _ = make_reward_pre_post_processors(config, dataset_stats=dataset.meta.stats, dataset_meta=dataset.meta)
    model.save_pretrained(folder)
    process.save_pretrained(folder)
    return folder, model, process


def test_it_is_read_at_the_centre_of_its_window_as_lerobots_own_script_does(sarm, root, source, curve_of):
    folder, model, process = sarm
    estimator = make_estimator(f"lerobot:{folder}")
    deltas = [delta / 10 for delta in model.config.observation_delta_indices]
    keys = dict.fromkeys(("observation.images.top", "observation.state"), deltas)
    dataset = LeRobotDataset("local/slider", root=root, delta_timestamps=keys, video_backend="pyav")
    for step in process.steps:
        if hasattr(step, "eval"):
            step.eval()
    episode = source.episode(1)
    curve = curve_of(estimator, episode)
    shifted = []
    for frame in (0, 5, 20, len(episode) - 1):
        sample = dataset[episode.first_frame + frame]
        given = {key: sample[key] for key in keys} | {"task": sample["task"], "index": episode.first_frame + frame}
        # state of one number: lerobot's own processor needs its axis back
        given["observation.state"] = given["observation.state"].reshape(-1, 1)
        ready = process(given | {"episode_index": episode.index})
        every = model.calculate_rewards(
            ready["text_features"],
            ready["video_features"],
            ready["state_features"],
            lengths=ready["lengths"],
            return_all_frames=True,
        )
        centre = model.config.n_obs_steps // 2
        assert curve.raw[frame] == pytest.approx(every[0, centre], abs=1e-5)
        shifted.append(abs(every[0, centre] - every[0, -5]))
    np.testing.assert_array_equal(curve.values, curve.raw.clip(0, 1))
    assert max(shifted) > 1e-3, "the places of the window must differ"


def test_it_looks_ahead_and_says_so(sarm, source, curve_of):
    estimator = make_estimator(f"lerobot:{sarm[0]}")
    assert estimator.needs.whole_episode
    assert estimator.needs.state
    whole = source.episode(1)
    short = replace(
        whole,
        cameras={"top": ArrayFrames(np.stack(list(whole.camera("top")))[:20])},
        state=whole.state[:20],
        **dict.fromkeys(("environment_state", "action", "timestamps", "stages", "dense_stages", "truth")),
    )
    early, late = (curve_of(estimator, episode).values for episode in (short, whole))
    assert np.abs(early - late[:20])[-8:].max() > 1e-5, "the end of a cut episode is judged otherwise"


def test_without_the_state_it_was_trained_with_it_refuses(sarm, source, curve_of):
    with pytest.raises(DatasetError, match=r"observation\.state"):
        curve_of(make_estimator(f"lerobot:{sarm[0]}"), replace(source.episode(1), state=None))
