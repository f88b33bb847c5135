"""A training environment that trains nothing, for tests: it answers as the real one does and writes
the same files, in a tenth of a second and without torch.

    FAKE .../training_check.py REQUEST RESULT
    FAKE -m trl.scripts.sft --config CONFIG
    FAKE .../worker.py MODEL TEMPLATE DTYPE

A token is a word. The loss of a step depends on the rows of that step alone, so a training that
was killed and goes on ends like one that was not. `TACOS_FAKE` makes it misbehave:

    kill=STEP   is killed at a step, once: the next start gets by
    drop        drops the last row without a word
    memory      runs out of memory
    disk        finds the disk full
    writer      finds it full in torch's own words
    nan=STEP    has a loss that is no number
    fail        fails otherwise
    fail-at=ARM  does so for one arm alone
    template    saves another chat template
    gpu         finds a GPU
    mute        is killed when it is to score answers, once
    no-tokenizer  cannot load the tokenizer
    silent      is killed when it is to answer, once
    long        has no room for an answer
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import stat
import sys
import time
from pathlib import Path
from typing import Any

N_PARAMETERS = 1_000_000
WEIGHTS = b"weights of a checkpoint"
VERSIONS = {"python": "3.11.7", "torch": "0.0-fake", "trl": "0.0-fake"}


def install_fake_trainer(folder: Path) -> Path:
    """A program that stands for the Python of a training environment."""
    program = folder / "bin" / "python"
    program.parent.mkdir(parents=True, exist_ok=True)
    # -I -S: it starts in half the time.
    program.write_text(f"#!{sys.executable} -IS\n{Path(__file__).read_text('utf-8')}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def make_fake_model(folder: Path) -> Path:
    """A folder that stands for a base model."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text('{"model_type": "fake"}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def main(arguments: list[str]) -> None:
    """Do what is asked for."""
    if arguments[0].endswith("training_check.py"):
        check_rows(*arguments[1:])
    elif arguments[:3] == ["-m", "trl.scripts.sft", "--config"]:
        train_model(read_config(Path(arguments[3])))
    elif arguments[0].endswith("worker.py"):
        score_answers(Path(arguments[1]))
    else:
        sys.exit(f"the fake trainer does not know {arguments}")


def read_fault(name: str) -> str | None:
    """The value of a fault that is asked for, "" where it has none; None for one that is not."""
    for fault in os.environ.get("TACOS_FAKE", "").split(","):
        given, _, value = fault.partition("=")
        if given == name:
            return value
    return None


def count_tokens(row: dict[str, Any], max_length: int) -> tuple[int, int, str]:
    """Tokens read and trained on of a row, and what becomes of it."""
    messages = row.get("messages") or row["prompt"] + row["completion"]
    lengths = [2 + len(message["content"].split()) for message in messages]
    n_all = sum(lengths)
    n_before = n_all - lengths[-1]
    if n_before >= max_length:
        return 0, 0, f"the question alone is longer than {max_length:,} tokens"
    if messages[-1]["content"].startswith("[odd]"):
        return (
            0,
            0,
            "its question ends within a token of its answer: it would be trained on",
        )
    n_read = min(n_all, max_length)
    return n_read, n_read - n_before, "cut" if n_all > max_length else ""


def read_rows(file: str) -> list[dict[str, Any]]:
    """The rows of a file, a line each; other signs that end lines may stand in texts."""
    with open(file, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def check_rows(request_file: str, result_file: str) -> None:
    """Answer as `tacos.trainers.training_check` does."""
    request = json.loads(Path(request_file).read_text("utf-8"))
    on_gpu = read_fault("gpu") is not None
    if request["device"] == "cuda" and not on_gpu:
        problem = "torch 0.0-fake finds no GPU here: train on the CPU (--device cpu)"
        Path(result_file).write_text(json.dumps({"problem": problem}), "utf-8")
        return
    if read_fault("no-tokenizer") is not None:
        problem = (
            f"{request['model']}: its tokenizer cannot be loaded: name another model"
        )
        Path(result_file).write_text(json.dumps({"problem": problem}), "utf-8")
        return
    rows = read_rows(request["rows_file"])
    result = {
        "versions": VERSIONS,
        "device": {
            "kind": "cuda" if on_gpu else "cpu",
            "name": "Fake GPU" if on_gpu else "Fake CPU",
            "n_devices": 1,
            "n_threads": 1,
            "memory": 1 << 30,
            "flops": 1e12,
        },
        "model": {
            "n_parameters": N_PARAMETERS,
            "n_layers": 2,
            "width": 16,
            "n_tokens": 100,
            "max_length": 4096,
        },
        "rows": [count_tokens(row, request["max_length"]) for row in rows],
    }
    Path(result_file).write_text(json.dumps(result), "utf-8")


def score_answers(model: Path) -> None:
    """Score answers as `tacos.trainers.worker` does: weights and texts decide."""
    weights = (model / "model.safetensors").read_bytes()
    print(json.dumps({"device": "cpu", "dtype": "float32"}), flush=True)
    for line in sys.stdin:
        mark = model / ".muted"
        if read_fault("mute") is not None and not mark.exists():
            mark.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        results: list[dict[str, Any]] = []
        job = json.loads(line)
        if job["task"] == "answer":
            kill_at_first_answer(model)
            results = [write_answer(item, weights) for item in job["items"]]
            print(json.dumps({"results": results}), flush=True)
            continue
        for item in job["items"]:
            text = json.dumps(item["messages"]).encode()
            noise = hashlib.sha256(text + weights).digest()[0] / 1000
            n_all, n_read, _ = count_tokens(item, item["max_length"])
            loss = 2 + hashlib.sha256(text).digest()[1] / 256 + noise
            results.append(
                {
                    "log_probability": -loss * n_read,
                    "n_tokens": n_read,
                    "is_cut": n_all == item["max_length"],
                }
            )
        print(json.dumps({"results": results}), flush=True)


def kill_at_first_answer(model: Path) -> None:
    """Be killed, unless that has happened to this model."""
    mark = model / ".silenced"
    if read_fault("silent") is not None and not mark.exists():
        mark.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)


