"""What the stages of a cascade of taggers do with their tables (see
`tacos.methods.tags.tagger_cascade`).

    samples -> tag-sample -> distill -> guess -> tag

`tag-sample` asks the language model about a sample, `distill_tagger` trains a small tagger on its replies
(the table is the model: a row per file), `guess_tags` tags the rest with it, and `tag` joins all that,
asking the language model again where the small one is least sure. Without a cascade `tag` alone
asks about everything.
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
from tacos.pipeline.steps import tags as plain
from tacos.pipeline.steps.pool import Tables
from tacos.records import FILES, GUESSES, StageOutput, build_reject_frame

COLUMNS = ["id", "turns", "given_tags"]
N_QUESTIONS_PER_BATCH = 1_000


def _iterate_open_questions(tables: Tables) -> Iterator[pl.DataFrame]:
    """The questions of tagging that the input does not answer, batch by batch."""
    for samples in tables["samples"].batches(COLUMNS):
        yield open_tags.build_turn_questions(samples).filter(pl.col("given").is_null())


def draw_sample_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """The questions of the sample, in the order of their lots. Raises `InputError` for too few to
    learn from.
    """
    drawn = tagger_cascade.draw_tagging_questions(
        _iterate_open_questions(tables), settings.cascade.sample, settings.seed
    )
    _check_sample_size(drawn.height, settings)
    yield from drawn.iter_slices(N_QUESTIONS_PER_BATCH)


def _check_sample_size(n: int, settings: Settings) -> None:
    """Raise `InputError` for fewer instructions than `MIN_TAGGED` less what may go unanswered."""
    least = math.floor(MIN_TAGGED * (1 - settings.tag.max_failure_rate))
    if n < least:
        raise InputError(
            f"the cascade has {n} instructions to learn from and needs {least}: "
            "leave out cascade.sample for so small a data set"
        )


def distill_tagger(
    tables: Tables, settings: Settings, shipped: EmbeddedTagger, number: int
) -> StageOutput:
    """Tags of the sample -> a tagger, by `FILES`; how far it agrees with held-out ones is in the
    notes.

    Encoder and lexicon are those of the shipped tagger: it is the stage's tool so that its
    fingerprint is in the key. Raises `InputError` where too few instructions are tagged.
    """
    from tacos.models.training import llm_imitation  # takes a second to import
    from tacos.models.training.tagger import freeze_tagger

    tags = tables["sample_tags"].scan().collect()
    _check_sample_size(tags.height, settings)
    asked = _read_instructions(tables, tags, settings)
    shown = tags.join(
        asked,
        on=["id", "turn"],
        maintain_order="left",
    )
    once = shown[llm_imitation.find_distinct_rows(shown["instruction"].to_list())]
    texts, given = once["instruction"].to_list(), once["tags"].to_list()
    name = f"distilled from {' + '.join(sorted(set(tags['model'])))}"
    made = llm_imitation.fit_tagger(texts, given, name)
    notes = {"agreement": llm_imitation.measure_tagger(texts, given), "n_shown": tags.height}
    files = pl.DataFrame(
        tagger_files.pack_tagger(*freeze_tagger(made)),
        schema=FILES,
        orient="row",
    )
    return StageOutput(files, build_reject_frame(), notes)


def _read_instructions(tables: Tables, tags: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """id, turn and the text that a tagger reads, for every turn that has tags."""
    wanted = pl.col("id").is_in(tags["id"].unique().implode())
    samples = tables["samples"].scan().select(COLUMNS).filter(wanted).collect()
    asked = open_tags.build_turn_questions(samples).select("id", "turn", "instruction")
    return asked.with_columns(
        pl.Series(
            "instruction",
            _truncate_instructions(asked, settings),
            dtype=pl.String,
        )
    )


def _truncate_instructions(asked: pl.DataFrame, settings: Settings) -> list[str]:
    """The instructions as they are asked: long ones without their middle."""
    return [truncate_text(text, settings.tag.max_chars) for text in asked["instruction"]]


def list_remaining_questions(tables: Tables) -> Iterator[pl.DataFrame]:
    """The questions that the sample has no answer to: a batch, even if an empty one, per batch of
    samples.
    """
    done = tables["sample_tags"].scan().select("id", "turn").collect()
    for asked in _iterate_open_questions(tables):
        yield asked.select("id", "turn", "instruction").join(
            done,
            on=["id", "turn"],
            how="anti",
            maintain_order="left",
        )


def read_tagger_files(
    tables: Tables, settings: Settings, shipped: EmbeddedTagger
) -> dict[str, bytes]:
    """The files of the distilled tagger."""
    return dict(tables["tagger"].scan().collect().iter_rows())


def guess_tags(asked: pl.DataFrame, files: dict[str, bytes], settings: Settings) -> StageOutput:
    """Questions -> tags of the distilled tagger, by `GUESSES`."""
    model = tagger_files.unpack_tagger(*(files[name] for name in tagger_files.FILES))
    found = tagger.tag_instructions(model, _truncate_instructions(asked, settings))
    rows = [
        open_tags.build_tags_row(
            row,
            tagger.format_tag_items(tags),
            "",
            model.meta["name"],
        )
        for row, tags in zip(asked.iter_rows(named=True), found, strict=True)
    ]
    table = pl.DataFrame(
        rows, schema={name: GUESSES[name] for name in GUESSES if name not in ("sureness", "lot")}
    )
    lots = tagger_cascade.hash_instructions(asked["instruction"].to_list(), settings.seed)
    return StageOutput(
        table.with_columns(tagger_cascade.mean_confidence(), lots), build_reject_frame(), {}
    )


def build_cascade_questions(tables: Tables, settings: Settings) -> Iterator[pl.DataFrame]:
    """One question per user turn, batch by batch; in a cascade those that are sure enough are
    known.
    """
    if "guesses" not in tables:
        yield from plain.build_tag_questions(tables, settings)
        return
    known, guesses = tables["sample_tags"].scan().collect(), tables["guesses"].scan()
    n_rest = int(guesses.select(pl.len()).collect().item())
    unsure = tagger_cascade.pick_least_confident(guesses, settings.cascade.n_again(n_rest))
    parts = tables["guesses"].batches(known.columns)
    for samples, guessed in zip(tables["samples"].batches(COLUMNS), parts, strict=True):
        sure = guessed.join(
            unsure,
            on=["id", "turn"],
            how="anti",
        )
        yield open_tags.build_turn_questions(samples, pl.concat([known, sure]))
