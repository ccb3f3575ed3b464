"""GVL's pipeline with one fault each, as real ones had: what a check of a pipeline has to catch.

OpenGVL calls the first frame that it drew the beginning; two ports read a reply by order of appearance; another gives
OpenCV's blue-green-red to a model. Each of these still prints a plausible curve.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np

from headway.vlm.chat import Abilities, ChatModel, Part, Picture, Question, Reply, Text, Usage
from headway.vlm.clip import Clip
from headway.vlm.gvl import Gvl
from headway.vlm.judgement import Judgement


class InversePermutation(Gvl):
    """Values are put back by the permutation instead of its inverse."""

    def parts(self, clip: Clip, shown: Mapping[int, int]) -> tuple[Part, ...]:
        inverse = np.argsort(list(shown.values()))
        return super().parts(clip, dict(zip(shown, inverse.tolist(), strict=True)))


class NoUnshuffle(Gvl):
    """Values are left in the order in which the pictures were shown."""

    def parts(self, clip: Clip, shown: Mapping[int, int]) -> tuple[Part, ...]:
        places = np.random.default_rng([self.seed, clip.seed]).permutation(list(shown.values()))
        return super().parts(clip, dict(zip(shown, places.tolist(), strict=True)))

    def orders(self, clip: Clip) -> list[np.ndarray]:
        return [np.arange(len(clip.pictures))] * self.permutations


class LostAnchor(Gvl):
    """The picture of the beginning is not sent."""

    def parts(self, clip: Clip, shown: Mapping[int, int]) -> tuple[Part, ...]:
        parts = list(super().parts(clip, shown))
        labelled = [isinstance(part, Text) and part.text.rstrip().endswith(":") for part in parts]
        anchor = next(
            place
            for place, part in enumerate(parts)
            if isinstance(part, Picture) and labelled[place - 1] and "Frame" not in _text(parts[place - 1])
        )
        return (*parts[:anchor], *parts[anchor + 1 :])


class WrongCount(Gvl):
    """One picture too few is sent."""

    def parts(self, clip: Clip, shown: Mapping[int, int]) -> tuple[Part, ...]:
        parts = super().parts(clip, shown)
        return (*parts[:-3], parts[-1])


class RedBlueSwap(Gvl):
    """Pictures are sent in OpenCV's order of colours."""

    async def judge(self, clip: Clip, model: ChatModel) -> Judgement:
        return await super().judge(replace(clip, pictures=tuple(map(_swapped, clip.pictures))), model)


class OrderOfAppearance(Gvl):
    """The values of a reply are read in the order in which they stand there; the labels are ignored."""

    async def judge(self, clip: Clip, model: ChatModel) -> Judgement:
        return await super().judge(clip, _InOrder(model))


BROKEN: Mapping[str, Callable[..., Gvl]] = {
    "inverse permutation": InversePermutation,
    "no unshuffle": NoUnshuffle,
    "order of appearance": OrderOfAppearance,
    "red and blue swapped": RedBlueSwap,
    "lost anchor": LostAnchor,
    "wrong frame count": WrongCount,
}


@dataclass
class _InOrder:
    """A model whose replies are relabelled 1, 2, 3, ... as their entries come."""

    model: ChatModel

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def fingerprint(self) -> str:
        return self.model.fingerprint

    @property
    def at_once(self) -> int:
        return self.model.at_once

    @property
    def spent(self) -> Usage:
        return self.model.spent

    async def ask(self, question: Question) -> Reply:
        reply = await self.model.ask(question)
        entries = json.loads(reply.text)["frames"]
        relabelled = [entry | {"frame": label} for label, entry in enumerate(entries, start=1)]
        return replace(reply, text=json.dumps({"frames": relabelled}))

    async def abilities(self) -> Abilities:
        return await self.model.abilities()


def _text(part: Part) -> str:
    return part.text if isinstance(part, Text) else ""


def _swapped(picture: Picture) -> Picture:
    decoded = cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    _, data = cv2.imencode(".png", np.ascontiguousarray(decoded[:, :, ::-1]))
    return replace(picture, data=data.tobytes())
