"""What a question will cost, estimated before it is asked."""

import math

from headway.vlm.chat import Question, Text

CHARACTERS_PER_TOKEN = 4
PIXELS_PER_TOKEN = 28
# no server cuts a prompt that is shorter
SHORTEST_CUT = 2048


def tokens_of(question: Question) -> int:
    """About how many tokens a question has. An estimate, the same for every model; the reply is not counted.

    Text: a token for every 4 characters (OpenAI's rule of thumb for English). Pictures: one for every square of
    28x28 pixels that is begun, as in Qwen2-VL and Qwen2.5-VL (Wang et al. 2024, arXiv 2409.12191: patches of 14 pixels,
    four to a token). Others differ: Qwen3-VL takes squares of 32 pixels, Gemini 258 tokens for a small picture, OpenAI
    tiles of its own. The server's own count is in `ChatModel.spent` afterwards.
    """
    characters = sum(len(part.text) for part in question.parts if isinstance(part, Text))
    return math.ceil(characters / CHARACTERS_PER_TOKEN) + _tokens_of_pictures(question)


def _tokens_of_pictures(question: Question) -> int:
    return sum(
        math.ceil(picture.width / PIXELS_PER_TOKEN) * math.ceil(picture.height / PIXELS_PER_TOKEN)
        for picture in question.pictures
    )


def remark_on_cut(question: Question, counted: int) -> str | None:
    """What to tell where a server counted far fewer tokens in a prompt than were sent; None where it did not.

    Below half of what the pictures alone have. Servers count pictures in different ways: it may be no cut. A server
    that counted nothing (0) tells nothing.
    """
    pictures = _tokens_of_pictures(question)
    if not counted or pictures < SHORTEST_CUT or counted >= pictures / 2:
        return None
    return (
        f"the server counted {counted} prompt tokens where about {tokens_of(question)} were sent; it may have cut the "
        "prompt (Ollama: OLLAMA_CONTEXT_LENGTH)"
    )
