"""The embedded tagger: open tags for an instruction, each with the probability that an annotator would give it.

First every learned tag gets a score, the sum of what the instruction's n-grams say (sparse weights on tf-idf,
`tacos.models.words`) and what its sentence vector says (a kernel exp(gamma (x.l - 1)) to a few hundred landmarks l).
Then the best of them, and whatever tags the text mentions, are looked at once more (`tacos.models.candidates`), and
the most certain are given: as many as make the expected F1 highest, none where nothing is certain enough. What it was
trained on, how often it is right and where it fails: `data/tagger.md`. Tags are English whatever the text's language.
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
from tacos.models import candidates, encoder, phrases, tensors, words
from tacos.records import Encoder, Reply, Request

DATA = Path(__file__).parent / "data"
FILES = ("tagger.json", "tagger.safetensors")
CHUNK = 512
MAX_TAGS = 6
Matrix = npt.NDArray[np.float32]


class Scorer(NamedTuple):
    """Scores of learned tags: `n_gram_weights` is (n-grams, tags), `landmarks` (m, dim), `head` (m, tags)."""

    columns: dict[str, int]
    idf: Matrix
    n_gram_weights: sp.csr_array
    landmarks: Matrix
    head: Matrix
    gamma: float

    def scores(self, texts: Sequence[str], vectors: Matrix) -> Matrix:
        """float32 (texts, tags): near 1 for a sure tag, near 0 for any other."""
        by_words = words.tf_idf([words.split(text) for text in texts], self.columns, self.idf) @ self.n_gram_weights
        kernel = np.exp(np.float32(self.gamma) * (vectors @ self.landmarks.T - 1))
        return np.asarray(by_words.toarray() + kernel @ self.head, dtype=np.float32)


class Choice(NamedTuple):
    """How many tags are given: see `choose`."""

    floor: float
    first_floor: float
    expected_tags: float


class Loaded(NamedTuple):
    """A tagger in memory: `encoder` feeds the scorer, `closeness` compares texts with tags."""

    scorer: Scorer
    known: candidates.Known
    network: candidates.Network
    choice: Choice
    encoder: Encoder
    closeness: Encoder
    meta: dict[str, Any]
    digest: str


@dataclass(frozen=True)
class Tagger:
    """The tagger as a light, picklable value; its files are loaded once per process, when first needed.

    `digest` is theirs when it was loaded: files that change after that are an error, not another tagger.
    """

    folder: str
    digest: str
    where: Literal["process"] = "process"
    pointwise: bool = True

    @property
    def name(self) -> str:
        """The name that its maker gave it."""
        return str(read_meta(self.folder, self.digest)["name"])

    @property
    def fingerprint(self) -> str:
        """What decides the tags: a hash of its files, and the encoders' fingerprints."""
        meta = read_meta(self.folder, self.digest)
        return "-".join(["tagger", self.digest, *fingerprints(meta["encoder"], meta["closeness"])])

    @property
    def loaded(self) -> Loaded:
        """The tagger in memory; raises `ModelError` where its files are damaged."""
        return load_files(self.folder, self.digest)

    def tag(self, instructions: Sequence[str]) -> list[list[str]]:
        """The tags of each instruction, most certain first; empty where nothing is certain enough."""
        return [[tag for tag, _ in row] for row in self.tag_with_confidence(instructions)]

    def tag_with_confidence(self, instructions: Sequence[str]) -> list[list[tuple[str, float]]]:
        """Tags with the probability that an annotator would have given them, most certain first."""
        if isinstance(instructions, str):
            raise TypeError("a list of instructions is asked for, not one text: give [text]")
        return [[(tag, p) for tag, p, _ in row] for row in tag_all(self.loaded, instructions)]

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request of the task "tag", which has the field `instruction`."""
        rows = tag_all(self.loaded, [str(request.fields["instruction"]) for request in requests])
        return [Reply(render(row), model=self.name) for row in rows]


def load(path: str | Path | None = None) -> Tagger:
    """The shipped tagger, or the one in a folder that `tacos distill` or `tacos.models.train` made.

    Raises `ModelError` where the folder holds no tagger.
    """
    folder = Path(path) if path is not None else DATA
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{folder} holds no tagger: {', '.join(missing)} missing")
    return Tagger(str(folder), digest_of(*read_files(str(folder))))


def tag_all(loaded: Loaded, instructions: Sequence[str]) -> list[list[tuple[str, float, bool]]]:
    """For each instruction (tag, probability, whether the text mentions it), most certain first."""
    out: list[list[tuple[str, float, bool]]] = []
    for start in range(0, len(instructions), CHUNK):
        texts = instructions[start : start + CHUNK]
        near = loaded.closeness.encode(texts)
        vectors = near if loaded.encoder == loaded.closeness else loaded.encoder.encode(texts)
        out += look_twice(loaded, loaded.scorer.scores(texts, vectors), texts, near)
    return out


def look_twice(
    loaded: Loaded, scores: Matrix, texts: Sequence[str], vectors: Matrix
) -> list[list[tuple[str, float, bool]]]:
    """The tags of each text from the scores of learned tags and the text's vectors in the tags' space."""
    known, stems = loaded.known, [phrases.stem(text) for text in texts]
    found = candidates.propose(known, scores, stems)
    chance = loaded.network.probability(candidates.describe(known, scores, stems, vectors, found))
    chance[found[0] < 0] = 0
    return [
        [(known.lexicon.tags[tags[n]], float(row[n]), bool(mentioned[n])) for n in choose(row, loaded.choice)]
        for row, tags, mentioned in zip(chance, *found, strict=True)
    ]


def choose(chance: Matrix, choice: Choice) -> list[int]:
    """Which candidates to give, most certain first, `MAX_TAGS` at most.

    The k best by the expected F1, about 2 (p_1 + ... + p_k) / (k + expected_tags), but none below `floor`, and none at
    all where the best is below `first_floor`.

    >>> choose(np.array([0.1, 0.9, 0.5], dtype=np.float32), Choice(0.2, 0.2, 3.0))
    [1, 2]
    """
    order = np.argsort(-chance, kind="stable")[:MAX_TAGS]
    best = chance[order]
    if best[0] < choice.first_floor:
        return []
    gain = np.cumsum(best) / (np.arange(1, len(best) + 1) + choice.expected_tags)
    n = min(int(gain.argmax()) + 1, max(int((best >= choice.floor).sum()), 1))
    return [int(number) for number in order[:n]]


def render(tags: Sequence[tuple[str, float, bool]]) -> str:
    """The reply's JSON."""
    return orjson.dumps({"tags": items(tags)}).decode()


