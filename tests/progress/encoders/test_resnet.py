"""Checkpoints of VIP, R3M and LIV, random but in the layout their authors publish."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch.nn import functional as fn
from torchvision import transforms

from headway.encoders.clip_resnet import ClipResNet
from headway.encoders.make import make_frame_encoder
from headway.errors import CheckpointError

IMAGENET = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
CLIP = transforms.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


def convnet(depth: int, out: int | None) -> torch.nn.Module:
    torch.manual_seed(depth)
    network = getattr(torchvision.models, f"resnet{depth}")(weights=None)
    network.fc = torch.nn.Identity() if out is None else torch.nn.Linear(network.fc.in_features, out)
    scramble(network)
    return network.eval()


def scramble(network: torch.nn.Module) -> None:
    """Give normalisation layers statistics of their own: as made, they do nothing."""
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(layer.weight, 0.5, 1.0)


def published(network: torch.nn.Module, key: str, prefix: str, **others: torch.Tensor) -> dict:
    """{key: weights of a DataParallel, beside what else training kept}."""
    weights = {f"{prefix}{name}": value for name, value in network.state_dict().items()}
    return {key: {**weights, **others}, "global_step": 3}


@torch.inference_mode()
def reference(network: torch.nn.Module, pictures: list[np.ndarray]) -> np.ndarray:
    prepare = transforms.Compose([transforms.Resize(256, antialias=True), transforms.CenterCrop(224), IMAGENET])
    stacked = torch.stack([torch.from_numpy(picture).permute(2, 0, 1) / 255.0 for picture in pictures])
    return network(prepare(stacked)).numpy()


def test_vip(tmp_path, pictures):
    network = convnet(50, 1024)
    torch.save(published(network, "vip", "module.convnet."), tmp_path / "model.pt")
    encoder = make_frame_encoder(str(tmp_path / "model.pt"))
    assert encoder.shape == (1024,)
    np.testing.assert_allclose(encoder.encode(pictures[:2]), reference(network, pictures[:2]), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("depth", [18, 34])
def test_r3m(depth, tmp_path, pictures):
    network = convnet(depth, None)
    head = {"module.lang_rew.pred.0.weight": torch.ones(4, 4), "module.lang_enc.model.x": torch.ones(2)}
    torch.save(published(network, "r3m", "module.convnet.", **head), tmp_path / "model.pt")
    encoder = make_frame_encoder(str(tmp_path))
    assert encoder.shape == (512,)
    features = encoder.encode(pictures[:3])
    np.testing.assert_allclose(features, reference(network, pictures[:3]), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(encoder.encode(pictures[2:3])[0], features[2], rtol=1e-4, atol=1e-5)


def liv_weights(width: int = 16, blocks: tuple[int, ...] = (2, 1, 2, 1), places: int = 4, out: int = 24) -> dict:
    """Weights by the names that CLIP gives them, drawn at random."""
    generator = torch.Generator().manual_seed(0)
    weights: dict[str, torch.Tensor] = {}

    def draw(name: str, *shape: int) -> None:
        weights[name] = torch.randn(*shape, generator=generator) * (2 / max(1, np.prod(shape[1:]))) ** 0.5

    def convolution(number: int, prefix: str, after: int, before: int, kernel: int) -> None:
        draw(f"{prefix}conv{number}.weight", after, before, kernel, kernel)
        norm(f"{prefix}bn{number}", after)

    def norm(name: str, channels: int) -> None:
        for part in ("weight", "running_var"):
            weights[f"{name}.{part}"] = 0.5 + torch.rand(channels, generator=generator)
        for part in ("bias", "running_mean"):
            weights[f"{name}.{part}"] = 0.2 * torch.randn(channels, generator=generator)
        weights[f"{name}.num_batches_tracked"] = torch.tensor(7)

    convolution(1, "", width // 2, 3, 3)
    convolution(2, "", width // 2, width // 2, 3)
    convolution(3, "", width, width // 2, 3)
    before = width
    for stage, count in enumerate(blocks, 1):
        inner = width * 2 ** (stage - 1)
        for block in range(count):
            prefix = f"layer{stage}.{block}."
            convolution(1, prefix, inner, before, 1)
            convolution(2, prefix, inner, inner, 3)
            convolution(3, prefix, 4 * inner, inner, 1)
            if block == 0:
                draw(f"{prefix}downsample.0.weight", 4 * inner, before, 1, 1)
                norm(f"{prefix}downsample.1", 4 * inner)
            before = 4 * inner
    draw("attnpool.positional_embedding", places + 1, before)
    for name in ("k_proj", "q_proj", "v_proj", "c_proj"):
        draw(f"attnpool.{name}.weight", out if name == "c_proj" else before, before)
        draw(f"attnpool.{name}.bias", out if name == "c_proj" else before)
    return weights


def liv_reference(w: dict[str, torch.Tensor], pictures: list[np.ndarray], side: int) -> np.ndarray:
    """The image tower of CLIP RN50 after its paper and the names of its weights, one layer after another."""

    def norm(x, name):
        parts = [w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return fn.batch_norm(x, *parts)

    def block(x, prefix, stride):
        y = fn.relu(norm(fn.conv2d(x, w[f"{prefix}.conv1.weight"]), f"{prefix}.bn1"))
        y = fn.relu(norm(fn.conv2d(y, w[f"{prefix}.conv2.weight"], padding=1), f"{prefix}.bn2"))
        y = norm(fn.conv2d(fn.avg_pool2d(y, stride), w[f"{prefix}.conv3.weight"]), f"{prefix}.bn3")
        if f"{prefix}.downsample.0.weight" in w:
            x = norm(fn.conv2d(fn.avg_pool2d(x, stride), w[f"{prefix}.downsample.0.weight"]), f"{prefix}.downsample.1")
        return fn.relu(x + y)

    prepare = transforms.Compose([transforms.Resize(side, antialias=False), transforms.CenterCrop(side), CLIP])
    x = prepare(torch.stack([torch.from_numpy(picture).permute(2, 0, 1) / 255.0 for picture in pictures]))
    for number in (1, 2, 3):
        x = fn.conv2d(x, w[f"conv{number}.weight"], stride=2 if number == 1 else 1, padding=1)
        x = fn.relu(norm(x, f"bn{number}"))
    x = fn.avg_pool2d(x, 2)
    for name in sorted({re.match(r"layer\d\.\d", key)[0] for key in w if key.startswith("layer")}):
        x = block(x, name, 2 if name.endswith(".0") and not name.startswith("layer1") else 1)
    x = x.flatten(2).permute(2, 0, 1)
    x = torch.cat([x.mean(0, keepdim=True), x]) + w["attnpool.positional_embedding"][:, None]
    q, k, v, c = (w[f"attnpool.{name}_proj.weight"] for name in "qkvc")
    biases = torch.cat([w[f"attnpool.{name}_proj.bias"] for name in "qkv"])
    pooled, _ = fn.multi_head_attention_forward(
        x[:1], x, x, x.shape[-1], x.shape[-1] // 64, None, biases, None, None, False, 0.0, c,
        w["attnpool.c_proj.bias"], training=False, need_weights=False,
        use_separate_proj_weight=True, q_proj_weight=q, k_proj_weight=k, v_proj_weight=v,
    )  # fmt: skip
    return pooled[0].numpy()


def test_liv(tmp_path, pictures):
    # a training run of LIV keeps its weights in float16, as CLIP's do
    weights = {name: w.half() if w.is_floating_point() else w for name, w in liv_weights().items()}
    tower = {f"module.model.visual.{name}": value for name, value in weights.items()}
    text = {"module.model.positional_embedding": torch.ones(3, 3), "module.model.logit_scale": torch.tensor(1.0)}
    torch.save({"liv": {**tower, **text}, "optimizer": {"state": {0: torch.ones(2)}}}, tmp_path / "model.pt")
    encoder = make_frame_encoder(str(tmp_path / "model.pt"))
    features = encoder.encode(pictures[:3])
    expected = liv_reference({name: w.float() for name, w in weights.items()}, pictures[:3], 64)
    assert features.shape == (3, 24)
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    assert np.abs(features[0] - features[1]).max() > 1e-2 * np.abs(expected).max()


def test_the_network_of_liv_has_the_size_of_clips():
    with torch.device("meta"):
        network = ClipResNet(width=64, blocks=(3, 4, 6, 3), side=224, dimension=1024)
    # the image tower of CLIP RN50, by CLIP's own count
    assert sum(weight.numel() for weight in network.parameters()) == 38_316_896


def test_the_kind_of_file_does_not_matter_and_the_weights_do(tmp_path):
    network = convnet(18, 8)
    torch.save(published(network, "vip", "module.convnet."), tmp_path / "model.pt")
    weights = {f"convnet.{name}": value for name, value in network.state_dict().items()}
    save_file(weights, tmp_path / "same.safetensors")
    weights["convnet.fc.bias"][3] += 1e-4
    save_file(weights, tmp_path / "other.safetensors")
    first, same, other = (
        make_frame_encoder(str(tmp_path / name)).fingerprint
        for name in ("model.pt", "same.safetensors", "other.safetensors")
    )
    assert first == same != other


def refused(path: Path, *words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        make_frame_encoder(str(path))
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


class Trap:
    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_files_that_do_not_fit_are_told_in_one_line(tmp_path):
    path, mark = tmp_path / "model.pt", tmp_path / "mark"
    refused(path, "does not exist")
    path.write_bytes(b"<html>")
    refused(path, "cannot be read as weights")
    torch.save({"vip": Trap(mark)}, path)
    refused(path, "cannot be read as weights")
    assert not mark.exists()
    torch.save([1, 2], path)
    refused(path, "no weights by name")
    torch.save({"vip": {"module.encoder.weight": torch.ones(2)}}, path)
    refused(path, "no known layout", "encoder.weight")

    network = convnet(18, None)
    whole = published(network, "r3m", "module.convnet.")
    torch.save(whole, path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    refused(path, "cannot be read as weights")
    del whole["r3m"]["module.convnet.layer2.0.conv1.weight"]
    torch.save(whole, path)
    refused(path, "no whole checkpoint", "layer2.0.conv1.weight")


def test_published_names_load_what_fetch_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADWAY_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="headway fetch r3m"):
        make_frame_encoder("r3m")
    path = tmp_path / "models" / "r3m" / "model.pt"
    path.parent.mkdir(parents=True)
    torch.save(published(convnet(18, None), "r3m", "module.convnet."), path)
    assert make_frame_encoder("r3m").shape == (512,)
