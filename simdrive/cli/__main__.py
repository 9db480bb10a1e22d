"""``python -m simdrive.cli``."""

from simdrive.cli import main

main()
