"""How fast growing prefixes of an episode are scored when each picture is run once.

Claims: at K = 15 prefixes, `topreward` scores at least 4 times as fast as with a forward of every prefix anew, and
`verifier` (3 criteria) at least 4 times as fast as when its questions are asked one by one. The model is a random
Qwen3-VL of some 100 million weights, its parts in the proportions of the 2B: no trained weights are needed to know how
long a forward takes. Pictures have 224 x 224 pixels, 49 tokens each; the tokenizer is learnt from our own
documentation, and writes words in about as many tokens as a real one. Seconds are of one core (process time; on a GPU
by the clock on the wall), the best of the repeats.

In the same run, the floor (all K pictures and one text in one forward), and lerobot's TOPReward encoder and model on
the same weights, one forward a prefix as its labeller runs them. Its frames go in as a video, two to a token, so each
is shown twice; with transformers 5.23 its labeller itself ends in an error at its first prefix, which has one frame
(`t:1 must be larger than temporal_factor:2`).

    .venv/bin/python benchmarks/prefixes.py             # a quarter of an hour
    .venv/bin/python benchmarks/prefixes.py --fast      # seconds, its figures mean nothing
"""

import gc
import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import torch
import transformers as hf
import tyro
from claims import Claim, write_claims
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from headway.episodes import Array
from headway.vlm import topreward, verifier
from headway.vlm.chat import Abilities, Question, Reply, Usage
from headway.vlm.clip import Clip, encode
from headway.vlm.local import LocalModel
from headway.vlm.logprobs import spellings
from headway_envs.tiny_vlms import QWEN_MARKS, QWEN_TEMPLATE

DOCS = Path(__file__).parents[1] / "docs"
SIDE = 224
"""Pixels."""
CLAIMED = 15
"""Prefixes for which there is a target."""
TARGET = 4.0
TEXT_OR = "{% else %}{{ part['text'] }}"
VIDEO = "{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
CAMERA = "observation.images.top"
INSTRUCTION = "put the red cube into the drawer and close it"


@dataclass(frozen=True)
class Size:
    """Of the random model."""

    width: int = 768
    layers: int = 10
    heads: int = 12
    picture_width: int = 448
    picture_layers: int = 7


TINY = Size(width=64, layers=2, heads=4, picture_width=64, picture_layers=2)


@dataclass
class Args:
    """What to run."""

    prefixes: tuple[int, ...] = (5, CLAIMED, 30)
    """K. The targets are for 15."""
    repeats: int = 1
    """Of each measurement up to K = 15; the best counts."""
    device: str = "cpu"
    """Of torch."""
    fast: bool = False
    """A tiny model, to see that it runs."""
    out: Path = Path("runs/prefixes-benchmark")
    """Folder for the results."""


class OneByOne:
    """A model with nothing but what every ChatModel has, so that each question is run whole."""

    name, fingerprint, at_once, spent = "one by one", "one by one", 1, Usage()

    def __init__(self, model: LocalModel):
        self._model = model

    async def ask(self, question: Question) -> Reply:
        return await self._model.ask(question)

    async def abilities(self) -> Abilities:
        return await self._model.abilities()


