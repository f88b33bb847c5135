"""How far the questions of a stage have come, and what they cost.

Whoever shows progress reads it now and then, so that counting costs the answers nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tacos.llm.sending.decisions import ClientTally
from tacos.pipeline.answer_watch import StageWatch

FEW = 20
"""Answers below which nothing is said of the cost of all."""


class RequestFigures(NamedTuple):
    """`n_done` of about `n_expected` questions have an answer (None: not counted).

    Of the replies so far `n_cached` came from the ledger and `n_paid` were paid for by this
    command, in all `usd` dollars (None: no price is known).
    """

    n_done: int | None
    n_expected: int | None
    n_cached: int
    n_paid: int
    usd: float | None

    @property
    def cached_share(self) -> float | None:
        """The share of the replies that the ledger gave; None before the first reply."""
        n = self.n_cached + self.n_paid
        return self.n_cached / n if n else None

    @property
    def expected_usd(self) -> float | None:
        """What all questions cost if the rest is like those so far; None where that is not known.

        >>> RequestFigures(50, 200, 10, 40, 1.0).expected_usd
        4.0
        >>> RequestFigures(5, 200, 0, 5, 1.0).expected_usd is None
        True
        """
        if self.usd is None or self.n_done is None or self.n_expected is None:
            return None
        if self.n_done < FEW:
            return None
        return self.usd * max(self.n_expected, self.n_done) / self.n_done


@dataclass(frozen=True)
class RequestMeter:
    """What the clients of a stage's model have done since the stage began."""

    tallies: Sequence[ClientTally]
    watch: StageWatch | None = None
    """Told of each answer; None where nobody counts them one by one."""
    n_expected: int | None = None
    _before: tuple[int, int, float] = field(init=False)

    def __post_init__(self) -> None:
        # A client serves several stages, one after the other.
        object.__setattr__(self, "_before", self._add_up())

    def read(self) -> RequestFigures:
        """The figures of now; from any thread."""
        known, answered, usd = self._add_up()
        known_before, answered_before, usd_before = self._before
        is_priced = all(tally.is_priced for tally in self.tallies)
        return RequestFigures(
            n_done=self.watch.n_answers if self.watch else None,
            n_expected=self.n_expected,
            n_cached=known - known_before,
            n_paid=answered - answered_before,
            usd=usd - usd_before if is_priced else None,
        )

    def _add_up(self) -> tuple[int, int, float]:
        """Replies of the ledger, paid replies and dollars."""
        tallies = self.tallies
        return (
            sum(tally.n_known for tally in tallies),
            sum(tally.n_answered for tally in tallies),
            sum(tally.usd for tally in tallies),
        )


def list_tallies(model: Any) -> Sequence[ClientTally]:
    """The tallies of the clients behind a model; none for models that compute."""
    # Only models of an endpoint have them.
    tallies: Sequence[ClientTally] = getattr(model, "tallies", ())
    return tallies
