"""Numbers in sentences."""


def counted(number: int, one: str, several: str = "") -> str:
    """`1 step`, `2 steps`, `1,000 vertices`. Give `several` if it is not `one` with an s."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
