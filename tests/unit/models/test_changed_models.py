"""Models in folders that a user replaces or damages: the new one is used, a changed or broken one
is an error.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from tacos.errors import ModelError
from tacos.models import (
    encoder,
    int8_tensors,
    judge,
    static_encoder,
    tagger,
    tagger_files,
)
from tacos.records import Request

GRADE = Request(
    "grade",
    {"instruction": "Name a colour.", "response": "Blue is a colour."},
    "grade",
    "",
    {},
)
TAG = Request("tag", {"instruction": "Write a poem about whales."}, "tag", "", {})
Changes = Callable[[dict[str, Any]], Any]


def change(path: Path, *changes: Changes) -> None:
    """Apply changes to the JSON file."""
    content = orjson.loads(path.read_bytes())
    for each in changes:
        each(content)
    path.write_bytes(orjson.dumps(content))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's copy of the shipped tagger and judge."""
    for name in (*tagger_files.FILES, *judge.FILES):
        shutil.copy(judge.DATA / name, tmp_path)
    return tmp_path


def test_a_judge_that_was_replaced_in_place_grades_anew(folder: Path) -> None:
    old = judge.load(folder)
    before = orjson.loads(old.answer([GRADE])[0].text or "")["value"]

    def lower(content: dict[str, Any]) -> None:
        scale = content["scales"]["value"]
        scale["grades"] = [grade / 2 for grade in scale["grades"]]

    change(folder / judge.FILES[0], lower)
    new = judge.load(folder)
    assert new.fingerprint != judge.load().fingerprint
    after = orjson.loads(new.answer([GRADE])[0].text or "")["value"]
    assert after == pytest.approx(before / 2, abs=0.01)
    with pytest.raises(ModelError, match="changed while it was in use"):
        old.fingerprint  # noqa: B018


def test_a_tagger_that_was_replaced_in_place_tags_anew(folder: Path) -> None:
    old = tagger.load(folder)
    name = old.fingerprint
    old.tag([TAG.fields["instruction"]])
    change(
        folder / "tagger.json",
        lambda content: content.update(tags=[f"{tag} Too" for tag in content["tags"]]),
    )
    new = tagger.load(folder)
    assert new.fingerprint != name
    [tags] = new.tag([TAG.fields["instruction"]])
    assert tags
    assert all(tag.endswith(" Too") for tag in tags)


def test_a_tagger_that_changes_before_a_worker_has_read_it_is_an_error(
    folder: Path,
) -> None:
    loaded = tagger.load(folder)
    change(folder / "tagger.json", lambda content: content.update(name="another"))
    with pytest.raises(ModelError, match="changed while it was in use"):
        loaded.answer([TAG])


def test_an_encoder_that_was_replaced_in_place_encodes_anew(tmp_path: Path) -> None:
    shutil.copy(static_encoder.DATA / static_encoder.TOKENIZER, tmp_path)
    found = []
    for seed in (1, 2):
        table = np.random.default_rng(seed).normal(size=(30522, 3)).astype(np.float32)
        int8_tensors.save_tensors(
            tmp_path / static_encoder.TABLE, int8_tensors.pack_matrix("table", table)
        )
        model = encoder.load(str(tmp_path))
        found.append((model.fingerprint, model.encode(["a blue whale"]).tolist()))
    assert found[0][0] != found[1][0]
    assert found[0][1] != found[1][1]


@pytest.mark.parametrize(
    "break_it",
    [
        lambda content: content.pop("scales"),
        lambda content: content["scales"].update(value=None),
        lambda content: content.update(blocks=["features"]),
        lambda content: content.update(blocks=["features", "moon"]),
        lambda content: content.update(encoder="static-of-another-version"),
        lambda content: content.update(faults=[1]),
    ],
)
def test_a_damaged_judge_is_an_error_and_no_score(
    folder: Path, break_it: Changes
) -> None:
    change(folder / judge.FILES[0], break_it)
    with pytest.raises(ModelError, match=r"holds no judge|another encoder"):
        judge.load(folder)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda packed: packed["network.bias0"].fill(np.nan),
        lambda packed: packed["head.scale"].fill(np.inf),
        lambda packed: packed.update(head=packed["head"][:, :50]),
        lambda packed: packed.update(given=packed["given"][:50]),
        lambda packed: packed["n_gram_weights.columns"].fill(60_000),
        lambda packed: packed["columns"].fill(1_000_000),
        lambda packed: packed.update(
            {"network.weights1": packed["network.weights1"][:5]}
        ),
    ],
)
def test_a_damaged_tagger_is_an_error_and_no_tags(
    folder: Path, break_it: Changes
) -> None:
    path = folder / "tagger.safetensors"
    packed = {
        name: values.copy()
        for name, values in int8_tensors.parse_tensors(path.read_bytes()).items()
    }
    break_it(packed)
    path.write_bytes(int8_tensors.dump_tensors(packed))
    with pytest.raises(ModelError, match="the tagger in"):
        tagger.load(folder).answer([TAG])


@pytest.mark.parametrize(
    "say",
    [{"encoder": 3}, {"gamma": "x"}, {"choice": {}}, {"fingerprints": ["a", "b"]}],
)
def test_a_tagger_that_says_strange_things_of_itself_is_an_error(
    folder: Path, say: dict[str, Any]
) -> None:
    change(folder / "tagger.json", lambda content: content.update(say))
    loaded = tagger.load(folder)
    with pytest.raises(ModelError, match="the tagger in"):
        loaded.answer([TAG])
    if "encoder" in say:
        with pytest.raises(ModelError, match="the tagger in"):
            loaded.fingerprint  # noqa: B018
