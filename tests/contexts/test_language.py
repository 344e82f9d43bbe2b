"""Tests that a text in another language than the model's is noticed."""

from __future__ import annotations

import pytest

from edgeqa.contexts.terms import looks_foreign

GERMAN = "Die Pumpe ist für den Dauerbetrieb ausgelegt und darf bis zu einer Tiefe von zwölf Metern getaucht werden."
ENGLISH = "The pump is rated for continuous use and may be submerged to a depth of twelve metres, in any kind of water."
FRENCH = "La pompe est prévue pour un usage continu et peut être immergée dans une eau."
RUSSIAN = "\u043d\u0430\u0441\u043e\u0441 \u0438 \u0432\u043e\u0434\u0430 " * 8


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ENGLISH, False),
        (GERMAN, True),
        (FRENCH, True),
        (RUSSIAN, True),
        (
            "Sieve 240-2242 6.20; Impeller 240-2201 18.90; Hose adapter 4.80; Float switch Valve Part Seal Set",
            False,
        ),
        (ENGLISH + " " + GERMAN, False),
        ("Die Pumpe", False),
    ],
)
def test_another_language_is_told_by_its_common_words(text: str, expected: bool) -> None:  # noqa: FBT001 - parametrised
    assert looks_foreign(text, "en") is expected


def test_of_a_model_in_another_or_an_unknown_language_nothing_is_said() -> None:
    assert not looks_foreign(RUSSIAN, "")
    assert not looks_foreign(ENGLISH, "de")
