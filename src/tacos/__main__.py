"""The entry of the command line: Ctrl-C ends with one line, even while the program is still being
loaded.
"""

from __future__ import annotations

import sys

INTERRUPTED = 130


def main() -> None:
    """Load and run the command line."""
    try:
        from tacos import cli

        cli.run_app()
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and stop.code != INTERRUPTED:  # typer ends so on Ctrl-C
            raise
        print(
            "tacos: interrupted; all finished work is kept, the same command goes on from there",
            file=sys.stderr,
        )
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
