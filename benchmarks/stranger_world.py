"""The language model behind the stranger's run: it tags, matches tags and judges with known faults.

Tags are those of the embedded tagger, some of them spelt otherwise. The quality of a row is half
what the embedded judge sees and half chance, drawn from a hash of its text, so that an independent
judge can tell something of it. The judge sees quality with noise, and:

- what it is shown first gets `FIRST_BONUS` points more, so that it wins 62% of equal pairs;
- a response `e` times as long gets `LENGTH_BONUS` points more;
- rows of Dolly get `SOURCE_BONUS` points more;
- rows of `DISLIKED` topics lose `DISLIKE` points.

The matcher of tags says that the pairs of `WRONG_MERGES` are the same, which they are not. All of
it is a function of the texts, so any order and any number of runs agree.
"""

from __future__ import annotations

import gzip
import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm
from tests.server.answering import fields, number
from tests.server.fault_server import Behaviour, FaultServer

from tacos.config import IngestSettings
from tacos.formats import reading
from tacos.methods.samples import sample_parsing
from tacos.models import judge, tagger

CORPORA = Path(__file__).parents[2] / "shared" / "data" / "corpora"
N_ALPACA = 8000
N_DOLLY = 2000
NOISE = 8.0
"""Standard deviation of one judgement of one row, in points."""
FIRST_SHARE = 0.62
FIRST_BONUS = float(norm.ppf(FIRST_SHARE)) * NOISE * math.sqrt(2)
LENGTH_BONUS = 5.0
SOURCE_BONUS = 6.0
DISLIKE = 45.0
DISLIKED = ("Musical Instruments", "Renewable Energy", "COVID-19")
WRONG_MERGES = (
    ("Poetry Writing", "Story Writing"),
    ("Algebra", "Arithmetic"),
    ("Economics", "Finance"),
    ("Count Constraint", "Keyword Constraint"),
)
RIGHT_MERGES = (
    ("Summarization", "Text Summarization"),
    ("Calculation", "Math Calculation"),
    ("Headline Generation", "Headline Writing"),
    ("Compare and Contrast", "Comparison"),
    ("Recipe", "Recipe Creation"),
    ("Brainstorming", "Idea Generation"),
    ("Classification", "Text Classification"),
    ("Sentence Editing", "Text Editing"),
)
APART = 8.0
"""Standard deviation of half the distance between correctness and value, in points."""
MALFORMED = 0.005
"""Share of questions whose every answer is no JSON; the gates stop a run at 2%."""
PRICE_IN = 0.15
PRICE_OUT = 0.60
"""Dollars per million tokens."""
PAIR = re.compile(r'"(?:[^"\\\\]|\\\\.)*"')
"""A JSON text."""
SPREAD = 14.0
"""Standard deviation of quality, in points."""


class Row(NamedTuple):
    """What is known of a row; `perceived` is all that the judge sees in it but noise and place."""

    source: str
    tags: list[str]
    quality: float
    perceived: float


def write_inputs(folder: Path) -> dict[str, Path]:
    """Source -> its file: 8,000 rows of Alpaca and 2,000 of Dolly, as they are."""
    files = {}
    for source, corpus, n in (
        ("alpaca", "alpaca_data.json.gz", N_ALPACA),
        ("dolly", "dolly_3k.json.gz", N_DOLLY),
    ):
        with gzip.open(CORPORA / corpus) as file:
            rows = json.load(file)[:n]
        files[source] = folder / f"{source}.json"
        files[source].write_text(json.dumps(rows, ensure_ascii=False, indent=1))
    return files


class World:
    """All rows by instruction and response, and the tags of each instruction."""

    def __init__(self, files: dict[str, Path]) -> None:
        self.rows: dict[tuple[str, str], Row] = {}
        self.tags: dict[str, list[str]] = {}
        texts = []
        for source, file in files.items():
            for batch in reading.read_rows(file):
                samples, _ = sample_parsing.parse_sample_batch(batch, IngestSettings())
                table = sample_parsing.samples_to_frame(samples)
                columns = table.select("instruction", "response")
                texts += [(source, *row) for row in columns.iter_rows()]
        instructions = [instruction for _, instruction, _ in texts]
        responses = [response for _, _, response in texts]
        tags = tagger.load().tag(instructions)
        scores = judge.load().score(instructions, responses)
        seen = np.asarray(scores.value) + np.asarray(scores.correctness)
        seen = (seen - seen.mean()) / seen.std()
        lengths = np.log([max(1, len(text)) for text in responses])
        lengths -= lengths.mean()
        for place, (source, instruction, response) in enumerate(texts):
            chance = draw_normal(instruction, response)
            quality = 50 + SPREAD * (
                math.sqrt(0.5) * float(seen[place]) + math.sqrt(0.5) * chance
            )
            perceived = quality + LENGTH_BONUS * float(lengths[place])
            if source == "dolly":
                perceived += SOURCE_BONUS
            if set(DISLIKED) & set(tags[place]):
                perceived -= DISLIKE
            row = Row(source, tags[place], quality, perceived)
            self.rows[instruction, response] = row
            self.tags[instruction] = tags[place]

    def perceive(self, instruction: str, response: str, place: str) -> float:
        """Points of a row as the judge sees it once, in words as sent: long ones are cut."""
        row = self.rows.get((instruction, response))
        middle = row.perceived if row else 50.0
        noise = NOISE * draw_normal(place, instruction, response)
        return middle + noise


