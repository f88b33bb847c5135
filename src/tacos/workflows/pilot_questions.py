"""The questions of the paid pilots of `tacos quote`.

The tagging pilot asks questions that the run will ask, so the run reuses their replies. What the
judge will be shown is known only after tagging, so its pilot compares samples drawn at random, in
both orders; those replies are in the ledger too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, islice
from typing import Any

import numpy as np
import orjson
import polars as pl

from tacos import prompts
from tacos.config import Settings
from tacos.methods.judging import comparisons
from tacos.methods.tags import open_tags, tag_matching
from tacos.models import tagger
from tacos.pipeline.stage_shapes import PromptStage
from tacos.pipeline.stages import find_stage
from tacos.pipeline.steps import pool
from tacos.records import PAIRS, Request, Table

TAGGING = ("tag-sample", "tag")
TEXTS = ("id", "instruction", "response")


def draw_pilot(
    stage: str,
    model: str,
    samples: Table,
    settings: Settings,
    k: int,
) -> list[Request]:
    """The questions behind k requests of a stage to a model, in random order."""
    requests = _draw_requests(stage, model, samples, settings, k)
    return [replace(request, place=place) for place, request in enumerate(requests)]


def _draw_requests(
    stage: str,
    model: str,
    samples: Table,
    settings: Settings,
    k: int,
) -> list[Request]:
    if stage in TAGGING:
        return _draw_tag_pilot(samples, settings, k * settings.tag.per_request)
    if stage == "match":
        return _draw_match_pilot(samples, settings, k)
    if stage == "grade":
        return _draw_grade_pilot(
            samples,
            settings,
            model,
            k,
        )
    return _draw_judge_pilot(
        samples,
        settings,
        model,
        k,
    )


def _draw_tag_pilot(samples: Table, settings: Settings, k: int) -> list[Request]:
    """k of the questions that tagging will ask, drawn at random."""
    # The run asks the same questions, and finds their replies in the ledger.
    rows = _reservoir_sample(_iterate_tag_questions(samples), k, settings.seed)
    digest = prompts.hash_template("tag")
    return [
        open_tags.build_tag_request(row, "tag", digest, settings.tag) for row in rows
    ]


def _iterate_tag_questions(samples: Table) -> Iterator[dict[str, Any]]:
    """The questions of tagging that the input does not answer itself."""
    for batch in samples.batches():
        for row in open_tags.build_turn_questions(batch).iter_rows(named=True):
            if open_tags.reuse_known_tags(row) is None:
                yield row


def _draw_match_pilot(samples: Table, settings: Settings, k: int) -> list[Request]:
    """About k requests with pairs of tags: those of some rows."""
    config = settings.normalise
    n_pairs = k * config.pairs_per_request
    names = _draw_tag_names(samples, settings, n_pairs)
    # Which tags meet does not matter here: a request costs what its tokens cost.
    pairs = list(islice(combinations(names, 2), n_pairs))
    table = pl.DataFrame(pairs, ["left", "right"], orient="row")
    rows = tag_matching.build_match_questions(table, config.pairs_per_request)
    digest = prompts.hash_template("match_tags")
    return [
        tag_matching.ask_matches(row, "match_tags", digest, config)
        for row in rows.head(k).iter_rows(named=True)
    ]


def _draw_tag_names(samples: Table, settings: Settings, k: int) -> list[str]:
    """The tags of k rows, given in the input or else by the embedded tagger."""
    names: dict[str, None] = {}
    given = samples.scan().select("given_tags").head(k).collect()
    names |= dict.fromkeys(given["given_tags"].explode().drop_nulls())
    for reply in tagger.load().answer(_draw_tag_pilot(samples, settings, k)):
        items = orjson.loads(reply.text or '{"tags": []}')["tags"]
        names |= dict.fromkeys(item["tag"] for item in items)
    return list(names)


def _draw_grade_pilot(
    samples: Table,
    settings: Settings,
    model: str,
    k: int,
) -> list[Request]:
    """k of the questions to a judge of single samples, drawn at random."""
    rows = _reservoir_sample(_iterate_texts(samples), k, settings.seed)
    template, digest = _find_prompt("grade", settings)
    requests = []
    for row in rows:
        question = {
            **row,
            "judge": model,
            "repetition": 0,
        }
        requests.append(
            comparisons.ask_grade(
                question,
                template,
                digest,
                settings.judge,
            )
        )
    return requests


def _draw_judge_pilot(
    samples: Table,
    settings: Settings,
    model: str,
    k: int,
) -> list[Request]:
    """k comparisons of samples drawn at random, each pair in both orders."""
    n_pairs = max(1, k // 2)  # each is asked in both orders
    rows = _reservoir_sample(_iterate_texts(samples), 2 * n_pairs, settings.seed)
    # Each sample is in one pair only; fewer samples make fewer pairs.
    half = len(rows) // 2
    pairs = []
    for number, (left, right) in enumerate(zip(rows[:half], rows[half:], strict=False)):
        pair = {
            "pair": number,
            "cluster": 0,
            "left": left["id"],
            "right": right["id"],
            "bridge": False,
            "orders": "both",
        }
        pairs.append(pair)
    questions = comparisons.list_comparison_questions(
        pl.DataFrame(pairs, schema=PAIRS), pl.DataFrame(rows), (model,)
    )
    template, digest = _find_prompt("judge", settings)
    requests = [
        comparisons.ask_comparison(
            row,
            template,
            digest,
            settings.judge,
        )
        for row in questions.iter_rows(named=True)
    ]
    return requests[:k]


def _find_prompt(name: str, settings: Settings) -> tuple[str, str]:
    """The name of a stage's prompt template under these settings, and its hash."""
    stage = find_stage(name)
    assert isinstance(stage, PromptStage)
    template = stage.choose_template(settings)
    return template, prompts.hash_template(template)


def _iterate_texts(samples: Table) -> Iterator[dict[str, Any]]:
    """id, instruction and response of every sample, as judges read them."""
    for batch in pool.iterate_judged_texts(samples, TEXTS):
        yield from batch.iter_rows(named=True)


def _reservoir_sample(
    rows: Iterator[dict[str, Any]],
    k: int,
    seed: int,
) -> list[dict[str, Any]]:
    """k rows at random, each equally likely (reservoir sampling), in random order."""
    random = np.random.default_rng(seed)
    # One pass, so that the samples need not fit into memory.
    reservoir: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        if number < k:
            reservoir.append(row)
            continue
        # Row number i takes a place with probability k / (i + 1).
        place = int(random.integers(number + 1))
        if place < k:
            reservoir[place] = row
    # The first rows of the input tend to stay in front; shuffled, any part of the sample is
    # random.
    return [reservoir[place] for place in random.permutation(len(reservoir))]
