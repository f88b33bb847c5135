"""Runs the static sentence encoder: one vector per WordPiece token, summed and scaled to length 1.

The table was distilled from all-MiniLM-L6-v2 and fitted to its sentence vectors (see `training/`
and `data/static.md`), after model2vec (Tulkens and van Dongen, 2024). A text's vector does not
depend on the other texts: any batch gives the same bits. The encoder knows neither word order nor
context, and little but English; a text of unknown tokens only has the zero vector.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from tokenizers import Tokenizer

from tacos.errors import ModelError
from tacos.methods.measures.unit_rows import scale_rows
from tacos.models import int8_tensors
from tacos.models.chunk_numbers import Chunks
from tacos.models.word_tokenizer import WordTokenizer, replace_surrogates

DATA = Path(__file__).parent / "data"
TABLE = "static.safetensors"
TOKENIZER = "tokenizer.json"
CHUNK = 4096
MAX_TOKENS = 512
MAX_CHARACTERS_PER_TOKEN = 16
Vectors = npt.NDArray[np.float32]


class TokenTable(NamedTuple):
    """An encoder's files in memory: the tokenizer, the table (tokens, dim) and a hash of both."""

    tokenizer: WordTokenizer
    table: Vectors
    digest: str


@dataclass(frozen=True)
class StaticEncoder:
    """The encoder: a small, picklable value; each process loads the table at first use.

    `folder` holds static.safetensors and tokenizer.json. Texts are cut to `max_tokens` tokens.
    `digest`, if not empty, is the hash of the files when the encoder was loaded: files that change
    after that are an error. `damped` lets a token that occurs n times count sqrt(n) times, so that
    the words which every text repeats do not drown its topic.
    """

    folder: str = str(DATA)
    max_tokens: int = MAX_TOKENS
    name: str = "static"
    digest: str = ""
    damped: bool = False

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.loaded.table.shape[1])

    @property
    def fingerprint(self) -> str:
        """What decides the vectors: a hash of the files, the number of tokens read, the damping."""
        plain = f"static-{self.loaded.digest}-{self.max_tokens}"
        return f"{plain}-damped" if self.damped else plain

    @property
    def loaded(self) -> TokenTable:
        """The files in memory; raises `ModelError` if they are missing, damaged or changed."""
        return load_token_table(self.folder, self.max_tokens, self.digest)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode texts as float32 of shape (len(texts), dim), each row of length 1 (or all 0).

        Raises `ModelError` if the encoder's files are missing, damaged or changed.
        """
        vectors = np.empty(
            (len(texts), self.dim),
            dtype=np.float32,
        )
        for start in range(0, len(texts), CHUNK):
            chunk = slice(start, start + CHUNK)
            _, vectors[chunk] = encode_tokens(self, texts[chunk])
        return vectors


def encode_tokens(
    encoder: StaticEncoder,
    texts: Sequence[str],
    chunks: Chunks | None = None,
) -> tuple[sp.csr_array, Vectors]:
    """Return the tokens of texts, see `count_tokens`, and the vectors of `StaticEncoder.encode`."""
    tokenizer, table, _ = encoder.loaded
    tokens = count_tokens(
        tokenizer,
        texts,
        encoder.max_tokens,
        n_tokens=len(table),
        chunks=chunks,
    )
    counts = tokens
    if encoder.damped:
        counts = tokens.copy()
        counts.sum_duplicates()
        counts.data = np.sqrt(counts.data)
    # A sum of token vectors; sparse, so that a row does not depend on the others.
    sums = counts @ table
    return tokens, scale_rows(sums)


def count_tokens(
    tokenizer: WordTokenizer,
    texts: Sequence[str],
    max_tokens: int,
    n_tokens: int,
    chunks: Chunks | None = None,
) -> sp.csr_array:
    """Return a sparse float32 matrix of ones of shape (len(texts), n_tokens), one per token.

    A token that occurs twice has two entries. `chunks` are the words of the same texts in small
    letters, if they were split before.
    """
    # Cut before tokenising: a text of megabytes would take seconds for tokens that are not read.
    max_characters = MAX_CHARACTERS_PER_TOKEN * max_tokens
    beginnings = [replace_surrogates(text[:max_characters]) for text in texts]
    if chunks is not None and max(map(len, texts), default=0) > max_characters:
        chunks = None
    columns, ends = tokenizer.tokenise(beginnings, chunks)
    ones = np.ones(len(columns), dtype=np.float32)
    return sp.csr_array(
        (ones, columns, np.concatenate([np.zeros(1, dtype=np.int32), ends])),
        shape=(len(texts), n_tokens),
    )


def load_static(folder: str | Path) -> StaticEncoder:
    """Load the static encoder in a folder; raises `ModelError` if a file cannot be read."""
    path = Path(folder)
    table, tokenizer = _read_static_files(str(folder))
    return StaticEncoder(
        str(folder),
        name=path.absolute().name,
        digest=_hash_static_files(table, tokenizer),
    )


def _read_static_files(folder: str) -> tuple[bytes, bytes]:
    """Read table and tokenizer; raise `ModelError` if either cannot be read."""
    table_path = Path(folder) / TABLE
    tokenizer_path = Path(folder) / TOKENIZER
    try:
        return (
            table_path.read_bytes(),
            tokenizer_path.read_bytes(),
        )
    except OSError as error:
        raise _describe_damage(folder, error) from None


def _describe_damage(folder: str, error: Exception) -> ModelError:
    return ModelError(
        f"{folder} holds no static encoder ({TABLE} and {TOKENIZER}): {error}"
    )


def _hash_static_files(table: bytes, tokenizer: bytes) -> str:
    return hashlib.blake2b(table + tokenizer, digest_size=8).hexdigest()


@lru_cache(maxsize=4)
def load_token_table(
    folder: str,
    max_tokens: int,
    expected: str = "",
) -> TokenTable:
    """Load a table and its tokenizer, set to cut at `max_tokens` and not to pad.

    Raises `ModelError` if they cannot be read, or if their hash is not the `expected` one.
    """
    table_bytes, tokenizer_bytes = _read_static_files(folder)
    digest = _hash_static_files(table_bytes, tokenizer_bytes)
    if expected and expected != digest:
        raise ModelError(
            f"the encoder in {folder} changed while it was in use: start again"
        )
    try:
        tensors = int8_tensors.parse_tensors(table_bytes)
        tokenizer = Tokenizer.from_buffer(tokenizer_bytes)
    except Exception as error:  # the tokenizers library raises bare exceptions
        raise _describe_damage(folder, error) from None
    tokenizer.enable_truncation(max_tokens)
    tokenizer.no_padding()
    table = int8_tensors.unpack_matrix(tensors, "table")
    return TokenTable(WordTokenizer(tokenizer, max_tokens), table, digest)
