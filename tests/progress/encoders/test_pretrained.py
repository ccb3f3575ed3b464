"""Models of transformers: what comes out is what transformers computes, and bad folders are told in one line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

from headway.encoders.make import make_frame_encoder
from headway.errors import CheckpointError

PICTURE_MODELS = (
    "clip",
    "siglip",
    "siglip2",
    "dinov2",
    "dinov2_with_registers",
    "dinov3_vit",
    "dinov3_convnext",
    "vjepa2",
)


@torch.inference_mode()
def reference(kind: str, folder: Path, pictures: list[np.ndarray]) -> np.ndarray:
    """The same features through the whole model, two towers and all."""
    model = hf.AutoModel.from_pretrained(folder).eval()
    if kind == "vjepa2":
        twice = [np.stack([picture, picture]) for picture in pictures]
        inputs = hf.AutoVideoProcessor.from_pretrained(folder)(videos=twice, return_tensors="pt")
        return model(**inputs).last_hidden_state.mean(1).numpy()
    inputs = hf.AutoImageProcessor.from_pretrained(folder)(images=pictures, return_tensors="pt")
    if kind == "clip":
        return model.visual_projection(model.vision_model(**inputs).pooler_output).numpy()
    tower = model.vision_model if kind.startswith("siglip") else model
    return tower(**inputs).pooler_output.numpy()


@pytest.mark.parametrize("kind", PICTURE_MODELS)
def test_features_are_those_of_transformers_however_pictures_are_batched(kind, saved, pictures):
    encoder = make_frame_encoder(str(saved(kind)))
    features = encoder.encode(pictures)
    assert features.dtype == encoder.dtype == np.float32
    assert features.shape == (len(pictures), *encoder.shape)
    np.testing.assert_allclose(features, reference(kind, saved(kind), pictures), atol=1e-5, rtol=1e-4)
    for place in (0, 34):
        np.testing.assert_allclose(encoder.encode([pictures[place]])[0], features[place], atol=1e-5, rtol=1e-4)
    assert np.abs(features[0] - features[1]).max() > 1e-3
    assert encoder.encode([]).shape == (0, *encoder.shape)


def test_the_towers_own_checkpoint_gives_what_the_whole_model_gives(saved, pictures, tmp_path):
    for kind, tower in (("clip", "CLIPVisionModelWithProjection"), ("siglip", "SiglipVisionModel")):
        folder = tmp_path / kind
        whole = hf.AutoConfig.from_pretrained(saved(kind))
        whole.vision_config.projection_dim = 12
        getattr(hf, tower).from_pretrained(saved(kind), config=whole.vision_config).save_pretrained(folder)
        shutil.copy(saved(kind) / "preprocessor_config.json", folder)
        alone = make_frame_encoder(str(folder)).encode(pictures[:2])
        np.testing.assert_allclose(alone, make_frame_encoder(str(saved(kind))).encode(pictures[:2]), atol=1e-6)


def test_nothing_of_the_network_can_be_trained(saved):
    encoder = make_frame_encoder(str(saved("dinov2")))
    assert not any(weight.requires_grad for weight in encoder._network.parameters())
    assert not encoder._network.training


def test_the_fingerprint_follows_the_content_not_the_place(saved, tmp_path):
    original = make_frame_encoder(str(saved("dinov2"))).fingerprint
    folder = copy_of(saved("dinov2"), tmp_path)
    assert make_frame_encoder(str(folder)).fingerprint == original

    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps({**settings, "image_mean": [0.4, 0.4, 0.4]}))
    assert make_frame_encoder(str(folder)).fingerprint != original
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))

    weights = load_file(folder / "model.safetensors")
    last = sorted(weights)[-1]
    weights[last].view(-1)[-1] += 1e-3
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert make_frame_encoder(str(folder)).fingerprint != original


def test_loading_says_nothing_and_leaves_transformers_as_it_was(saved, capfd):
    verbosity = hf.utils.logging.get_verbosity()
    make_frame_encoder(str(saved("clip")))
    assert capfd.readouterr() == ("", "")
    assert hf.utils.logging.get_verbosity() == verbosity
    assert hf.utils.logging.is_progress_bar_enabled()


def copy_of(folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folder, tmp_path / "model")


def refused(spec: object, *words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        make_frame_encoder(str(spec))
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_absent_models_are_told_with_the_command_that_fetches_them(tmp_path):
    refused("nobody/no-such-model", "nobody/no-such-model", "headway fetch nobody/no-such-model")
    refused(tmp_path / "nowhere", "nowhere", "no folder")
    refused(tmp_path, "config.json")
    (tmp_path / "clip.txt").write_text("x")
    refused(tmp_path / "clip.txt", "no folder")


def test_damaged_folders_are_told_in_one_line(saved, tmp_path):
    folder = copy_of(saved("dinov2"), tmp_path)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    refused(folder, "weights", "cannot be loaded")
    (folder / "model.safetensors").write_bytes(b"<html>")
    refused(folder, "weights", "cannot be loaded")
    (folder / "model.safetensors").write_bytes(weights)

    settings = (folder / "preprocessor_config.json").read_text()
    (folder / "preprocessor_config.json").unlink()
    refused(folder, "preprocessor_config.json")
    (folder / "preprocessor_config.json").write_text(settings)

    (folder / "config.json").write_text('{"model_type": "dinov2"')
    refused(folder, "config.json", "JSON")
    (folder / "config.json").write_text("[]")
    refused(folder, "config.json")
    (folder / "config.json").write_text("{}")
    refused(folder, "model_type")
    (folder / "config.json").write_text('{"model_type": "gpt2"}')
    refused(folder, "'gpt2'", "no frame encoder", "siglip")
    (folder / "config.json").write_text('{"model_type": "dinov2", "hidden_size": 24}')
    refused(folder, "cannot be loaded")


def test_weights_that_the_file_lacks_are_not_drawn_at_random(saved, tmp_path):
    folder = copy_of(saved("dinov2"), tmp_path)
    weights = load_file(folder / "model.safetensors")
    del weights["layernorm.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    refused(folder, "lack 1 part", "layernorm.weight")


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def test_no_pickle_and_no_code_of_the_folder_is_run(saved, tmp_path):
    folder, mark = copy_of(saved("dinov2"), tmp_path), tmp_path / "mark"
    (folder / "trap.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Trap: pass\n")
    for name in ("config.json", "preprocessor_config.json"):
        content = json.loads((folder / name).read_text())
        content["auto_map"] = dict.fromkeys(("AutoConfig", "AutoModel", "AutoImageProcessor"), "trap.Trap")
        (folder / name).write_text(json.dumps(content))
    make_frame_encoder(str(folder))
    (folder / "model.safetensors").unlink()
    torch.save({"trap": Trap(mark)}, folder / "pytorch_model.bin")
    refused(folder, "no weights as .safetensors")
    assert not mark.exists()
