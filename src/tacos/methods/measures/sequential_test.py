"""Tests one answer after another whether too many of them fail: the sequential probability ratio
test (Wald, 1945, doi.org/10.1214/aoms/1177731118).

The questions are a random sample of all, in random order, each with its place in line. The evidence
is the likelihood of the answers if `1.6 x limit` of all fail, divided by that if `0.8 x limit` do.
Where the share is 0.8 of the limit or less, it ever exceeds `1 / ERROR` with a probability of at
most `ERROR`, however often one looks. Nearer to the limit no error is promised: at the limit itself
half of all runs end above it. So a test against 0.8 of it may decide sooner.

Of 1,000 seeded runs of 3,000 rows with a limit of 5%, of which 400 are drawn, the test stopped:

| share that fails | stopped | requests, if each failure costs two: median, 98% of runs |
|---|---|---|
| 100% | 1,000 | 30, 30 |
| 10% | 997 | 127, 346 |
| 5% | 68 | |
| 4% | 9 | |
| 1% | 0 | |

Answers that fail may be quicker than good ones, so those there are at some moment are no fair
sample: the evidence is weighed along the line, and an answer that is still missing counts as good.
So what stops a stage does not depend on the order in which answers arrive.

After the sample, a stage stops only where it is certain to fail: more answers have failed than the
limit allows of all questions.
"""

from __future__ import annotations

import math
from bisect import insort

ERROR = 0.02
"""The highest probability of stopping where at most `ALLOWED` of the limit fails."""
ALLOWED = 0.8
DOUBTED = 2 * ALLOWED
"""Shares of failures between which the evidence decides, as parts of the limit."""
MIN_ANSWERS = 15
"""Answers without which nothing is decided: a person should see more than one."""


class SequentialTest:
    """One test; it is not thread-safe."""

    def __init__(self, limit: float, n_all: int | None = None) -> None:
        """`limit`: the share of answers that may fail, from 0 to 1; `n_all`: the number of all
        questions, those in line and the others, if it is known.
        """
        self.limit = limit
        self.n_all = n_all
        self.n_known = 0
        """Answers so far."""
        self.n_failed = 0
        self._log_evidence = -math.inf
        """The strongest evidence of any beginning of the line."""
        # Places in line of the answers that failed, ascending.
        self._failures: list[int] = []

    def answer(self, place: int | None, *, failed: bool) -> None:
        """Note the answer to the question at a place in line; None: it is not in line."""
        self.count(1, int(failed))
        if failed and place is not None:
            insort(self._failures, place)
            self._weigh_from(place)

    def count(self, n: int, n_failed: int) -> None:
        """Note `n` answers to questions that are not in line, of which `n_failed` failed."""
        self.n_known += n
        self.n_failed += n_failed

    @property
    def has_failed(self) -> bool:
        """Whether to stop: the evidence is strong enough, or the failures too many for any end; and
        enough answers are known.
        """
        if self.n_known < MIN_ANSWERS:
            return False
        is_certain = self.n_all is not None and self.n_failed > self.limit * self.n_all
        return is_certain or self._log_evidence >= -math.log(ERROR)

    def _weigh_from(self, place: int) -> None:
        """Weigh every beginning of the line that a failure at `place` changes.

        The evidence falls with each good answer, so it is highest where a beginning ends with a
        failure.
        """
        number = len(self._failures)
        for failure in reversed(self._failures):
            if failure < place:
                return
            log_evidence = weigh_failures(number, failure + 1, self.limit)
            self._log_evidence = max(self._log_evidence, log_evidence)
            number -= 1


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
    allowed = ALLOWED * limit
    doubted = min(DOUBTED * limit, (1 + allowed) / 2)
    of_failures = n_failed * math.log(doubted / allowed)
    of_others = (n - n_failed) * math.log((1 - doubted) / (1 - allowed))
    return of_failures + of_others
