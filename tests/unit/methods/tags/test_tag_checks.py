"""Cases for judging tags: what is drawn, what is planted, what is asked."""

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from tacos.config import CheckSettings
from tacos.errors import InputError
from tacos.methods.tags import association_rules, tag_checks
from tacos.records import Reject, Reply

NAMES = [f"tag {i}" for i in range(30)]
N = 300
IDS = [f"data:{i}" for i in range(N)]


@pytest.fixture
def x() -> sparse.csr_array:
    """Samples of three topics with ten tags each; every eleventh sample has none."""
    rng = np.random.default_rng(1)
    at = [
        (i, 10 * (i % 3) + int(t))
        for i in range(N)
        if i % 11
        for t in rng.choice(10, size=3, replace=False)
    ]
    places = np.array(at)
    return association_rules.build_indicator(places[:, 0], places[:, 1], (N, 30))


def tags_of(x: sparse.csr_array, id_: str) -> set[str]:
    return {NAMES[tag] for tag in x[[IDS.index(id_)]].indices}


WANTED = CheckSettings(n_precision=40, n_consistency=20, n_planted=10, n_instructions=4)


def test_cases_that_are_not_planted_carry_their_tag(x: sparse.csr_array) -> None:
    cases = tag_checks.draw_check_cases(x, IDS, NAMES, WANTED)
    real = cases.filter(~pl.col("planted"))
    assert real["task"].value_counts().sort("task").rows() == [
        ("consistency", 20),
        ("precision", 40),
    ]
    for case in real.iter_rows(named=True):
        assert all(case["tag"] in tags_of(x, id_) for id_ in case["ids"])
        assert len(set(case["ids"])) == (4 if case["task"] == "consistency" else 1)


def test_a_planted_tag_is_of_another_topic(x: sparse.csr_array) -> None:
    planted = tag_checks.draw_check_cases(x, IDS, NAMES, WANTED).filter(
        pl.col("planted") & (pl.col("task") == "precision")
    )
    assert planted.height == 10
    for case in planted.iter_rows(named=True):
        assert IDS.index(case["ids"][0]) % 3 != NAMES.index(case["tag"]) // 10


def test_one_planted_instruction_lacks_the_tag_at_the_place_that_is_noted(
    x: sparse.csr_array,
) -> None:
    planted = tag_checks.draw_check_cases(x, IDS, NAMES, WANTED).filter(
        pl.col("planted") & (pl.col("task") == "consistency")
    )
    assert planted.height == 10
    for case in planted.iter_rows(named=True):
        have = [case["tag"] in tags_of(x, id_) for id_ in case["ids"]]
        assert have == [place != case["odd"] for place in range(4)]
        assert tags_of(x, case["ids"][case["odd"]]), (
            "a sample without any tag would stand out"
        )
    assert planted["odd"].n_unique() > 1


def test_numbers_and_order_do_not_tell_which_are_planted(x: sparse.csr_array) -> None:
    cases = tag_checks.draw_check_cases(x, IDS, NAMES, WANTED)
    assert cases["case"].to_list() == list(range(1, 81))
    assert not cases["planted"].is_sorted()
    assert cases.filter(pl.col("planted"))["case"].mean() == pytest.approx(40, abs=15)


def test_the_same_seed_draws_the_same_cases(x: sparse.csr_array) -> None:
    assert tag_checks.draw_check_cases(x, IDS, NAMES, WANTED, 5).equals(
        tag_checks.draw_check_cases(x, IDS, NAMES, WANTED, 5)
    )
    assert not tag_checks.draw_check_cases(x, IDS, NAMES, WANTED, 5).equals(
        tag_checks.draw_check_cases(x, IDS, NAMES, WANTED, 6)
    )


def test_little_data_gives_fewer_cases() -> None:
    x = association_rules.build_indicator(np.array([0, 1]), np.array([0, 0]), (2, 1))
    cases = tag_checks.draw_check_cases(
        x,
        ["a", "b"],
        ["only"],
        CheckSettings(n_precision=9, n_consistency=9, n_planted=9, n_instructions=2),
    )
    assert cases["task"].sort().to_list() == ["consistency", "precision", "precision"]
    assert not cases["planted"].any(), "there is no tag or sample to plant"


def test_no_tags_are_a_clear_error(x: sparse.csr_array) -> None:
    with pytest.raises(InputError, match="no tags to check"):
        tag_checks.draw_check_cases(x[:1], IDS, NAMES, WANTED)


CASES = pl.DataFrame(
    [
        (7, "consistency", "poem", ["a", "b"], True, 1),
        (8, "precision", "poem", ["a"], False, None),
    ],
    tag_checks.CASES,
    orient="row",
)
TEXTS = {"a": "Write a poem", "b": "Sum up"}


def test_a_question_holds_label_and_instructions_and_no_hint_of_planting() -> None:
    (row,) = tag_checks.build_check_questions(CASES, TEXTS, "consistency").iter_rows(
        named=True
    )
    request = tag_checks.build_check_request(
        row, "check_consistency", "hash", CheckSettings()
    )
    assert request.fields == {
        "label": "poem",
        "instruction_a": "Write a poem",
        "instruction_b": "Sum up",
    }
    assert "planted" not in str(request)
    (row,) = tag_checks.build_check_questions(CASES, TEXTS, "precision").iter_rows(
        named=True
    )
    single = tag_checks.build_check_request(
        row, "check_precision", "hash", CheckSettings(max_chars=6)
    )
    assert single.fields["instruction"].startswith("Writ\n[... 6 characters left out")


def test_answers_become_judgements_and_failures_rejects() -> None:
    row = {"case": 7, "task": "consistency", "tag": "poem", "texts": []}
    text = '{"reason": "b is no poem", "consistent": false}'
    found = tag_checks.parse_check_reply(row, Reply(text, key="k", model="gpt"))
    assert found == {
        "case": 7,
        "judge": "gpt",
        "person": False,
        "answer": False,
        "reason": "b is no poem",
        "reply": "k",
    }
    lost = tag_checks.parse_check_reply(
        row, Reply(None, raw="I cannot", failure="refusal")
    )
    assert lost == Reject("case 7", "check-tags", "refusal", "I cannot")
