"""`python -m tacos`."""

from tacos.cli import main

if __name__ == "__main__":
    main()
