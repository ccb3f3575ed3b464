"""Log-probabilities of answers after each prefix of a row of pictures: TOPReward's question (arXiv 2602.19313, eq. 1).

The prompt is the user turn of the model's chat template up to the end of the text; the answer follows at once. There is
no end of turn and no assistant's header: with them the paper's order correlation falls by half (its ablation of the
chat template).

Prefixes share all tokens but the text after their pictures. So each picture's keys and values are computed once and
appended to the cache, the text is run on top, and the cache is cropped back.
"""

from collections.abc import Sequence
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
        Unsupported: the model's template does not render pictures one like the other.
    """
    wanted = [tuple(model.tokens(answer)) for answer in answers]
    if not pictures or not after or not wanted or not all(wanted):
        raise InvalidValue(
            "scoring prefixes takes at least one picture, a text after them and answers that are not empty"
        )
    for text in (after, *answers):
        model.check_text(text)
    head, picture = around_pictures(model, before, pictures[0])
    run = _score_with_cache if reuse else _score_anew
    return run(model, pictures, head, picture, after, wanted)


def around_pictures(model: LoadedModel, before: str, picture: Picture) -> tuple[str, str]:
    """The rendered text up to the first picture, and the rendered text of one picture. Raises Unsupported."""
    start = [Text(before)] if before else []
    one, two = (model.render([*start, *[picture] * count, Text(CUT)], to_answer=False) for count in (1, 2))
    one, two = one.partition(CUT)[0], two.partition(CUT)[0]
    rendered = two[len(one) :]
    if not rendered or not two.startswith(one) or not one.endswith(rendered):
        raise Unsupported(
            f"the chat template of {model.folder.name} does not render pictures one like the other, so prefixes "
            "cannot be scored with it; take another model"
        )
    return one.removesuffix(rendered), rendered


Answers = Sequence[tuple[int, ...]]


def _score_with_cache(
    model: LoadedModel, pictures: Sequence[Picture], head: str, picture: str, after: str, answers: Answers
) -> tuple[Array, int]:
    cache = DynamicCache()
    tail = model.tokens(after)
    scores, tokens, place = [], 0, 0
    for number, shown in enumerate(pictures):
        inputs = model.prepare(head + picture if number == 0 else picture, [shown])
        place = _run(model, inputs, cache, place)[1]
        model.check_length(cache.get_seq_length() + len(tail) + max(map(len, answers)))
        logprobs = {}
        for stem in _stems(answers):
            ids = torch.tensor([[*tail, *stem]], device=model.network.device)
            logits = _run(model, {"input_ids": ids}, cache, place, keep=len(stem) + 1)[0]
            cache.crop(-ids.shape[1])
            logprobs[stem] = logits.double().log_softmax(-1)
            tokens += ids.shape[1]
        tokens += inputs["input_ids"].shape[1]
        scores.append(_read(logprobs, answers))
    return np.array(scores), tokens


def _score_anew(
    model: LoadedModel, pictures: Sequence[Picture], head: str, picture: str, after: str, answers: Answers
) -> tuple[Array, int]:
    scores, tokens = [], 0
    for count in range(1, len(pictures) + 1):
        logprobs = {}
        for stem in _stems(answers):
            inputs = model.prepare(head + picture * count + after, pictures[:count])
            inputs["input_ids"] = _append(inputs["input_ids"], stem)
            if "mm_token_type_ids" in inputs:
                inputs["mm_token_type_ids"] = _append(inputs["mm_token_type_ids"], [0] * len(stem))
            model.check_length(inputs["input_ids"].shape[1])
            logits = model.network(**inputs, use_cache=False, logits_to_keep=len(stem) + 1).logits[0]
            logprobs[stem] = logits.double().log_softmax(-1)
            tokens += inputs["input_ids"].shape[1]
        scores.append(_read(logprobs, answers))
    return np.array(scores), tokens


def _run(
    model: LoadedModel, inputs: dict[str, Any], cache: DynamicCache, place: int, keep: int = 1
) -> tuple[Tensor, int]:
    """Append tokens to the cache. Logits (keep, vocabulary) of the last ones; the position that comes next."""
    positions = place + _positions(model, inputs)
    inputs = {key: value for key, value in inputs.items() if key != "mm_token_type_ids"}
    output = model.network(**inputs, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=keep)
    return output.logits[0], int(positions.max()) + 1


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


def _append(row: Tensor, numbers: Sequence[int]) -> Tensor:
    return torch.cat([row, row.new_tensor([list(numbers)])], dim=1)
