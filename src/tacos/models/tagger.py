"""The embedded tagger: open tags for an instruction, with a confidence, from a linear head over a learned vocabulary.

A tag's score is the sum of what the instruction's n-grams say (sparse weights on tf-idf, `tacos.models.words`) and what
its sentence vector says (a Gaussian-like kernel exp(gamma (x.l - 1)) to a few hundred landmark instructions l). Tags
above a threshold are given, six at most; none above it gives an honest empty list. What it was trained on, how often it
is right and where it fails: `data/tagger.md`. Tags are English whatever the instruction's language.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson
import scipy.sparse as sp

from tacos.errors import ModelError
from tacos.models import encoder, tensors, words
from tacos.records import Encoder, Reply, Request

DATA = Path(__file__).parent / "data"
FILES = ("tagger.json", "tagger.safetensors")
CHUNK = 2048
Matrix = npt.NDArray[np.float32]


class Loaded(NamedTuple):
    """The files in memory; `tags` has one name per column of `n_gram_weights` (n-grams, tags) and `head` (landmarks, tags)."""

    tags: list[str]
    columns: dict[str, int]
    idf: Matrix
    n_gram_weights: sp.csr_array
    landmarks: Matrix
    head: Matrix
    meta: dict[str, Any]
    encoder: Encoder
    digest: str


@dataclass(frozen=True)
class Tagger:
    """The tagger as a light, picklable value; its files are loaded once per process, when first needed."""

    folder: str = str(DATA)
    where: Literal["process"] = "process"
    pointwise: bool = True

    @property
    def name(self) -> str:
        """The name that its maker gave it."""
        return str(load_files(self.folder).meta["name"])

    @property
    def fingerprint(self) -> str:
        """What decides the tags: a hash of its files, and the encoder's fingerprint."""
        loaded = load_files(self.folder)
        return f"tagger-{loaded.digest}-{loaded.encoder.fingerprint}"

    def tag(self, instructions: Sequence[str]) -> list[list[str]]:
        """The tags of each instruction, most certain first; empty where nothing is certain enough."""
        return [[tag for tag, _ in row] for row in self.tag_with_confidence(instructions)]

    def tag_with_confidence(self, instructions: Sequence[str]) -> list[list[tuple[str, float]]]:
        """Tags with the probability that an annotator would have given them, most certain first."""
        loaded = load_files(self.folder)
        out: list[list[tuple[str, float]]] = []
        for start in range(0, len(instructions), CHUNK):
            out += choose(scores(loaded, instructions[start : start + CHUNK]), loaded)
        return out

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request of the task "tag", which has the field `instruction`."""
        instructions = [str(request.fields["instruction"]) for request in requests]
        found = self.tag_with_confidence(instructions)
        return [Reply(render(text, tags), model=self.name) for text, tags in zip(instructions, found, strict=True)]


def load(path: str | Path | None = None) -> Tagger:
    """The shipped tagger, or the one in a folder that `tacos distill` or `tacos.models.train` made.

    Raises `ModelError` where the folder holds no tagger.
    """
    folder = Path(path) if path is not None else DATA
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{folder} holds no tagger: {', '.join(missing)} missing")
    return Tagger(str(folder))


def scores(loaded: Loaded, instructions: Sequence[str]) -> Matrix:
    """float32 (len(instructions), number of tags): about 1 for a sure tag, about 0 for any other."""
    texts = [words.split(text) for text in instructions]
    by_words = words.tf_idf(texts, loaded.columns, loaded.idf) @ loaded.n_gram_weights
    vectors = loaded.encoder.encode(instructions)
    kernel = np.exp(np.float32(loaded.meta["gamma"]) * (vectors @ loaded.landmarks.T - 1))
    return np.asarray(by_words.toarray() + kernel @ loaded.head, dtype=np.float32)


def choose(rows: Matrix, loaded: Loaded) -> list[list[tuple[str, float]]]:
    """The tags of each row of scores, at most `max_tags` above `threshold`, with their calibrated probability."""
    meta = loaded.meta
    out = []
    for row in rows:
        best = np.flatnonzero(row > meta["threshold"])
        best = best[np.argsort(-row[best], kind="stable")][: meta["max_tags"]]
        chance = 1 / (1 + np.exp(-(meta["slope"] * row[best] + meta["intercept"])))
        out.append([(loaded.tags[tag], float(p)) for tag, p in zip(best, chance, strict=True)])
    return out


def render(instruction: str, tags: Sequence[tuple[str, float]]) -> str:
    """The reply's JSON."""
    text = instruction.lower()
    items = [
        {
            "tag": tag,
            "explanation": "key phrase in the text" if tag.lower() in text else "learned",
            "confidence": round(confidence, 4),
        }
        for tag, confidence in tags
    ]
    return orjson.dumps({"tags": items}).decode()


@lru_cache(maxsize=4)
def load_files(folder: str) -> Loaded:
    """Read a tagger's files; raises `ModelError` where they cannot be read."""
    paths = [Path(folder) / name for name in FILES]
    try:
        meta = orjson.loads(paths[0].read_bytes())
        digest = hashlib.blake2b(b"".join(path.read_bytes() for path in paths), digest_size=8).hexdigest()
    except (OSError, orjson.JSONDecodeError) as error:
        raise ModelError(f"cannot read the tagger in {folder}: {error}") from None
    packed = tensors.load(paths[1])
    return Loaded(
        tags=meta.pop("tags"),
        columns={gram: number for number, gram in enumerate(meta.pop("n_grams"))},
        idf=np.asarray(packed["idf"], dtype=np.float32),
        n_gram_weights=tensors.unpack_sparse(packed, "n_gram_weights"),
        landmarks=tensors.unpack(packed, "landmarks"),
        head=tensors.unpack(packed, "head"),
        meta=meta,
        encoder=encoder.load(meta["encoder"]),
        digest=digest,
    )
