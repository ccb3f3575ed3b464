"""Specs of vision-language models: `METHOD:MODEL@URL`, or `METHOD:FOLDER` for a model on this machine.

    gvl:Qwen/Qwen3-VL-8B-Instruct@http://localhost:8000/v1
    gvl:gpt-5-mini@https://api.openai.com/v1?frames=15&permutations=1
    topreward:models/qwen3-vl-8b?curve=minmax

After a question mark come the method's own settings, as in a web address.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from headway.errors import InvalidValue, UnknownName
from headway.vlm.chat import ChatModel
from headway.vlm.estimator import VlmEstimator
from headway.vlm.gvl import Gvl
from headway.vlm.judgement import VlmMethod
from headway.vlm.pairwise import Pairwise
from headway.vlm.rubric import Rubric
from headway.vlm.success_question import SuccessQuestion
from headway.vlm.topreward import TopReward
from headway.vlm.verifier import Verifier

SERVED = re.compile(r"(.*?)@(https?://.*)")
# somebody left out the scheme
BARE = re.compile(r".+@([\w.-]+(?::\d+)?(?:/.*)?)")

VLM_METHODS: Mapping[str, Callable[..., VlmMethod]] = {
    "gvl": Gvl,
    "topreward": TopReward,
    "verifier": Verifier,
    "rubric": Rubric,
    "pairwise": Pairwise,
    "success": SuccessQuestion,
}


def make_vlm(name: str, argument: str, device: str = "cpu") -> VlmEstimator:
    """Make the estimator of `NAME:ARGUMENT`. Raises InvalidValue, UnknownName, CheckpointError or Unsupported."""
    where, _, settings = argument.partition("?")
    method = make_method(name, settings)
    return VlmEstimator(f"{name}:{argument}", method, make_model(where, f"{name}:{argument}", device))


def make_method(name: str, settings: str) -> VlmMethod:
    """A method with `key=value&key=value` in place of its defaults; only plain numbers and words can be set so."""
    maker: Any = VLM_METHODS[name]
    kinds = {field.name: field.type for field in fields(maker) if field.name != "name"}
    plain = {name: kind for name, kind in kinds.items() if kind is int or "Literal" in str(kind)}
    chosen: dict[str, Any] = {}
    for key, value in parse_qsl(settings, keep_blank_values=True):
        if key not in plain:
            raise UnknownName(f"setting of {name}", key, plain, f"For example {name}:MODEL@URL?frames=15")
        chosen[key] = _whole_number(f"{name}'s {key}", value) if plain[key] is int else value
    method: VlmMethod = maker(**chosen)
    return method


def make_model(where: str, spec: str, device: str = "cpu") -> ChatModel:
    """The model of `MODEL@URL` or `FOLDER`; `spec` is what messages call it by."""
    from headway.vlm.client import OpenAIModel, key_for
    from headway.vlm.local import LocalModel
    from headway.vlm.reply_cache import default_reply_cache

    served = SERVED.fullmatch(where)
    if served:
        model, url = served.groups()
        if not model:
            raise InvalidValue(f"the spec {spec!r} needs a model before the @, as the server names it")
        return OpenAIModel(model, url, api_key=key_for(url), cache=default_reply_cache())
    if not where:
        raise InvalidValue(
            f"the spec {spec!r} needs a model: MODEL@URL for a server, such as gvl:MODEL@http://localhost:8000/v1, or "
            "the folder of one on this machine"
        )
    bare = BARE.fullmatch(where)
    if bare and not Path(where).exists():
        raise InvalidValue(f"the spec {spec!r} needs http:// or https:// before {bare.group(1)}")
    return LocalModel(where, device)


def _whole_number(what: str, text: str) -> int:
    if not text.isdecimal():
        raise InvalidValue(f"{what} must be a whole number, got {text!r}")
    return int(text)
