"""Text towers and sentence encoders against what transformers computes."""

import json
import shutil

import numpy as np
import pytest
import torch
import transformers as hf

from headway.encoders.make import make_text_encoder
from headway.errors import CheckpointError, InvalidValue
from headway.text import encode_text

TEXTS = ("put the red cube in", "open the drawer")


def unit(vectors: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(vectors, dim=-1).numpy()


@torch.inference_mode()
def two_tower_reference(kind, folder):
    model = hf.AutoModel.from_pretrained(folder).eval()
    tokens = hf.AutoTokenizer.from_pretrained(folder)(list(TEXTS), padding="max_length", max_length=8)
    numbers = torch.tensor(tokens["input_ids"])
    if kind == "clip":
        mask = torch.tensor(tokens["attention_mask"])
        return unit(model.text_projection(model.text_model(numbers, attention_mask=mask).pooler_output))
    return unit(model.text_model(numbers).pooler_output)


@pytest.mark.parametrize("kind", ["clip", "siglip", "siglip2"])
def test_text_towers_give_what_transformers_gives(kind, saved):
    encoder = make_text_encoder(str(saved(kind)))
    features = np.stack([encoder.encode(text) for text in TEXTS])
    assert features.dtype == np.float32
    assert features.shape == (2, encoder.dimension)
    np.testing.assert_allclose(features, two_tower_reference(kind, saved(kind)), atol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_sentence_encoders_average_over_the_words_and_not_over_padding(kind, saved):
    encoder = make_text_encoder(str(saved(kind)))
    model = hf.AutoModel.from_pretrained(saved(kind)).eval()
    # the padded place is told apart by the mask; both texts go through the network together
    tokens = hf.AutoTokenizer.from_pretrained(saved(kind))(["put the red", "open drawer"], padding=True)
    mask = torch.tensor(tokens["attention_mask"])
    with torch.inference_mode():
        hidden = model(torch.tensor(tokens["input_ids"]), attention_mask=mask).last_hidden_state
    mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    features = [encoder.encode("put the red"), encoder.encode("open drawer")]
    np.testing.assert_allclose(features, unit(mean), atol=1e-5)


def with_pooling(folder, tmp_path, **modes):
    copy = shutil.copytree(folder, tmp_path / "model", dirs_exist_ok=True)
    (copy / "1_Pooling").mkdir(exist_ok=True)
    (copy / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 16, **modes}))
    return copy


def test_the_pooling_is_what_sentence_transformers_wrote_down(saved, tmp_path):
    mean = make_text_encoder(str(saved("bert")))
    folder = with_pooling(saved("bert"), tmp_path, pooling_mode_mean_tokens=True, pooling_mode_cls_token=False)
    same = make_text_encoder(str(folder))
    np.testing.assert_array_equal(same.encode(TEXTS[0]), mean.encode(TEXTS[0]))
    assert same.fingerprint == mean.fingerprint

    with_pooling(saved("bert"), tmp_path, pooling_mode_mean_tokens=False, pooling_mode_cls_token=True)
    first = make_text_encoder(str(folder))
    model = hf.AutoModel.from_pretrained(folder).eval()
    tokens = hf.AutoTokenizer.from_pretrained(folder)(TEXTS[0], return_tensors="pt")
    with torch.inference_mode():
        hidden = model(tokens["input_ids"]).last_hidden_state
    np.testing.assert_allclose(first.encode(TEXTS[0]), unit(hidden[0, 0]), atol=1e-5)
    assert first.fingerprint != mean.fingerprint

    with_pooling(saved("bert"), tmp_path, pooling_mode_max_tokens=True)
    with pytest.raises(CheckpointError, match="pooling_mode_max_tokens"):
        make_text_encoder(str(folder))
    with_pooling(saved("bert"), tmp_path, pooling_mode_mean_tokens=True)
    (folder / "2_Dense").mkdir()
    with pytest.raises(CheckpointError, match="dense layer"):
        make_text_encoder(str(folder))


@pytest.mark.parametrize("kind", ["clip", "siglip", "bert", "roberta"])
def test_empty_texts_are_zeros_and_long_ones_lose_their_end(kind, saved):
    encoder = make_text_encoder(str(saved(kind)))
    assert not encoder.encode("").any()
    assert not encoder.encode("  \n").any()
    assert encoder.encode("").shape == (encoder.dimension,)
    long = encoder.encode("put the red cube in the drawer " * 50)
    assert np.isclose(np.linalg.norm(long), 1, atol=1e-5)


def test_siglip_reads_lower_case_as_it_was_trained(saved):
    encoder = make_text_encoder(str(saved("siglip")))
    np.testing.assert_array_equal(encoder.encode("Put The Red Cube"), encoder.encode("put the red cube"))


def test_another_tokenizer_is_another_encoder(saved, tmp_path):
    folder = shutil.copytree(saved("bert"), tmp_path / "model")
    text = (folder / "tokenizer.json").read_text()
    assert '"cube": 7' in text
    (folder / "tokenizer.json").write_text(text.replace('"cube": 7', '"bowl": 7'))
    before, after = make_text_encoder(str(saved("bert"))), make_text_encoder(str(folder))
    assert before.fingerprint != after.fingerprint


def test_what_is_missing_is_told_in_one_line(saved, tmp_path):
    with pytest.raises(CheckpointError, match="headway fetch nobody/no-such-model"):
        make_text_encoder("nobody/no-such-model")
    with pytest.raises(CheckpointError, match="no text encoder"):
        make_text_encoder(str(saved("dinov2")))
    folder = shutil.copytree(saved("bert"), tmp_path / "model")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(CheckpointError, match="tokenizer"):
        make_text_encoder(str(folder))
    for file in saved("bert").glob("tokenizer*"):
        shutil.copy(file, folder)
    (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text().replace('"cube": 7', '"cube": 70'))
    with pytest.raises(CheckpointError, match="do not belong together"):
        make_text_encoder(str(folder)).encode("cube")
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match="tokenizer"):
        make_text_encoder(str(folder))
    with pytest.raises(InvalidValue, match="needs a name"):
        make_text_encoder("")


def test_ngrams_need_nothing():
    encoder = make_text_encoder("ngrams")
    np.testing.assert_array_equal(encoder.encode(TEXTS[0]), encode_text(TEXTS[0]))
    assert encoder.encode("").shape == (encoder.dimension,)
