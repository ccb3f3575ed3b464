"""A vision-language model that runs on this machine, through transformers."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import anyio.from_thread
import anyio.to_thread
import torch
import transformers
from torch import Tensor

from headway.encoders.pretrained import quiet
from headway.episodes import Array
from headway.errors import InvalidValue
from headway.vlm.chat import Abilities, NoReply, Picture, Question, Reply, Token, Usage
from headway.vlm.local_weights import fingerprint, load_model
from headway.vlm.prefixes import SharedPrompt, cut, score_prefixes


class LocalModel:
    """Answers questions (`headway.vlm.chat.ChatModel`); scores prefixes and shares pictures, which no server does.

    Qwen2-VL, Qwen2.5-VL, Qwen3-VL, SmolVLM and Idefics 3. Pictures are shown as pictures, never as a video: a video's
    tokens hold two frames each, so the end of a prefix would move. Idefics 3 and SmolVLM see each picture whole, not in
    tiles.

    A reply follows the model's own distribution: the sampling settings that came with the weights (repetition penalty,
    top-k, top-p) are left aside, and log-probabilities are those before the temperature. A schema is not enforced.

    One question is answered at a time, in a thread of its own.

    Args:
        name: a folder that `save_pretrained` wrote, or the name of a model of the hub that was fetched before.
        device: of torch. On CUDA the weights are bfloat16, elsewhere float32.

    Raises CheckpointError, in one line, where the model is missing, damaged or of another type.
    """

    def __init__(self, name: str, device: str = "cpu"):
        self._model = load_model(name, device)
        self._lock = threading.Lock()
        self.name = name
        self.at_once = 1
        self.spent = Usage()

    @cached_property
    def fingerprint(self) -> str:
        """From the content of the model's files. Not of the device: between them answers differ by rounding."""
        return fingerprint(self._model.folder)

    async def abilities(self) -> Abilities:
        return Abilities(logprobs=True, schema=False)

    async def ask(self, question: Question) -> Reply:
        """Raises NoReply where the question is too long for the model or for the device's memory."""
        return await anyio.to_thread.run_sync(self._ask, question)

    async def first_tokens(self, questions: Sequence[Question]) -> list[Reply]:
        """What `ask` says to each of several questions for one token, up to how floats are summed.

        What a question has in common with the one before it is not run again (`headway.vlm.prefixes`), so the order
        decides the cost: prefixes as they grow, and all questions about one prefix in a row. Each is counted as a
        request, and as the tokens that were run for it. May be cancelled between two questions.

        Raises:
            InvalidValue: a question for more than one token, or for one that is drawn.
            NoReply: as `ask`.
            Unsupported: the model's template does not mark each picture once.
        """
        if any(question.max_tokens != 1 or question.temperature > 0 for question in questions):
            raise InvalidValue("first_tokens takes questions with max_tokens=1 and temperature=0; ask the others")
        return await anyio.to_thread.run_sync(self._first_tokens, questions)

    def score_prefixes(
        self, pictures: Sequence[Picture], before: str, after: str, answers: Sequence[str], reuse: bool = True
    ) -> Array:
        """Log-probabilities (pictures, answers) after each prefix: `headway.vlm.prefixes.score_prefixes`.

        Counted as one request a prefix, and as the tokens that were run. Blocks until it is done.
        """
        start = time.perf_counter()
        with self._lock, _memory_told(self.name):
            scores, tokens = score_prefixes(self._model, pictures, before, after, answers, reuse)
            seconds = time.perf_counter() - start
            self.spent += Usage(requests=len(pictures), prompt_tokens=tokens, seconds=seconds)
        return scores

    def _ask(self, question: Question) -> Reply:
        with self._lock, _memory_told(self.name):
            reply = self._generate(question)
            self.spent += reply.usage
        return reply

    @torch.inference_mode()
    def _generate(self, question: Question) -> Reply:
        start = time.perf_counter()
        inputs = self._model.prepare(self._model.render(question.parts, to_answer=True), question.pictures)
        asked = inputs["input_ids"].shape[1]
        self._model.check_length(asked + question.max_tokens)
        # greedy search has transformers warn of every setting for drawing, also of those that came with the weights
        with quiet(), _seeded(question.seed, self._model.network.device):
            output = self._model.network.generate(**inputs, generation_config=self._settings(question))
        ids = output.sequences[0, asked:].tolist()
        logits = [row[0] for row in output.logits or ()]
        return self._reply(ids, logits, question, Usage(1, 0, asked, len(ids), time.perf_counter() - start))

    def _first_tokens(self, questions: Sequence[Question]) -> list[Reply]:
        shared, replies = SharedPrompt(self._model), []
        for question in questions:
            anyio.from_thread.check_cancelled()
            with self._lock, _memory_told(self.name):
                reply = self._first_token(shared, question)
                self.spent += reply.usage
            replies.append(reply)
        return replies

    @torch.inference_mode()
    def _first_token(self, shared: SharedPrompt, question: Question) -> Reply:
        start, before = time.perf_counter(), shared.tokens
        text = self._model.render(question.parts, to_answer=True)
        logits = shared.run(cut(self._model, text, question.pictures))[0]
        ids = [int(logits.argmax())]
        usage = Usage(1, 0, shared.tokens - before, 1, time.perf_counter() - start)
        return self._reply(ids, [logits], question, usage)

    def _reply(self, ids: Sequence[int], logits: Sequence[Tensor], question: Question, usage: Usage) -> Reply:
        """From a reply's tokens, the end among them, and the logits (vocabulary,) that each was taken from."""
        finish = "stop" if ids[-1] in self._ends else "length"
        said = ids[:-1] if finish == "stop" else ids
        tokens = self._tokens(said, logits, question.top_logprobs) if question.top_logprobs else ()
        return Reply(self._text(said), finish, tokens, usage)

    def _settings(self, question: Question) -> Any:
        drawn = question.temperature > 0
        # what is left out, transformers takes from the settings that came with the weights
        return transformers.GenerationConfig(
            max_new_tokens=question.max_tokens,
            min_new_tokens=0,
            do_sample=drawn,
            temperature=question.temperature if drawn else 1.0,
            top_k=0,
            top_p=1.0,
            repetition_penalty=1.0,
            num_beams=1,
            eos_token_id=self._ends,
            pad_token_id=self._ends[0],
            return_dict_in_generate=True,
            output_logits=question.top_logprobs > 0,
        )

    @cached_property
    def _ends(self) -> list[int]:
        """Numbers of the tokens that end a reply."""
        ends = self._model.network.generation_config.eos_token_id
        if ends is None:
            ends = self._model.processor.tokenizer.eos_token_id
        return [ends] if isinstance(ends, int) else list(ends)

    def _tokens(self, ids: Sequence[int], logits: Sequence[Tensor], count: int) -> tuple[Token, ...]:
        tokens = []
        for number, row in zip(ids, logits, strict=False):
            logprobs = row.float().log_softmax(-1)
            best = logprobs.topk(min(count, len(logprobs)))
            others = zip(best.indices.tolist(), best.values.tolist(), strict=True)
            alternatives = tuple((self._text([other], marks=True), logprob) for other, logprob in others)
            tokens.append(Token(self._text([number], marks=True), float(logprobs[number]), alternatives))
        return tuple(tokens)

    def _text(self, ids: Sequence[int], marks: bool = False) -> str:
        tokenizer = self._model.processor.tokenizer
        return tokenizer.decode(ids, skip_special_tokens=not marks, clean_up_tokenization_spaces=False)


@contextmanager
def _seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """Draw from `seed`, and leave torch's own random state as it was."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def _memory_told(name: str) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise NoReply(f"the device's memory is too small for {name} and this question; show fewer frames") from error
