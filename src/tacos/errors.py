"""Every exception of tacos; each message says what a person must do.

TacosError
 +- InputError            the data given cannot be used (exit code 2)
 +- ConfigError           a setting is unknown or out of range (exit code 2)
 +- OutputError           the output cannot be written (exit code 2)
 +- RunError              the run directory cannot be used: locked, or of another version (exit code 2)
 +- FailureRateError      a stage lost more rows than its gate allows (exit code 2)
 +- ModelError            a model cannot be loaded (exit code 2)
 +- LLMError              an endpoint refuses every request: wrong key, wrong model, unreachable (exit code 2)
 +- BudgetReached         the hard cap on money, tokens or requests is reached (exit code 3)
"""


class TacosError(Exception):
    """The root: catch this to catch all that tacos raises on purpose."""

    exit_code = 2


class InputError(TacosError):
    """The data given cannot be used."""


class ConfigError(TacosError):
    """A setting is unknown or out of range."""


class OutputError(TacosError):
    """The output cannot be written."""


class RunError(TacosError):
    """The run directory cannot be used."""


class FailureRateError(TacosError):
    """A stage lost more rows than its gate allows."""


class ModelError(TacosError):
    """A model cannot be loaded."""


class LLMError(TacosError):
    """An endpoint refuses every request."""


class BudgetReachedError(TacosError):
    """The hard cap is reached; everything so far is kept and the same command goes on from there."""

    exit_code = 3
