"""A model on this machine answers as transformers computes it, and bad folders are told in one line."""

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import anyio
import numpy as np
import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from transformers.models.smolvlm import processing_smolvlm

from headway.errors import CheckpointError, InvalidValue
from headway.vlm.chat import Abilities, NoReply, Picture, Question, Reply, Text
from headway.vlm.clip import encode
from headway.vlm.local import LocalModel
from headway.vlm.local_weights import decode


def ask(model: LocalModel, *parts: Text | Picture, **settings: object) -> Reply:
    return anyio.run(model.ask, Question(parts, **settings))


@torch.inference_mode()
def reference(kind: str, folder: Path, text: str, shown: Sequence[Picture], count: int) -> tuple[list[int], np.ndarray]:
    """The likeliest tokens and the log-probabilities (token, vocabulary) they were taken from, each run anew."""
    network = hf.AutoModelForImageTextToText.from_pretrained(folder).eval()
    maker = hf.AutoProcessor if kind.startswith("qwen") else hf.Idefics3Processor
    settings = {} if kind.startswith("qwen") else {"do_image_splitting": False}
    inputs = maker.from_pretrained(folder)(
        text=[text], images=[decode(picture) for picture in shown], return_tensors="pt", **settings
    )
    asked, rows = inputs["input_ids"].shape[1], []
    for _ in range(count):
        rows.append(network(**inputs, use_cache=False).logits[0, -1].log_softmax(-1).numpy())
        chosen = torch.tensor([[int(rows[-1].argmax())]])
        inputs["input_ids"] = torch.cat([inputs["input_ids"], chosen], 1)
        for key in ("attention_mask", "mm_token_type_ids"):
            if key in inputs:
                inputs[key] = torch.cat([inputs[key], torch.full((1, 1), int(key == "attention_mask"))], 1)
    return inputs["input_ids"][0, asked:].tolist(), np.stack(rows)


@pytest.mark.parametrize("kind", ["qwen3", "qwen2_5", "qwen2", "smolvlm", "idefics3"])
def test_a_reply_is_the_likeliest_continuation_of_texts_and_pictures_in_order(kind, saved, pictures):
    model = LocalModel(str(saved(kind)))
    reply = ask(
        model,
        Text("Frame 1:"),
        pictures[0],
        Text(" Frame 2:"),
        pictures[2],
        Text(" Which?"),
        max_tokens=6,
        top_logprobs=20,
    )
    if kind.startswith("qwen"):
        mark = "<|vision_start|><|image_pad|><|vision_end|>"
        prompt = f"<|im_start|>user\nFrame 1:{mark} Frame 2:{mark} Which?<|im_end|>\n<|im_start|>assistant\n"
    else:
        prompt = "<|im_start|>User: Frame 1:<image> Frame 2:<image> Which?<end_of_utterance>\nAssistant:"
    ids, logprobs = reference(kind, saved(kind), prompt, (pictures[0], pictures[2]), 6)
    tokenizer = hf.AutoTokenizer.from_pretrained(saved(kind))
    assert reply.text == tokenizer.decode(ids, skip_special_tokens=True)
    assert reply.finish == "length"
    assert (reply.usage.requests, reply.usage.completion_tokens) == (1, 6)
    assert len(reply.tokens) == 6
    for token, number, row in zip(reply.tokens, ids, logprobs, strict=True):
        assert token.text == tokenizer.decode([number])
        np.testing.assert_allclose(token.logprob, row[number], atol=1e-5)
        best = np.sort(row)[::-1][:20]
        np.testing.assert_allclose([logprob for _, logprob in token.alternatives], best, atol=1e-5)
        assert token.alternatives[0] == (token.text, token.logprob)
        assert np.exp(best).sum() < 1


def test_pictures_are_red_green_and_blue_in_that_order():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    np.testing.assert_array_equal(decode(encode(pixels)), pixels)


def test_order_of_parts_and_content_of_pictures_reach_the_model(saved, pictures):
    model = LocalModel(str(saved("qwen3")))

    def first(*parts: Text | Picture) -> float:
        return ask(model, *parts, max_tokens=1, top_logprobs=1).tokens[0].logprob

    one, two, text = pictures[0], pictures[1], Text("Which?")
    scores = [first(one, two, text), first(two, one, text), first(one, text, two), first(one, one, text), first(text)]
    assert np.diff(sorted(scores)).min() > 1e-4


def test_no_logprobs_unless_asked_for(saved, pictures):
    reply = ask(LocalModel(str(saved("smolvlm"))), pictures[0], Text("Which?"), max_tokens=2)
    assert reply.tokens == ()


