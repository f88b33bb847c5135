"""Vectors of whole samples for clustering: what a sample says, and what its tags are called.

A sample's vector has two halves. The text's is the unit vector of its instruction plus `RESPONSE`
times that of its response, scaled to length 1: the instruction sets the topic, the response helps
where it says little ("Write a paragraph about the given topic"). The tags' half is the mean of the
vectors of their names, scaled to the length `tag_weight`: texts alone group by subject, tags alone
by kind of task, and topics that people name are of both sorts.

The squared distance of two samples is 2 (1 - cos of texts) + 2 w^2 (1 - cos of tags).
`docs/log.md` says what was compared with this.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from tacos.methods.measures.unit_rows import scale_rows

Vectors = npt.NDArray[np.float32]

RESPONSE = 0.5
"""The weight of the response beside the instruction's 1."""
INSTRUCTION_CHARACTERS = 2000
RESPONSE_CHARACTERS = 500
"""What is read of each: beginnings tell the topic as well as whole texts, and faster."""


def cut_texts(samples: pl.DataFrame) -> pl.DataFrame:
    """The beginnings of instruction and response that are read."""
    return samples.select(
        pl.col("instruction").str.slice(0, INSTRUCTION_CHARACTERS),
        pl.col("response").str.slice(0, RESPONSE_CHARACTERS),
    )


def combine_vectors(
    instructions: Vectors,
    responses: Vectors,
    tags: Vectors,
    tag_weight: float,
) -> Vectors:
    """Vectors of samples, shape (rows, 2 dim), from unit vectors of shape (rows, dim) each.

    A row of which nothing is known, neither text nor tag, is all 0.
    """
    texts = scale_rows(instructions + np.float32(RESPONSE) * responses)
    weighted_tags = np.float32(tag_weight) * tags
    return np.hstack([texts, weighted_tags])


def average_tags(
    tags: pl.Series,
    names: pl.Series,
    vectors: Vectors,
) -> Vectors:
    """The mean of each row's tag vectors, scaled to length 1, shape (rows, dim).

    `tags` has a list of tags per row (null: none), `vectors` a row for each of `names`. Rows
    without a tag are all 0.
    """
    places = pl.DataFrame({"tag": names}).with_row_index("place")
    occurrences = (
        pl.DataFrame({"tag": tags})
        .with_row_index("row")
        .explode("tag")
        .join(
            places,
            on="tag",
            how="inner",
            maintain_order="left",
        )
    )
    sums = np.zeros(
        (len(tags), vectors.shape[1]),
        dtype=np.float32,
    )
    rows = occurrences["row"].to_numpy()
    # In the order of the row's tags: a row's sum must not depend on the other rows.
    np.add.at(sums, rows, vectors[occurrences["place"].to_numpy()])
    return scale_rows(sums)
