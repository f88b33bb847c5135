"""Distilling: small models that answer as the language model of a run did. `distill` trains,
measures and writes them.

A run's tags and verdicts hold the language model's replies, each with its ledger key; rows of
embedded models have none and teach nothing. The folder that comes out is read by `--llm FOLDER`,
`tag.model` and `judge.model`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from tacos.config import MIN_TAGGED
from tacos.errors import RunError
from tacos.methods.samples.truncation import truncate_text
from tacos.methods.tags import open_tags, tagger_cascade
from tacos.models import judge, tagger_files
from tacos.models.training import cards, llm_imitation
from tacos.models.training import judge as judging
from tacos.models.training import tagger as training
from tacos.models.training.llm_imitation import MAX_PAIRS, MAX_TAGGED, Figures
from tacos.models.training.preference_pairs import PreferencePair
from tacos.store import files, folders
from tacos.store.artifacts import Artifact
from tacos.workflows import select
from tacos.workflows.select import Selection

MIN_PAIRS = 200
"""The fewest compared pairs that a judge is distilled from."""
FEW = 500
"""Of so few instructions every fifth is held out in turn, since one alone would tell little."""
CARD = "card.md"
FILES = (*tagger_files.FILES, judge.FILE, CARD)
PAID = pl.col("reply") != ""
SEED = 0


@dataclass(frozen=True)
class TrainingExamples:
    """What a language model said in a run: who, how often in all, and the part of it that is
    learned from.
    """

    models: tuple[str, ...] = ()
    n_replies: int = 0
    rows: list[Any] = field(default_factory=list)
    """(instruction, tags) for the tagger, `PreferencePair` for the judge."""


@dataclass(frozen=True)
class Distillation:
    """What was made: part ("tagger", "judge") -> held-out figures, and why a part was left out."""

    folder: Path
    figures: dict[str, Figures]
    left_out: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"folder": str(self.folder), **self.figures, "left out": self.left_out}


def distill(run: Path, folder: Path, encoder: str = "static") -> Distillation:
    """Train what a run has enough replies for, and write it with its card; `encoder` is the
    tagger's.

    Two calls give identical files. A folder that is not one of ours is left alone (`OutputError`).
    Raises `RunError` where the run has enough replies for nothing.
    """
    done = select.load(run)
    folders.check_folder(folder, FILES)
    tagged, judged = _collect_tag_examples(done), _collect_pair_examples(done)
    left_out = {
        part: f"{len(lessons.rows):,} {what} by a language model, {least} or more are needed"
        for part, lessons, what, least in (
            ("tagger", tagged, "tagged instructions", MIN_TAGGED),
            ("judge", judged, "compared pairs", MIN_PAIRS),
        )
        if len(lessons.rows) < least
    }
    if len(left_out) == 2:
        raise RunError(
            f"{run} teaches nothing: "
            + "; ".join(f"{part}: {why}" for part, why in left_out.items())
        )
    taught = {
        part: lessons
        for part, lessons in (("tagger", tagged), ("judge", judged))
        if part not in left_out
    }
    with folders.replace_folder(folder, FILES) as fresh:
        figures = {
            part: _train_part(part, lessons, fresh, encoder) for part, lessons in taught.items()
        }
        files.write_text(cards.render_card(describe_source(done), figures, left_out), fresh / CARD)
    return Distillation(folder, figures, left_out)


def _train_part(part: str, lessons: TrainingExamples, folder: Path, encoder: str) -> Figures:
    """Write one part; its figures, with where the lessons came from."""
    came_from = {
        "models": list(lessons.models),
        "replies": lessons.n_replies,
        "learned from": len(lessons.rows),
    }
    if part == "judge":
        judging.save_judge(llm_imitation.fit_judge(lessons.rows), folder)
        return came_from | llm_imitation.measure_judge(lessons.rows)
    n_folds = llm_imitation.N_FOLDS if len(lessons.rows) <= FEW else 1
    texts, tags = [text for text, _ in lessons.rows], [own for _, own in lessons.rows]
    made = llm_imitation.fit_tagger(
        texts, tags, f"distilled from {' + '.join(lessons.models)}", encoder
    )
    training.write_tagger(folder, made)
    return (
        came_from
        | {"encoder": encoder}
        | llm_imitation.measure_tagger(texts, tags, encoder, n_folds)
    )


def describe_source(done: Selection) -> Mapping[str, Any]:
    """What a card says of the run; "unsure": replies about what the small tagger of a cascade was
    least sure of.
    """
    samples, sample_tags = done.artifacts["samples"], done.artifacts.get("sample_tags")
    n_unsure = (
        _count_llm_turns(done.artifacts["tags"]) - _count_llm_turns(sample_tags)
        if sample_tags and "tags" in done.artifacts
        else 0
    )
    return {
        "run": done.run.name,
        "preset": done.settings.preset,
        "seed": done.settings.seed,
        "rows": samples.manifest["n_rows"],
        "input": samples.manifest["inputs"]["input"],
        "unsure": n_unsure,
    }


def _collect_tag_examples(done: Selection) -> TrainingExamples:
    """Instructions with the language model's tags; `MAX_TAGGED` of them at most, by their lots."""
    if "tags" not in done.artifacts:
        return TrainingExamples()
    tags = done.artifacts["tags"]
    n_replies = _count_llm_turns(tags)
    drawn = tagger_cascade.draw_tagging_questions(
        _read_tagged_turns(done.artifacts["samples"], tags), MAX_TAGGED, SEED
    )
    limit = done.settings.tag.max_chars
    rows = [
        (truncate_text(text, limit), own)
        for text, own in drawn.select("instruction", "tags").iter_rows()
    ]
    kept = llm_imitation.find_distinct_rows([text for text, _ in rows])
    return TrainingExamples((tags.manifest["model"],), n_replies, [rows[row] for row in kept])