def save_model(folder: Path, size: Size) -> int:
    """Write a random Qwen3-VL with its processor, and say how many weights it has.

    What the two methods look for is likely in its replies, so that their results can be compared.
    """
    words = _tokenizer()
    marks = {name: words.convert_tokens_to_ids(mark) for name, mark in _mark_names().items()}
    ends = {"bos_token_id": None, "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    head = size.width // size.heads
    rope = {"rope_type": "default", "mrope_section": [head // 4, head // 8, head // 8], "rope_theta": 5e6}
    text = {"hidden_size": size.width, "intermediate_size": 3 * size.width, "num_hidden_layers": size.layers}
    text |= {"num_attention_heads": size.heads, "num_key_value_heads": 2, "head_dim": head, "vocab_size": len(words)}
    vision = {"depth": size.picture_layers, "hidden_size": size.picture_width, "num_heads": size.picture_width // 64}
    vision |= {"intermediate_size": 4 * size.picture_width, "out_hidden_size": size.width, "patch_size": 16}
    torch.manual_seed(0)
    network = hf.Qwen3VLForConditionalGeneration(
        hf.Qwen3VLConfig(
            text_config={**text, **ends, "rope_parameters": rope, "max_position_embeddings": 16384},
            vision_config=vision | {"deepstack_visual_indexes": [0, size.picture_layers // 2]},
            tie_word_embeddings=False,
            **marks,
        )
    )
    wanted = [spelling for answer in (*verifier.LETTERS, "True", "False") for spelling in spellings(answer)]
    with torch.no_grad():
        network.lm_head.weight[[words(spelling)["input_ids"][0] for spelling in wanted]] *= 10
    pixels = {"patch_size": 16, "merge_size": 2, "size": {"shortest_edge": SIDE**2, "longest_edge": 64 * SIDE**2}}
    pictures, videos = hf.Qwen2VLImageProcessor(**pixels), hf.Qwen3VLVideoProcessor(**pixels)
    template = QWEN_TEMPLATE.replace(TEXT_OR, VIDEO + TEXT_OR)
    network.save_pretrained(folder)
    hf.Qwen3VLProcessor(pictures, words, videos, chat_template=template).save_pretrained(folder)
    return sum(weight.numel() for weight in network.parameters())


def _mark_names() -> dict[str, str]:
    names = ("vision_start_token_id", "vision_end_token_id", "image_token_id", "video_token_id")
    return dict(zip(names, QWEN_MARKS[2:], strict=True))


def _tokenizer() -> hf.PreTrainedTokenizerFast:
    """Byte pairs of our own documentation and prompts; each answer is one token."""
    prompts = [
        verifier.BEFORE,
        verifier.ASK,
        topreward.AFTER,
        *(word for pair in verifier.CRITERIA.values() for word in pair),
    ]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=8192, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    # often enough that whole words are learnt, alone and after a space
    answers = ["True", " True", "False", " False"] * 1000
    made.train_from_iterator([*(path.read_text() for path in sorted(DOCS.glob("*.md"))), *prompts, *answers], trainer)
    made.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in QWEN_MARKS])
    return hf.PreTrainedTokenizerFast(tokenizer_object=made, eos_token=QWEN_MARKS[0], pad_token=QWEN_MARKS[0])


def make_clip(count: int) -> tuple[Clip, Array]:
    """Pictures of noise in blocks, as they are shown and as uint8 (K, height, width, 3)."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, SIDE // 8, SIDE // 8, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    return Clip(tuple(encode(one) for one in pixels), np.arange(count), count, INSTRUCTION, 0), pixels


@dataclass
class Timed:
    """The fewest seconds of some work, what it gave, and the tokens that were run for it."""

    seconds: float
    result: Any
    tokens: int = 0


def timed(work: Callable[[], Any], args: Args, count: int, model: LocalModel | None = None) -> Timed:
    clock = time.process_time if args.device == "cpu" else time.perf_counter
    repeats = args.repeats if count <= CLAIMED else 1
    seconds = []
    before = model.spent.prompt_tokens if model else 0
    for _ in range(repeats):
        begun = clock()
        result = work()
        seconds.append(clock() - begun)
    tokens = (model.spent.prompt_tokens - before) // repeats if model else 0
    return Timed(min(seconds), result, tokens)


def score(model: LocalModel, count: int, args: Args) -> dict[str, Timed]:
    """Both methods, each way, and the floor."""
    clip, _ = make_clip(count)
    answers = [spelling for word in ("True", "False") for spelling in spellings(word)]
    after = topreward.AFTER.format(instruction=INSTRUCTION)
    method = verifier.Verifier(count)
    whole = Question(method.parts(clip, count, next(iter(verifier.CRITERIA))), max_tokens=1)

    def log_probabilities(reuse: bool) -> Array:
        return model.score_prefixes(clip.pictures, topreward.BEFORE, after, answers, reuse)

    def progress(asked: LocalModel | OneByOne) -> Array:
        return anyio.run(method.judge, clip, asked).progress

    return {
        "topreward, every prefix anew": timed(lambda: log_probabilities(False), args, count, model),
        "topreward": timed(lambda: log_probabilities(True), args, count, model),
        "verifier, one by one": timed(lambda: progress(OneByOne(model)), args, count, model),
        "verifier": timed(lambda: progress(model), args, count, model),
        "floor: one forward": timed(lambda: anyio.run(model.ask, whole), args, count, model),
    }


def lerobot_loop(folder: Path, counts: Sequence[int], args: Args) -> dict[int, Timed]:
    """lerobot's encoder and model, asked about each prefix in turn as its labeller does."""
    from lerobot.lerobot_types import TransitionKey
    from lerobot.rewards.topreward import TOPRewardConfig, TOPRewardModel
    from lerobot.rewards.topreward.processor_topreward import TOPRewardEncoderProcessorStep

    dtype = "bfloat16" if args.device.startswith("cuda") else "float32"
    config = TOPRewardConfig(vlm_name=str(folder), torch_dtype=dtype, device=args.device, image_key=CAMERA)
    model = TOPRewardModel(config).to(args.device).eval()
    encoder = TOPRewardEncoderProcessorStep(vlm_name=str(folder), image_key=CAMERA, max_frames=None)

    def run(count: int) -> Array:
        video = torch.as_tensor(make_clip(count)[1]).permute(0, 3, 1, 2).repeat_interleave(2, dim=0) / 255
        rewards = []
        for end in range(1, count + 1):
            shown = {CAMERA: video[None, : 2 * end]}
            told = {TransitionKey.OBSERVATION: shown, TransitionKey.COMPLEMENTARY_DATA: {"task": INSTRUCTION}}
            rewards.append(float(model.compute_reward(encoder(told)[TransitionKey.OBSERVATION])))
        return np.array(rewards)

    run(2)
    return {count: timed(lambda count=count: run(count), args, count) for count in counts}


def table(found: dict[int, dict[str, Timed]]) -> str:
    lines = [
        "| K | what | seconds | tokens run | times as long as ours | largest difference |",
        "|---|---|---|---|---|---|",
    ]
    for count, rows in found.items():
        for name, row in rows.items():
            ours = rows.get(name.split(",")[0])
            ratio = f"{row.seconds / ours.seconds:.2f}" if ours and ours is not row else ""
            same_prompt = ratio and row.result.shape == ours.result.shape
            apart = f"{np.nanmax(np.abs(row.result - ours.result)):.1e}" if same_prompt else ""
            lines.append(f"| {count} | {name} | {row.seconds:.3f} | {row.tokens or ''} | {ratio} | {apart} |")
    return "\n".join(lines)


def claims_of(found: dict[int, dict[str, Timed]]) -> list[Claim]:
    claimed = []
    for method, other in (("topreward", "every prefix anew"), ("verifier", "one by one")):
        rows = found[CLAIMED]
        ours, peer, floor = rows[method], rows[f"{method}, {other}"], rows["floor: one forward"]
        note = (
            f"{ours.tokens:,} tokens for {peer.tokens:,}; {ours.seconds / floor.seconds:.2f} times the one forward of "
            f"all {CLAIMED} pictures"
        )
        name = f"{method} at K = {CLAIMED}: speed over {other}"
        claimed.append(Claim(name, peer.seconds / ours.seconds, "x", TARGET, note=note))
    return claimed


def main(args: Args) -> None:
    if args.fast:
        args.prefixes, args.repeats = (2, CLAIMED), 1
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    hf.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = save_model(folder, TINY if args.fast else Size())
        model = LocalModel(str(folder), args.device)
        score(model, 2, args)
        found = {count: score(model, count, args) for count in args.prefixes}
        del model
        gc.collect()
        for count, row in lerobot_loop(folder, args.prefixes, args).items():
            found[count]["topreward, lerobot's"] = row
    print(f"{weights / 1e6:.0f} million weights, {args.device}")
    print(table(found))
    if args.fast:
        print("\n--fast: these figures mean nothing.")
    measured = {
        "weights": weights,
        "device": args.device,
        "fast": args.fast,
        "seconds": {count: {name: row.seconds for name, row in rows.items()} for count, rows in found.items()},
        "tokens": {count: {name: row.tokens for name, row in rows.items()} for count, rows in found.items()},
    }
    write_claims(args.out / "prefixes.json", claims_of(found), measured)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
