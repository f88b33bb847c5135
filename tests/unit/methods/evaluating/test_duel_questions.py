"""Questions of a duel: the same questions on both sides, both orders, and orders undone."""

import orjson
import polars as pl
import pytest

from tacos import prompts
from tacos.config import DuelSettings
from tacos.errors import InputError
from tacos.methods.evaluating import duel_questions
from tacos.methods.evaluating.questions import AnsweredQuestion
from tacos.records import Reject, Reply


def answer(
    question_id: str, *answers: str, name: str = "koala", model: str = "m"
) -> AnsweredQuestion:
    n_turns = len(answers)
    return AnsweredQuestion(
        question_id=question_id,
        turns=tuple(f"Question {question_id}.{turn}?" for turn in range(n_turns)),
        answers=answers,
        finish_reasons=("stop",) * n_turns,
        n_tokens=(5,) * n_turns,
        model=model,
        set=name,
    )


OURS = [answer("1", "ours"), answer("2", "ours at first", "ours then")]
THEIRS = [answer("2", "theirs", "theirs then", model="t"), answer("1", "x", model="t")]


def build_rows() -> list[dict[str, object]]:
    pairs = duel_questions.pair_answers(OURS, THEIRS)
    table = duel_questions.tabulate_pairs(pairs)
    return duel_questions.list_duel_questions(table).to_dicts()


def test_both_orders_of_every_question_are_asked_and_the_sides_change_places() -> None:
    rows = build_rows()
    assert [(row["number"], row["order"]) for row in rows] == [
        (0, "ab"),
        (0, "ba"),
        (1, "ab"),
        (1, "ba"),
    ]
    digest = prompts.hash_template("duel")
    requests = [
        duel_questions.ask_duel(row, "duel", digest, DuelSettings()) for row in rows
    ]
    assert requests[2].fields["answers_a"] == ["ours at first", "ours then"]
    assert requests[3].fields["answers_a"] == ["theirs", "theirs then"]
    assert requests[2].fields["answers_b"] == requests[3].fields["answers_a"]
    assert requests[0].key != requests[1].key
    assert requests[2].fields["questions"] == ["Question 2.0?", "Question 2.1?"]


def test_no_name_of_a_model_or_a_set_reaches_the_judge() -> None:
    rows = build_rows()
    request = duel_questions.ask_duel(rows[0], "duel", "", DuelSettings())
    assert set(request.fields) == {"questions", "answers_a", "answers_b"}
    assert "koala" not in str(request.fields)


def test_both_sides_are_shortened_alike() -> None:
    row = build_rows()[0] | {"answers_first": ["a" * 900], "answers_second": ["b" * 90]}
    config = DuelSettings(max_chars=60)
    request = duel_questions.ask_duel(row, "duel", "", config)
    kept = [
        text.partition("\n")[0]
        for text in (*request.fields["answers_a"], *request.fields["answers_b"])
    ]
    assert kept == ["a" * 40, "b" * 40]


@pytest.mark.parametrize(
    "order, scores, winner",
    [
        ("ab", (8, 3), "first"),
        ("ba", (8, 3), "second"),
        ("ab", (3, 8), "second"),
        ("ba", (3, 8), "first"),
        ("ab", (5, 5), "tie"),
        ("ba", (5, 5), "tie"),
    ],
)
def test_the_order_is_undone(order: str, scores: tuple[int, int], winner: str) -> None:
    """The authors' show_result.py takes the higher first score as a win of model 1 in both orders."""
    row = build_rows()[0] | {"order": order}
    said = {"analysis": "", "score_a": scores[0], "score_b": scores[1]}
    verdict = duel_questions.parse_duel(
        row, Reply(orjson.dumps(said).decode(), model="judge-1")
    )
    assert isinstance(verdict, dict)
    assert verdict["winner"] == winner
    shown = (verdict["score_first"], verdict["score_second"])
    assert shown == (scores if order == "ab" else scores[::-1])
    assert verdict["judge"] == "judge-1"


def test_a_reply_without_scores_is_missing_and_no_tie() -> None:
    """The authors' -1, -1 is a tie to their show_result.py."""
    rows = build_rows()
    reject = duel_questions.parse_duel(rows[1], Reply(None, raw="Hm.", failure="no"))
    assert reject == Reject("koala 1 ba", "duel", "no", "Hm.")
    said = orjson.dumps({"analysis": "", "score_a": 2, "score_b": 1}).decode()
    verdicts = pl.DataFrame(
        [duel_questions.parse_duel(rows[place], Reply(said)) for place in (0, 2, 3)],
        schema=duel_questions.DUEL_VERDICTS,
    )
    pairs = duel_questions.pair_answers(OURS, THEIRS)
    half, whole = duel_questions.collect_duels(pairs, verdicts)
    assert half.winners == ("first", None)
    assert half.is_missing
    assert whole.winners == ("first", "second")
    assert whole.lengths == (22, 17)
    assert whole.models == ("m", "t")


def test_equal_answers_are_a_tie_that_nobody_is_asked_about() -> None:
    row = build_rows()[0]
    assert duel_questions.decide_identical_answers(row) is None
    same = row | {"answers_second": row["answers_first"]}
    verdict = duel_questions.decide_identical_answers(same)
    assert verdict is not None
    assert (verdict["winner"], verdict["judge"]) == ("tie", "")


def test_both_models_must_have_answered_the_same_questions() -> None:
    with pytest.raises(
        InputError, match=r"1 question was .* first file only \(koala 2\)"
    ):
        duel_questions.pair_answers(OURS, THEIRS[1:])
    with pytest.raises(InputError, match="second file only"):
        duel_questions.pair_answers(OURS[:1], THEIRS)
    other_text = [answer("1", "x", "y"), THEIRS[0]]
    with pytest.raises(InputError, match=r"^koala 1 is not the same text"):
        duel_questions.pair_answers(OURS, other_text)
    # The same id in another set is another question.
    with pytest.raises(InputError, match="lima"):
        duel_questions.pair_answers(OURS, [*THEIRS, answer("1", "x", name="lima")])
    many = [answer(str(number), "x") for number in range(9)]
    with pytest.raises(InputError, match=r"8 questions .* and 5 more"):
        duel_questions.pair_answers(many, [many[8]])
