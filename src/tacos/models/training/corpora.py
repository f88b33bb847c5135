"""The texts that the static table is fitted to. Only what may go into shipped weights: Apache-2,
MIT or our own.

Whole instructions, single sentences of responses, tags, and phrases of one to three words cut out
of those texts or put together from the words of tags. One tag in ten and no phrase made of it is
left out (`is_holdout_tag`), for measuring.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
WORD = re.compile(r"[a-z][a-z'+#-]*[a-z+#]|[.,;:!?()\n]")
_STOP = (
    "a an the of to in on for and or is are was were be been it its this that these those with as at by from i you he "
    "she they we my your his her their our me him them us not no do does did can could will would should has have had "
    "if then than so but what which who how when where why there here about into out up down over"
)
STOP_WORDS = frozenset(_STOP.split())
LONGEST = 1500
"""Characters of a text that are read."""


def read_corpus_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a gzipped JSON or JSON-lines file."""
    text = gzip.decompress(path.read_bytes()).decode("utf-8")
    return (
        list(json.loads(text))
        if path.suffixes[-2] == ".json"
        else [json.loads(line) for line in text.splitlines()]
    )


def read_tags(data: Path) -> list[str]:
    """Every distinct tag, lower case: of the published counts (MIT) and of our own annotators."""
    raw = [str(row["tag"]) for row in read_corpus_rows(data / "tags/raw_tag_counts_11976.jsonl.gz")]
    own = [tag for row in read_corpus_rows(data / "tags/open_tags.jsonl.gz") for tag in row["tags"]]
    return list(dict.fromkeys(" ".join(tag.lower().split()) for tag in raw + own))


def read_first_annotations(data: Path) -> dict[str, dict[str, Any]]:
    """Distinct instruction (its input on a line of its own) -> the row of the first annotator who
    tagged it.
    """
    out: dict[str, dict[str, Any]] = {}
    for row in read_corpus_rows(data / "tags/open_tags.jsonl.gz"):
        out.setdefault(row["instruction"].replace(" || INPUT: ", "\n"), row)
    return out


def is_holdout_tag(text: str) -> bool:
    """Whether this tag is kept for measuring (one in ten, by its hash)."""
    return hashlib.sha256(text.encode()).digest()[0] % 10 == 0


def read_instructions(data: Path) -> Iterator[str]:
    """Instructions with their inputs, whole: LIMA, CoachLM, PandaLM, Self-Instruct, ShareGPT, OASST
    (all Apache-2).
    """
    for row in read_corpus_rows(data / "corpora/lima_1029.json.gz"):
        yield from [
            join_raw_input(row["instruction"], row["input"]),
            *(asked for asked, _ in row.get("history") or []),
        ]
    for row in read_corpus_rows(data / "quality_pairs/coachlm_expert_revision.json.gz"):
        yield join_raw_input(row["Raw Instruction"], row["Raw Input"])
        yield join_raw_input(row["Revised Instruction"], row["Revised Input"])
    for row in read_corpus_rows(data / "quality_pairs/pandalm_human_999.json.gz"):
        yield join_raw_input(row["instruction"], row["input"])
    for row in read_corpus_rows(data / "corpora/self_instruct_user_252.jsonl.gz"):
        yield from (
            join_raw_input(row["instruction"], instance["input"]) for instance in row["instances"]
        )
    for row in read_corpus_rows(data / "corpora/sharegpt_dummy_500.json.gz"):
        yield from (turn["value"] for turn in row["conversations"])
    yield from (
        row["instruction"]
        for row in read_corpus_rows(data / "corpora/oasst_sft_zh_multiturn.json.gz")
    )


def _read_responses(data: Path) -> Iterator[Any]:
    """Answers of LIMA, CoachLM, PandaLM and Self-Instruct."""
    for row in read_corpus_rows(data / "corpora/lima_1029.json.gz"):
        yield from [
            row["instruction"],
            row["output"],
            *(answer for _, answer in row.get("history") or []),
        ]
    for row in read_corpus_rows(data / "quality_pairs/coachlm_expert_revision.json.gz"):
        yield from (row["Raw Response"], row["Revised Response"])
    for row in read_corpus_rows(data / "quality_pairs/pandalm_human_999.json.gz"):
        yield from (row["response1"], row["response2"])
    for row in read_corpus_rows(data / "corpora/self_instruct_user_252.jsonl.gz"):
        yield from (instance["output"] for instance in row["instances"])


def join_raw_input(instruction: str, given: str) -> str:
    """An instruction and its input, as one text."""
    return f"{instruction}\n{given}" if given else instruction


def _read_running_text(data: Path) -> list[str]:
    """Distinct instructions, then distinct sentences of 15 to 400 characters."""
    asked = [text.strip()[:LONGEST] for text in read_instructions(data)]
    answers = [text for text in _read_responses(data) if isinstance(text, str)]
    parts = [part.strip() for text in answers for part in SENTENCE.split(text)]
    return list(
        dict.fromkeys(
            [text for text in asked if len(text) > 1] + [p for p in parts if 15 <= len(p) <= 400]
        )
    )


def _extract_phrases(texts: Iterable[str], n_longer: int) -> list[str]:
    """Words seen twice, and the `n_longer` most frequent phrases of two or three words, no function
    word at an end.

    >>> _extract_phrases(["the climate change of the planet", "climate change"], 1)
    ['change', 'climate', 'climate change']
    """
    counts = Counter(
        phrase for text in texts for phrase in _cut_phrases(WORD.findall(text.lower()))
    )
    ordered = sorted(
        counts, key=lambda phrase: (-counts[phrase], hashlib.sha256(phrase.encode()).digest())
    )
    words = sorted(phrase for phrase in ordered if " " not in phrase and counts[phrase] > 1)
    return words + [phrase for phrase in ordered if " " in phrase][:n_longer]


def _cut_phrases(words: list[str]) -> Iterator[str]:
    """Runs of one to three words without punctuation, not starting or ending in a function word."""
    for n in (1, 2, 3):
        for start in range(len(words) - n + 1):
            run = words[start : start + n]
            inside = all(len(word) > 1 for word in run)
            if inside and run[0] not in STOP_WORDS and run[-1] not in STOP_WORDS:
                yield " ".join(run)


def _draw_phrases(tags: Iterable[str], n: int, seed: int) -> list[str]:
    """`n` phrases of two words drawn from those of the tags, and the words themselves."""
    words = sorted({word for tag in tags for word in tag.split()})
    drawn = np.random.default_rng(seed).integers(0, len(words), size=(n, 2))
    return [f"{words[a]} {words[b]}" for a, b in drawn.tolist()] + words


def read_training_texts(
    data: Path, n_longer: int = 90_000, n_made_up: int = 40_000, seed: int = 0
) -> list[str]:
    """All texts to fit to, each once, held-out tags left out."""
    tags = read_tags(data)
    seen = [tag for tag in tags if not is_holdout_tag(tag)]
    running = _read_running_text(data)
    every = (
        running + seen + _extract_phrases(running, n_longer) + _draw_phrases(seen, n_made_up, seed)
    )
    hidden = set(tags) - set(seen)
    return [text for text in dict.fromkeys(every) if text not in hidden]
