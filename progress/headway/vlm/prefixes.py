"""Prompts that begin alike, on a model in memory: what one has in common with the one before it is not run again.

A prompt is cut after each of its pictures; what follows the last one is its tail. A chat template writes a picture as a
mark of its own, at which a tokenizer always parts, so the pieces give the same tokens as the whole. `SharedPrompt`
keeps the keys and values of the prompt that was run last; the next is cropped to what both begin with, and the rest is
run on top. That is exact, up to how floats are summed: attention only looks back. So in a row of growing prefixes each
picture is run once, and of several questions about one prefix only the words are run in which they differ.

Two methods live on it: the verifier asks whole questions (`LocalModel.first_tokens`), and TOPReward (arXiv 2602.19313,
eq. 1) wants `score_prefixes`: log-probabilities of an answer where the template is cut off after the text. There is no
end of turn and no assistant's header: with them the paper's order correlation falls by half (its ablation of the chat
template).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from headway.episodes import Array
from headway.errors import InvalidValue, Unsupported
from headway.vlm.chat import Picture, Text
from headway.vlm.local_weights import LoadedModel

# stands where the caller's text will be: the template is cut there
CUT = "<<the text>>"

Answers = Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class Prompt:
    """A rendered prompt in parts.

    Attributes:
        pieces: for each picture, the text up to and with its mark, and the picture.
        tail: numbers of the tokens after the last picture.
    """

    pieces: tuple[tuple[str, Picture], ...]
    tail: tuple[int, ...]


NOTHING = Prompt((), ())


def cut(model: LoadedModel, text: str, pictures: Sequence[Picture]) -> Prompt:
    """Cut a rendered text after the marks of its pictures. Raises Unsupported where there are not as many marks."""
    mark = model.processor.image_token
    *texts, tail = text.split(mark)
    if len(texts) != len(pictures):
        raise Unsupported(
            f"the chat template of {model.folder.name} writes {len(texts)} marks for {len(pictures)} pictures; "
            "take another model"
        )
    pieces = tuple((before + mark, picture) for before, picture in zip(texts, pictures, strict=True))
    return Prompt(pieces, tuple(model.tokens(tail)))


class SharedPrompt:
    """Runs prompts one after another and computes what they begin with once, whatever that is.

    Args:
        model: in memory; nothing else may run it at the same time.

    Attributes:
        tokens: run through the network so far.
    """

    def __init__(self, model: LoadedModel):
        self.tokens = 0
        self._model = model
        self._cache = DynamicCache()
        self._last = NOTHING
        # tokens in the cache and the position that comes next, after no piece, the first, the second, ...
        self._ends = [(0, 0)]

    @torch.inference_mode()
    def run(self, prompt: Prompt, keep: int = 1) -> Tensor:
        """Logits (keep, vocabulary) of what follows each of the last `keep` tokens of the tail.

        Args:
            prompt: its tail has at least `keep` tokens.
            keep: at least 1.

        Raises NoReply for more tokens than the model has positions.
        """
        # if this ends in an error, nothing is taken for known
        last, self._last = self._last, NOTHING
        pieces = _alike(last.pieces, prompt.pieces)
        whole = pieces == len(last.pieces) == len(prompt.pieces)
        # what is read has to be run
        words = _alike(last.tail, prompt.tail[:-keep]) if whole else 0
        self._ends = self._ends[: pieces + 1]
        self._cache.crop(self._ends[-1][0] + words - self._cache.get_seq_length())
        for text, picture in prompt.pieces[pieces:]:
            inputs = self._model.prepare(text, [picture])
            place = self._append(inputs, self._ends[-1][1])[1]
            self._ends.append((self._cache.get_seq_length(), place))
        length, place = self._ends[-1]
        self._model.check_length(length + len(prompt.tail) + 1)
        rest = torch.tensor([prompt.tail[words:]], device=self._model.network.device)
        logits = self._append({"input_ids": rest}, place + words, keep)[0]
        self._last = prompt
        return logits

    def _append(self, inputs: dict[str, Any], place: int, keep: int = 1) -> tuple[Tensor, int]:
        """Run tokens on top of the cache. Logits (keep, vocabulary) of the last; the position that comes next."""
        positions = place + _positions(self._model, inputs)
        inputs = {key: value for key, value in inputs.items() if key != "mm_token_type_ids"}
        output = self._model.network(
            **inputs, position_ids=positions, past_key_values=self._cache, use_cache=True, logits_to_keep=keep
        )
        self.tokens += inputs["input_ids"].shape[1]
        return output.logits[0], int(positions.max()) + 1


@torch.inference_mode()
def score_prefixes(
    model: LoadedModel,
    pictures: Sequence[Picture],
    before: str,
    after: str,
    answers: Sequence[str],
    reuse: bool = True,
) -> tuple[Array, int]:
    """Log-probability of each answer after `before`, the first k pictures and `after`, for every k from 1.

    An answer is cut into tokens by itself, and those of several tokens are summed over them. With `reuse=False` every
    prefix is run anew and whole, which takes quadratic time: it is there to check the other against.

    Args:
        model: in memory.
        pictures: in order of time, at least one.
        before: text before the pictures; may be empty.
        after: text after them, up to where the answer begins.
        answers: such as " True", with the space that comes before it.

    Returns:
        float64 (pictures, answers), natural logarithms; and how many tokens were run through the network.

    Raises:
        InvalidValue: no picture, no `after`, an empty answer, or a text that holds the model's mark for a picture.
        NoReply: more tokens than the model has positions.
        Unsupported: the model's template does not mark each picture once.
    """
    wanted = [tuple(model.tokens(answer)) for answer in answers]
    if not pictures or not after or not wanted or not all(wanted):
        raise InvalidValue(
            "scoring prefixes takes at least one picture, a text after them and answers that are not empty"
        )
    for text in (after, *answers):
        model.check_text(text)
    start = [Text(before)] if before else []
    ends = range(1, len(pictures) + 1)
    rendered = [model.render([*start, *pictures[:end], Text(CUT)], to_answer=False) for end in ends]
    texts = [text.partition(CUT)[0] + after for text in rendered]
    return (_score_shared if reuse else _score_anew)(model, texts, pictures, wanted)


def _score_shared(
    model: LoadedModel, texts: Sequence[str], pictures: Sequence[Picture], answers: Answers
) -> tuple[Array, int]:
    shared, scores = SharedPrompt(model), []
    for count, text in enumerate(texts, start=1):
        prompt, logprobs = cut(model, text, pictures[:count]), {}
        for stem in _stems(answers):
            logits = shared.run(replace(prompt, tail=prompt.tail + stem), keep=len(stem) + 1)
            logprobs[stem] = logits.double().log_softmax(-1)
        scores.append(_read(logprobs, answers))
    return np.array(scores), shared.tokens


def _score_anew(
    model: LoadedModel, texts: Sequence[str], pictures: Sequence[Picture], answers: Answers
) -> tuple[Array, int]:
    scores, tokens = [], 0
    for count, text in enumerate(texts, start=1):
        logprobs = {}
        for stem in _stems(answers):
            inputs = model.prepare(text, pictures[:count])
            inputs["input_ids"] = _extended(inputs["input_ids"], stem)
            if "mm_token_type_ids" in inputs:
                inputs["mm_token_type_ids"] = _extended(inputs["mm_token_type_ids"], [0] * len(stem))
            model.check_length(inputs["input_ids"].shape[1])
            logits = model.network(**inputs, use_cache=False, logits_to_keep=len(stem) + 1).logits[0]
            logprobs[stem] = logits.double().log_softmax(-1)
            tokens += inputs["input_ids"].shape[1]
        scores.append(_read(logprobs, answers))
    return np.array(scores), tokens


def _positions(model: LoadedModel, inputs: dict[str, Any]) -> Tensor:
    """Positions from 0: (1, tokens), or (time, height and width, 1, tokens) where pictures have two dimensions.

    Given to the network on purpose. Left to itself, Qwen's goes on counting from the last call when there is a cache,
    as if the new picture were text.
    """
    ids = inputs["input_ids"]
    if not hasattr(model.network.model, "get_rope_index"):
        return torch.arange(ids.shape[1], device=ids.device)[None]
    kinds = inputs.get("mm_token_type_ids", torch.zeros_like(ids))
    return model.network.model.get_rope_index(ids, kinds, image_grid_thw=inputs.get("image_grid_thw"))[0]


def _stems(answers: Answers) -> list[tuple[int, ...]]:
    """What has to be run for the answers: all but their last tokens. Answers of one token share the empty one."""
    return sorted({answer[:-1] for answer in answers})


def _read(logprobs: dict[tuple[int, ...], Tensor], answers: Answers) -> list[float]:
    return [
        sum(float(row[token]) for row, token in zip(logprobs[answer[:-1]], answer, strict=True)) for answer in answers
    ]


def _extended(row: Tensor, numbers: Sequence[int]) -> Tensor:
    return torch.cat([row, row.new_tensor([list(numbers)])], dim=1)


def _alike(one: Sequence[object], other: Sequence[object]) -> int:
    """How many elements two rows begin with in common."""
    pairs = zip(one, other, strict=False)
    return next((place for place, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other)))
