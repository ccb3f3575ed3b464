"""Prefix scoring: the log-probability of an answer after growing rows of pictures, with and without a cache."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import anyio
import numpy as np
import pytest
import torch
import transformers as hf

from headway.errors import InvalidValue, Unsupported
from headway.vlm.chat import NoReply, Picture, Question, Text
from headway.vlm.clip import encode
from headway.vlm.local import LocalModel
from headway.vlm.local_weights import decode

KINDS = ("qwen3", "qwen2_5", "qwen2", "smolvlm", "idefics3")
BEFORE = "Look: "
AFTER = " These show: put it away. True or not? The answer is:"
ANSWERS = (" True", "True", " False", "False")


def written_out(kind: str, count: int, after: str) -> str:
    """The prompt of `count` pictures, with no template after the text."""
    if kind.startswith("qwen"):
        pictures = "<|vision_start|><|image_pad|><|vision_end|>" * count
        return f"<|im_start|>user\n{BEFORE}{pictures}{after}"
    return f"<|im_start|>User: {BEFORE}{'<image>' * count}{after}"


@torch.inference_mode()
def reference(kind: str, folder: Path, pictures: Sequence[Picture], answer: str, after: str = AFTER) -> np.ndarray:
    """All prefixes in one batch, padded on the left, whole and without a cache, through transformers alone."""
    network = hf.AutoModelForImageTextToText.from_pretrained(folder).eval()
    maker = hf.AutoProcessor if kind.startswith("qwen") else hf.Idefics3Processor
    processor = maker.from_pretrained(folder)
    settings = {} if kind.startswith("qwen") else {"do_image_splitting": False}
    counts = range(1, len(pictures) + 1)
    inputs = processor(
        text=[written_out(kind, count, after) + answer for count in counts],
        images=[[decode(picture) for picture in pictures[:count]] for count in counts],
        padding=True,
        padding_side="left",
        return_tensors="pt",
        **settings,
    )
    length = len(processor.tokenizer(answer)["input_ids"])
    logprobs = network(**inputs).logits.double().log_softmax(-1)[:, -length - 1 : -1]
    read = inputs["input_ids"][:, -length:]
    return logprobs.gather(-1, read[..., None])[..., 0].sum(-1).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_the_whole_prompt_run_at_once(kind, saved, pictures):
    model = LocalModel(str(saved(kind)))
    cached = model.score_prefixes(pictures, BEFORE, AFTER, ANSWERS)
    anew = model.score_prefixes(pictures, BEFORE, AFTER, ANSWERS, reuse=False)
    expected = np.stack([reference(kind, saved(kind), pictures, answer) for answer in ANSWERS], axis=1)
    assert cached.shape == (len(pictures), len(ANSWERS))
    # float32 sums in another order; what is planted below moves a score by far more
    np.testing.assert_allclose(cached, expected, atol=1e-5)
    np.testing.assert_allclose(anew, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["qwen3", "smolvlm"])
def test_a_template_that_closes_the_turn_would_be_noticed(kind, saved, pictures):
    end = "<|im_end|>\n<|im_start|>assistant\n" if kind == "qwen3" else "<end_of_utterance>\nAssistant:"
    scores = LocalModel(str(saved(kind))).score_prefixes(pictures, BEFORE, AFTER, [" True"])[:, 0]
    for closed in (end, end.split("\n")[0]):
        wrong = reference(kind, saved(kind), pictures, " True", AFTER + closed)
        assert np.abs(scores - wrong).min() > 1e-3


def test_the_token_that_is_read_is_the_answers(saved, pictures):
    model = LocalModel(str(saved("qwen3")))
    before = model.score_prefixes(pictures, BEFORE, AFTER, (" True", "True", "X"))
    tokenizer, head = model._model.processor.tokenizer, model._model.network.lm_head.weight
    rows = [tokenizer.convert_tokens_to_ids(token) for token in ("ĠTrue", "True", "X")]
    head[rows] = head[[rows[2], rows[0], rows[1]]]
    after = model.score_prefixes(pictures, BEFORE, AFTER, (" True", "True", "X"))
    np.testing.assert_allclose(after, before[:, [2, 0, 1]], atol=1e-5)
    assert np.abs(before - after).min() > 1e-3


def test_probabilities_of_all_next_tokens_sum_to_one(saved, pictures):
    """So what is read is a distribution over the vocabulary, not a score of the answers asked for."""
    model = LocalModel(str(saved("smolvlm")))
    printable = [chr(number) for number in range(33, 127)]
    scores = model.score_prefixes(pictures[:2], BEFORE, AFTER, [*printable, " True", "True"])
    share = len(scores[0]) / len(model._model.processor.tokenizer)
    assert np.all(np.exp(scores).sum(1) < 1)
    assert np.all(np.exp(scores).sum(1) > share / 3)


@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize("kind", ["qwen3", "qwen2_5", "smolvlm"])
def test_a_score_knows_the_pictures_so_far_their_order_and_nothing_later(kind, reuse, saved, pictures):
    model = LocalModel(str(saved(kind)))

    def score(shown: Sequence[Picture]) -> np.ndarray:
        return model.score_prefixes(shown, BEFORE, AFTER, ANSWERS, reuse)

    scores = score(pictures)
    other = encode(255 - decode(pictures[2]))
    changed = score([*pictures[:2], other, pictures[3]])
    np.testing.assert_array_equal(changed[:2], scores[:2])
    assert np.abs(changed[2:, 0] - scores[2:, 0]).min() > 1e-4
    np.testing.assert_array_equal(score(pictures[:3]), scores[:3])
    swapped = score([pictures[1], pictures[0], *pictures[2:]])
    assert np.abs(swapped[1:, 0] - scores[1:, 0]).min() > 1e-4


def test_what_the_model_did_before_does_not_matter(saved, pictures):
    """Qwen's keeps the positions of its last call."""
    model = LocalModel(str(saved("qwen3")))
    fresh = model.score_prefixes(pictures, BEFORE, AFTER, ANSWERS)
    question = Question((Text("Which?"), pictures[2], Text("or"), pictures[0]), max_tokens=3)
    reply = anyio.run(model.ask, question)
    model.score_prefixes(pictures[:1], "", "so:", ["X"], reuse=False)
    np.testing.assert_array_equal(model.score_prefixes(pictures, BEFORE, AFTER, ANSWERS), fresh)
    assert anyio.run(model.ask, question).text == reply.text


