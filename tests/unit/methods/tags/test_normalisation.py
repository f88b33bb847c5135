"""The four steps together: counts, lineage, names, overrides, errors."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from tacos.config import NormaliseSettings
from tacos.errors import ConfigError, InputError
from tacos.methods.tags import normalisation
from tacos.methods.tags.normalisation import NormalisationResult
from tacos.methods.tags.overrides import Overrides
from tacos.records import VOCABULARY


@dataclass(frozen=True)
class Angles:
    """An encoder in the plane: texts it knows lie at the given angle, every other text on an axis
    of its own.
    """

    angles: dict[str, float] = field(default_factory=dict)
    name: str = "angles"
    fingerprint: str = "angles"
    dim: int = 2

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        vectors = np.zeros((len(texts), 2 + len(texts)), dtype=np.float32)
        for i, text in enumerate(texts):
            if text in self.angles:
                vectors[i, :2] = np.cos(self.angles[text]), np.sin(self.angles[text])
            else:
                vectors[i, 2 + i] = 1
        return vectors


SETTINGS = NormaliseSettings(alpha=2, min_support=3, guard=0, association="merge")
SAMPLES = (
    [["Maths", "Pandas", "Python"]] * 3
    + [["maths", "Python"]] * 2
    + [["Mathematics", "Poem"]] * 4
    + [
        ["Poems", "rare"],
        ["Poem", "Python"],
        ["poems", "🎉"],
        ["🎉", ""],
        ["", "Poems"],
    ]
)


def frame(samples: Sequence[Sequence[str]]) -> pl.DataFrame:
    ids = [str(i) for i in range(len(samples))]
    return pl.DataFrame(
        {"id": ids, "tags": samples}, {"id": pl.String, "tags": pl.List(pl.String)}
    )


def count_tags(table: pl.DataFrame) -> pl.DataFrame:
    """How many samples carry each raw tag: tag, count."""
    tags = table.select(tag=pl.col("tags").list.unique()).explode("tag").drop_nulls()
    return tags.group_by("tag").agg(pl.len().cast(pl.UInt32).alias("count")).sort("tag")


def build(
    samples: Sequence[Sequence[str]],
    settings: NormaliseSettings = SETTINGS,
    overrides: Overrides | None = None,
    matches: pl.DataFrame | None = None,
) -> NormalisationResult:
    table = frame(samples)
    encoder = Angles({"maths": 0.0, "mathematics": 0.3})
    counts = count_tags(table)
    return normalisation.build_vocabulary(
        counts,
        table,
        len(samples),
        settings,
        encoder,
        overrides or Overrides(),
        matches,
    )


def lineage(found: NormalisationResult) -> dict[str, tuple[str | None, str]]:
    return {
        row["raw"]: (row["canonical"], row["step"])
        for row in found.vocabulary.iter_rows(named=True)
    }


def test_every_raw_tag_has_its_canonical_tag_and_the_step_that_moved_it() -> None:
    found = build(SAMPLES)
    assert found.vocabulary.schema == VOCABULARY
    assert lineage(found) == {
        "": (None, "frequency"),
        "rare": (None, "frequency"),
        "poems": (None, "frequency"),
        "🎉": (None, "rules"),
        "Poem": ("Poem", ""),
        "Poems": ("Poem", "rules"),
        "Maths": ("Mathematics", "semantic"),
        "maths": ("Mathematics", "semantic"),
        "Mathematics": ("Mathematics", ""),
        "Pandas": ("Python", "association"),
        "Python": ("Python", ""),
    }


def test_the_reason_tells_every_move() -> None:
    reasons = dict(build(SAMPLES).vocabulary.select("raw", "reason").iter_rows())
    assert (
        reasons["maths"]
        == "rules: same words as 'Maths'; semantic: cosine 0.955 with 'Mathematics'"
    )
    assert (
        reasons["Pandas"]
        == "association: 100.0% of the 3 samples with it carry 'Python'"
    )


def test_counts_per_step_add_up() -> None:
    found = build(SAMPLES)
    table = [(s.name, s.n_in, s.n_out, s.n_merged, s.n_dropped) for s in found.steps]
    assert table == [
        ("frequency", 11, 8, 0, 3),
        ("rules", 8, 5, 2, 1),
        ("semantic", 5, 4, 1, 0),
        ("association", 4, 3, 1, 0),
    ]
    assert found.notes()["steps"][0] == {
        "name": "frequency",
        "n_in": 11,
        "n_out": 8,
        "n_merged": 0,
        "n_dropped": 3,
    }


def test_rules_are_handed_out() -> None:
    rules = build(SAMPLES).rules
    assert ["Pandas"] in rules["antecedent"].to_list()
    assert rules.filter(pl.col("confidence") < 0.99).is_empty()


def test_steps_that_are_off_are_absent() -> None:
    settings = NormaliseSettings(
        alpha=1, rules=False, guard=0, semantic="off", association="off"
    )
    assert [step.name for step in build(SAMPLES, settings).steps] == ["frequency"]


def test_the_canonical_name_is_the_most_frequent_surface_form() -> None:
    counts = {"data analyses": 3, "Data Analysing": 2, "Data-Analyses": 3}
    settings = NormaliseSettings(alpha=1, guard=0, semantic="off", association="off")
    found = normalisation.build_vocabulary(counts, None, 8, settings)
    assert set(found.mapping.values()) == {"Data-Analyses"}, "ties: the smaller string"


def test_apply_maps_drops_and_counts_once_in_the_order_of_first_sight() -> None:
    mapping = build(SAMPLES).mapping
    assert normalisation.apply_mapping(
        [["rare", "Poems", "Maths", "Poem", "maths", "unheard of"], []], mapping
    ) == [
        ["Poem", "Mathematics"],
        [],
    ]


def test_overrides_drop_merge_keep_apart_and_rename() -> None:
    overrides = Overrides(
        drop=("poem",),
        merge={"Python": ("rare",)},
        rename={"Mathematics": "Math"},
        keep_apart=(("Maths", "Mathematics"),),
    )
    found = build(
        SAMPLES, NormaliseSettings(alpha=2, min_support=20, guard=0), overrides
    )
    canonical = found.mapping
    assert canonical["Poems"] is None
    assert canonical["rare"] == "Python"
    assert canonical["Maths"] == "Maths"
    assert canonical["Mathematics"] == "Math" == canonical["Math"]
    assert [step.name for step in found.steps] == [
        "override",
        "frequency",
        "rules",
        "semantic",
        "association",
        "rename",
    ]


def test_tags_kept_apart_by_hand_stay_apart_through_association() -> None:
    found = build(SAMPLES, overrides=Overrides(keep_apart=(("Pandas", "Python"),)))
    assert found.mapping["Pandas"] == "Pandas"
    assert found.remarks == ("kept apart by hand: 'Pandas' from 'Python'",)


def test_tags_kept_apart_are_held_against_what_an_earlier_round_merged() -> None:
    # "a" becomes "b" in the first round; only then does "d" imply "b", where "a" is by now.
    samples = [["a", "b"]] * 300 + [["a", "d"]] * 3 + [["b", "d"]] * 3 + [["b"]] * 99
    settings = NormaliseSettings(
        alpha=1, min_support=2, guard=0, semantic="off", association="merge"
    )
    assert build(samples, settings).mapping == {"a": "b", "b": "b", "d": "b"}
    apart = build(samples, settings, Overrides(keep_apart=(("a", "d"),)))
    assert apart.mapping == {"a": "b", "b": "b", "d": "d"}


def test_the_guard_keeps_unlike_words_with_one_stem_apart() -> None:
    counts = {"vegetable": 9, "Vegetables": 4, "vegetation": 3, "VEGETATION": 2}
    encoder = Angles({"vegetable": 0.0, "vegetables": 0.3, "vegetation": 1.5})

    def mapping(guard: float) -> dict[str, str | None]:
        settings = NormaliseSettings(
            alpha=1, guard=guard, semantic="off", association="off"
        )
        return normalisation.build_vocabulary(
            counts, None, 9, settings, encoder
        ).mapping

    assert set(mapping(0.0).values()) == {"vegetable"}
    assert mapping(0.6) == {
        "vegetable": "vegetable",
        "Vegetables": "vegetable",
        "vegetation": "vegetation",
        "VEGETATION": "vegetation",
    }


def test_names_in_the_override_file_that_no_tag_has_are_reported() -> None:
    found = build(
        SAMPLES, overrides=Overrides(drop=("never seen",), rename={"nor this": "x"})
    )
    assert found.remarks == (
        "no tag is called 'never seen'",
        "no canonical tag is called 'nor this' to rename",
    )


def test_a_million_tags_all_seen_once_is_one_clear_error() -> None:
    counts = pl.DataFrame(
        {"tag": pl.int_range(1_000_000, eager=True).cast(pl.String), "count": 1}
    )
    with pytest.raises(
        InputError, match="none of the 1,000,000 distinct tags is seen 20 times"
    ):
        normalisation.build_vocabulary(
            counts,
            None,
            306_044,
            NormaliseSettings(guard=0, semantic="off", association="off"),
        )


def test_more_tags_than_can_be_merged_by_meaning_are_refused_before_any_is_embedded() -> (
    None
):
    counts = pl.DataFrame(
        {"tag": pl.int_range(1_000_000, eager=True).cast(pl.String), "count": 1}
    )
    with pytest.raises(
        InputError,
        match=r"1,000,000 distinct .*200,000.*no higher one leaves any tag.*max_tags=1000000",
    ):
        normalisation.build_vocabulary(
            counts, None, 200_000, NormaliseSettings(alpha=1), Angles()
        )
    few = counts.head(6).with_columns(count=pl.Series([1, 1, 1, 2, 2, 3]))
    with pytest.raises(
        InputError,
        match=r"6 distinct tags .*alpha = 1.*alpha=2 leaves 3.*semantic=off",
    ):
        normalisation.build_vocabulary(
            few, None, 10, NormaliseSettings(alpha=1, max_tags=4), Angles()
        )
    found = normalisation.build_vocabulary(
        few,
        None,
        10,
        NormaliseSettings(alpha=1, max_tags=6, association="off"),
        Angles(),
    )
    assert found.steps[-1].n_out == 6


def test_no_tags_at_all_is_one_clear_error() -> None:
    with pytest.raises(InputError, match="no tags to normalise"):
        build([[], []])


def test_symbols_only_leave_nothing_and_that_is_one_clear_error() -> None:
    with pytest.raises(
        InputError, match="none of the 2 distinct tags has a letter or digit"
    ):
        build([["🎉", "?!"], ["🎉", "?!"]])


def test_a_step_that_lacks_what_it_needs_says_so() -> None:
    with pytest.raises(ConfigError, match="needs an encoder"):
        normalisation.build_vocabulary(
            {"a": 1}, None, 1, NormaliseSettings(alpha=1, guard=0)
        )
    with pytest.raises(ConfigError, match="needs an encoder"):
        normalisation.build_vocabulary(
            {"a": 1}, None, 1, NormaliseSettings(alpha=1, semantic="off")
        )
    with pytest.raises(ConfigError, match="association step needs the samples' tags"):
        normalisation.build_vocabulary(
            {"a": 1},
            None,
            1,
            NormaliseSettings(alpha=1, guard=0, semantic="off", association="merge"),
        )


def test_right_to_left_text_and_combining_marks_come_through_as_they_were_written() -> (
    None
):
    tags = ["كتابة الشعر", "עברית", "हिन्दी अनुवाद", "e\u0301tude"]
    settings = NormaliseSettings(alpha=1, guard=0, semantic="off", association="off")
    assert build([tags], settings).mapping == {tag: tag for tag in tags}


@pytest.mark.parametrize("rare", [1, 3], ids=["dropped as rare", "merged elsewhere"])
def test_a_raw_tag_spelt_like_a_new_name_follows_it_wherever_it_had_gone(
    rare: int,
) -> None:
    counts = {"maths": 5, "Maths!": rare, "Poem": 3}
    settings = NormaliseSettings(alpha=2, guard=0, semantic="off", association="off")
    overrides = Overrides(rename={"maths": "Maths!"})
    found = normalisation.build_vocabulary(
        counts, None, 9, settings, overrides=overrides
    )
    assert (
        dict(found.vocabulary.select("raw", "canonical").iter_rows()) == found.mapping
    )
    assert found.mapping == {"maths": "Maths!", "Maths!": "Maths!", "Poem": "Poem"}
    assert (
        found.vocabulary.row(by_predicate=pl.col("raw") == "Maths!", named=True)["step"]
        == "rename"
    )


@dataclass(frozen=True)
class Sentences(Angles):
    """An encoder that, as sentence encoders do, gives an empty text a vector like any other."""

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.array(
            [[1, 0] if text == "" else [0, 1] for text in texts], dtype=np.float32
        )


def test_tags_without_a_letter_are_not_one_where_only_meaning_merges() -> None:
    settings = NormaliseSettings(alpha=1, rules=False, guard=0, association="off")
    found = normalisation.build_vocabulary(
        {"🎉": 3, "!!!": 2, "Poem": 2}, None, 7, settings, Sentences()
    )
    assert found.mapping == {"🎉": "🎉", "!!!": "!!!", "Poem": "Poem"}
