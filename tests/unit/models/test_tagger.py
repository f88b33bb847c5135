"""The shipped tagger, as a user meets it."""

import pickle

import numpy as np
import orjson
import pytest

from tacos.errors import ModelError
from tacos.models import int8_tensors, tagger, tagger_files
from tacos.models.tagger import choose_tags
from tacos.models.tagger_files import TagThresholds
from tacos.records import Request

CLEAR = {
    "Write a Python function that sorts a list of numbers.": "Python Programming",
    "Translate the following sentence into French: I like tea.": "Translation",
    "Write a haiku about autumn.": "Haiku",
    "What is the area of a circle with a radius of 5 cm?": "Geometry",
    "用中文解释什么是机器学习": "Machine Learning",
}


def question(text: str) -> Request:
    return Request("tag", {"instruction": text}, "tag", "", {})


@pytest.mark.parametrize("text, tag", CLEAR.items())
def test_plain_cases(text, tag) -> None:
    assert any(tag in found for found in tagger.load().tag([text])[0])


def test_a_topic_that_only_the_text_names_can_be_a_tag() -> None:
    [row] = tagger.load().answer(
        [question("Explain to me how blockchain technology works.")]
    )
    items = orjson.loads(row.text)["tags"]
    assert "key phrase in the text" in {item["explanation"] for item in items}


def test_nothing_certain_gives_an_honest_empty_list() -> None:
    assert tagger.load().tag(["", "asdf qwer", "😀😀😀"]) == [[], [], []]


def test_at_most_six_tags_most_certain_first() -> None:
    for row in tagger.load().tag_with_confidence(list(CLEAR)):
        confidences = [p for _, p in row]
        assert len(row) <= 6
        assert confidences == sorted(confidences, reverse=True)
        assert all(0 < p < 1 for p in confidences)


def test_tags_are_ascii_english_whatever_the_language() -> None:
    texts = [
        "写一首关于春天的诗",
        "Écris un poème sur la mer",
        "Напиши стихотворение",
        "請將這句話翻譯成英文",
    ]
    assert all(tag.isascii() for row in tagger.load().tag(texts) for tag in row)


def test_a_row_does_not_depend_on_its_batch() -> None:
    model, texts = tagger.load(), [*CLEAR, "", "a\ud800b"]
    whole = model.tag_with_confidence(texts * 80)
    for number, text in enumerate(texts):
        assert model.tag_with_confidence([text]) == [whole[number]]
        assert model.tag_with_confidence([text, *CLEAR])[0] == whole[number]


def test_replies_follow_the_requests() -> None:
    replies = tagger.load().answer([question(text) for text in CLEAR])
    tags = [
        [item["tag"] for item in orjson.loads(reply.text)["tags"]] for reply in replies
    ]
    assert tags == tagger.load().tag(list(CLEAR))


def test_it_is_a_light_value() -> None:
    model = tagger.load()
    assert len(pickle.dumps(model)) < 500
    assert pickle.loads(pickle.dumps(model)).fingerprint == model.fingerprint


def test_the_files_are_small() -> None:
    assert (
        sum((tagger.DATA / name).stat().st_size for name in tagger_files.FILES)
        < 10_000_000
    )


def test_no_instruction_is_stored() -> None:
    names = set(
        int8_tensors.parse_tensors((tagger.DATA / "tagger.safetensors").read_bytes())
    )
    assert names == {
        "idf",
        "n_gram_weights",
        "n_gram_weights.columns",
        "n_gram_weights.ends",
        "n_gram_weights.scale",
        "n_gram_weights.width",
        "landmarks",
        "landmarks.scale",
        "head",
        "head.scale",
        "given",
        "published",
        "columns",
        "prototypes",
        "prototypes.scale",
        *(f"network.{part}" for part in ("mean", "spread")),
        *(f"network.{part}{n}" for part in ("weights", "bias") for n in range(3)),
    }


def test_a_folder_without_a_tagger_says_so(tmp_path) -> None:
    with pytest.raises(
        ModelError, match=r"holds no tagger: tagger.json, tagger.safetensors missing"
    ):
        tagger.load(tmp_path)


def test_a_damaged_tagger_says_so(tmp_path) -> None:
    (tmp_path / "tagger.json").write_text('{"tags": []}')
    int8_tensors.save_tensors(
        tmp_path / "tagger.safetensors", {"idf": np.zeros(1, dtype=np.float32)}
    )
    with pytest.raises(ModelError, match="another version or damaged"):
        tagger.load(tmp_path).tag(["a"])


def test_choosing_weighs_hits_against_misses() -> None:
    certain = np.array([0.9, 0.8, 0.85], dtype=np.float32)
    assert choose_tags(certain, TagThresholds(0.2, 0.1, 3.0)) == [0, 2, 1]
    assert choose_tags(
        np.array([0.9, 0.1, 0.3], dtype=np.float32), TagThresholds(0.2, 0.1, 3.0)
    ) == [0, 2]
    assert (
        choose_tags(
            np.array([0.05, 0.02], dtype=np.float32), TagThresholds(0.2, 0.1, 3.0)
        )
        == []
    )
    assert (
        len(
            choose_tags(
                np.full(20, 0.9, dtype=np.float32), TagThresholds(0.2, 0.1, 3.0)
            )
        )
        == 6
    )


def test_one_text_is_no_list_of_texts() -> None:
    with pytest.raises(TypeError, match="not one text"):
        tagger.load().tag("Write a haiku.")
