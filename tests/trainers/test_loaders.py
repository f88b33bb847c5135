"""The trainers' own loaders read what `tacos export` writes: they keep as many rows as we count, and
train on exactly what `--check` marks.

Each trainer runs in an environment of its own (`make test-trainers` makes them), and its loader reads
all exported folders in one process (`load_*.py`). The model is tiny and random: no hub is asked.
"""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

import tacos
from tacos.formats import templates
from tacos.formats.templates import TEMPLATES
from tacos.workflows.export import Export

pytestmark = [pytest.mark.trainers, pytest.mark.slow, pytest.mark.timeout(900)]

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parents[1] / "build" / "trainers"
TRAINERS = ("trl", "llama-factory", "axolotl", "datasets")

CALLS = [
    {
        "id": f"c{number}",
        "type": "function",
        "function": {"name": "weather", "arguments": json.dumps({"city": city})},
    }
    for number, city in enumerate(("Rome", "Bern"))
]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
            },
        },
    },
    {"type": "function", "function": {"name": "time", "parameters": {}}},
]
SYSTEM = {"role": "system", "content": "Be kind.\nBe brief."}


def say(*texts: str) -> list[dict[str, Any]]:
    """Messages in turn, the first one the user's."""
    roles = ("user", "assistant")
    return [
        {"role": roles[number % 2], "content": text}
        for number, text in enumerate(texts)
    ]


def call_weather(*results: str) -> list[dict[str, Any]]:
    """A call of the tool for each result, and the results."""
    calls = CALLS[: len(results)]
    messages: list[dict[str, Any]] = [
        {"role": "assistant", "content": None, "tool_calls": calls}
    ]
    for call, result in zip(calls, results, strict=True):
        messages.append(
            {
                "role": "tool",
                "content": result,
                "tool_call_id": call["id"],
                "name": "weather",
            }
        )
    return messages


ALPACA = [
    {"instruction": "Add.", "input": "1 and 2", "output": "3"},
    {"instruction": "Name a fruit.", "input": "", "output": "A pear.\n\n- Or a fig."},
    {"instruction": "Übersetze: 你好 🙂", "input": "", "output": "Hello\u2028there 🙂"},
]
SYSTEM_AND_HISTORY = [
    {
        "instruction": "And 3?",
        "input": "",
        "output": "9",
        "system": "Square.",
        "history": [["1", "1"], ["2", "4"]],
    },
    {
        "instruction": "Hi.",
        "input": "",
        "output": "Hello.",
        "system": "",
        "history": [],
    },
]
MESSAGES = [
    {"messages": [SYSTEM, *say("Hi.", "Hello.", "Bye.", "Goodbye.")]},
    {"messages": say("One?", "Two.")},
    {"messages": say("A", "B", "C", "D", "E", "F")},
]
SPACES = [
    {"messages": say("  Indent? ", "\n    x = 1\n", "More? ", "  y = 2  ")},
    {"messages": say("Marks: <s> </s> [INST]?", "As text.")},
]
SAME_TEXTS = [
    {"messages": say("yes", "yes", "yes", "yes")},
    {"messages": [SYSTEM, *say("user", "assistant", "<|im_start|>", "assistant")]},
]
TOOL_CALLS = [
    {
        "messages": [*say("Rome?"), *call_weather("sunny"), *say("", "Sunny.")[1:]],
        "tools": TOOLS,
    },
    {
        "messages": [
            SYSTEM,
            *say("Rome and Bern?"),
            *call_weather("sunny", "rainy"),
            *say("", "Sunny and rainy.")[1:],
        ],
        "tools": TOOLS[:1],
    },
    {"messages": say("No tool.", "None.")},
]
CALL_LAST = [
    {"messages": [*say("Rome?"), *call_weather("sunny")[:1]], "tools": TOOLS},
]
SHAREGPT = [
    {
        "conversations": [
            {"from": "system", "value": "Be kind."},
            {"from": "human", "value": "Hi."},
            {"from": "gpt", "value": "Hello."},
            {"from": "human", "value": "Left without an answer."},
        ]
    }
]
PREFERENCES = [
    {"prompt": "Name a fruit.", "chosen": "A pear.", "rejected": "A stone."},
    {"prompt": "Add 1 and 2.", "chosen": "3", "rejected": "4"},
]
PREFERRED_CHATS = [
    {
        "chosen": say("Hi.", "Hello.", "Bye.", "Goodbye."),
        "rejected": say("Hi.", "Hello.", "Bye.", "No."),
    }
]
LAST_WEIGHTED = [
    {
        "messages": [
            {"role": "user", "content": "A"},
            {"role": "assistant", "content": "wrong", "weight": 0},
            {"role": "user", "content": "B"},
            {"role": "assistant", "content": "right", "weight": 1},
        ]
    }
]
FIRST_WEIGHTED = [
    {
        "messages": [
            {"role": "user", "content": "A"},
            {"role": "assistant", "content": "right"},
            {"role": "user", "content": "B"},
            {"role": "assistant", "content": "wrong", "weight": 0},
            {"role": "user", "content": "C"},
            {"role": "assistant", "content": "right, too"},
        ]
    },
    *MESSAGES,
]
ODD = [
    {"messages": [{"role": "assistant", "content": "I begin."}, *say("Go.", "I end.")]},
    {"messages": [*say("Hi."), *say("Hi again.", "Hello.")]},
    {"messages": [*say("Hi.", "Hello."), SYSTEM, *say("Bye.", "Goodbye.")]},
    {"messages": [*say("Hi.", "Hello.", "Bye.", "   ")]},
    {"instruction": "Empty.", "input": "", "output": ""},
]
LONG = [
    {"instruction": "Go on.", "input": "", "output": "word " * 2000},
    {"instruction": "Long question. " * 1000, "input": "", "output": "No."},
    {"instruction": "Short.", "input": "", "output": "Yes."},
]
MIXED = [*MESSAGES, *ODD, *TOOL_CALLS, *ALPACA, *SHAREGPT, *SAME_TEXTS] * 20

