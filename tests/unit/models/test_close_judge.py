"""The embedded judge's close tier, where the weights of SmolLM2 are installed."""

import pickle

import orjson
import pytest
from tests.unit.models.test_judge import ASKED, GOOD, OTHER

from tacos.models import close_judge, judge, smollm2
from tacos.records import Request


def test_the_close_tier_is_available_where_its_weights_are() -> None:
    assert close_judge.is_available() == smollm2.is_available()


@pytest.mark.close
def test_a_score_depends_on_no_other_sample_and_is_not_the_fast_tiers() -> None:
    close = close_judge.load()
    asked = [ASKED, ASKED, "Say no."]
    given = [GOOD, OTHER, "No."]
    together = close.predict(asked, given)
    for row in range(3):
        alone = close.predict(asked[row : row + 1], given[row : row + 1])
        assert (alone[0] == together[row]).all()
    assert (together != judge.load().predict(asked, given)).any()


@pytest.mark.close
def test_a_whole_answer_is_worth_more_than_half_of_it_or_another_questions() -> None:
    scores = close_judge.load().score([ASKED] * 3, [GOOD, GOOD[:150], OTHER])
    both = scores.value + scores.correctness
    assert both[0] > both[1]
    assert scores.value[0] > scores.value[1]
    assert 1 <= min(map(min, scores)) <= max(map(max, scores)) <= 100


@pytest.mark.close
def test_it_answers_as_the_fast_tier_does_and_is_a_light_value() -> None:
    close = close_judge.load()
    fields = {"instruction": ASKED, "response": GOOD}
    request = Request("grade", fields, template="", template_hash="", schema={})
    (reply,) = close.answer([request])
    assert set(orjson.loads(reply.text or "")) == {"analysis", "correctness", "value"}
    assert reply.model == close_judge.NAME
    assert pickle.loads(pickle.dumps(close)) == close
    assert smollm2.load().fingerprint in close.fingerprint
    assert close.reliability["alpaca"] > judge.load().reliability["alpaca"]