def _count_llm_turns(tags: Artifact) -> int:
    """The turns that a language model tagged."""
    return int(tags.scan().filter(PAID).select(pl.len()).collect().item())


def _read_tagged_turns(samples: Artifact, tags: Artifact) -> Iterator[pl.DataFrame]:
    """id, turn, instruction and tags of the turns that a language model tagged, batch by batch."""
    both = zip(
        samples.batches(["id", "turns", "given_tags"]),
        tags.batches(["id", "turn", "tags", "reply"]),
        strict=True,
    )
    for asked, answered in both:
        texts = open_tags.build_turn_questions(asked).select("id", "turn", "instruction")
        yield texts.join(answered.filter(PAID), on=["id", "turn"], maintain_order="left")


def _collect_pair_examples(done: Selection) -> TrainingExamples:
    """Pairs with the share of verdicts that the first sample won, ties half; `MAX_PAIRS` at most,
    by their lots.
    """
    parts = [
        art.scan().filter(PAID)
        for name, art in done.artifacts.items()
        if name.startswith("verdicts/")
    ]
    if not parts:
        return TrainingExamples()
    verdicts = pl.concat(parts)
    won = (pl.col("score_left") - pl.col("score_right")).sign() / 2 + 0.5
    pairs = (
        verdicts.group_by("left", "right")
        .agg(won.mean().alias("won"), n=pl.len())
        .sort("left", "right")
        .collect()
    )
    lots = tagger_cascade.hash_instructions(
        [f"{left}\0{right}" for left, right in pairs.select("left", "right").iter_rows()], SEED
    )
    drawn = pairs.with_columns(lots).sort("lot", "left", "right").head(MAX_PAIRS)
    wanted = pl.concat([drawn["left"], drawn["right"]]).unique()
    texts = done.artifacts["samples"].scan().filter(pl.col("id").is_in(wanted.implode()))
    known = {
        id_: (asked, said)
        for id_, asked, said in texts.select("id", "instruction", "response").collect().rows()
    }
    rows = [
        PreferencePair(known[left], known[right], share)
        for left, right, share in drawn.select("left", "right", "won").rows()
    ]
    judges = verdicts.select(pl.col("judge").unique().sort()).collect()["judge"].to_list()
    return TrainingExamples(tuple(judges), int(pairs["n"].sum()), rows)
