"""``python -m simdrive``."""

from simdrive.cli import main

main()
