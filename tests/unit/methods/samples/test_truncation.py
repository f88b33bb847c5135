"""Long texts are cut visibly, and both sides of a comparison by the same rule."""

from hypothesis import given
from hypothesis import strategies as st

from tacos.methods.samples.truncation import (
    truncate_pair,
    truncate_sample,
    truncate_text,
)

TEXT = st.text(max_size=60)


@given(TEXT, st.integers(1, 50))
def test_short_texts_stay_and_long_ones_say_what_is_missing(
    text: str, limit: int
) -> None:
    cut = truncate_text(text, limit)
    if len(text) <= limit:
        assert cut == text
    else:
        assert f"[... {len(text) - limit:,} characters left out ...]" in cut
        assert text.startswith(cut.split("\n[...")[0])


@given(TEXT, TEXT, st.integers(3, 100))
def test_a_sample_keeps_as_much_as_the_limit_allows(
    instruction: str, response: str, limit: int
) -> None:
    parts = truncate_sample(instruction, response, limit)
    n_left_out = max(0, len(instruction) + len(response) - limit)
    n_words = sum(len(part) for part in parts) - (
        len(instruction) + len(response) - n_left_out
    )
    assert (n_words == 0) == (n_left_out == 0)
    assert 0 <= n_words <= 2 * len("\n[... 60 characters left out ...]\n")


@given(st.tuples(TEXT, TEXT), st.tuples(TEXT, TEXT), st.integers(3, 100))
def test_swapping_the_sides_swaps_the_cuts(
    a: tuple[str, str], b: tuple[str, str], limit: int
) -> None:
    assert truncate_pair(a, b, limit) == truncate_pair(b, a, limit)[::-1]
    assert truncate_pair(a, b, limit)[0] == truncate_pair(a, ("", ""), limit)[0]
