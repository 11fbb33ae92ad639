from __future__ import annotations


class ObjectError(ValueError):
    """An instance cannot be built; the text names the attribute and what is wrong with its value."""
