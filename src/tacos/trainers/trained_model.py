"""A model in a folder, as the one loop knows models, and as a judge of given answers.

It answers in a process of the training environment (`worker.py`), which is started at the first
question and ends with this object. What it answers depends on the question, the model, its template
and the settings alone; on a CPU, and in 32-bit floats, not on the batch either.
"""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import orjson

from tacos.errors import ModelError, explain_temporary_files
from tacos.records import Reply, Request, canonical_hash
from tacos.trainers import environment
from tacos.trainers.model_folder import ModelFolder
from tacos.trainers.question_frames import frame_question

Dtype = Literal["auto", "float32", "bfloat16"]
Message = Mapping[str, str]
WORKER = Path(__file__).with_name("worker.py")
N_SCORED = 32
"""Answers that are scored in one go, between two looks at the progress."""
N_SHOWN = 300
"""Characters of what a process said before it failed."""
OUT_OF_MEMORY = "out of memory: take a smaller model, or shorter answers"
SEED_DIGITS = 15
"""Hex digits of a question's key that seed its random numbers."""


@dataclass(frozen=True, slots=True)
class AnswerScore:
    """How likely a model finds a given answer."""

    log_probability: float
    """Sum over the answer's tokens and the one that ends it, in nats."""
    n_tokens: int
    """0 where the question alone is as long as a chat may be."""
    is_cut: bool
    """Whether the end of the answer was left out, beyond the longest length."""

    @property
    def loss(self) -> float | None:
        """Nats per token; None without any token."""
        if self.n_tokens == 0:
            return None
        return -self.log_probability / self.n_tokens


class TrainedModel:
    """Answers questions, and scores answers; a context manager."""

    where: Literal["here"] = "here"
    pointwise = False

    def __init__(
        self,
        folder: ModelFolder,
        python: Path,
        dtype: Dtype = "auto",
    ) -> None:
        self.folder = folder
        self.python = python
        self.dtype = dtype
        self.about: dict[str, Any] = {}
        """Device, dtype, parameters and versions, once the process runs."""
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        # What ends with the process: itself and its files.
        self._open = ExitStack()

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def fingerprint(self) -> str:
        """Of the model's files, its template, the frame of questions and the kind of numbers."""
        parts = [
            self.folder.digest,
            self.folder.template_hash,
            self.folder.frame,
            self.dtype,
        ]
        return canonical_hash(parts)

    def __enter__(self) -> TrainedModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, if it runs."""
        self._open.close()
        self._process = None

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request, whose `fields["messages"]` are the chat so far.

        Raises:
            ModelError: The process cannot start, was killed, or cannot answer.
        """
        items = [self._build_item(request) for request in requests]
        results = self._ask("answer", items)
        return [self._read_reply(result) for result in results]

    def score_answers(
        self,
        chats: Sequence[Sequence[Message]],
        max_length: int,
        advance: Callable[[int], None] | None = None,
    ) -> list[AnswerScore]:
        """How likely the model finds the last answer of each chat, in their order.

        Args:
            chats: Messages {role, content}, the last one an assistant's.
            max_length: Tokens of a chat; what an answer has beyond is left out, and marked.
            advance: Told how many are done, now and then.

        Raises:
            ModelError: The process cannot start, was killed, or cannot score.
        """
        scores = []
        for start in range(0, len(chats), N_SCORED):
            batch = chats[start : start + N_SCORED]
            items = [
                {"messages": self._frame_chat(chat), "max_length": max_length}
                for chat in batch
            ]
            results = self._ask("score", items)
            scores += [AnswerScore(**result) for result in results]
            if advance is not None:
                advance(len(batch))
        return scores

    # Questions

    def _build_item(self, request: Request) -> dict[str, Any]:
        """A question as the worker reads it."""
        # The same for a question wherever it stands, other for each repetition.
        seed = int(request.key[:SEED_DIGITS], 16)
        return {
            "messages": self._frame_chat(request.fields["messages"]),
            "max_tokens": request.sampling["max_tokens"],
            "temperature": request.sampling["temperature"],
            "seed": seed,
        }

    def _read_reply(self, result: Mapping[str, Any]) -> Reply:
        """An answer of the worker, or why it has none."""
        if "failure" in result:
            return Reply(text=None, failure=result["failure"], model=self.name)
        return Reply(
            text=orjson.dumps(result["text"]).decode(),
            raw=result["text"],
            model=self.name,
            finish=result["finish"],
            n_tokens=result["n_tokens"],
        )

    def _frame_chat(self, messages: Sequence[Message]) -> list[Message]:
        """The chat with its first question as the model read questions in training."""
        framed: list[Message] = []
        is_first = True
        for message in messages:
            if message["role"] == "user" and is_first:
                content = frame_question(self.folder.frame, message["content"])
                framed.append({**message, "content": content})
                is_first = False
            else:
                framed.append(dict(message))
        return framed

    # The process

    def _ask(self, task: str, items: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The results of a task, in order."""
        if not items:
            return []
        process = self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(orjson.dumps({"task": task, "items": items}) + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise self._explain_end(process) from None
        results: list[Any] = self._read(process)["results"]
        return results

    def _start(self) -> subprocess.Popen[bytes]:
        """The process, started if it does not run yet."""
        if self._process is not None:
            return self._process
        enter = self._open.enter_context
        with explain_temporary_files():
            said = enter(tempfile.TemporaryFile())  # noqa: SIM115 - entered
            template = enter(tempfile.NamedTemporaryFile(suffix=".jinja"))  # noqa: SIM115
            template.write(self.folder.template.encode())
            template.flush()
        process = environment.start_process(
            self.python,
            [WORKER, self.folder.path, template.name, self.dtype],
            environment.build_variables(self.folder.path),
            stdin=subprocess.PIPE,
            stderr=said.fileno(),
        )
        self._open.enter_context(process)
        self._open.callback(environment.end_process, process)
        self._said = said
        self._process = process
        self.about = self._read(process)
        return process

    def _read(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        """The next line that the process writes. Raises `ModelError`."""
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._explain_end(process)
        reply: dict[str, Any] = orjson.loads(line)
        if "error" in reply:
            raise self._explain_error(reply["error"])
        return reply

    def _explain_error(self, said: str) -> ModelError:
        """Why the model cannot be asked, in one line."""
        if environment.is_out_of_memory(said):
            said = OUT_OF_MEMORY
        return ModelError(f"{self.folder.path}: {said}")

    def _explain_end(self, process: subprocess.Popen[bytes]) -> ModelError:
        """Why the process ended, in one line."""
        code = process.wait()
        said = self._read_last_line()
        self.close()
        if environment.is_out_of_memory(said):
            return self._explain_error(said)
        if code < 0:
            name = signal.Signals(-code).name
            return ModelError(
                f"the process that asks {self.name} was killed ({name}; out of memory, often); "
                "the same command goes on where it stopped"
            )
        return ModelError(
            f"{self.python} cannot ask {self.name}: {said or f'exit code {code}'}; "
            f"{environment.HOW_TO}"
        )

    def _read_last_line(self) -> str:
        """The last thing that the process said, "" for nothing."""
        assert self._said is not None
        self._said.seek(0)
        text = self._said.read().decode("utf-8", "replace")
        lines = text.strip().splitlines()
        return lines[-1][:N_SHOWN] if lines else ""
