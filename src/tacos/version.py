"""The version of tacos."""

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "tacos-select"
"""The name under which the package is installed; pyproject.toml says the same."""


def read_version() -> str:
    """The version of the installed distribution; "unknown" if the source tree is not installed."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"
