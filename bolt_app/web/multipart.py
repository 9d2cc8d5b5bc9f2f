"""Multipart forms with bounded headers (https://www.rfc-editor.org/rfc/rfc7578).

Werkzeug limits the headers of a part only to 500 kB, and keeps them as Python objects, which need
up to fifty times their size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from io import BytesIO
from typing import IO

from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser
from werkzeug.sansio.multipart import (
    BLANK_LINE_RE,
    Data,
    Epilogue,
    Event,
    Field,
    File,
    MultipartDecoder,
    NeedData,
    State,
)

MULTIPART = "multipart/form-data"
# Of one part, with the empty line at their end. Clients send up to four lines and a file's name.
MOST_HEADER_BYTES, MOST_HEADER_LINES = 8 * 1024, 20


class BoundedMultipartParser(MultiPartParser):
    """A parser that reads the headers of a part only if they are short."""

    def parse(
        self, stream: IO[bytes], boundary: bytes, content_length: int | None
    ) -> tuple[MultiDict[str, str], MultiDict[str, FileStorage]]:
        """Return the fields and the files of a form.

        Raises:
            RequestEntityTooLarge: the headers of a part, a field or the number of parts are over a
                limit.
            ValueError: the form is malformed.
        """
        fields: list[tuple[str, str]] = []
        files: list[tuple[str, FileStorage]] = []
        part: Field | File | None = None
        content: IO[bytes] = BytesIO()
        with ExitStack() as opened:
            for event in self._events(stream, boundary):
                if isinstance(event, File):
                    part, content = event, self.start_file_streaming(event, content_length)
                    opened.callback(content.close)
                elif isinstance(event, Field):
                    part, content = event, BytesIO()
                elif isinstance(event, Data) and part is not None:
                    self._write(event.data, part, content)
                    if event.more_data:
                        continue
                    content.seek(0)
                    if isinstance(part, File):
                        files.append((part.name, _file(part, content)))
                    else:
                        fields.append((part.name, self._text(part, content)))
            # The request closes them; those of a rejected form are closed here.
            opened.pop_all()
        return self.cls(fields), self.cls(files)

    def _events(self, stream: IO[bytes], boundary: bytes) -> Iterator[Event]:
        decoder = _BoundedDecoder(
            boundary, self.max_form_memory_size, max_parts=self.max_form_parts
        )
        while True:
            decoder.receive_data(stream.read(self.buffer_size) or None)
            while not isinstance(event := decoder.next_event(), NeedData):
                if isinstance(event, Epilogue):
                    return
                yield event

    def _write(self, data: bytes, part: Field | File, content: IO[bytes]) -> None:
        content.write(data)
        most = self.max_form_memory_size
        if isinstance(part, Field) and most is not None and content.tell() > most:
            raise RequestEntityTooLarge

    def _text(self, part: Field, content: IO[bytes]) -> str:
        return content.read().decode(self.get_part_charset(part.headers), "replace")


class _BoundedDecoder(MultipartDecoder):
    """A decoder that checks the length of a part's headers before it parses them."""

    def next_event(self) -> Event:
        if self.state == State.PART:
            self._check_headers()
        return super().next_event()

    def _check_headers(self) -> None:
        end = BLANK_LINE_RE.search(self.buffer, 0, MOST_HEADER_BYTES)
        if end is None:
            if len(self.buffer) >= MOST_HEADER_BYTES:
                raise RequestEntityTooLarge
        elif len(self.buffer[: end.start()].splitlines()) > MOST_HEADER_LINES:
            raise RequestEntityTooLarge


def _file(part: File, content: IO[bytes]) -> FileStorage:
    return FileStorage(content, part.filename, part.name, headers=part.headers)
