"""Reads the texts that the static encoder is fitted to.

Only what may go into shipped weights is read: Apache-2, MIT or our own. These are whole
instructions, single sentences of responses, tags, and phrases of one to three words that were cut
out of these texts or put together from the words of tags. One tag in ten, with every phrase equal
to it, is held out for measuring (`is_holdout_tag`).
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

from tacos.models import tag_agreement

SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
WORD = re.compile(r"[a-z][a-z'+#-]*[a-z+#]|[.,;:!?()\n]")
_STOP = (
    "a an the of to in on for and or is are was were be been it its this that these those with as "
    "at by from i you he she they we my your his her their our me him them us not no do does did "
    "can could will would should has have had if then than so but what which who how when where "
    "why there here about into out up down over"
)
STOP_WORDS = frozenset(_STOP.split())
LONGEST = 1500
"""Characters of a text that are read."""
MIN_SENTENCE = 15
MAX_SENTENCE = 400
PUBLISHED_TAGS = "tags/raw_tag_counts_11976.jsonl.gz"
OWN_TAGS = "tags/open_tags.jsonl.gz"
ALPACA = "corpora/alpaca_data.json.gz"
DOLLY = "corpora/dolly_3k.json.gz"
LIMA = "corpora/lima_1029.json.gz"
COACHLM = "quality_pairs/coachlm_expert_revision.json.gz"
PANDALM = "quality_pairs/pandalm_human_999.json.gz"
SELF_INSTRUCT = "corpora/self_instruct_user_252.jsonl.gz"
SHAREGPT = "corpora/sharegpt_dummy_500.json.gz"
OASST = "corpora/oasst_sft_zh_multiturn.json.gz"
READ_CORPORA = {"alpaca": ALPACA, "dolly": DOLLY, "lima": LIMA}
TAG_READINGS = Path(__file__).parent / "tag_readings.jsonl"


def read_corpus_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a gzipped JSON or JSON-lines file."""
    text = gzip.decompress(path.read_bytes()).decode("utf-8")
    if path.suffixes[-2] == ".json":
        return list(json.loads(text))
    return [json.loads(line) for line in text.splitlines()]


def read_tags(data: Path) -> list[str]:
    """Read every distinct tag in lower case: of the published counts and of our annotators."""
    tags = [str(row["tag"]) for row in read_corpus_rows(data / PUBLISHED_TAGS)]
    for row in read_corpus_rows(data / OWN_TAGS):
        tags += row["tags"]
    return tag_agreement.lowercase_tags(tags)


def read_first_annotations(data: Path) -> dict[str, dict[str, Any]]:
    """Read our annotations: distinct instruction -> the row of the first annotator who tagged it.

    An instruction's input stands on a line of its own.
    """
    annotations: dict[str, dict[str, Any]] = {}
    for row in read_corpus_rows(data / OWN_TAGS):
        raw_instruction = row["instruction"]
        instruction = raw_instruction.replace(" || INPUT: ", "\n")
        if instruction not in annotations:
            annotations[instruction] = row
    return annotations


def read_tag_readings(data: Path) -> tuple[list[str], list[list[str]]]:
    """Read our own readings of the tagger's output: instructions, and the tags they should have.

    Rows that were read in a corpus are stored by their id, such as "alpaca-12", without their
    text; sentences of our own are stored whole.
    """
    texts: dict[str, str] = {}
    for name, path in READ_CORPORA.items():
        for number, row in enumerate(read_corpus_rows(data / path)):
            given = row.get("input") or row.get("context") or ""
            texts[f"{name}-{number}"] = join_raw_input(row["instruction"], given)

    instructions: list[str] = []
    tags: list[list[str]] = []
    for line in TAG_READINGS.read_text("utf-8").splitlines():
        reading = json.loads(line)
        text = reading.get("instruction") or texts[reading["id"]]
        instructions.append(text)
        tags.append(reading["tags"])
    return instructions, tags


def is_holdout_tag(text: str) -> bool:
    """Say whether this tag is kept for measuring (one in ten, by its hash)."""
    digest = hashlib.sha256(text.encode()).digest()
    return digest[0] % 10 == 0


def read_instructions(data: Path) -> Iterator[str]:
    """Read whole instructions with their inputs: LIMA, CoachLM, PandaLM, Self-Instruct, ShareGPT
    and OASST (all Apache-2).
    """
    for row in read_corpus_rows(data / LIMA):
        yield join_raw_input(row["instruction"], row["input"])
        for question, _ in row.get("history") or []:
            yield question
    for row in read_corpus_rows(data / COACHLM):
        yield join_raw_input(
            row["Raw Instruction"],
            row["Raw Input"],
        )
        yield join_raw_input(
            row["Revised Instruction"],
            row["Revised Input"],
        )
    for row in read_corpus_rows(data / PANDALM):
        yield join_raw_input(row["instruction"], row["input"])
    for row in read_corpus_rows(data / SELF_INSTRUCT):
        for instance in row["instances"]:
            yield join_raw_input(row["instruction"], instance["input"])
    for row in read_corpus_rows(data / SHAREGPT):
        for turn in row["conversations"]:
            yield turn["value"]
    for row in read_corpus_rows(data / OASST):
        yield row["instruction"]


