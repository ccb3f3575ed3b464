"""What a run would cost, before it is paid for."""

from dataclasses import dataclass
from typing import Any

from headway.episodes import Episode
from headway.vlm.chat import Abilities, Question, Reply, Usage
from headway.vlm.estimator import VlmEstimator
from headway.vlm.tokens import tokens_of


@dataclass(frozen=True)
class Plan:
    """Estimates.

    Attributes:
        requests: as many as when every reply can be read at once, and none is in the cache.
        pictures: sent, each as often as it is.
        prompt_tokens: by the rule of thumb of `headway.vlm.tokens`.
        completion_tokens: at most.
    """

    requests: int = 0
    pictures: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def times(self, number: int) -> "Plan":
        return Plan(*(number * part for part in vars(self).values()))


class _Counter:
    """A ChatModel that counts what it is asked and refuses to answer, so that nothing is asked twice."""

    name = "counter"
    fingerprint = "counter"
    at_once = 1
    spent = Usage()

    def __init__(self) -> None:
        self.plan = Plan()

    async def ask(self, question: Question) -> Reply:
        added = (1, len(question.pictures), tokens_of(question), question.max_tokens)
        self.plan = Plan(*(before + more for before, more in zip(vars(self.plan).values(), added, strict=True)))
        return Reply("", finish="refusal")

    async def abilities(self) -> Abilities:
        return Abilities(logprobs=True, schema=True)


def plan_one(estimator: VlmEstimator, episode: Episode) -> Plan:
    """What judging one episode takes: its questions are made, and none is sent."""
    counter: Any = _Counter()
    asking = VlmEstimator(estimator.name, estimator.method, counter)
    list(asking.estimate([episode]))
    asking.close()
    plan: Plan = counter.plan
    return plan


def money(prompt_tokens: int, completion_tokens: int, price: tuple[float, float]) -> float:
    """What tokens cost at a price of (prompt, completion) for a million of them."""
    return (prompt_tokens * price[0] + completion_tokens * price[1]) / 1e6
