"""Watches the answers to a stage's questions, so that a stage stops before it has asked all rows
for nothing.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

from tacos.config import Settings
from tacos.errors import FailureRateError
from tacos.methods.measures.sequential_test import SequentialTest
from tacos.pipeline.batch_work import Row
from tacos.pipeline.failure_gate import (
    N_EXAMPLES,
    N_RAW_CHARS,
    name_gate_setting,
    read_failure_limit,
    suggest_remedy,
)
from tacos.pipeline.stage_shapes import PromptStage, Stage
from tacos.records import Reject, Reply

HOW_TO_GO_ON = "--set llm.stop_early=false asks all the same; what was answered is kept"


class StageWatch:
    """The watch over one stage (`tacos.records.AnswerWatch`); thread-safe."""

    def __init__(
        self,
        stage: Stage,
        settings: Settings,
        n_all: int | None = None,
        rows: Mapping[int, Row] | None = None,
    ) -> None:
        """`n_all`: the number of all questions of the stage, if it is known; `rows`: those of the
        first questions, by place, to see whether the stage can use what they are answered.
        """
        self.stage = stage
        self.limit = read_failure_limit(stage, settings)
        self.is_on = settings.llm.stop_early
        self._test = SequentialTest(self.limit, n_all)
        self._rows = rows or {}
        self._reasons: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        # by the judge of a panel
        self._n_answers: Counter[str] = Counter()
        self._n_failures: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._is_stopped = False

    def answer(
        self,
        place: int | None,
        reply: Reply,
        judge: str = "",
    ) -> FailureRateError | None:
        """See `AnswerWatch.answer`; `judge` is the judge of a panel that answered."""
        reason = self._find_failure(place, reply)
        with self._lock:
            self._test.answer(place, failed=bool(reason))
            self._n_answers[judge] += 1
            if reason:
                self._reasons[reason] += 1
                self._examples.setdefault(reason, reply.raw)
                self._n_failures[judge] += 1
            return self._judge()

    @property
    def n_answers(self) -> int:
        """The questions that were answered one by one so far."""
        with self._lock:
            return self._n_answers.total()

    def count(self, n: int, n_failed: int) -> bool:
        """Note answers that were not reported one by one, of a model that cannot be watched.
        Returns whether the stage is to stop.
        """
        with self._lock:
            self._test.count(n, n_failed)
            return self.is_on and self._test.has_failed

    def _find_failure(self, place: int | None, reply: Reply) -> str:
        """Why a reply cannot be used; "" where it can, as far as that is known without its row."""
        if reply.text is None:
            return reply.failure or "no reply"
        row = self._rows.get(place) if place is not None else None
        if row is None or not isinstance(self.stage, PromptStage):
            return ""
        result = self.stage.parse(row, reply)
        return result.reason if isinstance(result, Reject) else ""

    def _judge(self) -> FailureRateError | None:
        """The error that stops the stage, if it is to stop."""
        if not self.is_on or self._is_stopped or not self._test.has_failed:
            return None
        self._is_stopped = True
        n_failed = self._test.n_failed
        n = self._test.n_known
        reasons = describe_reasons(self._reasons, self._examples)
        section = name_gate_setting(self.stage)
        return FailureRateError(
            f"stage {self.stage.name}: stopped early, since {n_failed} of the {n} answers so far "
            f"could not be used ({n_failed / n:.1%}, the limit is {self.limit:.1%})"
            f"{self._describe_judges()}{reasons}. "
            f"{suggest_remedy(self.stage, list(self._reasons))}, "
            f"or allow more: --set {section}.max_failure_rate=... ({HOW_TO_GO_ON})"
        )

    def _describe_judges(self) -> str:
        """Which judges of a panel fail, the worst first; "" for a single model."""
        if len(self._n_answers) < 2:
            return ""
        texts = []
        for judge, n_failed in self._n_failures.most_common():
            texts.append(f"{n_failed} of {self._n_answers[judge]} by {judge}")
        return f", {', '.join(texts)}"


def describe_reasons(reasons: Counter[str], examples: dict[str, str]) -> str:
    """The most frequent reasons, with the start of a reply each."""
    texts = []
    for reason, n in reasons.most_common(N_EXAMPLES):
        raw = examples[reason]
        shown = f" ({raw[:N_RAW_CHARS]!r})" if raw else ""
        texts.append(f"{n} x {reason}{shown}")
    return f": {'; '.join(texts)}" if texts else ""
