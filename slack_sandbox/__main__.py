"""``python -m slack_sandbox``: run the stand-in, alone or with the app it stands in for."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import yaml

from slack_sandbox.config import AppConfig
from slack_sandbox.errors import ManifestError, SandboxError
from slack_sandbox.faults import Fault
from slack_sandbox.server import SandboxServer


class _Signals:
    """Catches what asks the process to end: passes it on to the command, or remembers it."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, self._handle)

    def pass_on_to(self, child: subprocess.Popen[bytes]) -> None:
        """From now on signals go to ``child``, with the one that came too early."""
        self._child = child
        if self.stopped.is_set():
            child.terminate()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.stopped.set()
        if self._child is not None:
            self._child.send_signal(number)


def main(arguments: list[str] | None = None) -> int:
    """Run the stand-in until told to stop; the exit status."""
    options = _parser().parse_args(arguments)
    signals = _Signals()
    try:
        config = _config(options)
        server = SandboxServer(config, options.host, options.port)
    except (SandboxError, ValueError, OverflowError) as error:
        return _complain(str(error))
    except OSError as error:
        place = f"{options.host}:{options.port}"
        reason = error.strerror or error
        return _complain(
            f"cannot listen on {place}: {reason}. Choose another --port, with make SANDBOX_PORT."
        )
    server.sandbox.limits.enabled = not options.no_rate_limits
    if options.latency_ms > 0:
        server.sandbox.faults.add(Fault(kind="latency", seconds=options.latency_ms / 1000))
    with server:
        sys.stdout.write(f"The stand-in for Slack is at {server.url} (this is not Slack).\n")
        sys.stdout.flush()
        credentials = _credentials(config, server.url)
        if options.append_env is not None:
            try:
                _append(options.append_env, credentials)
            except OSError as error:
                return _complain(f"cannot write {options.append_env}: {error.strerror}")
        if options.run:
            return _run(options.run, {**os.environ, **credentials}, signals)
        signals.stopped.wait()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m slack_sandbox",
        description="A local stand-in for Slack. It is not Slack, and nothing leaves this machine.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=3100, help="port to listen on (0: a free one)")
    parser.add_argument(
        "--manifest", type=Path, default=Path("manifest.yml"), help="the app's Slack manifest"
    )
    parser.add_argument(
        "--app-url", default="http://127.0.0.1:3000", help="where the app is reached"
    )
    parser.add_argument("--client-id", help="the app's client id")
    parser.add_argument("--client-secret", help="its client secret")
    parser.add_argument("--signing-secret", help="its signing secret")
    parser.add_argument("--latency-ms", type=int, default=0, help="delay of every answer")
    parser.add_argument("--no-rate-limits", action="store_true", help="take any number of calls")
    parser.add_argument(
        "--append-env",
        type=Path,
        metavar="FILE",
        help="add the app's credentials and addresses to this file, for commands run beside it",
    )
    parser.add_argument(
        "--run",
        nargs=argparse.REMAINDER,
        metavar="COMMAND",
        help="start this with the credentials in its environment, and end with it",
    )
    return parser


def _config(options: argparse.Namespace) -> AppConfig:
    url = urlsplit(options.app_url)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise SandboxError(f"--app-url must be a http address, not {options.app_url}")
    return AppConfig.from_manifest(
        _manifest(options.manifest),
        app_url=options.app_url,
        client_id=options.client_id or _setting("SLACK_CLIENT_ID", options) or _client_id(),
        client_secret=(
            options.client_secret
            or _setting("SLACK_CLIENT_SECRET", options)
            or secrets.token_hex(16)
        ),
        signing_secret=(
            options.signing_secret
            or _setting("SLACK_SIGNING_SECRET", options)
            or secrets.token_hex(16)
        ),
    )


def _setting(name: str, options: argparse.Namespace) -> str | None:
    """A credential from the environment, but not where ``--run`` makes up its own."""
    return None if options.run else os.environ.get(name)


def _client_id() -> str:
    return f"{secrets.randbelow(10**10):010d}.{secrets.randbelow(10**12):012d}"


def _manifest(path: Path) -> Mapping[str, Any]:
    try:
        manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror}") from None
    except yaml.YAMLError:
        raise ManifestError(f"{path} is not YAML") from None
    if not isinstance(manifest, dict):
        raise ManifestError(f"{path} is not an app manifest")
    return manifest


def _credentials(config: AppConfig, slack_url: str) -> dict[str, str]:
    """The environment of the app: an address that is set already stays as it is."""
    app = urlsplit(config.app_url)
    addresses = {
        "HOST": app.hostname or "127.0.0.1",
        "PORT": str(app.port or (443 if app.scheme == "https" else 80)),
        "PUBLIC_URL": config.app_url,
    }
    return {
        **{name: os.environ.get(name, value) for name, value in addresses.items()},
        "SLACK_CLIENT_ID": config.client_id,
        "SLACK_CLIENT_SECRET": config.client_secret,
        "SLACK_SIGNING_SECRET": config.signing_secret,
        "SLACK_BASE_URL": slack_url,
    }


def _append(path: Path, values: Mapping[str, str]) -> None:
    """Add lines to a file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.fchmod(descriptor, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        file.writelines(f"{name}={value}\n" for name, value in values.items())


def _run(command: list[str], environment: Mapping[str, str], signals: _Signals) -> int:
    try:
        child = subprocess.Popen(command, env=environment)  # noqa: S603 - the user's own words
    except OSError as error:
        return _complain(f"cannot start {command[0]}: {error.strerror}")
    signals.pass_on_to(child)
    status = child.wait()
    return status if status >= 0 else 128 - status


def _complain(sentence: str) -> int:
    sys.stderr.write(f"sandbox: {sentence}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
