"""Tests one answer after another whether too many of them fail: a mixture of Wald's likelihood
ratios (Wald, 1945).

The question is whether each answer fails with a probability above `limit`. The evidence is the
likelihood under a larger probability, divided by that under `limit`, averaged over two larger ones:
twice the limit, and nearly always. If the limit is kept, it ever exceeds `1 / ERROR` with a
probability of at most `ERROR` (Ville's inequality), however often one looks.

Answers that fail may be quicker than good ones, so the answers there are at some moment are no fair
sample. The evidence is therefore weighed along the line in which the questions were asked, and an
answer that is still missing counts as good. So what stops a stage depends on the questions and
their answers, not on the order in which these arrive.
"""

from __future__ import annotations

import math
from bisect import insort
from typing import NamedTuple

ERROR = 0.02
"""The highest probability of stopping where the limit is kept."""
MIN_ANSWERS = 15
"""Answers without which nothing is decided: the first rows of a file are often of one kind."""
WEIGHTS = (0.9, 0.1)
"""Of the two larger probabilities. The first one decides near the limit; the second one needs only
a handful of answers where nearly all fail.
"""


class Beginning(NamedTuple):
    """The first questions of the line, and the evidence that too many of them fail."""

    n_failed: int
    n: int
    log_evidence: float


class SequentialTest:
    """One test; it is not thread-safe."""

    def __init__(self, limit: float) -> None:
        """`limit`: the share of answers that may fail, from 0 to 1."""
        self.limit = limit
        self.n_known = 0
        """Answers so far."""
        self.n_failed = 0
        self.worst = Beginning(0, 0, -math.inf)
        """The beginning of the line with the strongest evidence so far."""
        self._n_asked = 0
        # Places in line of the answers that failed, ascending.
        self._failures: list[int] = []
        # Of answers that were counted together, before or between those in line.
        self._n_counted = 0
        self._n_counted_failures = 0

    def ask(self) -> int:
        """Put a question at the end of the line; its place."""
        place = self._n_asked
        self._n_asked += 1
        return place

    def answer(self, place: int, *, failed: bool) -> None:
        """Note the answer to the question at a place."""
        self.n_known += 1
        if failed:
            self.n_failed += 1
            insort(self._failures, place)
            self._weigh_from(place)

    def count(self, n: int, n_failed: int) -> None:
        """Note `n` answers whose order is not known, of which `n_failed` failed."""
        self.n_known += n
        self.n_failed += n_failed
        self._n_counted += n
        self._n_counted_failures += n_failed
        self._look(self.n_failed, self._n_counted + self._n_asked)

    @property
    def has_failed(self) -> bool:
        """Whether to stop: the evidence is strong enough, and enough answers are known."""
        is_enough = self.n_known >= MIN_ANSWERS
        return is_enough and self.worst.log_evidence >= -math.log(ERROR)

    def _weigh_from(self, place: int) -> None:
        """Weigh every beginning of the line that a failure at `place` changes.

        The evidence falls with each good answer, so it is highest where a beginning ends with a
        failure.
        """
        number = len(self._failures)
        for failure in reversed(self._failures):
            if failure < place:
                return
            n_asked = failure + 1
            self._look(self._n_counted_failures + number, self._n_counted + n_asked)
            number -= 1

    def _look(self, n_failed: int, n: int) -> None:
        """Keep a beginning of the line if its evidence is stronger than any before."""
        log_evidence = weigh_failures(n_failed, n, self.limit)
        if n_failed and log_evidence >= self.worst.log_evidence:
            self.worst = Beginning(n_failed, n, log_evidence)


def weigh_failures(n_failed: int, n: int, limit: float) -> float:
    """The logarithm of the evidence that answers fail more often than `limit`, if `n_failed` of `n`
    did.

    >>> weigh_failures(1, 200, 0.02) < 0 < weigh_failures(15, 15, 0.02)
    True
    """
    if limit >= 1:
        return -math.inf
    if limit <= 0:
        return math.inf if n_failed else 0.0
    doubled = min(2 * limit, (1 + limit) / 2)
    nearly_always = (3 + limit) / 4
    logs = []
    for share, weight in zip((doubled, nearly_always), WEIGHTS, strict=True):
        of_failures = n_failed * math.log(share / limit)
        of_others = (n - n_failed) * math.log((1 - share) / (1 - limit))
        logs.append(math.log(weight) + of_failures + of_others)
    # The sum of two exponentials, without an overflow.
    high = max(logs)
    return high + math.log1p(math.exp(min(logs) - high))
