"""What an answer depends on besides the question, the model and what it is asked of; checked once, when it is given."""

from __future__ import annotations

from typing import NamedTuple

from edgeqa.errors import OptionError


class Options(NamedTuple):
    """Options of one question."""

    top: int = 1
    """How many distinct spans to give as candidates."""
    force: bool = False
    """Whether the best span is given even where it is not sure."""
    most_contexts: int | None = None
    """Exactly so many passages are read, as far as there are; None for as many as can still change the answer."""

    @classmethod
    def of(cls, *, top: object, force: object, most_contexts: object) -> Options:
        """Returns the options, checked.

        Raises:
            OptionError: for a number that is none, or below 1.
        """
        for name, value in (("top", top), ("most_contexts", 1 if most_contexts is None else most_contexts)):
            if type(value) is not int or value < 1:
                raise OptionError(name, value, "a whole number from 1 on")
        return cls(top, bool(force), most_contexts)  # type: ignore[arg-type]  # checked above

    def in_keys(self) -> dict[str, object]:
        """Returns what of them is part of the key that an answer is remembered under."""
        return self._asdict()
