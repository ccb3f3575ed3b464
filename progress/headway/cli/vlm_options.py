"""The options of `headway score` that only estimators which ask a vision-language model know."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from headway.cli.options import open_source, parse_episodes
from headway.episodes import Episode
from headway.errors import InvalidValue, Unsupported
from headway.estimator import Estimator
from headway.source import Source
from headway.tables import Scores

if TYPE_CHECKING:
    from headway.scoring import ScoreOptions
    from headway.vlm.chat import Usage
    from headway.vlm.estimator import VlmEstimator

# the paper goes up to five
MOST_EXAMPLES = 5
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

    def apply(self, estimator: Estimator, task: str | None, camera: str) -> Estimator:
        """The estimator with its examples, through the camera of that name where they have it.

        Raises Unsupported where it takes none, InvalidValue for more than a person would mean.
        """
        from headway.vlm.estimator import VlmEstimator
        from headway.vlm.examples import with_examples

        parse_price(self.price)
        if not self.examples and self.goal is None:
            return estimator
        if not isinstance(estimator, VlmEstimator):
            raise Unsupported(f"--examples and --goal are for gvl:MODEL@URL; {estimator.name} takes none")
        return with_examples(estimator, self._episodes(task, camera) if self.examples else [], self.goal)

    def _episodes(self, task: str | None, camera: str) -> list[Episode]:
        from dataclasses import replace

        match = EPISODES.fullmatch(self.examples)
        dataset, numbers = match.groups() if match else (self.examples, "")
        source = open_source(dataset)
        if camera in source.cameras:
            source = open_source(dataset, camera)
        chosen = parse_episodes(numbers, source.episode_indices) or tuple(source.episode_indices)
        if len(chosen) > MOST_EXAMPLES:
            raise InvalidValue(
                f"--examples {self.examples} names {len(chosen)} episodes, all of which are sent with every question; "
                f"name up to {MOST_EXAMPLES}, such as {dataset}:0,3"
            )
        found = [source.episode(index) for index in chosen]
        return [one if one.instruction else replace(one, instruction=task) for one in found]


def parse_price(text: str) -> tuple[float, float] | None:
    """`0.15,0.60` -> dollars for a million prompt and completion tokens; empty -> None."""
    if not text:
        return None
    try:
        prompt, completion = (float(part) for part in text.split(","))
    except ValueError:
        prompt = completion = -1.0
    if not (0 <= prompt < 1e6 and 0 <= completion < 1e6):
        raise InvalidValue(f"--price needs two numbers such as 0.15,0.60, got {text!r}")
    return prompt, completion


def show_plan(source: Source, estimator: Estimator, options: "ScoreOptions", price: str) -> None:
    """Print what scoring would take, and do nothing."""

    from headway.vlm.estimator import VlmEstimator
    from headway.vlm.plan import money, plan_one

    wanted = source.episode_indices if options.episodes is None else options.episodes
    first = source.episode(wanted[0])
    print(f"would score {len(wanted)} episodes of {source.root} with {estimator.name}; nothing is written")
    if not isinstance(estimator, VlmEstimator):
        return
    one = plan_one(estimator, options.told(first))
    plan = one.times(len(wanted))
    print(
        f"about {plan.requests} requests with {plan.pictures} pictures, {plan.prompt_tokens:,} prompt tokens and at "
        f"most {plan.completion_tokens:,} completion tokens, by the first episode and where no reply is in the cache"
    )
    prices = parse_price(price)
    if prices:
        print(f"at that price at most ${money(plan.prompt_tokens, plan.completion_tokens, prices):.2f}")


def show_usage(spent: "Usage", price: str = "") -> None:
    """Print what was sent, and what it cost."""
    from headway.vlm.plan import money

    words = (
        f"{spent.requests} requests, {spent.cache_hits} answered from the cache, {spent.prompt_tokens:,} prompt and "
        f"{spent.completion_tokens:,} completion tokens"
    )
    prices = parse_price(price)
    if prices:
        words += f", ${money(spent.prompt_tokens, spent.completion_tokens, prices):.4f}"
    print(words)


def show_spent(estimator: "VlmEstimator", price: str) -> None:
    """Print what a run has cost and what came of its replies."""
    show_usage(estimator.model.spent, price)
    for remark in sorted(getattr(estimator.model, "remarks", ())):
        print(f"warning: {remark}")
    for name, value in estimator.remarks().items():
        print(f"{name.replace('_', ' ')}: {value}")
    unread = {name: times for name, times in estimator.outcomes.items() if name != "read"}
    if unread:
        print("replies that gave no number: " + ", ".join(f"{name} {times}" for name, times in unread.items()))


def show_order(scores: Scores) -> None:
    """Print the value-order correlation, with refused episodes under both published conventions."""
    from headway.metrics.order import summarise_order

    curves = []
    for index in scores.episodes["episode_index"].to_pylist():
        looked_at = scores.curve(index, "looked_at").astype(bool)
        # an episode of which nothing could be read was looked at nowhere
        curves.append(scores.curve(index)[looked_at])
    found = summarise_order(curves)
    if np.isnan(found.known):
        return
    words = f"order correlation (VOC) {found.known:.2f}"
    if found.refused:
        words += (
            f"; {found.refused:.0%} refused, with which it is {found.refused_as_zero:.2f} (refused as 0, OpenGVL) or "
            f"{found.refused_as_minus_one:.2f} (as -1, GVL)"
        )
    print(f"{words}; it tells nothing of success")
