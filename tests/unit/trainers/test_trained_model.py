"""A model in a folder: what is refused before it starts, and what is said when its process ends."""

import json
import stat
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from tacos.errors import ConfigError, ModelError, RunError
from tacos.formats.templates import read_template
from tacos.records import Request, canonical_hash
from tacos.trainers.model_folder import open_model_folder
from tacos.trainers.trained_folder import Training, write_training
from tacos.trainers.trained_model import TrainedModel

SCHEMA = {"type": "string"}
# In place of torch: it answers with the question's last word, and fails on demand.
FAKE_WORKER = """#!{python}
import json, os, sys
_, worker, model, template, dtype = sys.argv
if "broken" in model:
    sys.exit("ModuleNotFoundError: No module named 'torch'")
print(json.dumps({{"device": "cpu", "dtype": dtype}}), flush=True)
for line in sys.stdin:
    job = json.loads(line)
    if "die" in line:
        os.kill(os.getpid(), 9)
    if "unfit" in line:
        print(json.dumps({{"error": "out of memory: take a smaller model"}}), flush=True)
        continue
    results = []
    for item in job["items"]:
        words = item["messages"][-1]["content"].split()
        if job["task"] == "score":
            result = {{"log_probability": -2.0 * len(words), "n_tokens": len(words),
                      "is_cut": False}}
        elif "long" in words:
            result = {{"failure": "the question does not fit"}}
        else:
            result = {{"text": words[-1] + str(item["seed"]), "finish": "stop",
                      "n_tokens": 1}}
        results.append(result)
    print(json.dumps({{"results": results}}), flush=True)
"""


def make_folder(place: Path, template: str | None = "chatml") -> Path:
    """A folder with the files of a model, none of them real."""
    place.mkdir(parents=True)
    (place / "config.json").write_text("{}")
    (place / "model.safetensors").write_bytes(b"weights")
    (place / "tokenizer.json").write_text("{}")
    if template is not None:
        (place / "chat_template.jinja").write_text(read_template(template))
    return place


def make_training(folder: Path, template: str) -> None:
    """The manifest of a training."""
    from tacos.trainers.recipe import read_recipe

    recipe = read_recipe("tiny")
    empty = {"str": "", "int": 0, "float": 0.0, "list[list[float]]": []}
    values = {field.name: empty.get(field.type, {}) for field in fields(Training)}
    values |= {
        "recipe": recipe.model_dump(mode="json"),
        "template": template,
        "template_hash": canonical_hash(read_template(template)),
    }
    write_training(Training(**values), folder)  # type: ignore[arg-type]


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Takes the place of the Python of a training environment."""
    path = tmp_path / "python"
    path.write_text(FAKE_WORKER.format(python=sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def ask(text: str, repetition: int = 0) -> Request:
    messages = [{"role": "user", "content": text}]
    sampling = {"temperature": 0.7, "max_tokens": 4}
    return Request(
        "answer", {"messages": messages}, "answer", "", SCHEMA, sampling, repetition
    )


def test_answers_come_in_order_and_with_numbers_of_their_own(
    tmp_path: Path, python: Path
) -> None:
    folder = open_model_folder(make_folder(tmp_path / "small"))
    with TrainedModel(folder, python) as model:
        first, second, third = model.answer(
            [ask("Hi you"), ask("a long one"), ask("Yo")]
        )
        (again,) = model.answer([ask("Hi you")])
        (other,) = model.answer([ask("Hi you", 1)])
        assert model.about["dtype"] == "auto"
    assert json.loads(first.text or "").startswith("you")
    assert (first.finish, first.n_tokens, first.model) == ("stop", 1, "small")
    assert (second.text, second.failure) == (None, "the question does not fit")
    assert json.loads(third.text or "").startswith("Yo")
    assert again == first
    assert other != first  # another seed, as it is another repetition


def test_scores_are_per_token_and_told_as_they_come(
    tmp_path: Path, python: Path
) -> None:
    folder = open_model_folder(make_folder(tmp_path / "small"))
    chat = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello my friend"},
    ]
    empty = [chat[0], {"role": "assistant", "content": ""}]
    told: list[int] = []
    with TrainedModel(folder, python) as model:
        scores = model.score_answers([chat] * 40 + [empty], 256, told.append)
    assert told == [32, 9]
    assert scores[0].loss == 2.0
    assert scores[-1].loss is None


def test_a_killed_process_is_one_line_and_the_next_one_answers(
    tmp_path: Path, python: Path
) -> None:
    folder = open_model_folder(make_folder(tmp_path / "small"))
    with TrainedModel(folder, python) as model:
        with pytest.raises(ModelError, match=r"was killed \(SIGKILL.*goes on"):
            model.answer([ask("die")])
        assert len(model.answer([ask("Hi")])) == 1
        with pytest.raises(ModelError, match="out of memory: take a smaller model"):
            model.answer([ask("unfit")])


def test_an_environment_without_torch_is_said_in_its_last_line(
    tmp_path: Path, python: Path
) -> None:
    folder = open_model_folder(make_folder(tmp_path / "broken"))
    with (
        TrainedModel(folder, python) as model,
        pytest.raises(
            ModelError, match="No module named 'torch'; make one with"
        ) as caught,
    ):
        model.answer([ask("Hi")])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("missing", "complaint"),
    [
        ("config.json", "holds no model"),
        ("model.safetensors", "has no weights"),
        ("tokenizer.json", "has no tokenizer"),
    ],
)
def test_a_folder_that_lacks_something_is_refused(
    tmp_path: Path, missing: str, complaint: str
) -> None:
    folder = make_folder(tmp_path / "small")
    (folder / missing).unlink()
    with pytest.raises(ModelError, match=complaint):
        open_model_folder(folder)


def test_a_folder_without_a_template_needs_one(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "base", template=None)
    with pytest.raises(ConfigError, match="has no chat template: name the one"):
        open_model_folder(folder)
    with pytest.raises(ConfigError, match="did you mean 'alpaca'"):
        open_model_folder(folder, "alpacca")
    assert open_model_folder(folder, "alpaca").template == read_template("alpaca")
    own = {"chat_template": [{"name": "default", "template": "{{ messages }}"}]}
    (folder / "tokenizer_config.json").write_text(json.dumps(own))
    assert open_model_folder(folder).template == "{{ messages }}"


def test_a_trained_model_is_asked_in_its_own_template_alone(tmp_path: Path) -> None:
    place = tmp_path / "trained"
    make_folder(place / "model")
    with pytest.raises(RunError, match="finish `tacos train`"):
        open_model_folder(place)
    make_training(place, "chatml")
    assert open_model_folder(place).name == "trained"
    assert open_model_folder(place, "chatml") == open_model_folder(place)
    with pytest.raises(ConfigError, match="trained with the template chatml"):
        open_model_folder(place, "alpaca")
    # Neither by its name, nor by somebody who changed the file.
    (place / "model" / "chat_template.jinja").write_text("{{ messages }}")
    with pytest.raises(ConfigError, match="trained with the template chatml"):
        open_model_folder(place)


def test_other_weights_or_another_template_make_another_fingerprint(
    tmp_path: Path, python: Path
) -> None:
    place = make_folder(tmp_path / "small")
    prints = {TrainedModel(open_model_folder(place), python).fingerprint}
    prints.add(TrainedModel(open_model_folder(place, "alpaca"), python).fingerprint)
    prints.add(TrainedModel(open_model_folder(place), python, "bfloat16").fingerprint)
    (place / "model.safetensors").write_bytes(b"other")
    prints.add(TrainedModel(open_model_folder(place), python).fingerprint)
    assert len(prints) == 4
