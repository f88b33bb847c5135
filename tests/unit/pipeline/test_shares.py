"""Large batches of questions are answered in shares, which changes no table."""

from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from tacos import config
from tacos.engines.local import LocalEngine
from tacos.models import judge
from tacos.models.user_functions import FunctionJudge
from tacos.pipeline import stage_execution
from tacos.pipeline.batch_work import QuestionBatch
from tacos.workflows import select
from tacos.workflows.selection import OutputTargets

ROWS = [
    {"instruction": f"Name {number} uses of a spoon.", "output": f"Stir {number} teas."}
    for number in range(90)
]


def make_batch(n_rows: int) -> QuestionBatch:
    return QuestionBatch(pl.DataFrame({"row": range(n_rows)}), {})


@pytest.mark.parametrize(
    ("n_rows", "n_shares"), [(0, 1), (7_999, 1), (8_000, 3), (10_000, 4)]
)
def test_shares_are_the_batch_in_order(n_rows: int, n_shares: int) -> None:
    batch = make_batch(n_rows)
    with closing(LocalEngine(2)) as engine:
        counted = stage_execution._count_shares(batch, judge.load(), engine)
    shares = batch.split(counted)
    assert len(shares) == n_shares
    assert pl.concat([share.rows for share in shares]).equals(batch.rows)


def test_a_users_function_is_given_whole_batches() -> None:
    own = FunctionJudge(lambda instructions, responses: [1.0] * len(responses))
    with closing(LocalEngine(2)) as engine:
        counted = stage_execution._count_shares(make_batch(10_000), own, engine)
    assert counted == 1


def test_shares_in_two_processes_give_the_tables_of_one_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def grade(run: str, workers: int) -> list[bytes]:
        select.run_selection(
            ROWS,
            config.load_settings(select={"n": 9}),
            OutputTargets(run=tmp_path / run),
            workers=workers,
            until="grade",
        )
        parts = sorted((tmp_path / run).glob("*/*/*.parquet"))
        return [part.read_bytes() for part in parts]

    whole = grade("whole", workers=1)
    monkeypatch.setattr(stage_execution, "ROWS_WORTH_SHARING", 10)
    monkeypatch.setattr(stage_execution, "ROWS_PER_SHARE", 13)
    assert grade("shared", workers=2) == whole
