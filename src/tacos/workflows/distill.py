"""`tacos distill`: train small models that answer as the language model of a run did.

A run's tags, verdicts and grades hold the language model's replies, each with its ledger key. Rows
of embedded models have no key and are not learned from. The folder that is written is what
`--llm FOLDER`, `tag.model` and `judge.model` take.
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
from tacos.models.training import tagger as tagger_training
from tacos.models.training.llm_imitation import (
    MAX_GRADED,
    MAX_TAGGED,
    Figures,
    GradedText,
)
from tacos.store import files, folders
from tacos.store.artifacts import Artifact
from tacos.workflows import arguments, kept_files
from tacos.workflows.selection import GivenRun, Selection, load

MIN_GRADED = 100
"""The fewest judged samples that a judge is distilled from."""
FEW = 500
"""Up to so many instructions, each fifth is held out in turn: a single one would tell little."""
ENCODERS = ("static", "minilm")
CARD = "card.md"
FILES = (*tagger_files.FILES, *judge.FILES, CARD)
BY_LLM = pl.col("reply") != ""
"""The rows that a language model answered: they have a ledger key."""
SEED = 0


@dataclass(frozen=True)
class TrainingExamples:
    """What language models said in a run, and the part of it that is learned from."""

    models: tuple[str, ...] = ()
    n_replies: int = 0
    rows: list[Any] = field(default_factory=list)
    """(instruction, tags) for the tagger, `GradedText` for the judge."""


@dataclass(frozen=True)
class Distillation:
    """A folder of distilled models and how well they do."""

    folder: Path
    figures: dict[str, Figures]
    """Part ("tagger", "judge") -> figures on held-out rows."""
    left_out: dict[str, str]
    """Part -> why it could not be trained."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"folder": str(self.folder), **self.figures, "left out": self.left_out}


def distill(
    run: GivenRun,
    output: str | Path,
    encoder: str = "static",
) -> Distillation:
    """Train the models that a run has enough replies for, measure them, and write them with a card.

    Args:
        run: A run whose tags, verdicts or grades came from a language model.
        output: The folder to write; two calls write identical files.
        encoder: What the tagger reads with: "static", or "minilm" (slower).

    Raises:
        ConfigError: The encoder is unknown.
        OutputError: The folder exists and holds something else.
        RunError: The run has too few replies for either model.
    """
    arguments.check_choice("encoder", encoder, ENCODERS)
    done = load(run)
    target = arguments.to_path("output", output)
    folders.check_folder(target, FILES)
    kept_files.check_folder_kept(target, [])
    examples = {
        "tagger": _collect_tag_examples(done),
        "judge": _collect_judge_examples(done),
    }
    # A part with too few examples is left out; that is an error only if none is left.
    left_out = _explain_shortages(examples)
    _check_trainable(done, examples, left_out)
    figures: dict[str, Figures] = {}
    # The new folder takes the old one's place only when it is complete.
    with folders.replace_folder(target, FILES) as fresh:
        if "tagger" not in left_out:
            figures["tagger"] = _train_tagger(examples["tagger"], fresh, encoder)
        if "judge" not in left_out:
            figures["judge"] = _train_judge(examples["judge"], fresh)
        card = cards.render_card(describe_source(done), figures, left_out)
        files.write_text(card, fresh / CARD)
    return Distillation(target, figures, left_out)


def describe_source(done: Selection) -> Mapping[str, Any]:
    """What a card says of the run.

    "unsure" counts the replies about instructions that the small tagger of a cascade was least sure
    of: they are harder than the rest, which biases the figures.
    """
    samples = done.artifacts["samples"]
    sample_tags = done.artifacts.get("sample_tags")
    n_unsure = 0
    if sample_tags and "tags" in done.artifacts:
        n_replies = _count_llm_turns(done.artifacts["tags"])
        n_unsure = n_replies - _count_llm_turns(sample_tags)
    return {
        "run": done.run.name,
        "preset": done.settings.preset,
        "seed": done.settings.seed,
        "rows": samples.manifest["n_rows"],
        "input": samples.manifest["inputs"]["input"],
        "unsure": n_unsure,
    }


