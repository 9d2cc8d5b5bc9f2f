"""Forms and cookies of all requests: fields and headers are counted before they are decoded.

Many forms are parsed before anything is known of their sender. Werkzeug limits the fields of
multipart forms only, and decodes malformed escapes in Python, one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO
from urllib.parse import unquote_to_bytes

from flask import Flask, Request
from werkzeug.datastructures import FileStorage, ImmutableMultiDict, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.utils import cached_property

from bolt_app.cookies import read_cookies
from bolt_app.web.multipart import MULTIPART, BoundedMultipartParser

URLENCODED = "application/x-www-form-urlencoded"
# More than any form of Slack's API, of a tool or of a page has.
MOST_FIELDS = 100


class BoundedFormParser(FormDataParser):
    """A parser of forms with up to `MOST_FIELDS` fields, and of multipart forms with short headers.

    A malformed multipart form has no fields, as with Werkzeug.
    """

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> tuple[IO[bytes], MultiDict[str, str], MultiDict[str, FileStorage]]:
        """Return the rest of the body, its fields and its files.

        Raises:
            RequestEntityTooLarge: it has more fields, or longer headers.
        """
        if mimetype == URLENCODED:
            return stream, self.cls(list(_fields(stream.read()))), self.cls()
        boundary = (options or {}).get("boundary", "")
        if mimetype != MULTIPART or not boundary:
            return stream, self.cls(), self.cls()
        parser = BoundedMultipartParser(
            self.stream_factory,
            self.max_form_memory_size,
            self.cls,
            max_form_parts=self.max_form_parts,
        )
        try:
            return stream, *parser.parse(stream, boundary.encode("ascii"), content_length)
        except ValueError:
            return stream, self.cls(), self.cls()


class BoundedRequest(Request):
    """A request whose form is read by `BoundedFormParser`, and its cookies by `read_cookies`."""

    form_data_parser_class = BoundedFormParser

    @cached_property
    def cookies(self) -> ImmutableMultiDict[str, str]:
        """The cookies of the request."""
        return ImmutableMultiDict(read_cookies(self.headers.get("Cookie", "")))


def register_form_limits(app: Flask) -> None:
    """Limit the fields of every form that is read from `flask.request`; a larger one is a 413."""
    app.request_class = BoundedRequest
    app.config["MAX_FORM_PARTS"] = MOST_FIELDS


def _fields(body: bytes) -> Iterator[tuple[str, str]]:
    """Yield the names and values of a form (https://url.spec.whatwg.org/#urlencoded-parsing)."""
    if body.count(b"&") >= MOST_FIELDS:
        raise RequestEntityTooLarge
    for field in filter(None, body.split(b"&")):
        name, _, value = field.partition(b"=")
        yield _decoded(name), _decoded(value)


def _decoded(text: bytes) -> str:
    return unquote_to_bytes(text.replace(b"+", b" ")).decode("utf-8", "replace")
