"""What a person writes for a part of a selection; sizes are in methods/selecting/test_sizes.py."""

import pytest

from tacos.amounts import Part, Size, parse, parse_part
from tacos.config import load
from tacos.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "part", "of_90"),
    [
        (0.3, Part(0.3, "share"), 27),
        ("30%", Part(0.3, "share"), 27),
        ("<=5%", Part(0.05, "share", at_most=True), 4),
        ("5%", Part(0.05, "share"), 5),
        (40, Part(40, "rows"), 40),
        ("<= 40", Part(40, "rows", at_most=True), 40),
        (1.0, Part(1.0, "share"), 90),
        (1, Part(1, "rows"), 1),
        ("<=0", Part(0, "rows", at_most=True), 0),
    ],
)
def test_a_share_or_rows_exactly_or_at_most(text: str | float, part: Part, of_90: int) -> None:
    assert parse_part(text) == part
    assert part.rows(90) == of_90
    assert parse_part(str(part)) == part


@pytest.mark.parametrize("text", ["", "abc", "-1", "150%", "1.5", "2Mtokens", ">=3", "0"])
def test_what_is_no_part(text: str) -> None:
    with pytest.raises(ConfigError, match="write a share of the selection"):
        parse_part(text)


def test_one_is_a_row_and_one_point_nought_all_rows() -> None:
    assert (parse("1"), parse(1), parse("1.0"), parse(1.0)) == (
        *[Size("rows", 1)] * 2,
        *[Size("share", 1)] * 2,
    )


@pytest.mark.parametrize("size", [Size("rows", 2000), Size("share", 0.005), Size("tokens", 1.5e6)])
def test_a_size_is_written_as_it_is_read(size: Size) -> None:
    assert parse(str(size)) == size


def test_equal_wishes_are_equal_settings() -> None:
    one = load(select={"n": "0.05", "per_source": {"a": 0.3}, "per_tag": {"b": "<=0.05"}})
    other = load(select={"n": "5 %", "per_source": {"a": "30%"}, "per_tag": {"b": "<= 5%"}})
    assert one == other
    assert load(select={"n": "2k"}).select.n == 2000


def test_shares_of_sources_are_at_most_the_whole() -> None:
    with pytest.raises(ConfigError, match="sum to 110%"):
        load(select={"per_source": {"a": 0.8, "b": 0.3}})
    assert load(select={"per_source": {"a": 0.8, "b": "<=30%"}}).select.limited


def test_clusters_by_embedding_cannot_be_thinned_by_tag_sets() -> None:
    with pytest.raises(ConfigError, match="longest-per-tag-set"):
        load("paper", cluster={"by": "embedding"})