def items(tags: Sequence[tuple[str, float, bool]]) -> list[dict[str, Any]]:
    """Tags as a reply lists them."""
    says = {True: "key phrase in the text", False: "learned"}
    return [{"tag": tag, "explanation": says[found], "confidence": round(p, 4)} for tag, p, found in tags]


@lru_cache(maxsize=4)
def load_files(folder: str, digest: str) -> Loaded:
    """Read a tagger's files; raises `ModelError` where they cannot be read, or have another digest by now."""
    try:
        return unpack(*read_files(folder, digest))
    except ModelError as error:
        raise ModelError(f"the tagger in {folder}: {error}") from None


def read_files(folder: str, digest: str = "") -> list[bytes]:
    """The bytes of a tagger's files; raises `ModelError` where they cannot be read, or have another digest by now."""
    try:
        meta, packed = ((Path(folder) / name).read_bytes() for name in FILES)
    except OSError as error:
        raise ModelError(f"cannot read the tagger in {folder}: {error}") from None
    if digest and digest != digest_of(meta, packed):
        raise ModelError(f"the tagger in {folder} has changed while it was in use: start again")
    return [meta, packed]


@lru_cache(maxsize=4)
def read_meta(folder: str, digest: str) -> dict[str, Any]:
    """What a tagger says of itself: enough to know it by, without making it."""
    try:
        found: dict[str, Any] = orjson.loads(read_files(folder, digest)[0])
        if not all(isinstance(found.get(key), str) for key in ("name", "encoder", "closeness")):
            raise ModelError(f"the tagger in {folder}: of another version")
        return found
    except (orjson.JSONDecodeError, AttributeError) as error:
        raise ModelError(f"the tagger in {folder}: of another version or damaged: {error!r}") from None


