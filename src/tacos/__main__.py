"""The entry of the command line: Ctrl-C ends it with one line, even while it is loading."""

from __future__ import annotations

import sys
import time

INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""


def main() -> None:
    """Load and run the command line."""
    started = time.monotonic()
    try:
        from tacos.engines.freed_memory import save_memory

        save_memory()
        from tacos import cli

        cli.run_app(started)
    except KeyboardInterrupt:
        _stop()
    except SystemExit as stop:
        if stop.code != INTERRUPTED:  # typer exits with it on Ctrl-C
            raise
        _stop()


def _stop() -> None:
    """Say that nothing is lost, and exit."""
    print(
        "tacos: interrupted; all finished work is kept, and the same command continues from there",
        file=sys.stderr,
    )
    sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
