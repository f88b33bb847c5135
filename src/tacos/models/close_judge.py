"""The embedded judge's close tier: it reads samples word by word with SmolLM2-135M.

It is the embedded judge (`tacos.models.judge`) with further columns, the states in which SmolLM2 is
after reading the response, and so tells more, at some ten rows a second and core. The weights of
SmolLM2 are a separate installation, see `tacos.models.smollm2`.
"""

from __future__ import annotations

from tacos.models import judge, smollm2
from tacos.models.judge import DATA, EmbeddedJudge

FILES = ("close_judge.json", "close_judge.safetensors")
NAME = "embedded-judge-close"


def is_available() -> bool:
    """Say whether the judge's own weights and those of SmolLM2 are installed."""
    has_own = all((DATA / name).is_file() for name in FILES)
    return has_own and smollm2.is_available()


def load() -> EmbeddedJudge:
    """Load the close judge.

    Raises `ModelError` if the weights of SmolLM2 are missing, and says how to install them.
    """
    # One thread, because each worker process has a judge of its own.
    reader = smollm2.load(threads=1)
    return judge.load_files(DATA, NAME, FILES, reader)


def load_without_reader() -> EmbeddedJudge:
    """Load what is known of the close judge, such as its reliability; it cannot read samples.

    Needs no weights of SmolLM2.
    """
    return judge.load_files(DATA, NAME, FILES)
