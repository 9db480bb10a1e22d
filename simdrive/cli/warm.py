"""``python -m simdrive.cli.warm``: compile every kernel once, before several processes need them."""

from simdrive.eval.warm import ensure_warm

if __name__ == "__main__":
    ensure_warm()