def _read_responses(data: Path) -> Iterator[Any]:
    """Read the answers of LIMA, CoachLM, PandaLM and Self-Instruct."""
    for row in read_corpus_rows(data / LIMA):
        yield row["instruction"]
        yield row["output"]
        for _, answer in row.get("history") or []:
            yield answer
    for row in read_corpus_rows(data / COACHLM):
        yield row["Raw Response"]
        yield row["Revised Response"]
    for row in read_corpus_rows(data / PANDALM):
        yield row["response1"]
        yield row["response2"]
    for row in read_corpus_rows(data / SELF_INSTRUCT):
        for instance in row["instances"]:
            yield instance["output"]


def join_raw_input(instruction: str, given: str) -> str:
    """Join an instruction and its input to one text."""
    return f"{instruction}\n{given}" if given else instruction


def _read_running_text(data: Path) -> list[str]:
    """Read distinct instructions, then distinct sentences of 15 to 400 characters."""
    instructions: list[str] = []
    for instruction in read_instructions(data):
        stripped = instruction.strip()
        beginning = stripped[:LONGEST]
        if len(beginning) > 1:
            instructions.append(beginning)

    sentences: list[str] = []
    for response in _read_responses(data):
        if not isinstance(response, str):
            continue
        for part in SENTENCE.split(response):
            sentence = part.strip()
            if MIN_SENTENCE <= len(sentence) <= MAX_SENTENCE:
                sentences.append(sentence)
    texts = instructions + sentences
    return list(dict.fromkeys(texts))


def _extract_phrases(texts: Iterable[str], n_longer: int) -> list[str]:
    """Return words seen twice, and the `n_longer` most frequent phrases of two or three words.

    No phrase starts or ends in a function word.

    >>> _extract_phrases(["the climate change of the planet", "climate change"], 1)
    ['change', 'climate', 'climate change']
    """
    counts: Counter[str] = Counter()
    for text in texts:
        lower = text.lower()
        words = WORD.findall(lower)
        phrases = _cut_phrases(words)
        counts.update(phrases)

    def by_count(phrase: str) -> tuple[int, bytes]:
        # Ties are broken by a hash, so that no letter of the alphabet is preferred.
        count = counts[phrase]
        digest = hashlib.sha256(phrase.encode()).digest()
        return -count, digest

    single: list[str] = []
    longer: list[str] = []
    for phrase, count in counts.items():
        if " " in phrase:
            longer.append(phrase)
        elif count > 1:
            single.append(phrase)
    longer.sort(key=by_count)
    return sorted(single) + longer[:n_longer]


def _cut_phrases(words: list[str]) -> Iterator[str]:
    """Cut out runs of one to three words, without punctuation or a function word at an end."""
    for length in (1, 2, 3):
        n_runs = len(words) - length + 1
        for start in range(n_runs):
            end = start + length
            run = words[start:end]
            # `WORD` finds no words of one letter: what is so short is a mark.
            has_punctuation = any(len(word) < 2 for word in run)
            if has_punctuation:
                continue
            if run[0] in STOP_WORDS or run[-1] in STOP_WORDS:
                continue
            yield " ".join(run)


def _draw_phrases(
    tags: Iterable[str],
    n: int,
    seed: int,
) -> list[str]:
    """Draw `n` phrases of two words from the words of tags, and add the words themselves."""
    distinct: set[str] = set()
    for tag in tags:
        distinct.update(tag.split())
    # Sorted, because the order of a set differs from process to process.
    words = sorted(distinct)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(
        0,
        len(words),
        size=(n, 2),
    )
    phrases: list[str] = []
    for first, second in drawn.tolist():
        phrase = f"{words[first]} {words[second]}"
        phrases.append(phrase)
    return phrases + words


def read_training_texts(
    data: Path,
    n_longer: int = 90_000,
    n_made_up: int = 40_000,
    seed: int = 0,
) -> list[str]:
    """Read all texts to fit the encoder to, each once, held-out tags left out."""
    tags = read_tags(data)
    shown_tags = [tag for tag in tags if not is_holdout_tag(tag)]
    hidden_tags = set(tags) - set(shown_tags)
    running_text = _read_running_text(data)
    texts = [
        *running_text,
        *shown_tags,
        *_extract_phrases(running_text, n_longer),
        *_draw_phrases(shown_tags, n_made_up, seed),
    ]
    return [text for text in dict.fromkeys(texts) if text not in hidden_tags]
