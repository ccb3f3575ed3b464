"""The ways of training there are, by the name that specs and checkpoints use."""

from collections.abc import Mapping
from typing import Any

from headway.learned.classifier import Classifier
from headway.learned.heads import Heads
from headway.learned.inputs import InputConfig
from headway.learned.method import Method, TrainingConfig
from headway.learned.sarm import Sarm
from headway.learned.trunk import TrunkConfig
from headway.learned.vip import Vip

METHODS: dict[str, type[Any]] = {"sarm": Sarm, "heads": Heads, "vip": Vip, "classifier": Classifier}


def method_from_json(content: Mapping[str, Any]) -> Method:
    """The method that `asdict` made `content` of. Raises LookupError, TypeError or ValueError when it does not fit."""
    parts = dict(content)
    inputs = parts.pop("inputs")
    parts["inputs"] = InputConfig(**dict(inputs, cameras=tuple(inputs["cameras"])))
    parts["training"] = TrainingConfig(**parts["training"])
    if "trunk" in parts:
        parts["trunk"] = TrunkConfig(**parts["trunk"])
    method: Method = METHODS[parts["name"]](**parts)
    return method
