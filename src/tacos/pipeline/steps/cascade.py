"""The stages of a cascade of taggers (see `tacos.methods.tags.tagger_cascade`).

    samples -> tag-sample -> distill -> guess -> tag

`tag-sample` asks the language model about a sample, `distill` trains a small tagger on its replies
(the table is the model: a row per file), `guess` tags the rest with it, and `tag` puts everything
together, asking the language model again where the small one is least sure. Without a cascade,
`tag` alone asks about everything.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import polars as pl

from tacos.config import MIN_TAGGED, Settings
from tacos.errors import InputError
from tacos.methods.samples.truncation import truncate_text
from tacos.methods.tags import open_tags, tagger_cascade
from tacos.models import tagger, tagger_files
from tacos.models.tagger import EmbeddedTagger
from tacos.pipeline.steps.pool import count_rows
from tacos.pipeline.steps.tags import build_tag_questions
from tacos.records import FILES, GUESSES, StageOutput, Tables

QUESTION_COLUMNS = ["id", "turns", "given_tags"]
N_QUESTIONS_PER_BATCH = 1_000


def draw_sample_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """The questions of the sample, in random order.

    Raises `InputError` if there are too few to learn from.
    """
    sample = tagger_cascade.draw_tagging_questions(
        _iterate_open_questions(tables),
        settings.cascade.sample,
        settings.seed,
    )
    _check_sample_size(sample.height, settings)
    yield from sample.iter_slices(N_QUESTIONS_PER_BATCH)


def distill_tagger(
    tables: Tables,
    settings: Settings,
    shipped: EmbeddedTagger,
    number: int,
) -> StageOutput:
    """Tags of the sample -> a tagger, by `FILES`; the notes say how far it agrees with held-out
    tags.

    Encoder and lexicon are those of the shipped tagger: it is the stage's tool so that its
    fingerprint is in the key. Raises `InputError` if too few instructions are tagged.
    """
    from tacos.models.training import llm_imitation  # takes a second to import
    from tacos.models.training.tagger import freeze_tagger

    tags = tables["sample_tags"].scan().collect()
    _check_sample_size(tags.height, settings)
    instructions = _read_instructions(tables, tags, settings)
    tagged = tags.join(
        instructions,
        on=["id", "turn"],
        maintain_order="left",
    )
    distinct = llm_imitation.find_distinct_rows(tagged["instruction"].to_list())
    texts = tagged[distinct]["instruction"].to_list()
    labels = tagged[distinct]["tags"].to_list()

    teachers = " + ".join(sorted(set(tags["model"])))
    student = llm_imitation.fit_tagger(texts, labels, f"distilled from {teachers}")
    packed = tagger_files.pack_tagger(*freeze_tagger(student))
    notes = {
        "agreement": llm_imitation.measure_tagger(texts, labels),
        "n_shown": tags.height,
    }
    files = pl.DataFrame(
        packed,
        schema=FILES,
        orient="row",
    )
    return StageOutput.without_rejects(files, notes)


def list_remaining_questions(tables: Tables) -> Iterator[pl.DataFrame]:
    """The questions outside the sample: a batch, even if an empty one, per batch of samples."""
    in_sample = tables["sample_tags"].scan().select("id", "turn").collect()
    for questions in _iterate_open_questions(tables):
        yield questions.select("id", "turn", "instruction").join(
            in_sample,
            on=["id", "turn"],
            how="anti",
            maintain_order="left",
        )


def read_tagger_files(
    tables: Tables,
    settings: Settings,
    shipped: EmbeddedTagger,
) -> dict[str, bytes]:
    """The files of the distilled tagger."""
    return dict(tables["tagger"].scan().collect().iter_rows())


def guess_tags(
    questions: pl.DataFrame,
    files: dict[str, bytes],
    settings: Settings,
) -> StageOutput:
    """Questions -> tags of the distilled tagger, by `GUESSES`."""
    model = tagger_files.unpack_tagger(*(files[name] for name in tagger_files.FILES))
    model_name = model.meta["name"]
    texts = _truncate_instructions(questions, settings)
    guesses = tagger.tag_instructions(model, texts)
    rows = []
    for question, tags in zip(questions.iter_rows(named=True), guesses, strict=True):
        items = tagger.format_tag_items(tags)
        rows.append(open_tags.build_tags_row(question, items, "", model_name))

    computed = ("sureness", "lot")
    schema = {name: dtype for name, dtype in GUESSES.items() if name not in computed}
    # The lot depends on the whole instruction, not on what the tagger reads of it.
    lots = tagger_cascade.hash_instructions(
        questions["instruction"].to_list(), settings.seed
    )
    table = pl.DataFrame(rows, schema=schema).with_columns(
        tagger_cascade.mean_confidence(),
        lots,
    )
    return StageOutput.without_rejects(table)


def build_cascade_questions(
    tables: Tables, settings: Settings
) -> Iterator[pl.DataFrame]:
    """One question per user turn, batch by batch; in a cascade, the answers that are sure enough
    are given.
    """
    if "guesses" not in tables:
        yield from build_tag_questions(tables, settings)
        return

    sample_tags = tables["sample_tags"].scan().collect()
    n_unsure = settings.cascade.n_again(count_rows(tables["guesses"]))
    unsure = tagger_cascade.pick_least_confident(tables["guesses"].scan(), n_unsure)
    # `guess` makes one batch per batch of samples: both tables are read side by side.
    batches = zip(
        tables["samples"].batches(QUESTION_COLUMNS),
        tables["guesses"].batches(sample_tags.columns),
        strict=True,
    )
    for samples, guesses in batches:
        sure = guesses.join(
            unsure,
            on=["id", "turn"],
            how="anti",
        )
        known = pl.concat([sample_tags, sure])
        yield open_tags.build_turn_questions(samples, known)


def _iterate_open_questions(tables: Tables) -> Iterator[pl.DataFrame]:
    """The questions of tagging that the input does not answer, batch by batch."""
    for samples in tables["samples"].batches(QUESTION_COLUMNS):
        questions = open_tags.build_turn_questions(samples)
        yield questions.filter(pl.col("given").is_null())


def _check_sample_size(n: int, settings: Settings) -> None:
    """Raise `InputError` for fewer instructions than `MIN_TAGGED`, less those that may fail."""
    least = math.floor(MIN_TAGGED * (1 - settings.tag.max_failure_rate))
    if n < least:
        raise InputError(
            f"the cascade has {n} instructions to learn from and needs {least}: "
            "leave out cascade.sample for a data set this small"
        )


def _read_instructions(
    tables: Tables,
    tags: pl.DataFrame,
    settings: Settings,
) -> pl.DataFrame:
    """id, turn and the text that a tagger reads, for every turn of a tagged sample."""
    is_tagged = pl.col("id").is_in(tags["id"].unique().implode())
    samples = tables["samples"].scan().select(QUESTION_COLUMNS).filter(is_tagged)
    questions = open_tags.build_turn_questions(samples.collect())
    texts = _truncate_instructions(questions, settings)
    return questions.select(
        "id",
        "turn",
        pl.Series(
            "instruction",
            texts,
            dtype=pl.String,
        ),
    )


def _truncate_instructions(questions: pl.DataFrame, settings: Settings) -> list[str]:
    """The instructions as a tagger reads them: long ones without their middle."""
    limit = settings.tag.max_chars
    return [truncate_text(text, limit) for text in questions["instruction"]]
