"""What really went wrong: a nursery raises groups of groups, an operator reads one line."""

from __future__ import annotations

from collections.abc import Iterator


def causes(error: BaseException) -> Iterator[BaseException]:
    """The errors inside any depth of groups."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from causes(each)
    else:
        yield error


def in_one_line(error: BaseException) -> str:
    """The texts of all causes, each once."""
    texts = dict.fromkeys(" ".join(words(cause).split()) or type(cause).__name__ for cause in causes(error))
    return "; ".join(texts)


def words(error: BaseException) -> str:
    """Of what the operating system refused: the file and the reason, without the number."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return str(error)
