"""Long sentences, broken for a narrow column."""

from __future__ import annotations

import textwrap


def wrapped(text: str, width: int = 76) -> str:
    """The text in lines of at most `width` characters; line breaks that it has are kept."""
    return "\n".join(
        textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
        for line in text.split("\n")
    )