def test_a_reply_stops_at_the_end_token_and_leaves_it_out(saved, pictures, tmp_path):
    plain = ask(LocalModel(str(saved("qwen3"))), pictures[0], Text("Why?"), max_tokens=12, top_logprobs=1)
    texts = [token.text for token in plain.tokens]
    ids, _ = reference(
        "qwen3",
        saved("qwen3"),
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Why?<|im_end|>\n<|im_start|>assistant\n",
        pictures[:1],
        12,
    )
    place = next(place for place in range(1, 12) if ids[place] not in ids[:place])
    folder = changed(saved("qwen3"), tmp_path, "generation_config.json", eos_token_id=[ids[place]], min_new_tokens=12)
    reply = ask(LocalModel(str(folder)), pictures[0], Text("Why?"), max_tokens=12, top_logprobs=1)
    assert reply.finish == "stop"
    assert [token.text for token in reply.tokens] == texts[:place]
    assert reply.usage.completion_tokens == place + 1


def test_settings_that_came_with_the_weights_do_not_change_a_reply(saved, pictures, tmp_path):
    question = Question((pictures[0], Text("Why?")), max_tokens=12, top_logprobs=3)
    plain = anyio.run(LocalModel(str(saved("qwen3"))).ask, question)
    folder = changed(
        saved("qwen3"),
        tmp_path,
        "generation_config.json",
        do_sample=True,
        temperature=1.7,
        top_k=2,
        top_p=0.5,
        repetition_penalty=9.0,
        max_new_tokens=3,
    )
    reply = anyio.run(LocalModel(str(folder)).ask, question)
    assert reply.tokens == plain.tokens
    drawn = [
        ask(LocalModel(str(place)), pictures[0], Text("Why?"), max_tokens=12, temperature=1.0, seed=3).text
        for place in (saved("qwen3"), folder)
    ]
    assert drawn[0] == drawn[1]


def test_a_seed_repeats_a_drawn_reply_and_leaves_torchs_own_state(saved, pictures):
    model = LocalModel(str(saved("smolvlm")))
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    drawn = [
        ask(model, pictures[0], Text("Why?"), max_tokens=12, temperature=1.0, seed=seed).text for seed in (1, 1, 2)
    ]
    assert torch.equal(torch.rand(3), expected)
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0] != ask(model, pictures[0], Text("Why?"), max_tokens=12).text


def test_the_event_loop_stays_free_and_questions_do_not_mix(saved, pictures, monkeypatch):
    """Qwen's network keeps the positions of its last call, so it must not be in two calls at once."""
    model = LocalModel(str(saved("qwen3")))
    generate, running, most = model._model.network.generate, 0, 0

    def watched(**settings: object) -> object:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.01)
        output = generate(**settings)
        running -= 1
        return output

    monkeypatch.setattr(model._model.network, "generate", watched)
    shown = [pictures[:1] * count for count in (1, 6, 2, 4)]
    questions = [Question((*row, Text("Why?")), max_tokens=40, top_logprobs=1) for row in shown]
    alone = [anyio.run(model.ask, question) for question in questions]
    replies: dict[int, Reply] = {}
    beats = 0

    async def keep(number: int) -> None:
        replies[number] = await model.ask(questions[number])

    async def together() -> None:
        nonlocal beats
        async with anyio.create_task_group() as tasks:
            for number in range(len(questions)):
                tasks.start_soon(keep, number)
            while len(replies) < len(questions):
                beats += 1
                await anyio.sleep(0.001)

    before = model.spent
    anyio.run(together)
    assert [replies[number].tokens for number in range(len(questions))] == [reply.tokens for reply in alone]
    assert beats > 10
    assert most == 1
    assert model.spent.requests == before.requests + len(questions) == 2 * len(questions)
    for count in ("prompt_tokens", "completion_tokens"):
        assert getattr(model.spent, count) == 2 * sum(getattr(reply.usage, count) for reply in alone)


def test_what_it_says_of_itself(saved):
    model = LocalModel(str(saved("qwen2")))
    assert anyio.run(model.abilities) == Abilities(logprobs=True, schema=False)
    assert model.name == str(saved("qwen2"))
    assert model.at_once == 1