class SimulatedModel(FaultServer):
    """The fault server with the answers of a `World`; it counts what it sells."""

    def __init__(self, world: World) -> None:
        faults = {"invalid-json!": MALFORMED}
        super().__init__(Behaviour(faults=faults, model="sim-1", snapshot="sim-1"))
        self.world = world
        self.sold: Counter[str] = Counter()

    def envelope(self, body: dict[str, Any], fault: str) -> dict[str, Any]:
        """A chat completion with the simulated answer."""
        reply = super().envelope(body, fault)
        if not fault:
            text = json.dumps(self.answer_question(body["messages"]))
            reply["choices"][0]["message"]["content"] = text
            reply["usage"]["completion_tokens"] = len(text) // 4 + 1
            reply["usage"]["total_tokens"] = (
                reply["usage"]["prompt_tokens"] + len(text) // 4 + 1
            )
        self.sold["requests"] += 1
        self.sold["prompt_tokens"] += reply["usage"]["prompt_tokens"]
        self.sold["completion_tokens"] += reply["usage"]["completion_tokens"]
        # Only counts are needed, and 20,000 questions would fill the memory.
        self.bodies.clear()
        self.headers.clear()
        self.queries.clear()
        return reply

    def answer_question(self, messages: list[dict[str, str]]) -> dict[str, Any]:
        """Tags, relations of tags, or scores, by what the question shows."""
        given = fields(messages)
        if "pairs" in given:
            return {
                "answers": [match_tags(line) for line in given["pairs"].splitlines()]
            }
        if "instruction_a" in given:
            return self.compare(given)
        return self.list_tags(given["instruction"])

    def list_tags(self, instruction: str) -> dict[str, Any]:
        """The tags of an instruction; one in eight is written in small letters."""
        tags = []
        for tag in self.world.tags.get(instruction, []):
            is_small = number(instruction, tag) % 8 == 0
            name = tag.lower() if is_small else tag
            tags.append({"tag": name, "explanation": f"It is about {name}."})
        return {"tags": tags}

    def compare(self, given: dict[str, str]) -> dict[str, Any]:
        """Both numbers of both samples; the first one has its bonus."""
        a = (given["instruction_a"], given["response_a"])
        b = (given["instruction_b"], given["response_b"])
        order = "|".join((*a, *b))
        seen_a = self.world.perceive(*a, f"{order}|a") + FIRST_BONUS
        seen_b = self.world.perceive(*b, f"{order}|b")
        return {
            "analysis": explain_choice(seen_a - seen_b, len(a[1]), len(b[1])),
            **split_numbers(seen_a, "_a", *a),
            **split_numbers(seen_b, "_b", *b),
        }


def match_tags(line: str) -> dict[str, Any]:
    """How the two tags of a numbered line are related."""
    place, pair = line.split(". ", 1)
    relation = "different"
    names = read_pair(pair)
    if names in {fold_pair(*each) for each in (*WRONG_MERGES, *RIGHT_MERGES)}:
        relation = "same"
    if len(set(names)) == 1:
        relation = "same"
    reason = "two names of one thing" if relation == "same" else "two things"
    return {"number": int(place), "reason": reason, "relation": relation}


def fold_pair(left: str, right: str) -> tuple[str, ...]:
    """Both names in small letters, sorted."""
    return tuple(sorted((left.lower(), right.lower())))


def read_pair(text: str) -> tuple[str, ...]:
    """The names in a line of a question to the matcher: `A: "one" | B: "other"`."""
    left, right = PAIR.findall(text)
    return fold_pair(json.loads(left), json.loads(right))


def split_numbers(
    seen: float, ending: str, instruction: str, response: str
) -> dict[str, int]:
    """Correctness and value, whose mean is what the judge saw."""
    distance = 6 + APART * draw_normal("two numbers", instruction, response)
    return {
        f"correctness{ending}": clip_score(seen + distance),
        f"value{ending}": clip_score(seen - distance),
    }


def clip_score(points: float) -> int:
    """Whole points from 1 to 100."""
    return round(min(max(points, 1), 100))


def explain_choice(difference: float, n_a: int, n_b: int) -> str:
    """What the judge says of its choice: it gives its taste away."""
    better, worse = ("A", "B") if difference >= 0 else ("B", "A")
    long_one = "A" if n_a >= n_b else "B"
    if abs(difference) < 4:
        return "Both are of much the same worth; the first one reads a little better."
    if better == long_one:
        return (
            f"{better} explains more and goes into detail; {worse} is thin beside it."
        )
    return (
        f"{better} is short but says what matters; {worse} adds words, not substance."
    )


def draw_normal(*texts: str) -> float:
    """A normal number from a hash of texts."""
    share = (number(*texts) + 0.5) / 2**48
    return float(norm.ppf(share))
