"""The items that models are measured on: questions with answers that people vouch for.

An item of the answer loss has one answer, written by a person. An item of the preference has two
answers to one question, the better one first. Items are sampled evenly from three strata of length,
since a loss per token is dominated by long answers, and a model that was trained on long answers is
favoured by them: the strata show where a difference lies.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tacos.methods.evaluating.experiment_plan import Instrument, InstrumentName
from tacos.records import canonical_hash, canonical_json

Stratum = Literal["short", "medium", "long"]

STRATA: dict[Stratum, int] = {"short": 0, "medium": 200, "long": 800}
"""Stratum -> the least number of characters of its answers."""
ALIKE = 1.25
"""The most that the longer answer of a pair has, as a multiple, where both are about as long."""


@dataclass(frozen=True, slots=True)
class ExperimentItem:
    """A question, what stands before it, and one answer or two, the better one first."""

    id: str
    source: str
    messages: tuple[Mapping[str, str], ...]
    """`role` and `content`, the question last."""
    answers: tuple[str, ...]

    @property
    def stratum(self) -> Stratum:
        """By the length of the (better) answer."""
        length = len(self.answers[0])
        return max(STRATA, key=lambda name: (length >= STRATA[name], STRATA[name]))

    @property
    def question(self) -> str:
        """All that is asked, for comparison with the rows of a pool."""
        asked = [part["content"] for part in self.messages if part["role"] == "user"]
        return "\n\n".join(asked)

    @property
    def has_equal_lengths(self) -> bool:
        """Whether two answers are about as long, in characters."""
        shorter, longer = sorted(len(answer) for answer in self.answers)
        return longer <= ALIKE * shorter

    @property
    def key(self) -> str:
        """A hash of its texts."""
        return canonical_hash([list(self.messages), list(self.answers)])

    def as_dict(self) -> dict[str, Any]:
        """As a line of a file."""
        return {
            "id": self.id,
            "source": self.source,
            "stratum": self.stratum,
            "messages": [dict(message) for message in self.messages],
            "answers": list(self.answers),
        }


def sample_items(
    items: Iterable[ExperimentItem],
    n_items: int | None,
    seed: int,
) -> list[ExperimentItem]:
    """At most `n_items`, as many of each stratum as it has, up to an equal share.

    Which ones depends on their texts and the seed alone, not on their order; of items with the
    same texts one stays. None takes all.
    """
    distinct = {item.key: item for item in items}
    order = sorted(distinct, key=lambda key: _hash_draw(key, seed))
    if n_items is None:
        return [distinct[key] for key in order]
    by_stratum: dict[Stratum, list[ExperimentItem]] = {name: [] for name in STRATA}
    for key in order:
        by_stratum[distinct[key].stratum].append(distinct[key])
    shares = _share_evenly(
        {name: len(members) for name, members in by_stratum.items()},
        n_items,
    )
    return [
        item for name, members in by_stratum.items() for item in members[: shares[name]]
    ]


def describe_instrument(
    name: InstrumentName,
    items: Sequence[ExperimentItem],
) -> Instrument:
    """What the plan says of an instrument."""
    return Instrument(
        name=name,
        n_items=len(items),
        items_hash=canonical_hash(sorted(item.key for item in items)),
        sources=dict(Counter(item.source for item in items)),
        strata={
            stratum: n
            for stratum in STRATA
            if (n := sum(item.stratum == stratum for item in items))
        },
    )


def number_questions(items: Sequence[ExperimentItem]) -> npt.NDArray[np.int64]:
    """The cluster of each item: items about one question are no independent witnesses."""
    numbers: dict[bytes, int] = {}
    clusters = []
    for item in items:
        key = canonical_json(list(item.messages))
        clusters.append(numbers.setdefault(key, len(numbers)))
    return np.array(clusters, np.int64)


def _share_evenly(sizes: Mapping[Stratum, int], n_items: int) -> dict[Stratum, int]:
    """How many items each stratum gives; what one lacks, the others give."""
    shares = dict.fromkeys(sizes, 0)
    for _ in range(min(n_items, sum(sizes.values()))):
        open_strata = [name for name in sizes if shares[name] < sizes[name]]
        smallest = min(open_strata, key=lambda name: shares[name])
        shares[smallest] += 1
    return shares


def _hash_draw(key: str, seed: int) -> bytes:
    """Where an item stands in the draw."""
    return hashlib.blake2b(f"{seed}:{key}".encode(), digest_size=16).digest()
