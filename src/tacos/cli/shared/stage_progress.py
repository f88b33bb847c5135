"""How far a stage has come, in words: rows or questions, pace, time left, and what it costs."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from tacos.counts import count_words
from tacos.pipeline.request_meter import RequestFigures, RequestMeter

WINDOW = 30.0
"""Seconds over which a pace is measured."""
SAMPLES_APART = 0.5
"""Seconds between the counts that a pace is measured from."""
SHORTEST = 2.0
"""Seconds below which no pace is told."""


@dataclass
class StageProgress:
    """A stage that runs. Times are those of one clock, in seconds."""

    name: str
    total: int | None
    started: float
    n_rows: int = 0
    meter: RequestMeter | None = None
    """Of the questions to a language model, where the stage asks one."""
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    def measure(self, now: float) -> StageFigures:
        """The figures of now."""
        asked = self.meter.read() if self.meter else None
        n_done = self.n_rows
        total = self.total
        if asked is not None and asked.n_expected is not None:
            # A member of a panel that computes reports rows, but no questions.
            n_done = max(n_done, asked.n_done or 0)
            total = max(asked.n_expected, n_done)
        return StageFigures(
            name=self.name,
            n_done=n_done,
            total=total,
            unit="question" if asked is not None else "row",
            seconds=now - self.started,
            per_second=self._measure_pace(now, n_done),
            asked=asked,
        )

    def _measure_pace(self, now: float, n_done: int) -> float | None:
        """Rows or questions per second of late; None before anything is done."""
        samples = self._samples
        if not samples:
            samples.append((self.started, 0))
        if now - samples[-1][0] >= SAMPLES_APART:
            samples.append((now, n_done))
        while len(samples) > 2 and samples[1][0] < now - WINDOW:
            samples.popleft()
        then, n_before = samples[0]
        if n_done <= n_before or now - then < SHORTEST:
            return None
        return (n_done - n_before) / (now - then)


@dataclass(frozen=True)
class StageFigures:
    """How far a stage has come; `total` and `per_second` are None where they are not known."""

    name: str
    n_done: int
    total: int | None
    unit: str
    seconds: float
    per_second: float | None
    asked: RequestFigures | None = None

    @property
    def seconds_left(self) -> float | None:
        """At the pace of late."""
        if self.per_second is None or self.total is None:
            return None
        return max(0, self.total - self.n_done) / self.per_second

    def describe_line(self) -> str:
        """A line of a log.

        >>> StageFigures("judge", 1200, 3000, "question", 31.0, 38.7,
        ...     RequestFigures(1200, 3000, 300, 900, 0.9)).describe_line()
        'judge: 1,200 of 3,000 questions, 0:31, 39/s, 0:47 left, 0.90 of about 2.25 usd, 25% cached'
        >>> StageFigures("normalise", 0, None, "row", 95.0, None).describe_line()
        'normalise: 1:35'
        """
        parts = []
        if self.n_done and self.total is not None:
            total = count_words(self.total, self.unit)
            parts.append(f"{self.n_done:,} of {total}")
        elif self.n_done:
            parts.append(count_words(self.n_done, self.unit))
        parts.append(format_clock(self.seconds))
        parts += self._describe_pace()
        parts += self._describe_cost(" of about ")
        return f"{self.name}: {', '.join(parts)}"

    def describe_short(self) -> str:
        """The same beside a bar, where room is scarce: what matters most comes first.

        >>> StageFigures("judge", 1200, 3000, "question", 31.0, 38.7,
        ...     RequestFigures(1200, 3000, 300, 900, 0.9)).describe_short()
        '1,200/3,000 0:47 left 39/s 0.90/~2.25 usd 25% cached'
        """
        count = f"{self.n_done:,}"
        if self.total is not None:
            count = f"{self.n_done:,}/{self.total:,}"
        pace = self._describe_pace()[::-1]
        if not pace:
            pace = [format_clock(self.seconds)]
        return " ".join([count, *pace, *self._describe_cost("/~")])

    def _describe_pace(self) -> list[str]:
        """Pace and time left, as far as known."""
        if self.per_second is None:
            return []
        parts = [f"{format_pace(self.per_second)}/s"]
        if self.seconds_left is not None:
            parts.append(f"{format_clock(self.seconds_left)} left")
        return parts

    def _describe_cost(self, of: str) -> list[str]:
        """Dollars so far and in all, and the share of replies that cost nothing."""
        asked = self.asked
        if asked is None:
            return []
        parts = []
        if asked.usd is not None:
            expected = asked.expected_usd
            rest = "" if expected is None else f"{of}{expected:,.2f}"
            parts.append(f"{asked.usd:,.2f}{rest} usd")
        if asked.cached_share is not None:
            parts.append(f"{asked.cached_share:.0%} cached")
        return parts


def format_clock(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> format_clock(5), format_clock(65.4), format_clock(3723)
    ('0:05', '1:05', '1:02:03')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}"


def format_pace(per_second: float) -> str:
    """Whole numbers, or one decimal for slow ones.

    >>> format_pace(1234.5), format_pace(2.34)
    ('1,234', '2.3')
    """
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.1f}"
