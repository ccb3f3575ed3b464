"""What benchmarks of speed are measured on: moving shapes on video, a random CLIP, and an untrained SARM upon it.

No trained weights are needed to know how long scoring takes. Nothing here is fetched from anywhere.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from headway.episodes import Array, Episode, Stage
from headway.learned.checkpoint import load_learned, save_learned
from headway.learned.estimator import Learned
from headway.learned.inputs import InputConfig
from headway.learned.members import Member
from headway.learned.method import Knowledge
from headway.learned.sarm import Sarm, stage_terms
from headway.learned.targets import Scales, StageScale, label
from headway.learned.trunk import Sizes, TrunkConfig
from headway_datasets.lerobot_writer import write_dataset

STAGES = ("reach", "carry", "place")
CAMERA = "top"
FPS = 30
STATE = 7
HISTORY = 8
FIT_STEPS = 200


@dataclass(frozen=True)
class ClipSize:
    """How large a CLIP is; as it stands, openai/clip-vit-base-patch32."""

    text: int = 512
    picture: int = 768
    layers: int = 12
    text_heads: int = 8
    picture_heads: int = 12
    words: int = 49408
    pixels: int = 224
    patch: int = 32
    projection: int = 512


VIT_B_32 = ClipSize()
TINY = ClipSize(64, 64, 2, 2, 2, 54, 32, 16, 32)
SMALL = ClipSize(64, 192, 6, 2, 3, 54, 96, 16, 64)
"""A twentieth of the work of ViT-B/32 in the picture tower."""
PUBLISHED = TrunkConfig(width=768, layers=8, heads=12)
"""Width, layers and heads of SARM's two transformers in the paper (arXiv 2509.25358) and in lerobot."""


@dataclass(frozen=True)
class Drawn:
    """Drawn pictures (`headway.episodes.Frames`): a ball that goes to a box, and carries it to the other side."""

    length: int
    height: int
    width: int
    seed: int

    @property
    def identity(self) -> None:
        return None

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Array]:
        rng = np.random.default_rng(self.seed)
        low, high = 0.2 + 0.1 * rng.random(2), 0.7 + 0.1 * rng.random(2)
        slope = np.linspace(40, 140, self.width, dtype=np.uint8)
        ground = np.repeat(np.stack([slope, slope[::-1], np.full_like(slope, 90)], axis=1)[None], self.height, axis=0)
        scale = np.array([self.width, self.height])
        for frame in range(self.length):
            stage, within = divmod(3 * frame / self.length, 1)
            ball = (low + (high - low) * within) if stage < 1 else (high + (low - high) * within) * (stage < 2)
            box = high if stage < 1 else ball if stage < 2 else low
            picture = ground.copy()
            corner = (box * scale).astype(int)
            cv2.rectangle(
                picture, tuple(corner.tolist()), tuple((corner + self.width // 8).tolist()), (200, 60, 40), -1
            )
            cv2.circle(picture, tuple((ball * scale).astype(int).tolist()), self.width // 14, (60, 200, 80), -1)
            yield picture


def write_shapes(root: Path, episodes: int, frames: int, size: tuple[int, int], codec: str = "av1") -> None:
    """Write a LeRobot v3 dataset of marked episodes of `frames` frames, pictures of `size` (height, width)."""
    write_dataset(root, (_shapes(number, frames, size) for number in range(episodes)), codec=codec)


def _shapes(number: int, frames: int, size: tuple[int, int]) -> Episode:
    ends = [round(frames * share) for share in (1 / 3, 2 / 3, 1)]
    moment = np.arange(frames)[:, None] / frames
    numbers = np.sin(moment * np.arange(1, STATE + 1) + number).astype(np.float32)
    return Episode(
        index=number,
        first_frame=number * frames,
        fps=FPS,
        cameras={CAMERA: Drawn(frames, *size, number)},
        instruction="carry the box over",
        state=numbers,
        action=numbers,
        stages=tuple(Stage(name, start, end) for name, start, end in zip(STAGES, [0, *ends[:-1]], ends, strict=True)),
    )


def save_clip(folder: Path, size: ClipSize) -> None:
    """Write a CLIP of random weights into `folder`, with a processor and a tokenizer of single letters."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    folder.mkdir(parents=True)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    text: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "vocab_size": size.words}
    text |= {"hidden_size": size.text, "intermediate_size": 4 * size.text, "num_attention_heads": size.text_heads}
    picture = {"hidden_size": size.picture, "intermediate_size": 4 * size.picture, "image_size": size.pixels}
    picture |= {"num_attention_heads": size.picture_heads, "patch_size": size.patch}
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config=text | {"num_hidden_layers": size.layers},
        vision_config=picture | {"num_hidden_layers": size.layers},
        projection_dim=size.projection,
    )
    CLIPModel(config).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)
    square = {"height": size.pixels, "width": size.pixels}
    pictures = CLIPImageProcessor(size={"shortest_edge": size.pixels}, crop_size=square)
    CLIPProcessor(pictures, tokenizer).save_pretrained(folder)


def make_sarm(run: Path, clip: Path, size: ClipSize, trunk: TrunkConfig, gap_seconds: float = 1.0) -> Learned:
    """Write an untrained SARM on a CLIP into the folder `run`, and load it as a user would.

    Its window has the nine frames that lerobot's has, a second apart; its present is the last of them.
    """
    inputs = InputConfig((CAMERA,), str(clip), str(clip), True, gap_seconds=gap_seconds, history=HISTORY)
    method = Sarm(inputs, trunk=trunk)
    share = 1 / len(STAGES)
    knowledge = Knowledge(Scales((StageScale(STAGES, (share,) * len(STAGES), (3.0,) * len(STAGES)),)))
    sizes = Sizes((size.projection,), 1, size.projection, STATE, HISTORY)
    torch.manual_seed(0)
    save_learned(run, method, [Member(method.network(sizes, knowledge), sizes, knowledge, frozenset())])
    return load_learned("sarm", run)


def fit_heads(run: Path, estimator: Learned, episodes: list[Episode]) -> Learned:
    """Teach the heads of an untrained SARM (one linear layer each) the marks of some episodes, and load it again.

    Else its progress would hardly move, and no encoder, however rough, could change it.
    """
    (member,) = estimator.members
    network, scales = member.network, member.knowledge.scales
    assert scales is not None
    seen: list[torch.Tensor] = []
    hook = network.norm.register_forward_hook(lambda module, given, found: seen.append(found.clone()))
    list(estimator.estimate(episodes))
    hook.remove()
    present = torch.cat(seen)
    targets = [label(episode, scales.tasks[0]) for episode in episodes]
    stage = torch.as_tensor(np.concatenate([target.stage for target in targets]))
    within = torch.as_tensor(np.concatenate([target.within for target in targets]))
    optimiser = torch.optim.Adam(network.sparse.parameters(), lr=0.01)
    for _ in range(FIT_STEPS):
        logits, within_all = network.sparse(present)
        terms = stage_terms("", logits, within_all, stage, within)
        loss = sum(term.weight * term.total / term.count for term in terms.values())
        optimiser.zero_grad()
        torch.as_tensor(loss).backward()
        optimiser.step()
    save_learned(run, estimator.method, [replace(member, network=network)])
    return load_learned("sarm", run)


def parameters(network: torch.nn.Module) -> int:
    """How many weights a network has."""
    return sum(weight.numel() for weight in network.parameters())
