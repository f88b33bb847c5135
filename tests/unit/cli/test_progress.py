"""Progress: in a log plain lines, in a terminal one line a stage that fits 80 columns."""

import io
import json
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console

from tacos.cli.shared import progress
from tacos.cli.shared.stage_progress import StageFigures, StageProgress
from tacos.llm.sending.decisions import ClientTally
from tacos.pipeline.request_meter import RequestFigures, RequestMeter

MOST = RequestFigures(1_999_999, 2_000_000, 999_999, 1_000_000, 98_765.43)


class Clock:
    """A clock that tests set, and timers that they fire."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, threading.Timer]] = []
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(threading.Timer, "start", lambda timer: self._keep(timer))

    def _keep(self, timer: threading.Timer) -> None:
        self.timers.append((self.now + timer.interval, timer))

    def run_until(self, now: float) -> None:
        """Fire the timers that are due, each at its time."""
        while self.timers and min(due for due, _ in self.timers) <= now:
            first = min(self.timers, key=lambda each: each[0])
            self.timers.remove(first)
            self.now, timer = first
            if not timer.finished.is_set():
                timer.function(*timer.args, **timer.kwargs)
        self.now = now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Instead of the day's."""
    return Clock(monkeypatch)


def test_a_log_has_a_plain_line_for_each_stage_and_some_for_a_long_one(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.show_progress(show=True) as lines:
        assert isinstance(lines, progress.ProgressLines)
        lines.start("judge", 3_000)
        clock.run_until(110.0)
        lines.advance("judge", 500)
        clock.run_until(130.0)
        lines.advance("judge", 700)
        clock.run_until(144.0)
        lines.finish("judge", 2_990, skipped=False)
        lines.finish("rate", 2_990, skipped=True)
        lines.announce("waiting 60 s: the server's limit of requests")
        clock.run_until(1000.0)
    assert capsys.readouterr().err.splitlines() == [
        "judge: 3,000 rows ...",
        "judge: 1,200 of 3,000 rows, 0:31, 39/s, 0:46 left ...",
        "judge: 2,990 rows in 44 s",
        "waiting 60 s: the server's limit of requests",
    ]


def test_a_stage_that_counts_nothing_still_shows_that_it_lives(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.show_progress(show=True) as lines:
        lines.start("normalise", None)
        clock.run_until(100.0 + 2 * 3600)
        lines.finish("normalise", 5, skipped=False)
    said = capsys.readouterr().err.splitlines()
    assert said[:3] == ["normalise: ...", "normalise: 0:31 ...", "normalise: 1:01 ..."]
    # Every half a minute for two hours were 240.
    assert 30 <= len(said) <= 60


def test_a_log_says_what_questions_cost(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = ClientTally(n_known=7, n_answered=5, usd=3.0)
    with progress.show_progress(show=True) as lines:
        lines.start("verdicts/0", 50)
        meter = RequestMeter([tally], FakeWatch(80), 400)
        lines.follow("verdicts/0", meter)
        # What came before this stage is not its own.
        tally.n_known += 20
        tally.n_answered += 60
        tally.usd += 0.5
        clock.run_until(131.0)
        lines.finish("verdicts/0", 99, skipped=False)
    assert capsys.readouterr().err.splitlines() == [
        "verdicts/0: 400 questions ...",
        "verdicts/0: 80 of 400 questions, 0:31, 2.6/s, 2:04 left, 0.50 of about 2.50 usd, "
        "25% cached ...",
        "verdicts/0: 99 rows in 31 s",
    ]


class FakeWatch:
    """Stands for a watch that was told of so many answers."""

    def __init__(self, n_answers: int) -> None:
        self.n_answers = n_answers


def test_without_a_price_no_dollars_are_told() -> None:
    tally = ClientTally(n_answered=5, is_priced=False)
    figures = RequestMeter([tally], FakeWatch(50), 400).read()
    assert figures.usd is None
    assert figures.expected_usd is None
    line = StageFigures("judge", 50, 400, "question", 9.0, 5.0, figures)
    assert "usd" not in line.describe_line()


def test_the_pace_is_that_of_late(clock: Clock) -> None:
    stage = StageProgress("tag", 100_000, clock.now)
    for second in range(200):
        # Slow at first, as where a server warms up.
        stage.n_rows += 10 if second < 100 else 1000
        clock.now += 1.0
        figures = stage.measure(clock.now)
    assert figures.per_second == pytest.approx(1000, rel=0.05)
    assert figures.seconds_left == pytest.approx(0, abs=1)


def test_a_stage_that_stands_still_promises_no_end(clock: Clock) -> None:
    stage = StageProgress("tag", 100, clock.now, n_rows=50)
    stage.measure(clock.now + 10)
    for second in range(20, 200):
        figures = stage.measure(clock.now + second)
    assert figures.per_second is None
    assert figures.seconds_left is None


@pytest.mark.parametrize("width", [60, 80, 120])
def test_bars_fit_the_terminal(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    written = io.StringIO()
    terminal = Console(file=written, width=width, force_terminal=True, height=20)
    monkeypatch.setattr(progress, "errors", terminal)
    with progress.show_progress(show=True) as bars:
        bars.start("tags", 52_002)
        bars.advance("tags", 12_345)
        bars.finish("tags", 52_002, skipped=False)
        bars.start("verdicts/12", None)
        bars.follow("verdicts/12", FakeMeter())
        clock.now += 40.0
        bars._progress.refresh()
    frames = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.getvalue())
    lines = re.split(r"[\r\n]+", frames)
    assert max(map(len, lines)) <= width
    assert any(re.match(r"tags .*52,002 in \d+:\d\d", line) for line in lines)
    last = [line for line in lines if line.startswith("verdicts/12")][-1]
    assert "1,999,999/2,000,000" in last
    if width >= 80:
        assert "0:00 left" in last


class FakeMeter:
    """Stands for the largest figures that a stage may have."""

    def read(self) -> RequestFigures:
        """Those of now."""
        return MOST


def test_a_run_that_is_logged_names_its_stages_on_standard_error(
    tmp_path: Path,
) -> None:
    rows = [{"instruction": f"Add {k}.", "output": f"{k}"} for k in range(20)]
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    command = ["select", str(data), "-n", "3", "-o", str(tmp_path / "out.jsonl")]
    for options, is_told in (([], True), (["--json"], False)):
        done = subprocess.run(
            [sys.executable, "-m", "tacos", *command, *options, "--seed", "2"],
            capture_output=True,
            text=True,
            check=True,
        )
        # One line where it takes under a second, else two.
        assert (
            bool(re.search(r"^tags: 20 rows( in \d+ s)?$", done.stderr, re.MULTILINE))
            == is_told
        )
        assert "\x1b" not in done.stderr
        assert "\r" not in done.stderr
        assert "rows ..." not in done.stdout
        (tmp_path / "out.jsonl").unlink()
        shutil.rmtree(tmp_path / "out.jsonl.run")
