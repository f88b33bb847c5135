"""Every exception of tacos; each message says what the user must do.

The exit code is 2, except where it is given:

    TacosError
     +- InputError            the data cannot be used
     +- ConfigError           a setting is unknown or out of range
     |   +- OtherEndpointError   replies of another endpoint would be used, and nobody allowed it
     +- OutputError           the output cannot be written
     +- RunError              the run directory is locked, damaged or of another version
     +- FailureRateError      a stage lost more rows than its gate allows
     +- IncompleteError       an evaluation lacks grades or preferences, and so has no figure
     +- ModelError            a model cannot be loaded
     +- TrainingError         a trainer has stopped before its end
     +- LLMError              an endpoint refuses every request: wrong key, wrong model, unreachable
     |   +- OfflineError      a question is not answered yet, and nothing may be sent
     +- BudgetReachedError    the hard cap on money, tokens or requests is reached (exit code 3)

An argument of a wrong type is a `TypeError`, as everywhere in Python.
"""

import difflib
import errno
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of system errors that say that no space is left."""


class TacosError(Exception):
    """The root: catch this to catch everything that tacos raises on purpose."""

    exit_code = 2


class InputError(TacosError):
    """The data cannot be used."""


class ConfigError(TacosError):
    """A setting is unknown or out of range."""


class OtherEndpointError(ConfigError):
    """Replies of another endpoint would be used, and nobody has allowed that."""


class OutputError(TacosError):
    """The output cannot be written."""


class RunError(TacosError):
    """The run directory cannot be used."""


class FailureRateError(TacosError):
    """A stage lost more rows than its gate allows."""


class IncompleteError(TacosError):
    """An evaluation lacks grades or preferences, and so has no figure."""


class ModelError(TacosError):
    """A model cannot be loaded."""


class TrainingError(TacosError):
    """A trainer has stopped before its end; its checkpoints are kept."""


class LLMError(TacosError):
    """An endpoint refuses every request."""


class OfflineError(LLMError):
    """A question has no reply in the ledger, and nothing may be sent."""


class BudgetReachedError(TacosError):
    """The hard cap is reached. All work so far is kept; the same command continues from there."""

    exit_code = 3


def hint_at_nearest(name: object, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: which one may be meant, "" if none is near.

    >>> hint_at_nearest("mgi", ["tacos", "mig"]), hint_at_nearest("x", ["tacos"])
    ("; did you mean 'mig'?", '')
    """
    known = {each.casefold(): each for each in names}
    nearest = difflib.get_close_matches(str(name).casefold(), known, n=1, cutoff=0.5)
    if not nearest:
        return ""
    return f"; did you mean {known[nearest[0]]!r}?"


@contextmanager
def explain_temporary_files() -> Iterator[None]:
    """Turn the failure of a full disk into an `OutputError` about temporary files."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL_DISK:
            raise
        raise OutputError(
            f"temporary files cannot be written to {tempfile.gettempdir()}: {error.strerror}; free "
            "some space there, or name another folder for them (TMPDIR=FOLDER)"
        ) from None
