"""The tags of all samples of a run as numbers, without a table of their names."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from tacos.methods.selecting.row_tags import RowTags, number_tags
from tacos.pipeline.steps.aligned_rows import join_to_samples
from tacos.pipeline.steps.matched_rows import sort_places
from tacos.pipeline.steps.row_codes import RowCodes
from tacos.records import Tables


class SampleTags(NamedTuple):
    """The canonical tags of each sample, and whether they are known, shape (samples,)."""

    tags: RowTags
    is_tagged: pl.Series


def number_sample_tags(tables: Tables, codes: RowCodes) -> SampleTags:
    """The tags of all samples, in the order of the codes of their ids.

    Some 11 bytes a row, where names as categories take 15, and as many again while they are sorted.
    """
    samples = tables["samples"]
    ids = pl.concat(codes.encode(batch["id"]) for batch in samples.batches(["id"]))
    order = sort_places(ids)
    del ids
    rows = join_to_samples(
        samples.batches(["id"]), tables["canonical_tags"].batches(["id", "tags"])
    )
    names = pl.List(pl.Categorical())
    tags = pl.concat(batch["tags"].cast(names) for batch in rows)
    is_tagged = tags.is_not_null().gather(order)
    numbered = number_tags(tags)
    del tags
    return SampleTags(numbered.arrange(order), is_tagged)
