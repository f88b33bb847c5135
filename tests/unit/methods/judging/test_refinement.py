"""A rewrite is taken only when judges prefer it in both orders; whatever fails leaves the original."""

import json
from typing import Any

import orjson
import polars as pl

from tacos.config import IngestSettings, RefineSettings
from tacos.methods.judging import refinement
from tacos.methods.samples import sample_parsing
from tacos.records import (
    CANDIDATES,
    EXCERPTS,
    VERDICTS,
    Reject,
    Reply,
    build_reject_frame,
)

ROW = {"instruction": "Add.", "input": "1 and 2", "output": "3", "no": 7}


def samples(*rows: dict[str, Any]) -> pl.DataFrame:
    parsed = [
        sample_parsing.parse_sample(row, f"x:{number}", IngestSettings())
        for number, row in enumerate(rows)
    ]
    return sample_parsing.samples_to_frame(parsed).select(
        "id", "content_hash", "instruction", "response", "raw"
    )  # type: ignore[arg-type]


def excerpt() -> dict[str, Any]:
    found, _ = refinement.build_excerpts(samples(ROW), IngestSettings(), 1000)
    return found.row(0, named=True)


def verdict(
    left: str, order: str, original: float, rewrite: float, judge: str = "a"
) -> dict[str, Any]:
    known = {
        "pair": 0,
        "cluster": 0,
        "left": left,
        "right": left + refinement.REWRITTEN,
        "order": order,
        "judge": judge,
    }
    return known | {
        "repetition": 0,
        "score_left": original,
        "score_right": rewrite,
        "reason": "",
        "reply": "",
    }


def settle(
    *verdicts: dict[str, Any],
    rejects: tuple[Reject, ...] = (),
    n: int = 1,
    changed: bool = True,
) -> tuple[str, str]:
    selected = samples(ROW).drop("raw")
    proposals = pl.DataFrame(
        {
            "id": ["x:0"],
            "new_instruction": ["Sum up."],
            "new_response": ["It is 3."],
            "faults": ["curt"],
        }
    )
    candidate = {
        "id": "x:0",
        "question": "q",
        "response": "r",
        "raw": "{}",
        "changed": changed,
    }
    table = pl.DataFrame(list(verdicts), schema=VERDICTS, orient="row")
    candidates = pl.DataFrame([candidate], schema=CANDIDATES, orient="row")
    found = refinement.settle_refinements(
        selected, proposals, candidates, table, build_reject_frame(rejects), n
    ).row(0, named=True)
    assert found["new_response"] == "It is 3."
    return found["status"], found["reason"]


def test_a_rewrite_that_wins_in_both_orders_is_taken() -> None:
    assert (
        settle(verdict("x:0", "ab", 50, 60), verdict("x:0", "ba", 50, 51))[0]
        == "rewritten"
    )


def test_one_order_a_tie_a_flip_or_a_missing_verdict_leave_the_original() -> None:
    assert settle(verdict("x:0", "ab", 50, 60))[0] == "kept"
    assert (
        settle(verdict("x:0", "ab", 50, 60), verdict("x:0", "ba", 50, 50))[0] == "kept"
    )
    assert (
        settle(verdict("x:0", "ab", 50, 60), verdict("x:0", "ba", 50, 40))[0] == "kept"
    )
    lost = Reject("x:0", "confirm", "no JSON", "So so.")
    assert settle(verdict("x:0", "ab", 50, 60), rejects=(lost,)) == (
        "failed",
        "confirm: no JSON",
    )


def test_most_of_a_panel_must_prefer_it() -> None:
    def won(judge: str) -> list[dict[str, Any]]:
        return [verdict("x:0", order, 50, 60, judge) for order in ("ab", "ba")]

    lost = [verdict("x:0", order, 60, 50, "c") for order in ("ab", "ba")]
    assert settle(*won("a"), *won("b"), *lost, n=3)[0] == "rewritten"
    assert settle(*won("a"), *lost, n=2)[0] == "kept"
    assert settle(*won("a"), n=3)[0] == "kept", (
        "judges that did not answer do not prefer it"
    )


def test_where_nothing_changed_nothing_is_asked_and_the_original_stays() -> None:
    assert settle(changed=False) == ("kept", "no fault was found")
    row = {**excerpt(), "new_instruction": "Add.", "new_response": "3"}
    candidates, _ = refinement.rebuild_candidates(pl.DataFrame([row]), IngestSettings())
    originals = pl.DataFrame([excerpt()], schema=EXCERPTS, orient="row")
    assert candidates["changed"].to_list() == [False]
    assert refinement.list_confirmations(candidates, originals, ("a",), 1).is_empty()


def test_the_judge_sees_both_rows_as_a_reader_would() -> None:
    row = {**excerpt(), "new_instruction": "Sum up.", "new_response": "It is 3."}
    candidates, rejects = refinement.rebuild_candidates(
        pl.DataFrame([row]), IngestSettings()
    )
    assert rejects.is_empty()
    assert json.loads(candidates["raw"][0]) == {
        **ROW,
        "instruction": "Sum up.",
        "output": "It is 3.",
    }
    originals = pl.DataFrame([excerpt()], schema=EXCERPTS, orient="row")
    asked = refinement.list_confirmations(candidates, originals, ("a", "b"), 2)
    assert asked.height == 2 * 2 * 2
    assert asked["instruction_left"][0] == "Add.\n\n1 and 2"
    assert asked["instruction_right"][0] == "Sum up.\n\n1 and 2"
    assert asked["response_right"][0] == "It is 3."


def test_what_cannot_be_shown_in_full_is_not_rewritten_and_that_is_no_failure() -> None:
    kept, rejects = refinement.build_excerpts(
        samples(ROW, {**ROW, "output": "3" * 500}), IngestSettings(), 100
    )
    assert kept["id"].to_list() == ["x:0"]
    assert rejects.select("id", "reason", "failure").rows() == [
        ("x:1", "too long to be rewritten as a whole", False)
    ]


def test_an_empty_or_failed_rewrite_is_a_reject() -> None:
    empty = Reply(orjson.dumps({"faults": "all", "response": "  "}).decode(), "raw")
    for reply, reason in (
        (empty, "empty response"),
        (Reply(None, "So so.", "no JSON"), "no JSON"),
    ):
        found = refinement.parse_response(excerpt(), reply)
        assert isinstance(found, Reject)
        assert (found.id, found.reason) == ("x:0", reason)


def test_the_instruction_is_rewritten_with_the_new_response_in_view() -> None:
    row = {**excerpt(), "new_response": "It is 3."}
    asked = refinement.ask_instruction(row, "refine_instruction", "", RefineSettings())
    assert asked.fields == {
        "instruction": "Add.",
        "context": "1 and 2",
        "response": "It is 3.",
    }
    assert (
        "context"
        not in refinement.ask_response(
            {**row, "context": ""}, "refine_response", "", RefineSettings()
        ).fields
    )
