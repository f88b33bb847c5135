"""Tokenises texts quickly: each distinct word goes through the tokenizer once per process.

A word is what stands between blanks, with its punctuation. A BERT tokenizer splits a text there
before it looks at the words, so the tokens of a word are the same in any text. Texts with control
characters that end words for Python alone, the names of special tokens or a capital sigma (whose
small letter depends on what stands beside it) are left to the tokenizer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from tokenizers import Tokenizer

from tacos.models.chunk_numbers import ChunkNumbers, ChunkParts, Chunks, Numbers

_JOINING = b"\x0b\x0c\x1c\x1d\x1e\x1f"
_OTHER_JOINING = "\x85"
"""Blanks that the tokenizer removes before it splits, so that words become one."""
_SIGMA = "Σ"
# Of words without other characters: the tokenizer splits them at each punctuation mark.
_PRINTABLE = re.compile(r"[!-~]+")
_PIECE = re.compile(r"[a-z0-9]+|.")
N_SHARED = 2
"""Memories of others that are known at a time: the judge has one, the tagger another."""
LONGEST_WORD = 100
"""The tokenizer knows no longer word without punctuation."""
Ids = npt.NDArray[np.int32]


class WordTokenizer:
    """A tokenizer that remembers words. It gives the tokens that the tokenizer alone gives.

    `max_tokens` is where the tokenizer cuts a text.
    """

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        setup = orjson.loads(tokenizer.to_str())
        self._splits_words = _splits_words(setup)
        special_tokens = [token["content"] for token in setup["added_tokens"]]
        self._marks = (_OTHER_JOINING, _SIGMA, *special_tokens)
        self._own = self._forget()
        self._shared: tuple[ChunkParts, ...] = ()

    def tokenise(
        self, texts: Sequence[str], chunks: Chunks | None = None
    ) -> tuple[Ids, Ids]:
        """Return the tokens of all texts, one after the other, and where each text ends.

        `chunks` are the words of the same texts in small letters, if they were split before.
        """
        is_plain = np.ones(len(texts), dtype=np.bool_)
        # Most batches are plain as a whole, which is found many times faster.
        if not self._is_plain("\n".join(texts)):
            is_plain = np.array(list(map(self._is_plain, texts)), dtype=np.bool_)
        others = [text for text, flag in zip(texts, is_plain, strict=True) if not flag]
        if chunks is None:
            chunks = self._split_words(
                [text for text, flag in zip(texts, is_plain, strict=True) if flag]
            )
        else:
            chunks = chunks.take(is_plain)
        ids, lengths = _merge_runs(
            is_plain,
            self._tokenise_chunks(chunks),
            self._tokenise_texts(others),
        )
        return ids, np.cumsum(lengths, dtype=np.int32)

    def _is_plain(self, text: str) -> bool:
        """Say whether the words of a text may be tokenised one by one."""
        if not self._splits_words:
            return False
        content = text.encode()
        if len(content.translate(None, _JOINING)) < len(content):
            return False
        return not any(map(text.__contains__, self._marks))

    def _tokenise_texts(self, texts: Sequence[str]) -> tuple[Ids, Ids]:
        """Return the tokens of texts and how many each has, as the tokenizer gives them."""
        if not texts:
            return np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32)
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return _join_runs([encoding.ids for encoding in encodings])

    def _forget(self) -> ChunkParts:
        """An empty memory of words."""
        return ChunkParts(ChunkNumbers(), self._tokenise_words)

    def _split_words(self, texts: Sequence[str]) -> Chunks:
        """Split plain texts."""
        own = self._own
        if own.memory.is_full:
            own = self._own = self._forget()
        return own.memory.read([text.lower() for text in texts])

    def _tokenise_chunks(self, chunks: Chunks) -> tuple[Ids, Ids]:
        """Return the tokens of plain texts and how many each has, by their words."""
        # The memory of the words that are given, which may be one of a few
        memories = (self._own, *self._shared)
        known = next(
            (parts for parts in memories if parts.memory is chunks.memory),
            None,
        )
        if known is None:
            known = ChunkParts(chunks.memory, self._tokenise_words)
            self._shared = (known, *self._shared)[:N_SHARED]
        ids, lengths_of_texts = known.list_parts(chunks)
        ends_of_texts = np.cumsum(lengths_of_texts)
        n_tokens = len(ids)

        # The tokens of each text, and which of them stand before the cut
        kept = np.minimum(lengths_of_texts, self._max_tokens)
        if (kept < lengths_of_texts).any():
            start_of_token = np.repeat(
                ends_of_texts - lengths_of_texts, lengths_of_texts
            )
            ids = ids[np.arange(n_tokens) - start_of_token < self._max_tokens]
        return ids.astype(np.int32), kept.astype(np.int32)

    def _tokenise_words(self, new_words: Sequence[str]) -> tuple[Ids, Numbers]:
        """Return the tokens of words and how many each has."""
        # A word of others may have a lone surrogate, which no tokenizer reads.
        new_words = list(map(replace_surrogates, new_words))
        known = list(map(self._look_up_pieces, new_words))
        is_known = np.array([pieces is not None for pieces in known], dtype=np.bool_)
        found = [pieces for pieces in known if pieces is not None]
        others = [
            word
            for word, pieces in zip(new_words, known, strict=True)
            if pieces is None
        ]
        ids, lengths = _merge_runs(
            is_known,
            _join_runs(found),
            self._tokenise_texts(others),
        )
        return ids, lengths.astype(np.int64)

    def _look_up_pieces(self, word: str) -> list[int] | None:
        """The tokens of a word whose pieces all are in the vocabulary, else None.

        A piece of the vocabulary is one token, because the tokenizer takes the longest that fits.
        """
        if not _PRINTABLE.fullmatch(word):
            return None
        tokens: list[int] = []
        for piece in _PIECE.findall(word):
            token = self._tokenizer.token_to_id(piece)
            if token is None:
                return None
            tokens.append(token)
        return tokens[: self._max_tokens]


def replace_surrogates(text: str) -> str:
    """Replace lone surrogates, which no tokenizer reads, by question marks.

    >>> replace_surrogates("a\\ud800b")
    'a?b'
    """
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")


def _join_runs(runs: Sequence[Sequence[int]]) -> tuple[Ids, Ids]:
    """Join runs of ids into one array, beside their lengths."""
    lengths = np.array(list(map(len, runs)), dtype=np.int32)
    ids = np.fromiter(
        chain.from_iterable(runs),
        dtype=np.int32,
        count=int(lengths.sum()),
    )
    return ids, lengths


def _merge_runs(
    is_first: npt.NDArray[np.bool_],
    first: tuple[Ids, Ids],
    second: tuple[Ids, Ids],
) -> tuple[Ids, Ids]:
    """Merge two lists of runs, each given by its ids and its lengths, in the order of a flag."""
    lengths = np.empty(len(is_first), dtype=np.int32)
    lengths[is_first] = first[1]
    lengths[~is_first] = second[1]
    is_of_first = np.repeat(is_first, lengths)
    ids = np.empty(len(is_of_first), dtype=np.int32)
    ids[is_of_first] = first[0]
    ids[~is_of_first] = second[0]
    return ids, lengths


def _splits_words(setup: dict[str, Any]) -> bool:
    """Say whether a tokenizer splits texts as a BERT tokenizer for lower-case words does."""
    expected: dict[str, dict[str, Any]] = {
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordPiece", "max_input_chars_per_word": LONGEST_WORD},
    }
    for part, values in expected.items():
        own = setup.get(part)
        if not isinstance(own, dict) or not values.items() <= own.items():
            return False
    return True
