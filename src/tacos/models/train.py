"""Trains the shipped models from the corpora: `python -m tacos.models.train encoder|tagger|judge
--data DATA`.

Every training gives identical files each time, whatever the number of cores. The encoder needs
MiniLM's weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tacos.models.training import corpora, encoder, judge, tagger

DATA, OUT = Path("../shared/data"), Path(__file__).parent / "data"


def run_training(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, train, and print where the files are."""
    parser = argparse.ArgumentParser(prog="python -m tacos.models.train", description=__doc__)
    parser.add_argument("model", choices=["encoder", "tagger", "judge"])
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of corpora")
    parser.add_argument(
        "--out", type=Path, default=OUT, help="where the files go (default: the shipped ones)"
    )
    parser.add_argument(
        "--encoder", default="static", help="the tagger's encoder: static or minilm"
    )
    asked = parser.parse_args(arguments)
    if not asked.data.is_dir():
        parser.error(
            f"there is no folder {asked.data}: the corpora that the cards list are not part of tacos"
        )
    if asked.model == "judge":
        print(judge.train_judge(asked.data, asked.out))
    else:
        print(
            encoder.train_encoder(asked.data, asked.out)
            if asked.model == "encoder"
            else _train_tagger(asked)
        )


def _train_tagger(asked: argparse.Namespace) -> Path:
    """The tagger from our annotators' tags, with the published counts as further lexicon."""
    instructions, tags, lore = read_tagging_data(asked.data)
    recipe = tagger.TaggerRecipe(encoder=asked.encoder, name=f"tacos-tagger-{asked.encoder}")
    return tagger.write_tagger(
        asked.out,
        tagger.fit_tagger_model(tagger.encode_rows(instructions, tags, recipe), lore, recipe),
    )


def read_tagging_data(data: Path) -> tuple[list[str], list[list[str]], tagger.TagReference]:
    """Distinct instructions with the first annotator's tags, and what is known of tags beside them."""
    first = corpora.read_first_annotations(data)
    published = corpora.read_corpus_rows(data / "tags/raw_tag_counts_11976.jsonl.gz")
    counts = {tagger.lowercase_text(row["tag"]): int(row["count"]) for row in published}
    tags = [row["tags"] for row in first.values()]
    return list(first), tags, tagger.TagReference(tagger.pick_spellings(tags), counts)


if __name__ == "__main__":
    run_training()
