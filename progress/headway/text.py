"""A text encoder that needs no download: hashed character n-grams."""

import hashlib
import re

import numpy as np

from headway.episodes import Array

DIMENSION = 256


def encode_text(text: str, dimension: int = DIMENSION) -> Array:
    """Encode `text` as a unit vector, float32 (dimension,): signed hashing of its words and letter trigrams.

    Texts that share words or parts of words lie near each other, and nothing has to be learned or fetched. It knows
    no synonyms. Feature hashing with signs is Weinberger et al., "Feature Hashing for Large Scale Multitask
    Learning" (arXiv 0902.2206). An empty text gives zeros.
    """
    vector = np.zeros(dimension, dtype=np.float32)
    words = re.findall(r"\w+", text.lower())
    for word in words:
        padded = f"<{word}>"
        for gram in [padded, *(padded[i : i + 3] for i in range(len(padded) - 2))]:
            # Python's own hash changes from run to run
            digest = hashlib.blake2b(gram.encode(), digest_size=8).digest()
            number = int.from_bytes(digest, "little")
            vector[(number >> 1) % dimension] += 1.0 if number & 1 else -1.0
    norm = float(np.linalg.norm(vector))
    return vector / norm if norm else vector
