"""The part of `tacos clean` that datatrove does, too: read rows, drop exact and near-duplicates, write
the rest. Run by `bench_peers.py`, by a Python that finds datatrove.

    python datatrove_clean.py FOLDER_OF_JSONL FOLDER

Exact duplicates by instruction, input and output; near-duplicates by MinHash with datatrove's own
defaults. Rows are read anew by each step, as datatrove has it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    ExactDedupFilter,
    ExactDedupSignature,
    ExactFindDedups,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.exact_dedup import ExactDedupConfig
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter


def parse_row(
    self: JsonlReader,
    row: dict[str, Any],
    path: str,
    number: int,
) -> dict[str, Any]:
    """A row as datatrove's document, its fields kept."""
    text = "\n".join((row["instruction"], row["input"], row["output"]))
    return {"text": text, "id": f"{path}/{number}", "metadata": row}


def format_row(self: JsonlWriter, document: Any) -> dict[str, Any]:
    """The row as it was read."""
    return {
        key: value for key, value in document.metadata.items() if key != "file_path"
    }


def clean(source: Path, place: Path) -> None:
    """Write what stays of the rows of a folder to `place/kept`."""

    def read(folder: Path) -> JsonlReader:
        return JsonlReader(str(folder), adapter=parse_row)

    def write(name: str) -> JsonlWriter:
        return JsonlWriter(
            str(place / name),
            output_filename="rows.jsonl",
            compression=None,
            adapter=format_row,
        )

    hashes, repeats = str(place / "hashes"), str(place / "repeats")
    exact = ExactDedupConfig(content_getter=lambda document: document.text)
    signatures, pairs, removed = (str(place / name) for name in "spr")
    config = MinhashConfig()
    distinct = place / "distinct"
    steps: list[list[Any]] = [
        [read(source), ExactDedupSignature(hashes, exact)],
        [ExactFindDedups(hashes, repeats, exact)],
        [read(source), ExactDedupFilter(repeats, exact), write("distinct")],
        [read(distinct), MinhashDedupSignature(signatures, config)],
        [MinhashDedupBuckets(signatures, pairs, config=config)],
        [MinhashDedupCluster(pairs, removed, config=config)],
        [read(distinct), MinhashDedupFilter(removed), write("kept")],
    ]
    for number, step in enumerate(steps):
        is_of_buckets = isinstance(step[0], MinhashDedupBuckets)
        LocalPipelineExecutor(
            step,
            tasks=config.num_buckets if is_of_buckets else 1,
            workers=1,
            logging_dir=str(place / f"log-{number}"),
        ).run()


if __name__ == "__main__":
    clean(Path(sys.argv[1]), Path(sys.argv[2]))
