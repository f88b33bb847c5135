"""The embedded tagger: open tags for an instruction, each with the probability that an annotator
would give it.

First every learned tag gets a score, the sum of what the instruction's n-grams say (sparse weights
on tf-idf, `tacos.models.ngrams`) and what its sentence vector says (a kernel exp(gamma (x.l - 1))
to a few hundred landmarks l). Then the best of them, and whatever tags the text mentions, are
looked at once more (`tacos.models.tag_candidates`), and the most certain are given: as many as make
the expected F1 highest, none where nothing is certain enough. What it was trained on, how often it
is right and where it fails: `data/tagger.md`. Tags are English whatever the text's language.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson

from tacos.errors import ModelError
from tacos.models import tag_candidates, tag_phrases
from tacos.models.tagger_files import (
    FILES,
    Matrix,
    TaggerModel,
    TagThresholds,
    fingerprint_encoders,
    hash_tagger_files,
    load_tagger_files,
    read_tagger_bytes,
    read_tagger_meta,
)
from tacos.records import Reply, Request

DATA = Path(__file__).parent / "data"
CHUNK = 512
MAX_TAGS = 6


@dataclass(frozen=True)
class EmbeddedTagger:
    """The tagger as a light, picklable value; its files are loaded once per process, when first
    needed.

    `digest` is theirs when it was loaded: files that change after that are an error, not another
    tagger.
    """

    folder: str
    digest: str
    where: Literal["process"] = "process"
    pointwise: bool = True

    @property
    def name(self) -> str:
        """The name that its maker gave it."""
        return str(read_tagger_meta(self.folder, self.digest)["name"])

    @property
    def fingerprint(self) -> str:
        """What decides the tags: a hash of its files, and the encoders' fingerprints."""
        meta = read_tagger_meta(self.folder, self.digest)
        return "-".join(
            ["tagger", self.digest, *fingerprint_encoders(meta["encoder"], meta["closeness"])]
        )

    @property
    def loaded(self) -> TaggerModel:
        """The tagger in memory; raises `ModelError` where its files are damaged."""
        return load_tagger_files(self.folder, self.digest)

    def tag(self, instructions: Sequence[str]) -> list[list[str]]:
        """The tags of each instruction, most certain first; empty where nothing is certain enough."""
        return [[tag for tag, _ in row] for row in self.tag_with_confidence(instructions)]

    def tag_with_confidence(self, instructions: Sequence[str]) -> list[list[tuple[str, float]]]:
        """Tags with the probability that an annotator would have given them, most certain first."""
        if isinstance(instructions, str):
            raise TypeError("a list of instructions is asked for, not one text: give [text]")
        return [
            [(tag, p) for tag, p, _ in row] for row in tag_instructions(self.loaded, instructions)
        ]

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request of the task "tag", which has the field `instruction`."""
        rows = tag_instructions(
            self.loaded, [str(request.fields["instruction"]) for request in requests]
        )
        return [Reply(_format_reply(row), model=self.name) for row in rows]


def load(path: str | Path | None = None) -> EmbeddedTagger:
    """The shipped tagger, or the one in a folder that `tacos distill` or `tacos.models.train` made.

    Raises `ModelError` where the folder holds no tagger.
    """
    folder = Path(path) if path is not None else DATA
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{folder} holds no tagger: {', '.join(missing)} missing")
    return EmbeddedTagger(str(folder), hash_tagger_files(*read_tagger_bytes(str(folder))))


def tag_instructions(
    loaded: TaggerModel, instructions: Sequence[str]
) -> list[list[tuple[str, float, bool]]]:
    """For each instruction (tag, probability, whether the text mentions it), most certain first."""
    out: list[list[tuple[str, float, bool]]] = []
    for start in range(0, len(instructions), CHUNK):
        texts = instructions[start : start + CHUNK]
        near = loaded.closeness.encode(texts)
        vectors = near if loaded.encoder == loaded.closeness else loaded.encoder.encode(texts)
        out += _rerank_tags(loaded, loaded.scorer.scores(texts, vectors), texts, near)
    return out


def _rerank_tags(
    loaded: TaggerModel, scores: Matrix, texts: Sequence[str], vectors: Matrix
) -> list[list[tuple[str, float, bool]]]:
    """The tags of each text from the scores of learned tags and the text's vectors in the tags'
    space.
    """
    known, stems = loaded.known, [tag_phrases.stem_text(text) for text in texts]
    found = tag_candidates.propose_candidates(known, scores, stems)
    chance = loaded.network.probability(
        tag_candidates.describe_candidates(known, scores, stems, vectors, found)
    )
    chance[found[0] < 0] = 0
    return [
        [
            (known.lexicon.tags[tags[n]], float(row[n]), bool(mentioned[n]))
            for n in choose_tags(row, loaded.choice)
        ]
        for row, tags, mentioned in zip(chance, *found, strict=True)
    ]


def choose_tags(chance: Matrix, choice: TagThresholds) -> list[int]:
    """Which candidates to give, most certain first, `MAX_TAGS` at most.

    The k best by the expected F1, about 2 (p_1 + ... + p_k) / (k + expected_tags), but none below
    `floor`, and none at all where the best is below `first_floor`.

    >>> choose_tags(np.array([0.1, 0.9, 0.5], dtype=np.float32), TagThresholds(0.2, 0.2, 3.0))
    [1, 2]
    """
    order = np.argsort(-chance, kind="stable")[:MAX_TAGS]
    best = chance[order]
    if best[0] < choice.first_floor:
        return []
    gain = np.cumsum(best) / (np.arange(1, len(best) + 1) + choice.expected_tags)
    n = min(int(gain.argmax()) + 1, max(int((best >= choice.floor).sum()), 1))
    return [int(number) for number in order[:n]]


def _format_reply(tags: Sequence[tuple[str, float, bool]]) -> str:
    """The reply's JSON."""
    return orjson.dumps({"tags": format_tag_items(tags)}).decode()


def format_tag_items(tags: Sequence[tuple[str, float, bool]]) -> list[dict[str, Any]]:
    """Tags as a reply lists them."""
    says = {True: "key phrase in the text", False: "learned"}
    return [
        {"tag": tag, "explanation": says[found], "confidence": round(p, 4)}
        for tag, p, found in tags
    ]
