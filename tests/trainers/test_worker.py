"""The worker in a real training environment: its scores against plain ones, and its answers alone
and in company.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tacos.errors import ModelError
from tacos.records import Request
from tacos.trainers.model_folder import open_model_folder
from tacos.trainers.trained_model import TrainedModel

pytestmark = [pytest.mark.trainers, pytest.mark.slow, pytest.mark.timeout(900)]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PYTHONS = (
    ROOT / "build/trainers/trl/bin/python",
    ROOT / ".venv-train/bin/python",
    Path(os.environ.get("TACOS_TRAINER_PYTHON") or ROOT / "none"),
)
CHATS = [
    ("Hi", "Hello."),
    ("What is the capital of France, by the way?" * 9, "Paris"),
    ("Sum up.", "Long answers take more than one look at the head. " * 12),
    ("Say nothing.", ""),
    ("Ü?", "日本 🧿"),
]


@pytest.fixture(scope="module")
def python() -> Path:
    for path in PYTHONS:
        if path.is_file():
            return path
    pytest.skip("no training environment: make setup-train")


@pytest.fixture(scope="module")
def plain(python: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list]:
    """A tiny model, and what it gives for each answer by itself."""
    place = tmp_path_factory.mktemp("worker")
    (place / "chats.json").write_text(json.dumps(CHATS))
    names = [str(place / name) for name in ("model", "chats.json", "scores.json")]
    variables = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    subprocess.run(
        [str(python), str(HERE / "load_scores.py"), *names], check=True, env=variables
    )
    return place / "model", json.loads((place / "scores.json").read_text())


def chat(question: str, answer: str) -> list[dict[str, str]]:
    return [
        {"role": "user", "content": question},
        {"role": "assistant", "content": answer},
    ]


def ask(question: str, temperature: float, max_tokens: int = 24) -> Request:
    messages = [{"role": "user", "content": question}]
    sampling = {"temperature": temperature, "max_tokens": max_tokens}
    return Request("answer", {"messages": messages}, "answer", "", {}, sampling)


def test_scores_are_those_of_the_model_by_itself(
    python: Path, plain: tuple[Path, list]
) -> None:
    folder, expected = plain
    with TrainedModel(open_model_folder(folder, "chatml"), python) as model:
        scores = model.score_answers([chat(*each) for each in CHATS], 2_000)
        cut, whole = model.score_answers([chat(*CHATS[2]), chat(*CHATS[0])], 100)
    for score, (log_probability, n_tokens) in zip(scores, expected, strict=True):
        assert score.n_tokens == n_tokens
        assert score.log_probability == pytest.approx(log_probability, abs=1e-3)
        assert not score.is_cut
    assert (cut.is_cut, whole.is_cut) == (True, False)
    assert 0 < cut.n_tokens < scores[2].n_tokens
    assert whole == scores[0]


def test_an_answer_does_not_depend_on_its_company(
    python: Path, plain: tuple[Path, list]
) -> None:
    folder, _ = plain
    requests = [ask(question, 0.7) for question, _ in CHATS]
    requests += [ask(f"Question {number}", 1.0) for number in range(20)]
    with TrainedModel(open_model_folder(folder, "chatml"), python) as model:
        together = model.answer(requests)
        alone = [model.answer([request])[0] for request in requests[:6]]
        backwards = model.answer(requests[::-1])
        greedy, again = model.answer([ask("Hi", 0.0), ask("Hi", 0.0)])
        (too_long,) = model.answer([ask("Hi", 0.0, 5_000)])
    assert alone == together[:6]
    assert backwards == together[::-1]
    assert greedy == again
    assert len({reply.text for reply in together}) > 10
    assert too_long.text is None
    assert "do not fit into the 2,048 of this model" in too_long.failure


def test_a_folder_that_transformers_cannot_load_is_one_line(
    python: Path, plain: tuple[Path, list], tmp_path: Path
) -> None:
    folder, _ = plain
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in folder.iterdir():
        content = b"{}" if path.suffix == ".safetensors" else path.read_bytes()
        (broken / path.name).write_bytes(content)
    with (
        TrainedModel(open_model_folder(broken, "chatml"), python) as model,
        pytest.raises(ModelError) as caught,
    ):
        model.answer([ask("Hi", 0.0)])
    assert "\n" not in str(caught.value)
    assert "broken" in str(caught.value)


def test_a_model_whose_weights_are_no_numbers_is_one_line(
    python: Path, plain: tuple[Path, list], tmp_path: Path
) -> None:
    folder, _ = plain
    broken = shutil.copytree(folder, tmp_path / "astray")
    weights = broken / "model.safetensors"
    content = weights.read_bytes()
    # The length of the header, the header, and 32-bit floats.
    start = 8 + int.from_bytes(content[:8], "little")
    n_floats = (len(content) - start) // 4
    weights.write_bytes(content[:start] + b"\x00\x00\xc0\x7f" * n_floats)
    with (
        TrainedModel(open_model_folder(broken, "chatml"), python) as model,
        pytest.raises(ModelError, match=r"log-probabilities are no numbers.*lower"),
    ):
        model.score_answers([chat("Hi", "Hello.")], 100)
