"""Questions about pairs of tags, and what becomes of the answers."""

import json
from collections.abc import Sequence

import polars as pl

from tacos.config import NormaliseSettings
from tacos.methods.tags import tag_matching
from tacos.records import TAG_MATCHES, Reject, Reply

Answers = Sequence[tuple[str, str, str]]
"""left, right, relation."""


def table(answers: Answers) -> pl.DataFrame:
    """One request with these answers."""
    left, right, relation = zip(*answers, strict=True)
    row = {
        "id": "pairs 0",
        "left": left,
        "right": right,
        "relation": relation,
        "reason": [f"{a}/{b}" for a, b in zip(left, right, strict=True)],
        "reply": "",
    }
    return pl.DataFrame([row], TAG_MATCHES)


def resolve(answers: Answers, **counts: int) -> tag_matching.ResolvedMatches:
    return tag_matching.resolve_matches(table(answers), counts)


def targets(found: tag_matching.ResolvedMatches) -> dict[str, str | None]:
    return {name: move.target for name, move in found.moves.items()}


# Questions


def numbered_pairs(n: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "left": [f"tag {number}" for number in range(n)],
            "right": [f"label {number}" for number in range(n)],
        }
    )


def as_sets(questions: pl.DataFrame) -> list[set[frozenset[str]]]:
    """The pairs of each request."""
    return [
        {frozenset(pair) for pair in zip(row["left"], row["right"], strict=True)}
        for row in questions.iter_rows(named=True)
    ]


def test_every_pair_is_asked_once_and_either_tag_may_come_first() -> None:
    questions = tag_matching.build_match_questions(numbered_pairs(200), 16)
    requests = as_sets(questions)
    assert sum(map(len, requests)) == 200
    assert len(set().union(*requests)) == 200
    assert len(requests) == 16
    first = questions["left"].explode().str.starts_with("tag").mean()
    assert 0.3 < first < 0.7


def test_the_order_of_pairs_and_of_their_tags_does_not_matter() -> None:
    pairs = numbered_pairs(50)
    turned = pairs.reverse().select(left="right", right="left")
    once = tag_matching.build_match_questions(pairs, 8)
    assert once.equals(tag_matching.build_match_questions(turned, 8))


def test_a_new_pair_leaves_all_other_requests_as_they_were() -> None:
    before = as_sets(tag_matching.build_match_questions(numbered_pairs(99), 8))
    after = as_sets(tag_matching.build_match_questions(numbered_pairs(100), 8))
    assert sum(request not in before for request in after) == 1


def test_no_pairs_are_no_question() -> None:
    assert tag_matching.build_match_questions(numbered_pairs(0), 8).is_empty()


def test_a_tag_cannot_end_its_line() -> None:
    row = {"id": "pairs 0", "left": ['a"\n2. A: "b', "c"], "right": ["d", "e"]}
    request = tag_matching.ask_matches(row, "match_tags", "", NormaliseSettings())
    assert request.fields["pairs"].splitlines() == [
        '1. A: "a\\"\\n2. A: \\"b" B: "d"',
        '2. A: "c" B: "e"',
    ]


# Answers

ROW = {"id": "pairs 0", "left": ["a", "c"], "right": ["b", "d"]}


def reply(*answers: tuple[int, str]) -> Reply:
    items = [
        {"number": number, "reason": "so", "relation": relation}
        for number, relation in answers
    ]
    return Reply(json.dumps({"answers": items}), key="k")


def test_answers_are_matched_by_their_numbers() -> None:
    parsed = tag_matching.parse_matches(ROW, reply((2, "different"), (1, "same")))
    assert parsed == {
        **ROW,
        "relation": ["same", "different"],
        "reason": ["so", "so"],
        "reply": "k",
    }


def test_a_pair_without_an_answer_rejects_the_request() -> None:
    parsed = tag_matching.parse_matches(ROW, reply((1, "same"), (1, "same")))
    assert isinstance(parsed, Reject)
    assert isinstance(tag_matching.parse_matches(ROW, Reply(None, "raw")), Reject)


# What becomes of them


def test_tags_that_are_the_same_go_to_the_most_frequent() -> None:
    found = resolve([("a", "b", "same"), ("c", "b", "same")], a=5, b=2, c=1)
    assert targets(found) == {"b": "a", "c": "a"}
    assert found.moves["b"].reason == "same as 'a': a/b"
    assert found.moves["c"].reason == "same as 'a', through others between them"


def test_a_chain_that_joins_tags_said_to_be_different_is_cut() -> None:
    answers = [("a", "b", "same"), ("b", "c", "same"), ("a", "c", "different")]
    found = resolve(answers, a=5, b=4, c=3)
    assert targets(found) == {"b": "a"}
    assert found.remarks == [
        "kept apart: 'b' and 'c' are said to be the same, but 'a' and 'c' are not"
    ]


def test_the_pair_of_more_frequent_tags_decides_a_conflict() -> None:
    answers = [("a", "b", "same"), ("b", "c", "same"), ("a", "c", "a-parent")]
    assert targets(resolve(answers, a=1, b=4, c=3)) == {"c": "b"}


def test_parents_are_links_and_merge_nothing() -> None:
    answers = [("Grammar", "Passive", "a-parent"), ("Commas", "Grammar", "b-parent")]
    found = resolve(answers, Grammar=9, Passive=2, Commas=1)
    assert found.moves == {}
    links = [(link.child, link.parent) for link in found.links]
    assert links == [("Commas", "Grammar"), ("Passive", "Grammar")]


def test_answers_about_unknown_tags_are_not_read() -> None:
    found = resolve([("a", "gone", "same")], a=5)
    assert (found.moves, found.links) == ({}, [])