LAYOUTS: dict[str, list[dict[str, Any]]] = {
    "alpaca": ALPACA,
    "system-and-history": SYSTEM_AND_HISTORY,
    "messages": MESSAGES,
    "spaces": SPACES,
    "same-texts": SAME_TEXTS,
    "tool-calls": TOOL_CALLS,
    "call-last": CALL_LAST,
    "sharegpt": SHAREGPT,
    "preferences": PREFERENCES,
    "preferred-chats": PREFERRED_CHATS,
    "last-weighted": LAST_WEIGHTED,
    "first-weighted": FIRST_WEIGHTED,
    "odd": [*MESSAGES, *ODD],
    "long": LONG,
    "mixed": MIXED,
}
CASES = [
    *((layout, "chatml") for layout in LAYOUTS),
    *(
        (layout, template)
        for template in TEMPLATES[1:]
        for layout in ("alpaca", "system-and-history", "messages", "spaces", "mixed")
    ),
]


class Loaded:
    """What a trainer's loader made of each exported folder."""

    def __init__(self, trainer: str, folder: Path) -> None:
        """Export every case, and let the loader read all folders at once."""
        self.trainer = trainer
        python = find_python(trainer)
        self.exports: dict[tuple[str, str], Export] = {}
        for layout, template in CASES:
            # LLaMA-Factory has templates of its own, so its folders are the same for each.
            if template != "chatml" and trainer in ("llama-factory", "datasets"):
                continue
            if trainer == "llama-factory" and layout == "last-weighted":
                continue  # which it cannot say
            self.exports[layout, template] = tacos.export(
                LAYOUTS[layout],
                trainer,
                folder / f"{layout}-{template}",
                template=template,
                check=True,
            )
        self.results = run_loader(python, folder, [*self.exports.values()])

    def get(self, layout: str, template: str) -> tuple[Export, dict[str, Any]]:
        """An export, and what the trainer made of it."""
        if (layout, template) not in self.exports:
            pytest.skip("not for this trainer")
        exported = self.exports[layout, template]
        return exported, self.results[str(exported.folder)]


def find_python(trainer: str) -> Path:
    """The interpreter of a trainer's environment."""
    environment = "trl" if trainer == "datasets" else trainer
    python = ENVIRONMENTS / environment / "bin" / "python"
    if not python.is_file():
        pytest.skip(f"no environment for {trainer}: make test-trainers")
    return python


