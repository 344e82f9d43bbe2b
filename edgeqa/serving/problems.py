"""Problems: this module turns an error into a status and a problem of HTTP (RFC 9457). Pure.

The type of a problem is the name of the error; `detail` is its message, and `hint` says what to do. An error that is
not edgeqa's own is a bug, and is reported without its details.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import edgeqa
from edgeqa.serving import errors

# The first that fits counts. An error without a public name in edgeqa is listed by the name of its class.
_STATUSES: tuple[tuple[type[BaseException] | str, int], ...] = (
    (errors.TokenUnknown, 401),
    (errors.NotAllowed, 403),
    (errors.HostRefused, 421),
    (errors.OriginRefused, 403),
    (errors.TooLarge, 413),
    (errors.TooSlow, 408),
    (errors.TooManyTries, 429),
    (errors.Refused, 503),
    (errors.DeadlinePassed, 504),
    (errors.NameInSeveral, 409),
    (errors.CollectionNotServed, 404),
    (errors.RequestInvalid, 400),
    ("CollectionBusy", 409),
    ("CollectionEmpty", 404),  # as where there is none yet: nothing is wrong with the server
    ("ClusterEmpty", 404),
    ("ClusterError", 503),  # its servers or workers may answer later
    ("NameAmbiguous", 409),
    ("CollectionNameInvalid", 400),
    ("FormatUnknown", 415),
    ("FormatOld", 415),
    ("ContextBinary", 415),
    (edgeqa.ContextGone, 404),
    (edgeqa.AnswerNameInvalid, 400),
    (edgeqa.QuestionError, 400),
    (edgeqa.ContextError, 400),
    (edgeqa.OptionError, 400),
    (edgeqa.CollectionError, 500),
)


def status_of(error: edgeqa.EdgeQAError) -> int:
    """Returns the status for an error."""
    names = {kind.__name__ for kind in type(error).__mro__}
    for kind, status in _STATUSES:
        if kind in names if isinstance(kind, str) else isinstance(error, kind):
            return 404 if status == 500 and isinstance(error, LookupError) else status
    return 500


def problem_of(error: edgeqa.EdgeQAError) -> dict[str, Any]:
    """Returns the problem for an error."""
    status = status_of(error)
    said = {"type": type(error).__name__, "title": HTTPStatus(status).phrase, "status": status, "detail": str(error)}
    return said | {"hint": error.hint} if error.hint else said


def problem(status: int, detail: str, hint: str = "") -> dict[str, Any]:
    """Returns the problem for an error that is not edgeqa's own."""
    said = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return said | {"hint": hint} if hint else said
