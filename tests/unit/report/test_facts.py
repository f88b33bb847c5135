"""What a summary says of a selection: it stands between the pool, chance and the longest rows."""

import re

import pytest
from tests.small_world import MODELS, long_response, make_rows

import tacos
from tacos.cli.shared import summary

ROWS = make_rows(response=long_response)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tacos.Selection:
    """A finished run."""
    return tacos.select(
        ROWS,
        n=20,
        run=tmp_path_factory.mktemp("done") / "run",
        **MODELS,
        settings={"normalise": {"alpha": 1}, "judge": {"mode": "comparative"}},
    )


def test_random_and_longest_stand_beside_pool_and_selection(
    done: tacos.Selection,
) -> None:
    found = done.summary.selection
    assert list(found) == ["pool", "selection", "random", "longest"]
    assert [each["n"] for each in found.values()] == [160, 20, 20, 20]
    assert all(isinstance(each["n"], int) for each in found.values())


def test_their_figures_are_those_of_their_rows(done: tacos.Selection) -> None:
    found = done.summary.selection
    lengths = sorted((len(row["output"]) for row in ROWS), reverse=True)
    assert found["longest"]["mean_length"] == sum(lengths[:20]) / 20
    assert found["pool"]["mean_length"] == sum(lengths) / 160
    assert found["selection"]["mean_length"] == done.table["length"].mean()
    assert found["selection"]["mean_tags"] == pytest.approx(
        done.table["tags"].list.n_unique().mean()
    )
    assert found["selection"]["coverage"] == done.table["tags"].explode().n_unique() / 8
    assert (
        min(lengths) < found["random"]["mean_length"] < found["longest"]["mean_length"]
    )


def test_the_report_and_another_summary_show_the_same(done: tacos.Selection) -> None:
    html = (done.run / "report.html").read_text("utf-8")
    assert '<th scope="row">random</th>' in html
    assert '<th scope="row">longest</th>' in html
    assert tacos.load(done.run).summary.selection == done.summary.selection


def test_certainty_is_told_where_verdicts_leave_something_to_tell_it_from(
    done: tacos.Selection,
) -> None:
    assert done.summary.certainty == {}, "this judge never contradicts itself"
    assert "It cannot be told" in (done.run / "report.html").read_text("utf-8")
    assert dict(summary.format_summary(done.summary))["certainty"].startswith("n/a")


def test_the_report_begins_with_request_result_and_verdict(
    done: tacos.Selection,
) -> None:
    html = (done.run / "report.html").read_text("utf-8")
    places = [html.index(f"<b>{word}") for word in ("Asked:", "Came out:", "Better")]
    assert places == sorted(places)
    assert "20 of 160 rows" in html
    # Only the verdict compares with random rows: the judge's own word does not.
    assert "better than as many random rows; if scores told all" not in html


def test_every_name_in_the_report_is_that_of_one_place(done: tacos.Selection) -> None:
    html = (done.run / "report.html").read_text("utf-8")
    names = re.findall(r'<[a-z]+ [^>]*?\bid="([^"]+)"', html)
    repeated = {name for name in names if names.count(name) > 1}
    assert names
    assert not repeated
    assert {"score-length", "tag-landscape", "cluster-map", "size-steps"} <= set(names)
