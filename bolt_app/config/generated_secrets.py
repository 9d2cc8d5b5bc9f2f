"""Secrets that are generated once, beside the embedded database, unless they are set."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet

from bolt_app.config.reader import SettingReader, split_list
from bolt_app.private_files import FILE_MODE, make_private_folder


def read_encryption_keys(reader: SettingReader, var: Path | None) -> tuple[str, ...]:
    """Return the keys of the token encryption, the current one first.

    Args:
        var: the folder of generated secrets; None: they must be set.
    """
    value = _read_secret(reader, "ENCRYPTION_KEYS", var, lambda: Fernet.generate_key().decode())
    keys = tuple(split_list(value))
    for number, key in enumerate(keys, start=1):
        try:
            Fernet(key)
        except ValueError:
            reader.problem(
                f"ENCRYPTION_KEYS: key {number} of {len(keys)} is not a Fernet key "
                "(32 bytes in URL-safe base64): create one with `bellhop new-key`."
            )
    return keys


def read_session_secret(reader: SettingReader, var: Path | None) -> str:
    """Return the secret that signs sessions and buttons.

    Args:
        var: the folder of generated secrets; None: it must be set.
    """
    value = _read_secret(reader, "SESSION_SECRET", var, lambda: secrets.token_urlsafe(48))
    if value and len(value) < 32:
        reader.problem(
            "SESSION_SECRET is too short: use at least 32 random characters, "
            "such as the output of `bellhop new-key`."
        )
    return value


def _read_secret(
    reader: SettingReader, name: str, var: Path | None, generate: Callable[[], str]
) -> str:
    value = reader.text(name)
    if value:
        return value
    if var is None:
        reader.problem(
            f"{name} is required, except with the embedded database: "
            "put the output of `bellhop new-key` into .env."
        )
        return ""
    try:
        return _kept_secret(var / name.lower(), generate)
    except OSError as error:
        reader.problem(f"{name} cannot be stored in {var} ({error}): make the folder writable.")
        return ""


def _kept_secret(path: Path, generate: Callable[[], str]) -> str:
    """Return the secret stored in `path`; generate it first if it does not exist.

    Several processes may start at once: each writes a draft and links it into place, which succeeds
    only for one of them, so that all of them read the same complete secret.
    """
    if not path.exists():
        make_private_folder(path.parent)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(generate() + "\n")
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text(encoding="utf-8").strip()
