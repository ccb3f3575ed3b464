"""The options of `headway score` that only estimators which ask a vision-language model know."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headway.cli.options import open_source, parse_episodes
from headway.errors import InvalidValue, Unsupported
from headway.estimator import Estimator
from headway.source import Source

if TYPE_CHECKING:
    from headway.scoring import ScoreOptions
    from headway.vlm.estimator import VlmEstimator

EPISODES = re.compile(r"(.+?):([\d:,]+)")


@dataclass(frozen=True)
class VlmOptions:
    """What a model is shown beside the episode, and what its tokens cost.

    Attributes:
        examples: `DATASET` or `DATASET:EPISODES`, shown with their completion; empty for none.
        goal: a picture of the task done.
        price: dollars for a million prompt and completion tokens, `IN,OUT`; empty when unknown.
    """

    examples: str = ""
    goal: Path | None = None
    price: str = ""

    def apply(self, estimator: Estimator, task: str | None) -> Estimator:
        """The estimator with its examples. Raises Unsupported where it takes none."""
        from dataclasses import replace

        from headway.vlm.estimator import VlmEstimator
        from headway.vlm.examples import with_examples

        parse_price(self.price)
        if not self.examples and self.goal is None:
            return estimator
        if not isinstance(estimator, VlmEstimator):
            raise Unsupported(f"--examples and --goal are for gvl:MODEL@URL; {estimator.name} takes none")
        episodes = []
        if self.examples:
            match = EPISODES.fullmatch(self.examples)
            dataset, numbers = match.groups() if match else (self.examples, "")
            source = open_source(dataset)
            chosen = parse_episodes(numbers, source.episode_indices) or tuple(source.episode_indices)
            found = [source.episode(index) for index in chosen]
            episodes = [one if one.instruction else replace(one, instruction=task) for one in found]
        return with_examples(estimator, episodes, self.goal)


def parse_price(text: str) -> tuple[float, float] | None:
    """`0.15,0.60` -> dollars for a million prompt and completion tokens; empty -> None."""
    if not text:
        return None
    try:
        prompt, completion = (float(part) for part in text.split(","))
    except ValueError:
        raise InvalidValue(f"--price needs two numbers such as 0.15,0.60, got {text!r}") from None
    return prompt, completion


def show_plan(source: Source, estimator: Estimator, options: "ScoreOptions", price: str) -> None:
    """Print what scoring would take, and do nothing."""
    from dataclasses import replace

    from headway.vlm.estimator import VlmEstimator
    from headway.vlm.plan import money, plan_one

    wanted = source.episode_indices if options.episodes is None else options.episodes
    first = source.episode(wanted[0])
    print(f"would score {len(wanted)} episodes of {source.root} with {estimator.name}; nothing is written")
    if not isinstance(estimator, VlmEstimator):
        return
    one = plan_one(estimator, replace(first, instruction=options.task or first.instruction))
    plan = one.times(len(wanted))
    print(
        f"about {plan.requests} requests with {plan.pictures} pictures, {plan.prompt_tokens:,} prompt tokens and at "
        f"most {plan.completion_tokens:,} completion tokens, by the first episode and where no reply is in the cache"
    )
    prices = parse_price(price)
    if prices:
        print(f"at that price at most ${money(plan.prompt_tokens, plan.completion_tokens, prices):.2f}")


def show_spent(estimator: "VlmEstimator", price: str) -> None:
    """Print what a run has cost."""
    from headway.vlm.plan import money

    spent = estimator.model.spent
    words = (
        f"{spent.requests} requests, {spent.cache_hits} answered from the cache, {spent.prompt_tokens:,} prompt and "
        f"{spent.completion_tokens:,} completion tokens"
    )
    prices = parse_price(price)
    if prices:
        words += f", ${money(spent.prompt_tokens, spent.completion_tokens, prices):.2f}"
    print(words)
    for name, value in estimator.remarks().items():
        print(f"{name.replace('_', ' ')}: {value}")
    unread = {name: times for name, times in estimator.outcomes.items() if name != "read"}
    if unread:
        print("replies that gave no number: " + ", ".join(f"{name} {times}" for name, times in unread.items()))
