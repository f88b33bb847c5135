"""Reads texts for a tagger: numbers of words and of stems, and vectors, from one split at blanks.

Each distinct run of characters between blanks is looked at once per process. Nothing depends on the
order in which runs were met.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tacos.models import ngrams, static_encoder, tag_phrases
from tacos.models.chunk_numbers import ChunkNumbers, ChunkParts, Chunks, Runs
from tacos.records import Encoder

MAX_CHARACTERS = static_encoder.MAX_CHARACTERS_PER_TOKEN * static_encoder.MAX_TOKENS
"""The number of characters that the static encoder reads, more than any other reader."""


class ReadTexts(NamedTuple):
    """Texts, the numbers of their words and stems, and what stands between their blanks."""

    texts: Sequence[str]
    words: Runs
    stems: Runs
    chunks: Chunks

    def encode(self, encoder: Encoder) -> npt.NDArray[np.float32]:
        """Encode the texts, (texts, dim)."""
        if not isinstance(encoder, static_encoder.StaticEncoder):
            return encoder.encode(self.texts)
        longest = max(map(len, self.texts), default=0)
        # An encoder may read more than the runs were cut from.
        chunks = self.chunks if longest <= MAX_CHARACTERS else None
        _, vectors = static_encoder.encode_tokens(encoder, self.texts, chunks)
        return vectors


class _Memory:
    """The runs that were met since the last time that all were forgotten."""

    def __init__(
        self, n_grams: ngrams.NGramTable, lexicon: tag_phrases.Lexicon
    ) -> None:
        self.chunks = ChunkNumbers()
        self.words = ChunkParts(self.chunks, n_grams.number_chunks)
        self.stems = ChunkParts(self.chunks, lexicon.number_chunks)


class TextReader:
    """Reads texts by the words of a scorer's n-grams and the stems of a lexicon."""

    def __init__(
        self, n_grams: ngrams.NGramTable, lexicon: tag_phrases.Lexicon
    ) -> None:
        self._n_grams = n_grams
        self._lexicon = lexicon
        self._memory = _Memory(n_grams, lexicon)

    def read(self, texts: Sequence[str]) -> ReadTexts:
        """Read the beginnings of texts; how much is for each reader to say."""
        memory = self._memory
        if memory.chunks.is_full:
            memory = self._memory = _Memory(self._n_grams, self._lexicon)
        longest = max(map(len, texts), default=0)
        chunks = _read_beginnings(memory, texts, MAX_CHARACTERS)

        def list_parts(parts: ChunkParts, max_characters: int) -> Runs:
            begun = chunks
            if longest > max_characters:
                begun = _read_beginnings(memory, texts, max_characters)
            return Runs(*parts.list_parts(begun))

        words = list_parts(memory.words, ngrams.MAX_CHARACTERS)
        stems = list_parts(memory.stems, tag_phrases.MAX_CHARACTERS)
        return ReadTexts(
            texts,
            words.cut(ngrams.MAX_WORDS),
            stems.cut(tag_phrases.MAX_PIECES),
            chunks,
        )


def _read_beginnings(
    memory: _Memory, texts: Sequence[str], max_characters: int
) -> Chunks:
    return memory.chunks.read([text[:max_characters].lower() for text in texts])
