"""The page of a file, and its download: for the people who may see a notification with it.

The bytes are any sender's. They are only ever downloaded: as an attachment, with a neutral content
type that browsers may not change, and without scripts wherever they are shown nonetheless.
https://cheatsheetseries.owasp.org/cheatsheets/File_Upload_Cheat_Sheet.html
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from flask import Blueprint, Response, render_template
from werkzeug.http import dump_options_header
from werkzeug.wrappers import Response as BaseResponse

from bolt_app.notifications.content.files import FILES_PATH
from bolt_app.notifications.files.service import is_file_id
from bolt_app.notifications.files.store import StoredFile
from bolt_app.services import Services
from bolt_app.text_forms import normalized
from bolt_app.web.pages.notifications import viewers_of
from bolt_app.web.pages.profile import active_installation, recorded_profile
from bolt_app.web.sessions import remember_wanted_page


@dataclass(frozen=True)
class _VisibleFile:
    """A file, and a notification with it that the person may see."""

    file: StoredFile
    notification_id: str


def create_blueprint(services: Services) -> Blueprint:
    """Return the blueprint of the pages of files."""
    blueprint = Blueprint("files", __name__)

    @blueprint.get(f"{FILES_PATH}<file_id>")
    def file(file_id: str) -> str | tuple[str, int]:
        found = _find(services, file_id)
        if not isinstance(found, _VisibleFile):
            return found
        return render_template("file.html", found=found)

    @blueprint.get(f"{FILES_PATH}<file_id>/download")
    def download(file_id: str) -> BaseResponse | tuple[str, int]:
        found = _find(services, file_id)
        if not isinstance(found, _VisibleFile):
            return found
        return _download(services, found.file)

    return blueprint


def _find(services: Services, file_id: str) -> _VisibleFile | tuple[str, int]:
    """Return the file, or the response for a person who is not signed in or may not see it."""
    installation = active_installation(services)
    if installation is None:
        _remember(file_id)
        return render_template("sign_in.html", subject="file"), 403
    # The profile of a person who just signed in may not be recorded yet.
    recorded_profile(services, installation)
    viewers = viewers_of(services, installation)
    # The database need not accept any other text.
    stored = services.files.find(file_id) if is_file_id(file_id) else None
    # An unknown file takes the same path, so that an error of Slack does not reveal it.
    stored_id = None if stored is None else stored.id
    notification_id = services.visibility.find_with_file(viewers, stored_id)
    if stored is not None and notification_id is not None:
        return _VisibleFile(stored, notification_id)
    _remember(file_id)
    return render_template("file_missing.html"), 404


def _remember(file_id: str) -> None:
    # Any other text has no page, and may be too long for the cookie.
    if is_file_id(file_id):
        remember_wanted_page()


def _download(services: Services, file: StoredFile) -> Response:
    response = Response(services.files.chunks(file.id), mimetype="application/octet-stream")
    response.headers["Content-Disposition"] = _disposition(file.name)
    response.headers["Content-Length"] = str(file.length)
    response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


def _disposition(name: str) -> str:
    """Return the header of an attachment (https://www.rfc-editor.org/rfc/rfc6266#section-4.3)."""
    name = _without_separators(name)
    if name.isascii():
        return dump_options_header("attachment", {"filename": name})
    # Decomposed characters may contain separators.
    decomposed = normalized("NFKD", name).encode("ascii", "ignore").decode()
    plain = _without_separators(decomposed) or "file"
    encoded = f"UTF-8''{quote(name, safe='')}"
    return dump_options_header("attachment", {"filename": plain, "filename*": encoded})


def _without_separators(name: str) -> str:
    return name.replace("/", "_").replace("\\", "_")
