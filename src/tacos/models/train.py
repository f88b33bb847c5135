"""Trains the shipped models from the corpora.

    python -m tacos.models.train encoder|tagger|judge|close-judge --data DATA

Two trainings give identical files, whatever the number of cores. Training the encoder needs
MiniLM's weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tacos.models import tag_agreement
from tacos.models.training import corpora, encoder, judge, tagger

DATA = Path("../shared/data")
OUT = Path(__file__).parent / "data"


def run_training(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, train, and print the path of the model."""
    options, parser = _parse_arguments(arguments)
    if not options.data.is_dir():
        parser.error(
            f"no folder {options.data}: the corpora that the cards list are not part of tacos; "
            "pass their folder with --data"
        )
    print(_train_model(options))


def _parse_arguments(
    arguments: Sequence[str] | None,
) -> tuple[argparse.Namespace, argparse.ArgumentParser]:
    parser = argparse.ArgumentParser(
        prog="python -m tacos.models.train",
        description="Train the shipped models from the corpora.",
    )
    parser.add_argument(
        "model",
        choices=["encoder", "tagger", "judge", "close-judge"],
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=DATA,
        help="the folder of the corpora",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=OUT,
        help="where to write the files (default: over the shipped ones)",
    )
    parser.add_argument(
        "--encoder",
        default="static",
        help="the tagger's encoder: static or minilm",
    )
    return parser.parse_args(arguments), parser


def _train_model(options: argparse.Namespace) -> Path:
    if options.model == "judge":
        return judge.train_judge(options.data, options.out)
    if options.model == "close-judge":
        return judge.train_close_judge(options.data, options.out)
    if options.model == "encoder":
        return encoder.train_encoder(options.data, options.out)
    return _train_tagger(options)


def _train_tagger(options: argparse.Namespace) -> Path:
    """Train the tagger on our annotators' tags and our own readings.

    The published counts are further lexicon.
    """
    instructions, tags, reference = read_tagging_data(options.data)
    read_instructions, read_tags = corpora.read_tag_readings(options.data)
    instructions += read_instructions
    tags += read_tags
    reference = tagger.TagReference(
        tagger.pick_spellings(tags),
        reference.published,
    )
    recipe = tagger.TaggerRecipe(
        encoder=options.encoder,
        name=f"tacos-tagger-{options.encoder}",
    )
    rows = tagger.encode_rows(
        instructions,
        tags,
        recipe,
    )
    model = tagger.fit_tagger_model(rows, reference, recipe)
    return tagger.write_tagger(options.out, model)


def read_tagging_data(
    data: Path,
) -> tuple[list[str], list[list[str]], tagger.TagReference]:
    """Read distinct instructions, the first annotator's tags, and what else is known of tags."""
    annotations = corpora.read_first_annotations(data)
    tags = [row["tags"] for row in annotations.values()]
    # Published tags without instructions: they widen the lexicon.
    published_counts: dict[str, int] = {}
    for row in corpora.read_corpus_rows(data / corpora.PUBLISHED_TAGS):
        name = tag_agreement.lowercase_tag(row["tag"])
        published_counts[name] = int(row["count"])
    reference = tagger.TagReference(
        tagger.pick_spellings(tags),
        published_counts,
    )
    return (
        list(annotations),
        tags,
        reference,
    )


if __name__ == "__main__":
    run_training()
