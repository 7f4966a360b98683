"""``python -m retsam``."""

from retsam.cli import main

main()