def _explain_shortages(examples: Mapping[str, TrainingExamples]) -> dict[str, str]:
    """Part -> why it cannot be trained, for the parts with too few examples."""
    needs = {
        "tagger": ("tagged instructions", MIN_TAGGED),
        "judge": ("judged samples", MIN_GRADED),
    }
    shortages = {}
    for part, (unit, minimum) in needs.items():
        n_rows = len(examples[part].rows)
        if n_rows < minimum:
            shortages[part] = (
                f"{n_rows:,} {unit} by a language model, but at least {minimum} are needed"
            )
    return shortages


def _check_trainable(
    done: Selection,
    examples: Mapping[str, TrainingExamples],
    left_out: Mapping[str, str],
) -> None:
    """Raise `RunError` if no part can be trained."""
    if len(left_out) < len(examples):
        return
    reasons = [f"{part}: {reason}" for part, reason in left_out.items()]
    raise RunError(f"{done.run} has no usable training data: {'; '.join(reasons)}")


def _describe_origin(examples: TrainingExamples) -> Figures:
    """Whom a model learned from, and on how many rows."""
    return {
        "models": list(examples.models),
        "replies": examples.n_replies,
        "learned from": len(examples.rows),
    }


def _train_judge(examples: TrainingExamples, folder: Path) -> Figures:
    """Write a judge into a folder; returns its figures."""
    model = llm_imitation.fit_judge(examples.rows)
    figures = llm_imitation.measure_judge(examples.rows)
    agreement = figures["agreement"]["value"] or 0.0
    # The share of the variance of the language model's numbers that held-out scores explain
    explained = max(agreement, 0.0) ** 2
    judge.save_judge(model, folder, {"all": round(explained, 3)})
    return _describe_origin(examples) | figures


def _train_tagger(
    examples: TrainingExamples,
    folder: Path,
    encoder: str,
) -> Figures:
    """Write a tagger into a folder; returns its figures."""
    texts = [text for text, _ in examples.rows]
    tags = [own_tags for _, own_tags in examples.rows]
    name = f"distilled from {' + '.join(examples.models)}"
    model = llm_imitation.fit_tagger(
        texts,
        tags,
        name,
        encoder,
    )
    tagger_training.write_tagger(folder, model)
    n_folds = llm_imitation.N_FOLDS if len(texts) <= FEW else 1
    figures = llm_imitation.measure_tagger(
        texts,
        tags,
        encoder,
        n_folds,
    )
    return _describe_origin(examples) | {"encoder": encoder} | figures


def _collect_tag_examples(done: Selection) -> TrainingExamples:
    """Instructions with the language model's tags: at most `MAX_TAGGED`, drawn by a hash."""
    if "tags" not in done.artifacts:
        return TrainingExamples()
    tags = done.artifacts["tags"]
    turns = _read_tagged_turns(done.artifacts["samples"], tags)
    drawn = tagger_cascade.draw_tagging_questions(turns, MAX_TAGGED, SEED)
    # The tagger learns from texts cut to the length that the language model was shown.
    max_chars = done.settings.tag.max_chars
    texts = []
    tags_of = []
    for text, own_tags in drawn.select("instruction", "tags").iter_rows():
        texts.append(truncate_text(text, max_chars))
        tags_of.append(own_tags)
    # Equal instructions teach once.
    distinct = llm_imitation.find_distinct_rows(texts)
    return TrainingExamples(
        models=(tags.manifest["model"],),
        n_replies=_count_llm_turns(tags),
        rows=[(texts[row], tags_of[row]) for row in distinct],
    )


def _count_llm_turns(tags: Artifact) -> int:
    """The number of turns that a language model tagged."""
    return int(tags.scan().filter(BY_LLM).select(pl.len()).collect().item())