def run_loader(python: Path, folder: Path, exports: list[Export]) -> dict[str, Any]:
    """Run the loader of an environment: folder -> what the trainer made of it."""
    environment = python.parents[1].name
    script = HERE / f"load_{environment.replace('-', '_')}.py"
    result = folder / "result.json"
    folders = [str(exported.folder) for exported in exports]
    names = ("PATH", "LANG", "TMPDIR")
    done = subprocess.run(
        [python, script, folder / "model", result, *folders],
        capture_output=True,
        text=True,
        cwd=folder,
        env={
            **{name: os.environ[name] for name in names if name in os.environ},
            "HOME": str(folder),
            "HF_HUB_OFFLINE": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "DO_NOT_TRACK": "1",
            "AXOLOTL_DO_NOT_TRACK": "1",
            "WANDB_MODE": "disabled",
            "TACOS_TEMPLATES": str(Path(templates.__file__).parent),
        },
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
    loaded: dict[str, Any] = json.loads(result.read_text("utf-8"))
    return loaded


@pytest.fixture(scope="module", params=TRAINERS)
def loaded(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Loaded:
    return Loaded(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("layout, template", CASES)
def test_a_trainer_keeps_as_many_rows_as_we_count(
    loaded: Loaded,
    layout: str,
    template: str,
) -> None:
    exported, result = loaded.get(layout, template)
    assert exported.check is not None
    assert len(result["rows"]) == exported.check.n_kept > 0


@pytest.mark.parametrize("layout, template", CASES)
def test_a_trainer_trains_on_what_the_check_marks(
    loaded: Loaded,
    layout: str,
    template: str,
) -> None:
    exported, result = loaded.get(layout, template)
    assert exported.check is not None
    if loaded.trainer == "llama-factory":
        compare_answers(exported, result["rows"])
        return
    if layout == "long" and loaded.trainer != "axolotl":
        return  # cut by tokens, of which we have no count
    if loaded.trainer == "axolotl":
        shown = [drop_marked_spaces(row) for row in exported.check.shown]
        rows = [drop_marked_spaces(row) for row in result["rows"][: len(shown)]]
        assert rows == shown
        return
    shown = exported.check.shown
    assert result["rows"][: len(shown)] == list(shown)
    trained = sum(len(text) for row in result["rows"] for text in list_spans(row))
    assert trained == exported.check.n_trained_characters


def drop_marked_spaces(row: str) -> str:
    """A row without the spaces that a template writes around an answer: Axolotl trains on none."""
    joined = re.sub("⟧ *⟦", "", row)
    return re.sub(" *</s>", "</s>", re.sub(" *⟦ *", "⟦", joined))


def compare_answers(exported: Export, rows: list[str]) -> None:
    """LLaMA-Factory renders by a ChatML of its own: the answers are the same."""
    assert exported.check is not None
    n_answers = sum(len(list_spans(row)) for row in rows)
    assert n_answers == exported.check.n_answers
    for row, shown in zip(rows, exported.check.shown, strict=False):
        for theirs, ours in zip(list_spans(row), list_spans(shown), strict=True):
            if "<tool_call>" in ours or len(ours) > 1000 or "[..." in ours:
                continue
            assert theirs.removesuffix("\n") == ours


def list_spans(row: str) -> list[str]:
    """The texts between marks."""
    return re.findall("⟦(.*?)⟧", row, re.DOTALL)


def test_llama_factory_gets_every_field(loaded: Loaded) -> None:
    if loaded.trainer != "llama-factory":
        pytest.skip("of LLaMA-Factory's converter")
    _, result = loaded.get("alpaca", "chatml")
    prompts = [row["_prompt"][-1]["content"] for row in result["aligned"]]
    assert prompts == ["Add.\n1 and 2", "Name a fruit.", "Übersetze: 你好 🙂"]
    _, result = loaded.get("system-and-history", "chatml")
    first = result["aligned"][0]
    assert first["_system"] == "Square."
    assert [turn["content"] for turn in first["_prompt"]] == [
        "1",
        "1",
        "2",
        "4",
        "And 3?",
    ]
    _, result = loaded.get("tool-calls", "chatml")
    first = result["aligned"][0]
    tools = json.loads(first["_tools"])
    assert tools[0] == TOOLS[0]
    # At a tool without parameters its reader stops, so it gets an empty declaration of them.
    assert tools[1]["function"]["parameters"] == {"type": "object", "properties": {}}
    assert [turn["role"] for turn in first["_prompt"]] == [
        "user",
        "function",
        "observation",
    ]


def test_axolotl_knows_every_key_of_our_configuration(loaded: Loaded) -> None:
    if loaded.trainer != "axolotl":
        pytest.skip("of Axolotl's schema")
    for result in loaded.results.values():
        assert result["unknown"] == []