def write_answer(item: dict[str, Any], weights: bytes) -> dict[str, Any]:
    """An answer that weights and question decide."""
    if read_fault("long") is not None:
        return {"failure": "the question and an answer do not fit"}
    text = json.dumps(item["messages"]).encode()
    digest = hashlib.sha256(text + weights).hexdigest()
    words = [f"word{digest[:4]}"] * (1 + int(digest[4], 16))
    n_tokens = len(words)
    return {"text": " ".join(words), "finish": "stop", "n_tokens": n_tokens}


def read_config(file: Path) -> dict[str, Any]:
    """The settings in a file that tacos has written: each value is JSON."""
    settings = {}
    for line in file.read_text("utf-8").splitlines():
        name, _, value = line.partition(": ")
        settings[name] = json.loads(value)
    return settings


def train_model(settings: dict[str, Any]) -> None:
    """Take all steps, and leave what TRL leaves."""
    print("a line that is no figure")
    for fault, said in (
        (
            "memory",
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.",
        ),
        ("disk", "OSError: [Errno 28] No space left on device"),
        (
            "writer",
            "RuntimeError: [enforce fail at inline_container.cc:672] . unexpected pos 576 vs 470",
        ),
        ("fail", "ValueError: The model did not return a loss."),
    ):
        if read_fault(fault) is not None:
            sys.exit(f"Traceback (most recent call last):\n{said}")
    if str(read_fault("fail-at")) in settings["output_dir"]:
        sys.exit("Traceback:\nValueError: The model did not return a loss.")
    rows_file = settings["datasets"][0]["data_files"]
    rows = read_rows(rows_file)
    if read_fault("drop") is not None:
        rows = rows[:-1]
    output = Path(settings["output_dir"])
    output.mkdir(parents=True, exist_ok=True)
    done, history = read_checkpoint(settings.get("resume_from_checkpoint"))
    batch = (
        settings["per_device_train_batch_size"]
        * settings["gradient_accumulation_steps"]
    )
    per_epoch = math.ceil(len(rows) / batch)
    n_steps = math.ceil(per_epoch * settings["num_train_epochs"])
    n_tokens = 0
    for step in range(done + 1, n_steps + 1):
        place = (step - 1) % per_epoch * batch
        part = rows[place : place + batch]
        n_tokens += sum(count_tokens(row, settings["max_length"])[0] for row in part)
        figures = {"loss": measure_loss(part, step), "num_tokens": float(n_tokens)}
        history.append({**figures, "step": step})
        if str(step) == read_fault("nan"):
            figures["loss"] = float("nan")
        print({name: str(value) for name, value in figures.items()}, flush=True)
        time.sleep(float(os.environ.get("TACOS_FAKE_PAUSE", "0")))
        kill_once(output, step)
        if step % settings["save_steps"] == 0 or step == n_steps:
            save_checkpoint(output, step, n_steps, history)
    print({"train_runtime": "1.5", "epoch": str(settings["num_train_epochs"])})
    save_model(settings, output, history)


def measure_loss(rows: list[dict[str, Any]], step: int) -> float:
    """A number that the rows decide."""
    digest = hashlib.sha256(json.dumps(rows).encode()).digest()
    return round(1 / step + digest[0] / 1000, 4)


def kill_once(output: Path, step: int) -> None:
    """Be killed at the step that is asked for, unless that has happened."""
    mark = output.parent / "data" / "killed"
    if str(step) != read_fault("kill") or mark.exists():
        return
    mark.write_text("")
    # A checkpoint that is not finished, as a kill leaves it.
    (output / f"checkpoint-{step}").mkdir()
    os.kill(os.getpid(), signal.SIGKILL)


def read_checkpoint(folder: str | None) -> tuple[int, list[dict[str, Any]]]:
    """The steps that are done, and their figures."""
    if folder is None:
        return 0, []
    if (Path(folder) / "model.safetensors").read_bytes() != WEIGHTS:
        sys.exit("Traceback:\nsafetensors_rust.SafetensorError: incomplete metadata")
    state = json.loads((Path(folder) / "trainer_state.json").read_text("utf-8"))
    return state["global_step"], state["log_history"]


def save_checkpoint(
    output: Path, step: int, n_steps: int, history: list[dict[str, Any]]
) -> None:
    """Leave a checkpoint."""
    folder = output / f"checkpoint-{step}"
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    state = {"global_step": step, "max_steps": n_steps, "log_history": history}
    (folder / "trainer_state.json").write_text(json.dumps(state), "utf-8")


def save_model(settings: dict[str, Any], output: Path, history: list[Any]) -> None:
    """Leave the model in the folder of the checkpoints."""
    make_fake_model(output)
    template = Path(settings["chat_template_path"]).read_text("utf-8")
    if read_fault("template") is not None:
        template = "another"
    (output / "chat_template.jinja").write_text(template, "utf-8")
    (output / "README.md").write_text("written by TRL")
    weights = json.dumps([entry["loss"] for entry in history]).encode()
    (output / "model.safetensors").write_bytes(weights)


if __name__ == "__main__":
    main(sys.argv[1:])
