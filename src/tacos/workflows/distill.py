"""`tacos distill`: train small models that answer as the language model of a run did.

A run's tags and verdicts hold the language model's replies, each with its ledger key. Rows of
embedded models have no key and are not learned from. The folder that is written is what
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
from tacos.methods.judging import comparisons
from tacos.methods.samples.truncation import truncate_text
from tacos.methods.tags import open_tags, tagger_cascade
from tacos.models import judge, tagger_files
from tacos.models.training import cards, llm_imitation
from tacos.models.training import judge as judge_training
from tacos.models.training import tagger as tagger_training
from tacos.models.training.llm_imitation import MAX_PAIRS, MAX_TAGGED, Figures
from tacos.models.training.preference_pairs import PreferencePair
from tacos.store import files, folders
from tacos.store.artifacts import Artifact
from tacos.workflows import arguments
from tacos.workflows.selection import GivenRun, Selection, load

MIN_PAIRS = 200
"""The fewest compared pairs that a judge is distilled from."""
FEW = 500
"""Up to so many instructions, each fifth is held out in turn: a single one would tell little."""
ENCODERS = ("static", "minilm")
CARD = "card.md"
FILES = (*tagger_files.FILES, judge.FILE, CARD)
BY_LLM = pl.col("reply") != ""
"""The rows that a language model answered: they have a ledger key."""
SEED = 0


@dataclass(frozen=True)
class TrainingExamples:
    """What language models said in a run, and the part of it that is learned from."""

    models: tuple[str, ...] = ()
    n_replies: int = 0
    rows: list[Any] = field(default_factory=list)
    """(instruction, tags) for the tagger, `PreferencePair` for the judge."""


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
        run: A run whose tags or verdicts came from a language model.
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
    examples = {
        "tagger": _collect_tag_examples(done),
        "judge": _collect_pair_examples(done),
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
        "judge": ("compared pairs", MIN_PAIRS),
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
    weights = llm_imitation.fit_judge(examples.rows)
    judge_training.save_judge(weights, folder)
    return _describe_origin(examples) | llm_imitation.measure_judge(examples.rows)


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


def _collect_pair_examples(done: Selection) -> TrainingExamples:
    """Compared pairs with the share of verdicts that their first sample won, ties half: at most
    `MAX_PAIRS`, drawn by a hash.
    """
    rounds = [
        artifact.scan().filter(BY_LLM)
        for name, artifact in done.artifacts.items()
        if name.startswith("verdicts/")
    ]
    if not rounds:
        return TrainingExamples()
    target = done.settings.judge.target
    verdicts = comparisons.combine_verdicts(pl.concat(rounds), target)
    pairs = _average_verdicts(verdicts)
    judges = (
        verdicts.select(pl.col("judge").unique().sort()).collect()["judge"].to_list()
    )
    return TrainingExamples(
        models=tuple(judges),
        n_replies=int(pairs["n"].sum()),
        rows=_attach_texts(_draw_pairs(pairs), done.artifacts["samples"]),
    )


def _average_verdicts(verdicts: pl.LazyFrame) -> pl.DataFrame:
    """left, right, won (the share of verdicts that left won, ties half), n (verdicts)."""
    margin = pl.col("score_left") - pl.col("score_right")
    won = margin.sign() / 2 + 0.5  # 1, 1/2 or 0
    pairs = verdicts.group_by("left", "right")
    by_pair = pairs.agg(
        won.mean().alias("won"),
        n=pl.len(),
    )
    # Groups come in any order: sorted, two calls train on the same rows.
    ordered = by_pair.sort("left", "right")
    return ordered.collect()


def _draw_pairs(pairs: pl.DataFrame) -> pl.DataFrame:
    """At most `MAX_PAIRS` pairs, by a hash of their ids."""
    ids = pairs.select("left", "right")
    # No id holds the NUL character, so no two pairs share a key.
    keys = [f"{left}\0{right}" for left, right in ids.iter_rows()]
    # A hash draws the same pairs each time.
    lots = tagger_cascade.hash_instructions(keys, SEED)
    with_lot = pairs.with_columns(lots)
    drawn = with_lot.sort("lot", "left", "right")
    return drawn.head(MAX_PAIRS)


def _attach_texts(
    pairs: pl.DataFrame,
    samples: Artifact,
) -> list[PreferencePair]:
    """Pairs of ids as pairs of (instruction, response)."""
    ids = pl.concat([pairs["left"], pairs["right"]]).unique()
    compared = samples.scan().filter(pl.col("id").is_in(ids.implode()))
    texts = {}
    columns = compared.select("id", "instruction", "response").collect()
    for row_id, instruction, response in columns.iter_rows():
        texts[row_id] = (instruction, response)
    return [
        PreferencePair(
            texts[pair["left"]],
            texts[pair["right"]],
            pair["won"],
        )
        for pair in pairs.iter_rows(named=True)
    ]
