"""Uploads of files: `POST /uploads/<secret>`, the URLs of `files.getUploadURLExternal`.

https://docs.slack.dev/messaging/working-with-files#uploading_files
"""

from __future__ import annotations

import shutil
from tempfile import SpooledTemporaryFile
from typing import IO

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from bolt_app.notifications.files.errors import UnknownUploadError, WrongLengthError
from bolt_app.notifications.files.service import UPLOADS_PATH
from bolt_app.services import Services
from bolt_app.web.errors import BUSY_SECONDS, answer_without_database
from bolt_app.web.multipart import MULTIPART

# Around the file in a form: boundaries, and headers with its name.
FORM_BYTES = 16 * 1024
# The file, and fields that some clients add, which are in memory.
MOST_PARTS = 5
# Larger bodies wait in a temporary file for the database.
_MEMORY_BYTES = 1024 * 1024


def create_blueprint(services: Services) -> Blueprint:
    """Return the blueprint of upload URLs.

    Wrong ones are not counted as guesses: their 256 random bits cannot be guessed, and one client
    that repeats an upload would end those of others at its address.
    """
    blueprint = Blueprint("uploads", __name__)

    @blueprint.post(f"{UPLOADS_PATH}<secret>")
    def take(secret: str) -> Response:
        try:
            announced = services.files.find_announced(secret)
            with services.upload_room.enter(announced.source) as has_room:
                if not has_room:
                    return _no_room()
                services.files.count_attempt(secret)
                with SpooledTemporaryFile(max_size=_MEMORY_BYTES) as body:
                    _copy_body(announced.length, body)
                    services.files.receive(secret, announced, body)
        except UnknownUploadError:
            return _answer(404, "upload_not_found")
        except WrongLengthError:
            return _answer(400, "wrong_length")
        return _answer(200, f"OK - {announced.length}")

    @blueprint.errorhandler(RequestEntityTooLarge)
    def answer_too_large(_error: RequestEntityTooLarge) -> Response:
        return _answer(413, "wrong_length")

    answer_without_database(blueprint, lambda: _answer(503, "service_unavailable"))
    return blueprint


def _copy_body(length: int, body: IO[bytes]) -> None:
    """Copy the bytes of the request once all have arrived: raw ones, or the file of a form.

    Clients declare raw bytes as any content type, also as that of a form without files.

    Raises:
        RequestEntityTooLarge: they are more than announced, or a form has too many parts.
        WrongLengthError: they are fewer, or a form has no file, or several.
    """
    if request.mimetype != MULTIPART:
        # One byte more: where the server ends the stream, as gunicorn does, Werkzeug rejects a read
        # at the limit, which is the read that finds the end.
        request.max_content_length = length + 1
        shutil.copyfileobj(request.stream, body)
    else:
        request.max_content_length = length + FORM_BYTES
        request.max_form_parts = MOST_PARTS
        files = [file for _, file in request.files.items(multi=True)]
        if len(files) != 1:
            raise WrongLengthError
        shutil.copyfileobj(files[0].stream, body)
    # Before the database stores them: the sender has more attempts.
    if body.tell() != length:
        raise WrongLengthError
    body.seek(0)


def _no_room() -> Response:
    """Answer an upload that would take a thread that others need; its body is not read."""
    response = _answer(503, "service_unavailable")
    response.headers.update({"Retry-After": str(BUSY_SECONDS), "Connection": "close"})
    return response


def _answer(status: int, text: str) -> Response:
    return Response(text, status=status, mimetype="text/plain")
