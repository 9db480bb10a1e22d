"""x"""


def record() -> None:
    """Record."""
