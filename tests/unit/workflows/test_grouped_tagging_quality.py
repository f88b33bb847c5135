"""What several instructions in one request cost in quality: the tags compared are those that a run
would keep.
"""

import math

import orjson

from tacos.records import Reply
from tacos.workflows import grouped_tagging_quality


def test_a_tag_given_twice_counts_once_and_a_blank_one_not_at_all_as_in_a_run() -> None:
    items = [
        {"tag": tag, "explanation": ""} for tag in ("Poetry", " Poetry", "", "Nature")
    ]
    assert grouped_tagging_quality.parse_reply_tags(
        Reply(orjson.dumps({"tags": items}).decode())
    ) == [
        "Poetry",
        "Nature",
    ]
    assert grouped_tagging_quality.parse_reply_tags(Reply(None)) == []


def test_agreement_without_any_tag_is_undefined_and_no_warning() -> None:
    found = grouped_tagging_quality.estimate_quality_cost(
        4, [([], [], []), ([], [], [])], 0
    )
    assert all(
        math.isnan(value) for value in (*found.together, *found.again, *found.cost)
    )
    assert found.tags_together == found.tags_alone == 0