def _read_tagged_turns(
    samples: Artifact,
    tags: Artifact,
) -> Iterator[pl.DataFrame]:
    """id, turn, instruction and tags of the turns that a language model tagged, batch by batch."""
    batches = zip(
        samples.batches(["id", "turns", "given_tags"]),
        tags.batches(["id", "turn", "tags", "reply"]),
        strict=True,
    )
    for samples_batch, tags_batch in batches:
        questions = open_tags.build_turn_questions(samples_batch)
        texts = questions.select("id", "turn", "instruction")
        answered = tags_batch.filter(BY_LLM)
        yield texts.join(answered, on=["id", "turn"], maintain_order="left")


def _collect_judge_examples(done: Selection) -> TrainingExamples:
    """Samples with the means of the numbers that the language model gave them: at most
    `MAX_GRADED`, drawn by a hash.
    """
    numbers = _collect_numbers(done)
    if numbers is None:
        return TrainingExamples()
    judges = numbers.select(pl.col("judge").unique().sort()).collect()["judge"]
    means = _average_numbers(numbers)
    return TrainingExamples(
        models=tuple(judges.to_list()),
        n_replies=int(numbers.select(pl.col("reply").n_unique()).collect().item()),
        rows=_attach_texts(_draw_samples(means), done.artifacts["samples"]),
    )


def _collect_numbers(done: Selection) -> pl.LazyFrame | None:
    """id, judge, reply, value and correctness: a row per number that a language model gave.

    Where a judge gave one score only, it stands for both. None without verdicts and grades.
    """
    tables: list[pl.LazyFrame] = []
    for name, artifact in done.artifacts.items():
        if name.startswith("verdicts/"):
            for side in ("left", "right"):
                table = artifact.scan()
                tables.append(_read_numbers(table, side, f"_{side}", f"score_{side}"))
        elif name == "grades":
            tables.append(_read_numbers(artifact.scan(), "id", "", "grade"))
    if not tables:
        return None
    by_llm = pl.concat(tables).filter(BY_LLM)
    return by_llm.drop_nulls("value")


def _read_numbers(
    table: pl.LazyFrame,
    id_column: str,
    suffix: str,
    score_column: str,
) -> pl.LazyFrame:
    """One side of verdicts, or grades, as numbers."""
    columns = table.collect_schema().names()
    numbers: list[pl.Expr] = []
    for name in ("value", "correctness"):
        number = pl.col(score_column)
        # Runs from before 0.3 have one score.
        if f"{name}{suffix}" in columns:
            number = pl.coalesce(f"{name}{suffix}", score_column)
        numbers.append(number.cast(pl.Float64).alias(name))
    return table.select(pl.col(id_column).alias("id"), "judge", "reply", *numbers)


def _average_numbers(numbers: pl.LazyFrame) -> pl.DataFrame:
    """id, value, correctness: the means of each sample's numbers."""
    by_sample = numbers.group_by("id").agg(
        pl.col("value").mean(),
        pl.col("correctness").mean(),
    )
    # Rounded, because the order of a sum is open; sorted, because the order of groups is.
    rounded = by_sample.with_columns(pl.col("value", "correctness").round(4))
    return rounded.sort("id").collect()


def _draw_samples(means: pl.DataFrame) -> pl.DataFrame:
    """At most `MAX_GRADED` samples, by a hash of their ids."""
    # A hash draws the same samples each time.
    lots = tagger_cascade.hash_instructions(means["id"].to_list(), SEED)
    with_lot = means.with_columns(lots)
    drawn = with_lot.sort("lot", "id")
    return drawn.head(MAX_GRADED)


def _attach_texts(
    means: pl.DataFrame,
    samples: Artifact,
) -> list[GradedText]:
    """Samples' means with their texts."""
    texts = samples.scan().select("id", "instruction", "response")
    judged = texts.join(means.lazy(), on="id").sort("lot", "id").collect()
    return [
        GradedText(
            row["instruction"],
            row["response"],
            row["value"],
            row["correctness"],
        )
        for row in judged.iter_rows(named=True)
    ]
