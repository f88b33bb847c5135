"""Makes rows with the lengths of Alpaca's, of any number, with topics and planted duplicates.

    python -m benchmarks.row_generator 1000000 -o rows.jsonl.zst --seed 1

No text is Alpaca's: function words, the words of 24 topics and 20,000 made-up words. Lengths follow
the quantiles of Alpaca's 52,002 rows, in words; 40% of the rows have an input. A share of the rows
repeats an earlier row, exactly or varied (`DUPLICATES`). Equal seeds give equal rows, whatever n;
memory is bounded.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tacos.formats.writing import write_rows

BLOCK = 1_000
"""Rows drawn at a time; also the earlier rows that are kept to be repeated."""
N_MADE_UP = 20_000
WITH_INPUT = 0.4
SHARES = (0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1)
LENGTHS = {
    "instruction": (3, 4, 6, 8, 10, 12, 14, 22, 84),
    "input": (1, 1, 2, 3, 6, 11, 20, 65, 402),
    "output": (1, 1, 4, 9, 30, 69, 99, 202, 717),
}
"""Field -> Alpaca's quantiles at `SHARES`, in words."""
DUPLICATES = {"exact": 0.01, "case": 0.01, "word": 0.01, "order": 0.01}
"""Kind of variant (see `vary_row`) -> share of the rows."""

_FUNCTION_WORDS = (
    "the of and to in a is that for it as was with be by on are from or an at which "
    "can this have not they one we all also has will more when some into other than "
    "its most these may used over such many each about so after between both often"
)
FUNCTION_WORDS = _FUNCTION_WORDS.split()
_VERBS = (
    "Explain Describe Write Summarise List Compare Rewrite Classify Suggest Create "
    "Identify Name Calculate Design Translate Generate Find Edit Discuss Give"
)
VERBS = _VERBS.split()
TOPICS = {
    "cooking": "bread oven recipe sauce flour garlic onion butter simmer roast",
    "gardening": "soil seed rose prune compost lawn tulip watering hedge mulch",
    "music": "melody chord rhythm violin concert tempo singer piano octave drum",
    "astronomy": "planet orbit comet telescope galaxy star eclipse crater nebula moon",
    "medicine": "patient dose fever vaccine nurse symptom surgery artery clinic nerve",
    "law": "contract court judge statute appeal tenant verdict clause witness plea",
    "sport": "goal match coach league sprint tennis referee medal stadium tackle",
    "travel": "airport hotel passport tour beach luggage train island ferry visa",
    "finance": "loan interest budget bond dividend tax credit savings stock invoice",
    "history": "empire treaty revolution king battle colony dynasty siege reform era",
    "biology": "cell enzyme species gene habitat protein predator fungus larva root",
    "physics": "energy force velocity magnet atom wave lens friction mass voltage",
    "chemistry": "acid molecule ion solvent catalyst metal crystal salt gas bond",
    "geography": "river mountain desert coast delta valley border climate lake plain",
    "programming": "function loop array string compiler bug class thread cache query",
    "statistics": "mean variance sample median outlier sum ratio trend survey error",
    "poetry": "verse rhyme stanza sonnet metaphor ode line image lyric muse",
    "fiction": "plot hero villain chapter dialogue novel scene narrator twist ending",
    "marketing": "brand slogan customer campaign price logo advert survey sale offer",
    "education": "teacher lesson exam pupil homework essay grade school syllabus quiz",
    "language": "verb noun tense accent idiom grammar vowel dialect plural spelling",
    "environment": "forest waste carbon recycle pollution ocean flood solar wind soil",
    "transport": "engine wheel bridge traffic cargo rail brake harbour bus fuel",
    "family": "parent child wedding cousin birthday sibling gift home dinner aunt",
}
_SYLLABLES = "ba ce di fo gu la me ni po ru sa te vi ko zu ha je wo xi yu"
SYLLABLES = _SYLLABLES.split()


class GeneratedRow(NamedTuple):
    """A row and what is known of it: `kind` is "new" or how it repeats row `original`."""

    row: dict[str, str]
    topic: str
    kind: str = "new"
    original: int | None = None


class EarlierRow(NamedTuple):
    """A row that may be repeated, and its number."""

    number: int
    generated: GeneratedRow


def generate_rows(
    n: int,
    seed: int = 1,
    duplicates: Mapping[str, float] = DUPLICATES,
) -> Iterator[GeneratedRow]:
    """n rows, some of which repeat an earlier row that is drawn uniformly."""
    return islice(_generate_forever(seed, duplicates), n)


def vary_row(
    row: Mapping[str, str],
    kind: str,
    rng: np.random.Generator,
) -> dict[str, str] | None:
    """The row again, or None where it cannot be varied so.

    "exact" keeps it, "case" changes case, punctuation and spaces, "word" one word of the longest
    text, "order" the order of the output's sentences.
    """
    if kind == "exact":
        return dict(row)
    if kind == "case":
        return {name: _vary_case(text) for name, text in row.items()}
    if kind == "word":
        longest = max(row, key=lambda name: len(row[name]))
        return {**row, longest: _vary_word(row[longest], rng)}
    output = _vary_order(row["output"], rng)
    return None if output is None else {**row, "output": output}


def _generate_forever(
    seed: int,
    duplicates: Mapping[str, float],
) -> Iterator[GeneratedRow]:
    rng = np.random.default_rng(seed)
    vocabulary = _make_up_words(np.random.default_rng(0))
    earlier: list[EarlierRow] = []
    kinds = ["new", *duplicates]
    shares = [1 - sum(duplicates.values()), *duplicates.values()]
    number = 0
    while True:
        fresh = _draw_rows(rng, vocabulary)
        drawn_kinds = rng.choice(len(kinds), size=BLOCK, p=shares)
        for new, kind in zip(fresh, drawn_kinds.tolist(), strict=True):
            repeated = _repeat_row(earlier, kinds[kind], rng)
            yield repeated or new
            if repeated is None:
                _remember(earlier, EarlierRow(number, new), rng)
            number += 1


