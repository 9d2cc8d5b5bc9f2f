"""Cookies of requests, read in linear time.

Werkzeug's regular expression takes seconds for some headers of 8 KiB.
"""

from __future__ import annotations

from collections.abc import Sequence

# gunicorn limits lines to this length, but joins several; browsers send one. More is ignored.
MAX_COOKIES_LENGTH = 8190


def read_cookies(header: str) -> Sequence[tuple[str, str]]:
    """Return the names and values in a `Cookie` header; none if it is too long.

    https://www.rfc-editor.org/rfc/rfc6265#section-4.2
    """
    if len(header) > MAX_COOKIES_LENGTH:
        return ()
    pairs = (pair.partition("=") for pair in header.split(";"))
    return [(name.strip(), value.strip()) for name, _, value in pairs]