def digest_of(meta: bytes, packed: bytes) -> str:
    """A hash of a tagger's files."""
    return hashlib.blake2b(meta + packed, digest_size=8).hexdigest()


@lru_cache(maxsize=4)
def unpack(meta: bytes, packed: bytes) -> Loaded:
    """A tagger from the bytes of its two files; raises `ModelError` where they are none."""
    try:
        return assemble(orjson.loads(meta), tensors.from_bytes(packed), digest_of(meta, packed))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"of another version or damaged: {error!r}") from None


def pack(meta: dict[str, Any], packed: dict[str, tensors.Array]) -> list[tuple[str, bytes]]:
    """Name and bytes of a tagger's two files; equal taggers give equal bytes."""
    return list(zip(FILES, (orjson.dumps(meta, option=orjson.OPT_SORT_KEYS), tensors.to_bytes(packed)), strict=True))


def assemble(meta: dict[str, Any], packed: dict[str, tensors.Array], digest: str = "") -> Loaded:
    """A tagger from the content of its two files; raises `ValueError` (or `KeyError`) where they don't fit together."""
    closeness, own = encoder.load(meta["closeness"]), encoder.load(meta["encoder"])
    now = fingerprints(meta["encoder"], meta["closeness"])
    if meta.get("fingerprints", now) != now:
        raise ValueError(f"trained with another encoder than {meta['encoder']} is now")
    tensors.check_shapes(packed, shapes_of(meta, packed, own.dim))
    scorer = Scorer(
        {gram: number for number, gram in enumerate(meta["n_grams"])},
        np.asarray(packed["idf"], dtype=np.float32),
        tensors.unpack_sparse(packed, "n_gram_weights"),
        tensors.unpack(packed, "landmarks"),
        tensors.unpack(packed, "head"),
        float(meta["gamma"]),
    )
    lexicon = phrases.Lexicon(tuple(meta["tags"]), meta["stems"], meta["rare"])
    given, published = (np.asarray(packed[name], dtype=np.float32) for name in ("given", "published"))
    columns = np.asarray(packed["columns"], dtype=np.int64)
    known = candidates.Known(lexicon, closeness.encode(meta["tags"]), given, published, columns)
    if sorted(columns[columns >= 0].tolist()) != list(range(scorer.head.shape[1])):
        raise ValueError("other columns than learned tags")
    return Loaded(scorer, known, read_network(packed), Choice(**meta["choice"]), own, closeness, meta, digest)


def fingerprints(*names: str) -> list[str]:
    """Of these encoders."""
    return [encoder.load(name).fingerprint for name in names]


def shapes_of(meta: dict[str, Any], packed: dict[str, tensors.Array], dim: int) -> dict[str, tuple[int, ...]]:
    """The shapes that a tagger's tensors must have to fit together, for an encoder of this dimension."""
    n_landmarks, n_learned = len(packed["landmarks"]), int(packed["n_gram_weights.width"][0])
    return {
        **dict.fromkeys(("idf", "n_gram_weights.scale"), (len(meta["n_grams"]),)),
        **dict.fromkeys(("given", "published", "columns"), (len(meta["tags"]),)),
        **dict.fromkeys(("network.mean", "network.spread"), (len(candidates.NAMES),)),
        "landmarks": (n_landmarks, dim),
        "head": (n_landmarks, n_learned),
    }


def read_network(packed: dict[str, tensors.Array]) -> candidates.Network:
    """The network's arrays."""
    n_layers = sum(name.startswith("network.bias") for name in packed)
    layers = [
        [np.asarray(packed[f"network.{part}{n}"], dtype=np.float32) for n in range(n_layers)]
        for part in ("weights", "bias")
    ]
    mean, spread = (np.asarray(packed[f"network.{part}"], dtype=np.float32) for part in ("mean", "spread"))
    network = candidates.Network(mean, spread, *layers)
    network.probability(mean[None])  # a ValueError where the layers don't fit
    return network
