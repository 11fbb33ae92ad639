"""What a device says of itself, as it may be shown on somebody's terminal. Pure."""

from __future__ import annotations


def printable(text: str) -> str:
    """A device may say anything: what would move the cursor or clear the screen is a question mark."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
