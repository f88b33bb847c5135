"""The static sentence encoder: a vector per WordPiece token, summed over a text and scaled to
length 1.

The table was distilled from all-MiniLM-L6-v2 and fitted to its sentence vectors (`training/`,
`data/static.md`), after model2vec (Tulkens and van Dongen, 2024), whose files it could read but
whose inference it does not need. A row's vector does not depend on the other rows: any batch gives
the same bits. It knows neither word order nor context, and little but English; a text of unknown
tokens only has the zero vector.
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
from tacos.models import int8_tensors

DATA = Path(__file__).parent / "data"
TABLE, TOKENIZER = "static.safetensors", "tokenizer.json"
CHUNK = 4096
MAX_TOKENS = 512
Vectors = npt.NDArray[np.float32]


class TokenTable(NamedTuple):
    """The files in memory: the tokenizer, the table (tokens, dim) and a hash of both."""

    tokenizer: Tokenizer
    table: Vectors
    digest: str


@dataclass(frozen=True)
class StaticEncoder:
    """The encoder as a light, picklable value; the table is loaded once per process, when first
    needed.

    `max_tokens` cuts longer texts; `folder` holds static.safetensors and tokenizer.json. `digest`,
    where it is given, is theirs when it was loaded: files that change after that are an error.
    """

    folder: str = str(DATA)
    max_tokens: int = MAX_TOKENS
    name: str = "static"
    digest: str = ""

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.loaded.table.shape[1])

    @property
    def fingerprint(self) -> str:
        """What decides the vectors: a hash of the files, and the cut."""
        return f"static-{self.loaded.digest}-{self.max_tokens}"

    @property
    def loaded(self) -> TokenTable:
        """The files in memory; raises `ModelError` where they cannot be read."""
        return load_token_table(self.folder, self.max_tokens, self.digest)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """float32 of shape (len(texts), dim), each row of length 1 (or all 0)."""
        loaded = self.loaded
        out = np.empty((len(texts), loaded.table.shape[1]), dtype=np.float32)
        for start in range(0, len(texts), CHUNK):
            rows = count_tokens(
                loaded.tokenizer, texts[start : start + CHUNK], self.max_tokens, len(loaded.table)
            )
            out[start : start + CHUNK] = scale_rows(rows @ loaded.table)
        return out


def count_tokens(
    tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int, n_tokens: int
) -> sp.csr_array:
    """A sparse float32 matrix (len(texts), n_tokens) of ones, one per token; a token seen twice
    stands there twice.
    """
    short = [replace_surrogates(text[: 16 * max_tokens]) for text in texts]
    ids = [
        encoding.ids for encoding in tokenizer.encode_batch_fast(short, add_special_tokens=False)
    ]
    ends = np.cumsum([0, *map(len, ids)], dtype=np.int32)
    flat = np.fromiter((token for row in ids for token in row), dtype=np.int32, count=int(ends[-1]))
    return sp.csr_array(
        (np.ones(len(flat), dtype=np.float32), flat, ends), shape=(len(texts), n_tokens)
    )


def replace_surrogates(text: str) -> str:
    """The text with lone surrogates, which no tokenizer reads, replaced by question marks.

    >>> replace_surrogates("a\\ud800b")
    'a?b'
    """
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def scale_rows(rows: Vectors) -> Vectors:
    """Each row divided by its length; a row of zeros stays.

    >>> scale_rows(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    return np.asarray(
        np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0), dtype=np.float32
    )


def load_static(folder: str | Path) -> StaticEncoder:
    """The static encoder in a folder; raises `ModelError` where its files cannot be read."""
    return StaticEncoder(
        str(folder),
        name=Path(folder).absolute().name,
        digest=_hash_static_files(*_read_static_files(str(folder))),
    )


def _read_static_files(folder: str) -> tuple[bytes, bytes]:
    """Table and tokenizer; raises `ModelError` where they cannot be read."""
    try:
        return (Path(folder) / TABLE).read_bytes(), (Path(folder) / TOKENIZER).read_bytes()
    except OSError as error:
        raise ModelError(
            f"{folder} holds no static encoder ({TABLE} and {TOKENIZER}): {error}"
        ) from None


def _hash_static_files(table: bytes, tokenizer: bytes) -> str:
    """A hash of an encoder's files."""
    return hashlib.blake2b(table + tokenizer, digest_size=8).hexdigest()


@lru_cache(maxsize=4)
def load_token_table(folder: str, max_tokens: int, expected: str = "") -> TokenTable:
    """Read the table and its tokenizer; raises `ModelError` where they are none, or of another
    digest than expected.
    """
    table, tokenizer = _read_static_files(folder)
    digest = _hash_static_files(table, tokenizer)
    if expected and expected != digest:
        raise ModelError(f"the encoder in {folder} has changed while it was in use: start again")
    try:
        packed, splitter = int8_tensors.parse_tensors(table), Tokenizer.from_buffer(tokenizer)
    except Exception as error:
        raise ModelError(
            f"{folder} holds no static encoder ({TABLE} and {TOKENIZER}): {error}"
        ) from None
    splitter.enable_truncation(max_tokens)
    splitter.no_padding()
    return TokenTable(splitter, int8_tensors.unpack_matrix(packed, "table"), digest)
