"""What a person writes for a part of a selection; sizes are in methods/selecting/test_sizes.py."""

import pytest

from tacos.amounts import QuotaAmount, SelectionSize, parse_quota, parse_size
from tacos.config import load_settings
from tacos.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "part", "of_90"),
    [
        (0.3, QuotaAmount(0.3, "share"), 27),
        ("30%", QuotaAmount(0.3, "share"), 27),
        ("<=5%", QuotaAmount(0.05, "share", at_most=True), 4),
        ("5%", QuotaAmount(0.05, "share"), 5),
        (40, QuotaAmount(40, "rows"), 40),
        ("<= 40", QuotaAmount(40, "rows", at_most=True), 40),
        (1.0, QuotaAmount(1.0, "share"), 90),
        (1, QuotaAmount(1, "rows"), 1),
        ("<=0", QuotaAmount(0, "rows", at_most=True), 0),
    ],
)
def test_a_share_or_rows_exactly_or_at_most(
    text: str | float, part: QuotaAmount, of_90: int
) -> None:
    assert parse_quota(text) == part
    assert part.rows(90) == of_90
    assert parse_quota(str(part)) == part


@pytest.mark.parametrize(
    "text", ["", "abc", "-1", "150%", "1.5", "2Mtokens", ">=3", "0"]
)
def test_what_is_no_part(text: str) -> None:
    with pytest.raises(ConfigError, match="write a share of the selection"):
        parse_quota(text)


def test_one_is_a_row_and_one_point_nought_all_rows() -> None:
    assert (parse_size("1"), parse_size(1), parse_size("1.0"), parse_size(1.0)) == (
        *[SelectionSize("rows", 1)] * 2,
        *[SelectionSize("share", 1)] * 2,
    )


@pytest.mark.parametrize(
    "size",
    [
        SelectionSize("rows", 2000),
        SelectionSize("share", 0.005),
        SelectionSize("tokens", 1.5e6),
    ],
)
def test_a_size_is_written_as_it_is_read(size: SelectionSize) -> None:
    assert parse_size(str(size)) == size


def test_equal_wishes_are_equal_settings() -> None:
    one = load_settings(
        select={"n": "0.05", "per_source": {"a": 0.3}, "per_tag": {"b": "<=0.05"}}
    )
    other = load_settings(
        select={"n": "5 %", "per_source": {"a": "30%"}, "per_tag": {"b": "<= 5%"}}
    )
    assert one == other
    assert load_settings(select={"n": "2k"}).select.n == 2000


def test_shares_of_sources_are_at_most_the_whole() -> None:
    with pytest.raises(ConfigError, match="sum to 110%"):
        load_settings(select={"per_source": {"a": 0.8, "b": 0.3}})
    assert load_settings(select={"per_source": {"a": 0.8, "b": "<=30%"}}).select.limited


def test_clusters_by_embedding_cannot_be_thinned_by_tag_sets() -> None:
    with pytest.raises(ConfigError, match="longest-per-tag-set"):
        load_settings("paper", cluster={"by": "embedding"})