def test_reuse_runs_each_picture_once(saved, pictures):
    spent = {}
    shown = [pictures[0]] * 8
    for reuse in (True, False):
        model = LocalModel(str(saved("qwen3")))
        model.score_prefixes(shown, "", "Well?", [" True", "True"], reuse)
        spent[reuse] = model.spent
    # 96 x 128 pixels in squares of 32, and a mark on either side
    head, picture, tail = len("|user\n"), 3 * 4 + 2, len("Well?")
    # the mark behind a picture is run with the text and again with the next picture
    assert spent[True].prompt_tokens == head + 8 * (picture + tail) + 7
    assert spent[False].prompt_tokens == 8 * (head + tail) + picture * 36
    assert spent[True].requests == spent[False].requests == 8
    assert spent[True].seconds > 0


def test_what_cannot_be_scored_is_told_in_one_line(saved, pictures):
    model = LocalModel(str(saved("qwen3")))
    nothing = ([], AFTER, ANSWERS), (pictures, "", ANSWERS), (pictures, AFTER, []), (pictures, AFTER, [""])
    for shown, after, answers in nothing:
        with pytest.raises(InvalidValue, match="at least one picture"):
            model.score_prefixes(shown, BEFORE, after, answers)
    for before, after in (("a <|image_pad|>", AFTER), ("", "a <|image_pad|>")):
        with pytest.raises(InvalidValue, match=r"holds <\|image_pad\|>"):
            model.score_prefixes(pictures, before, after, ANSWERS)
    for reuse in (True, False):
        with pytest.raises(NoReply, match="takes 4096 tokens"):
            model.score_prefixes(pictures[:1], BEFORE, "a" * 5000, ANSWERS, reuse)


def templated(folder: Path, tmp_path: Path, old: str, new: str) -> LocalModel:
    """A model with another chat template."""
    copy = shutil.copytree(folder, tmp_path / "model")
    template = (copy / "chat_template.jinja").read_text()
    assert old in template
    (copy / "chat_template.jinja").write_text(template.replace(old, new))
    return LocalModel(str(copy))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<|vision_start|>", "{{ loop.index }}<|vision_start|>"),
        ("<|im_start|>{{", "<|im_start|>{{ message['content'] | length }}{{"),
    ],
    ids=["each its number", "how many at the start"],
)
def test_a_template_may_write_what_it_likes_around_pictures(old, new, saved, pictures, tmp_path):
    model = templated(saved("qwen3"), tmp_path, old, new)
    cached = model.score_prefixes(pictures, BEFORE, AFTER, ANSWERS)
    anew = model.score_prefixes(pictures, BEFORE, AFTER, ANSWERS, reuse=False)
    np.testing.assert_allclose(cached, anew, atol=1e-5)
    plain = LocalModel(str(saved("qwen3"))).score_prefixes(pictures, BEFORE, AFTER, ANSWERS)
    assert np.abs(cached[-1] - plain[-1]).max() > 1e-3


@pytest.mark.parametrize("written", ["<|image_pad|><|image_pad|>", ""])
def test_a_template_that_does_not_mark_each_picture_once_is_refused(written, saved, pictures, tmp_path):
    model = templated(saved("qwen3"), tmp_path, "<|image_pad|>", written)
    with pytest.raises(Unsupported, match=rf"writes {len(written) // 13} marks for 1 pictures") as told:
        model.score_prefixes(pictures, BEFORE, AFTER, ANSWERS)
    assert "\n" not in str(told.value)


def test_settings_that_came_with_the_weights_do_not_tile_pictures(saved, pictures, tmp_path):
    folder = shutil.copytree(saved("smolvlm"), tmp_path / "model")
    for path in folder.glob("*processor_config.json"):
        settings = json.loads(path.read_text())
        settings.get("image_processor", settings)["do_image_splitting"] = True
        path.write_text(json.dumps(settings))
    model = LocalModel(str(folder))
    inputs = model._model.prepare(model._model.render(pictures[:1], to_answer=False), pictures[:1])
    assert inputs["pixel_values"].shape[1] == 1