def test_the_fingerprint_follows_the_content_not_the_place(saved, tmp_path):
    original = LocalModel(str(saved("smolvlm"))).fingerprint
    folder = shutil.copytree(saved("smolvlm"), tmp_path / "model")
    assert LocalModel(str(folder)).fingerprint == original
    (folder / "README.md").write_text("of no account")
    assert LocalModel(str(folder)).fingerprint == original
    weights = load_file(folder / "model.safetensors")
    next(iter(weights.values())).view(-1)[-1] += 1e-3
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    other = LocalModel(str(folder)).fingerprint
    assert other != original
    with (folder / "chat_template.jinja").open("a") as file:
        file.write("!")
    assert LocalModel(str(folder)).fingerprint not in (original, other)


def test_smolvlm_is_fed_as_its_own_processor_feeds_it(saved, pictures, monkeypatch):
    """That one wants num2words, to spell how many frames a video has; a picture needs none of it."""
    monkeypatch.setattr(processing_smolvlm, "num2words", str)
    model = LocalModel(str(saved("smolvlm")))._model
    own = hf.SmolVLMProcessor(
        model.processor.image_processor, model.processor.tokenizer, hf.SmolVLMVideoProcessor(), image_seq_len=4
    )
    text = model.render([Text("One:"), pictures[0], Text("two:"), pictures[2]], to_answer=True)
    images = [[decode(pictures[0]), decode(pictures[2])]]
    expected = own(text=[text], images=images, do_image_splitting=False, return_tensors="pt")
    given = model.prepare(text, [pictures[0], pictures[2]])
    assert given["input_ids"].tolist() == expected["input_ids"].tolist()
    assert torch.equal(given["pixel_values"], expected["pixel_values"])
    assert torch.equal(given["pixel_attention_mask"], expected["pixel_attention_mask"])


def test_questions_that_cannot_be_asked_are_told_in_one_line(saved, pictures):
    model = LocalModel(str(saved("qwen3")))
    with pytest.raises(NoReply, match="takes 4096 tokens and the question has"):
        ask(model, pictures[0], Text("Why?"), max_tokens=4090)
    with pytest.raises(InvalidValue, match=r"holds <\|image_pad\|>"):
        ask(model, Text("a <|image_pad|>"))
    with pytest.raises(InvalidValue, match="cannot be decoded as image/png"):
        ask(model, Picture(b"none", 4, 4), Text("Why?"))


def changed(folder: Path, tmp_path: Path, file: str, **settings: object) -> Path:
    """A copy of a model's folder with other settings in one of its JSON files."""
    copy = shutil.copytree(folder, tmp_path / "changed")
    path = copy / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return copy


def refused(folder: object, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as told:
        LocalModel(str(folder))
    assert "\n" not in str(told.value)


def test_other_models_and_absent_ones_are_refused(saved, tmp_path):
    refused(tmp_path, "holds no config.json")
    refused("nobody/has-this-model", "headway fetch nobody/has-this-model")
    refused(
        changed(saved("qwen3"), tmp_path, "config.json", model_type="llava"), "'llava', which is no vision-language"
    )


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("chat_template.jinja", "has no chat template"),
        ("*processor_config.json", "picture processor"),
        ("tokenizer*.json", "lacks (its tokenizer|the settings of its tokenizer)"),
        ("*.safetensors", r"holds no weights as \.safetensors"),
    ],
)
@pytest.mark.parametrize("kind", ["qwen3", "smolvlm"])
def test_a_folder_that_is_not_whole_is_refused(kind, pattern, message, saved, tmp_path):
    folder = shutil.copytree(saved(kind), tmp_path / "model")
    for path in folder.glob(pattern):
        path.unlink()
    refused(folder, message)


def test_weights_as_pickle_or_in_part_are_refused(saved, tmp_path):
    folder = shutil.copytree(saved("smolvlm"), tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    kept = {key: weight for key, weight in weights.items() if "lm_head" not in key}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    refused(folder, r"lack 1 parts, such as lm_head\.weight")
    (folder / "model.safetensors").write_bytes(b"{" * 20)
    refused(folder, "cannot be loaded")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    refused(folder, r"holds no weights as \.safetensors")


def test_code_that_came_with_the_weights_is_not_run(saved, tmp_path):
    folder = changed(saved("qwen3"), tmp_path, "config.json", auto_map={"AutoModelForImageTextToText": "code.Model"})
    (folder / "code.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    LocalModel(str(folder))
    assert not list(folder.glob("ran"))


def test_loading_and_asking_say_nothing(saved, pictures, capfd):
    for kind in ("qwen3", "smolvlm"):
        model = LocalModel(str(saved(kind)))
        ask(model, pictures[0], Text("Why?"), max_tokens=2)
        model.score_prefixes(pictures[:1], "", "Why?", ["X"])
    assert capfd.readouterr() == ("", "")
