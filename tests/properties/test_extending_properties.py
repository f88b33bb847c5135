"""What `--extend` promises whatever the rows, wherever they are cut, and in whatever order they
come.
"""

import random
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.small_world import MODELS, long_response, make_rows

import tacos
from tacos import config
from tacos.methods.judging.pairing import joining_rows
from tacos.pipeline.model_factory import UserFunctions
from tacos.records import PAIRS, SHORTLIST
from tacos.workflows.select import run_selection
from tacos.workflows.selection import OutputTargets

QUIET = settings(max_examples=4, deadline=None)
ROWS = make_rows(90, long_response)


def select(folder: str, name: str, rows: list[Any], **extend: Any) -> tacos.Selection:
    """8 rows by own functions, in one process."""
    chosen = config.load_settings(
        normalise={"alpha": 1},
        cluster={"k": 4},
        select={"n": 8},
        extend=extend,
    )
    return run_selection(
        rows,
        chosen,
        OutputTargets(run=Path(folder) / name),
        own=UserFunctions(**MODELS),
        workers=1,
    )


def read_by_content(done: tacos.Selection, name: str, column: str) -> dict[str, Any]:
    hashes = done.artifacts["samples"].scan().select("id", "content_hash")
    table = done.artifacts[name].scan().select("id", column)
    joined = table.join(hashes, on="id").select("content_hash", column).collect()
    return dict(joined.iter_rows())


@QUIET
@given(cut=st.integers(20, 80))
def test_renewed_extension_is_a_run_over_all_rows(cut: int) -> None:
    """No language model compares rows here, so nothing depends on what came first."""
    with tempfile.TemporaryDirectory() as folder:
        old = select(folder, "old", ROWS[:cut])
        runs = [str(old.run)]
        more = select(folder, "more", ROWS[cut:], runs=runs, renew=True)
        whole = select(folder, "whole", ROWS)
        assert more.rows == whole.rows
        columns = ["rank", "cluster", "score", "rule", "content_hash"]
        assert more.table.select(columns).equals(whole.table.select(columns))


@QUIET
@given(cut=st.integers(20, 80), seed=st.integers(0, 99))
def test_what_is_said_of_one_row_does_not_depend_on_the_order(
    cut: int, seed: int
) -> None:
    rows = random.Random(seed).sample(ROWS, len(ROWS))
    with tempfile.TemporaryDirectory() as folder:
        old = select(folder, "old", rows[:cut])
        more = select(folder, "more", rows[cut:], runs=[str(old.run)])
        whole = select(folder, "whole", ROWS)
        for name, column in (("tags", "tags"), ("grades", "grade")):
            found = read_by_content(more, name, column)
            assert found == read_by_content(whole, name, column)
        before = read_by_content(old, "canonical_tags", "tags")
        after = read_by_content(more, "canonical_tags", "tags")
        assert before == {key: after[key] for key in before}
        before = read_by_content(old, "memberships", "home")
        after = read_by_content(more, "memberships", "home")
        assert before == {key: after[key] for key in before}


@given(
    clusters=st.lists(st.integers(0, 3), min_size=2, max_size=40),
    n_rated=st.integers(0, 40),
    seed=st.integers(0, 9),
)
def test_joining_rows_meet_few_anchors_of_their_own_cluster(
    clusters: list[int], n_rated: int, seed: int
) -> None:
    ids = [f"a:{number}" for number in range(len(clusters))]
    rated = ids[:n_rated]
    shortlist = pl.DataFrame(
        {"id": ids, "cluster": clusters, "rule": "all"}, schema=SHORTLIST
    )
    part = joining_rows.pick_joining_rows(shortlist, rated, seed)
    joining = part.filter(pl.col("rule") == "all")
    anchors = part.filter(pl.col("rule") == "anchor")
    assert joining["id"].to_list() == ids[n_rated:]
    assert set(anchors["id"]) <= set(rated)
    assert part.select("id", "cluster").is_unique().all()
    home = dict(zip(ids, clusters, strict=True))
    for cluster in set(joining["cluster"]):
        here = anchors.filter(pl.col("cluster") == cluster)["id"].to_list()
        n_new = joining.filter(pl.col("cluster") == cluster).height
        assert len(here) <= max(2, -(-n_new // 8))
        if any(home[each] == cluster for each in rated):
            assert all(home[each] == cluster for each in here)


@given(
    links=st.lists(
        st.tuples(
            st.integers(0, 1), st.integers(0, 5), st.integers(0, 9), st.integers(0, 9)
        ),
        max_size=30,
    )
)
def test_old_pairs_keep_both_orders_under_one_number(
    links: list[tuple[int, int, int, int]],
) -> None:
    rows = [
        (number, 0, f"a:{left}", f"a:{right}", False, "ab", run)
        for run, number, left, right in links
        if left != right
    ]
    old = pl.DataFrame(rows, schema={**PAIRS, "run": pl.UInt16}, orient="row")
    shortlist = pl.DataFrame(
        {"id": [f"a:{i}" for i in range(8)], "cluster": [i % 2 for i in range(8)]},
        schema={"id": pl.String, "cluster": pl.UInt32},
    )
    plan = joining_rows.adapt_old_pairs(old, shortlist, homes=True)
    listed = set(shortlist["id"])
    assert set(plan["left"]) | set(plan["right"]) <= listed
    numbers = plan["pair"].to_list()
    assert set(numbers) == set(range(len(set(numbers))))
    for cluster, left, right, bridge in plan.select(
        "cluster", "left", "right", "bridge"
    ).iter_rows():
        assert cluster == int(left[2:]) % 2
        assert bridge == (int(left[2:]) % 2 != int(right[2:]) % 2)
