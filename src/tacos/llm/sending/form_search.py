"""Finds the form of request that a server accepts, from what it refuses.

A form that was found holds for every later request to the same model of the same server: no second
request is refused for the same reason. What a person would want to know (a field that is left out,
a system message that moves) is said once.
"""

from __future__ import annotations

from collections.abc import Callable

from tacos.config import LLMSettings
from tacos.llm.chat.request_form import LEVELS, RequestForm
from tacos.llm.sending.announcements import announce_line
from tacos.llm.sending.refused_parts import RefusedPart
from tacos.llm.sending.requests_in_flight import InFlightRequest
from tacos.records import asks_for_text

MAX_FORMS = 12
"""Forms in which one request is sent before it is given up."""


class FormSearch:
    """The form that requests are sent in; `on_form` is told when another one turns out to work."""

    def __init__(
        self,
        settings: LLMSettings,
        on_form: Callable[[RequestForm], None],
    ) -> None:
        self.settings = settings
        self.on_form = on_form
        self.form = RequestForm()
        # the tasks that were answered in this form: a server may fail at the schema of one task
        self._proven_tasks: set[str] = set()
        # what was found in an earlier run and is not said yet in this one
        self._recalled: RequestForm | None = None
        self._trial_reason = ""

    def recall(self, form: RequestForm) -> None:
        """Begin with a form that worked before."""
        self.form = form
        if form.dropped or form.folds_system:
            self._recalled = form

    def is_proven(self, request: InFlightRequest) -> bool:
        """Whether the form of a request has been answered before, for the same task."""
        sent = request.form or self.form
        return sent == self.form and request.question.task in self._proven_tasks

    def adapt(self, request: InFlightRequest, part: RefusedPart, reason: str) -> bool:
        """Move on to a form without the part that the server refused; False where none is left.

        Where another request has found that out already, the request only takes the new form.
        """
        sent = request.form or self.form
        changed = self._change_part(sent, part)
        request.n_forms += 1
        if changed is None or request.n_forms > MAX_FORMS:
            return False
        request.trial = None
        if changed != self.form:
            self._proven_tasks.clear()
            self.form = changed
            self.on_form(changed)
            _announce_change(request.question.model, part, reason)
        return True

    def try_without_format(self, request: InFlightRequest, reason: str) -> bool:
        """Send a request once more, without `response_format`: a server that says only that the
        request is invalid may mean that field. False where that was done, or is proven to work.
        """
        sent = request.form or self.form
        can_change = self.settings.structured == "auto" and sent.level != "none"
        schema = request.question.schema
        if not can_change or not schema or asks_for_text(schema):
            return False
        if sent != self.form:  # another request has found another form since
            request.trial = None
            return True
        if request.question.task in self._proven_tasks:
            return False
        self._trial_reason = reason
        request.trial = sent._replace(level="none")
        return True

    def confirm(self, request: InFlightRequest) -> None:
        """Note that the form of a request was answered well."""
        task = request.question.task
        if request.form == self.form:
            self._proven_tasks.add(task)
        elif request.form == request.trial and task not in self._proven_tasks:
            self._adopt_trial(request)
        if self._recalled is not None:
            _announce_recalled(request.question.model, self._recalled)
            self._recalled = None

    def _adopt_trial(self, request: InFlightRequest) -> None:
        """Send every request in the form of a trial that was answered."""
        if request.trial is None:
            return
        self.form = self.form._replace(level=request.trial.level)
        self._proven_tasks = {request.question.task}
        self.on_form(self.form)
        announce_line(
            f"{request.question.model} is asked without response_format from now on: with it, the "
            f"server said: {self._trial_reason}"
        )

    def _change_part(self, sent: RequestForm, part: RefusedPart) -> RequestForm | None:
        """The common form without a part that was refused in the form `sent`; None for none."""
        form = self.form
        if part.kind == "fields":
            new = tuple(name for name in part.names if name not in sent.dropped)
            missing = tuple(name for name in new if name not in form.dropped)
            return form._replace(dropped=form.dropped + missing) if new else None
        if part.kind == "system":
            return None if sent.folds_system else form._replace(folds_system=True)
        if part.kind == "stream":
            return None if sent.streams else form._replace(streams=True)
        if part.kind == "tokens":
            is_last = sent.tokens_field != "max_tokens"
            return (
                None if is_last else form._replace(tokens_field="max_completion_tokens")
            )
        return self._change_level(sent)

    def _change_level(self, sent: RequestForm) -> RequestForm | None:
        """The common form, which asks for JSON less strictly than `sent`; None for none."""
        if self.settings.structured != "auto":
            return None
        if sent.level != self.form.level:
            return self.form
        next_level = LEVELS.index(sent.level) + 1
        if next_level >= len(LEVELS):
            return None
        return self.form._replace(level=LEVELS[next_level])


def _announce_change(model: str, part: RefusedPart, reason: str) -> None:
    """Say what is changed in every request from now on, where that may change the answers."""
    if part.kind == "fields":
        names = ", ".join(part.names)
        setting = "[" + ", ".join(f'"{name}"' for name in part.names) + "]"
        announce_line(
            f"{model} is asked without {names} from now on, as with --set 'llm.omit={setting}': "
            f"the server refuses it ({reason})"
        )
    if part.kind == "system":
        announce_line(
            f"{model} gets the system's text as part of the user's from now on: "
            f"the server takes no system message ({reason})"
        )


def _announce_recalled(model: str, form: RequestForm) -> None:
    """Say what an earlier run has found out."""
    changes = [f"without {name}" for name in form.dropped]
    if form.folds_system:
        changes.append("with the system's text as part of the user's")
    announce_line(
        f"{model} is asked {', '.join(changes)}: the server refused it before"
    )
