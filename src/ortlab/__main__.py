"""``python -m ortlab``."""

from ortlab.cli import main

main()
