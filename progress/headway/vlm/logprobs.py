"""Probabilities of given answers, out of the log-probabilities that a server reports of a reply's first token."""

from collections.abc import Mapping, Sequence

import numpy as np

from headway.vlm.chat import Reply

# most that servers of OpenAI's protocol report
TOP = 20


def answer_probabilities(reply: Reply, answers: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The probability of each answer as the reply's first token, 0 where the server does not list it.

    Args:
        reply: asked for with `top_logprobs`.
        answers: answer -> its spellings as tokens (`True` and ` True` are two); their probabilities are summed.

    Empty when the server gave no log-probabilities.
    """
    if not reply.tokens:
        return {}
    first = reply.tokens[0]
    listed = dict(first.alternatives) | {first.text: first.logprob}
    return {
        answer: float(sum(np.exp(listed[spelling]) for spelling in spellings if spelling in listed))
        for answer, spellings in answers.items()
    }


def spellings(answer: str) -> tuple[str, str]:
    """How tokenizers spell an answer: alone, and after a space."""
    return answer, f" {answer}"