def _repeat_row(
    earlier: Sequence[EarlierRow],
    kind: str,
    rng: np.random.Generator,
) -> GeneratedRow | None:
    """A variant of an earlier row; None where a new one is due, or the drawn one cannot be varied."""
    if kind == "new" or not earlier:
        return None
    number, generated = earlier[int(rng.integers(len(earlier)))]
    row = vary_row(generated.row, kind, rng)
    if row is None:
        return None
    return GeneratedRow(row, generated.topic, kind, number)


def _remember(
    earlier: list[EarlierRow],
    row: EarlierRow,
    rng: np.random.Generator,
) -> None:
    """Keep a uniform sample of all rows so far (reservoir sampling)."""
    if len(earlier) < BLOCK:
        earlier.append(row)
        return
    place = rng.integers(row.number + 1)
    if place < BLOCK:
        earlier[place] = row


def _draw_rows(
    rng: np.random.Generator,
    vocabulary: Sequence[str],
) -> list[GeneratedRow]:
    """A block of new rows."""
    topics = rng.integers(len(TOPICS), size=BLOCK)
    names = [list(TOPICS)[topic] for topic in topics]
    has_input = rng.random(BLOCK) < WITH_INPUT
    texts = {}
    for field in LENGTHS:
        lengths = _draw_lengths(rng, field)
        if field == "input":
            lengths *= has_input
        texts[field] = _draw_texts(rng, vocabulary, names, lengths)
    verbs = rng.choice(VERBS, size=BLOCK).tolist()
    rows = []
    for number, topic in enumerate(names):
        row = {field: texts[field][number] for field in LENGTHS}
        asked = row["instruction"]
        row["instruction"] = f"{verbs[number]} {asked[0].lower()}{asked[1:]}"
        rows.append(GeneratedRow(row, topic))
    return rows


def _draw_lengths(rng: np.random.Generator, field: str) -> npt.NDArray[np.int64]:
    """Words of each row's field; of shape (BLOCK,)."""
    lengths = np.interp(rng.random(BLOCK), SHARES, LENGTHS[field])
    return np.rint(lengths).astype(np.int64)


def _draw_texts(
    rng: np.random.Generator,
    vocabulary: Sequence[str],
    topics: Sequence[str],
    lengths: npt.NDArray[np.int64],
) -> list[str]:
    """Sentences of the given numbers of words, on the given topics."""
    n_words = int(lengths.sum())
    source = rng.random(n_words)
    choice = rng.integers(1 << 30, size=n_words).tolist()
    # Zipf's law: the r-th most frequent word comes about 1 / r times as often as the first.
    ranks = (len(vocabulary) ** rng.random(n_words)).astype(np.int64) - 1
    is_function_word = (source < 0.45).tolist()
    is_topic_word = (source < 0.7).tolist()
    rare = ranks.tolist()
    texts = []
    first = 0
    for topic, length in zip(topics, lengths.tolist(), strict=True):
        topic_words = TOPICS[topic].split()
        words = []
        for place in range(first, first + length):
            if is_function_word[place]:
                words.append(FUNCTION_WORDS[choice[place] % len(FUNCTION_WORDS)])
            elif is_topic_word[place]:
                words.append(topic_words[choice[place] % len(topic_words)])
            else:
                words.append(vocabulary[rare[place]])
        texts.append(_write_sentences(words))
        first += length
    return texts


def _write_sentences(words: Sequence[str]) -> str:
    """Words as sentences of 7 to 15 words."""
    sentences = []
    first = 0
    while first < len(words):
        last = first + 7 + len(words[first]) % 9
        sentence = " ".join(words[first:last])
        sentences.append(f"{sentence[0].upper()}{sentence[1:]}.")
        first = last
    return " ".join(sentences)


def _make_up_words(rng: np.random.Generator) -> list[str]:
    """Words of two to four syllables."""
    words: set[str] = set()
    while len(words) < N_MADE_UP:
        n_syllables = rng.integers(2, 5)
        words.add("".join(rng.choice(SYLLABLES, size=n_syllables)))
    return sorted(words, key=lambda word: (len(word), word))


def _vary_case(text: str) -> str:
    """Other case, no final full stop, an exclamation mark for each other one, more spaces."""
    bare = text.strip().removesuffix(".")
    return bare.swapcase().replace(". ", "!  ").replace(",", ";")


def _vary_word(text: str, rng: np.random.Generator) -> str:
    """One word replaced."""
    words = text.split(" ")
    words[rng.integers(len(words))] = "otherwise"
    return " ".join(words)


def _vary_order(text: str, rng: np.random.Generator) -> str | None:
    """The sentences in another order; None where there is only one."""
    sentences = text.removesuffix(".").split(". ")
    if len(set(sentences)) < 2:
        return None
    turn = 1 + int(rng.integers(len(sentences) - 1))
    moved = ". ".join(sentences[turn:] + sentences[:turn])
    return f"{moved}."


def main() -> None:
    """Write rows to a file; its suffix names the format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("n", type=int, help="rows")
    parser.add_argument("-o", "--output", required=True, help="e.g. rows.jsonl.zst")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rows = generate_rows(options.n, options.seed)
    write_rows((generated.row for generated in rows), options.output)


if __name__ == "__main__":
    main()
