"""Bellhop and the stand-in for Slack, served over real HTTP."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from http.cookiejar import CookieJar
from ipaddress import ip_network
from threading import Thread
from time import monotonic
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPHandler, OpenerDirector, Request

import psycopg
import yaml
from flask import Flask
from sqlalchemy import make_url
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

from bolt_app.application import create_app
from bolt_app.config import Settings
from bolt_app.delays import Delays
from bolt_app.manifest import PLACEHOLDER_HOST, PLACEHOLDER_ORIGIN, manifest_with_step
from bolt_app.services import Services
from slack_sandbox import AppConfig, Sandbox, SandboxServer
from slack_sandbox.world import View
from tests.repeated_installs import MadeInstalls, RepeatedInstalls
from tests.restored_rows import PostgresRows, Rows, SqliteRows

T = TypeVar("T")
CLIENT_ID = "111.222"
CLIENT_SECRET = "client-secret"
SIGNING_SECRET = "signing-secret"
# A busy machine may be slow; tests of three seconds choose shorter delays themselves.
PATIENCE_SECONDS = 30.0
SESSION_SECRET = "session-secret-of-at-least-32-characters"


class Ports(NamedTuple):
    """The ports of the app and of the stand-in; 0 for any free one."""

    app: int
    slack: int


FREE_PORTS = Ports(0, 0)


@dataclass(frozen=True)
class Repetition:
    """Installs of earlier tests with the same ports, to be restored."""

    ports: Ports
    installs: MadeInstalls
    postgres: psycopg.Connection[Any] | None = None

    def rows(self, database_url: str) -> Rows:
        """Return the rows of a test's database."""
        if self.postgres is not None:
            return PostgresRows(self.postgres)
        return SqliteRows(str(make_url(database_url).database))


@dataclass(frozen=True)
class Page:
    """A server's response."""

    url: str
    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def location(self) -> str:
        """The target of a redirect."""
        return urljoin(self.url, str(self.headers["Location"]))

    def json(self) -> Any:
        """Return the body read as JSON."""
        return json.loads(self.text)


# Returns every response as it is. An opener for each browser would take longer than a request.
_OPENER = OpenerDirector()
_OPENER.add_handler(HTTPHandler())


class Browser:
    """Requests pages and keeps cookies; follows no redirects."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.cookies = CookieJar()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Page:
        """GET a path of the app, or any address."""
        return self._open(Request(urljoin(self.base_url, path), headers=dict(headers or {})))  # noqa: S310

    def post(
        self, path: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> Page:
        """POST a form."""
        data = urlencode(form).encode()
        return self._open(
            Request(urljoin(self.base_url, path), data=data, headers=dict(headers or {}))  # noqa: S310
        )

    def _open(self, request: Request) -> Page:
        self.cookies.add_cookie_header(request)
        with _OPENER.open(request, timeout=20) as answer:
            self.cookies.extract_cookies(answer, request)
            return Page(request.full_url, answer.status, answer.headers, answer.read().decode())


@dataclass
class Bellhop:
    """One running app beside one running stand-in."""

    app: Flask
    url: str
    slack: Sandbox
    slack_url: str
    clock: Any
    settings: Settings
    installs: RepeatedInstalls | None = None

    @property
    def services(self) -> Services:
        """The services of the app."""
        services: Services = self.app.extensions["bellhop"]
        return services

    def browser(self) -> Browser:
        """Return a browser without cookies."""
        return Browser(self.url)

    def install(
        self,
        user_id: str,
        *,
        browser: Browser | None = None,
        query: str = "",
        optional: Collection[str] = (),
        team_id: str | None = None,
        whole_organization: bool = False,
    ) -> tuple[Browser, Page]:
        """Let a person click Add to Slack and approve; return the final response.

        Args:
            optional: the optional scopes that the person grants.
            team_id: the workspace that the person chooses, instead of their own.
            whole_organization: whether the person chooses the organization.
        """
        browser, is_new = browser or self.browser(), browser is None

        def install() -> Page:
            to_slack = browser.get(f"/slack/install{query}")
            assert to_slack.status == 302, to_slack.text
            callback = self.slack.authorize(
                user_id,
                to_slack.location,
                team_id=team_id,
                whole_organization=whole_organization,
                optional=optional,
            )
            return browser.get(callback)

        if self.installs is None or not is_new:
            return browser, install()
        step = user_id, query, tuple(optional), team_id, whole_organization
        page = self.installs.make(step, browser.cookies, install)
        self.services.client.forget_workspace(None)
        return browser, page

    def begin(self, setup: Callable[[Bellhop], T]) -> T:
        """Return the result of a setup with which several tests begin, made or restored.

        The result must not refer to the app, which is another one in each test.
        """
        if self.installs is None:
            return setup(self)
        result: T = self.installs.make(setup, CookieJar(), lambda: setup(self))
        self.services.client.forget_workspace(None)
        return result

    def settle(self) -> None:
        """Deliver Slack's events, and wait until lifecycle events have taken effect."""
        self.slack.deliver_due()
        self.services.installation_checks.run()
        self.services.client.forget_workspace(None)

    def wait_for_ephemeral(self, user_id: str, words: str) -> None:
        """Wait until a person sees an ephemeral message that contains `words`."""
        self._wait_for(
            words, lambda: [[one.text, one.blocks] for one in self.slack.ephemerals(user_id)]
        )

    def wait_for_home(self, team_id: str, user_id: str, words: str) -> None:
        """Wait until a person's App Home contains `words`."""
        self._wait_for(words, lambda: _blocks(self.slack.home_view(team_id, user_id)))

    def wait_for_modal(self, user_id: str, words: str) -> None:
        """Wait until a person's open modal contains `words`."""
        self._wait_for(words, lambda: _blocks(self.slack.open_modal(user_id)))

    def _wait_for(self, words: str, look: Callable[[], Any]) -> None:
        version, seen, ends = self.slack.version, "", monotonic() + 30
        while monotonic() < ends:
            seen = json.dumps(look(), ensure_ascii=False)
            if words in seen:
                return
            version = self.slack.wait_for_change(version, 1)
        raise AssertionError(f"{words!r} did not come, only {seen}")


def _blocks(view: View | None) -> Any:
    return None if view is None else view.blocks


class _QuietHandler(WSGIRequestHandler):
    def log_request(self, *_args: object) -> None:
        """Log nothing: the app has its own log, which keeps codes out."""


@contextmanager
def serving(app: Any, port: int = 0) -> Iterator[tuple[str, Any]]:
    """Serve a WSGI app on a port, or on any free one; yield its address and the server."""
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=_QuietHandler)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}", server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def running_bellhop(
    database_url: str,
    encryption_key: str,
    clock: Any,
    repetition: Repetition | None = None,
    /,
    **changes: Any,
) -> Iterator[Bellhop]:
    """Run the app and the stand-in; `changes` override the tests' settings."""
    ports = FREE_PORTS if repetition is None else repetition.ports
    with ExitStack() as stack:
        apps: list[Flask] = []
        # In reverse order of start: Slack stops sending, the server stops, the app closes.
        stack.callback(lambda: [app.extensions["bellhop"].close() for app in apps])
        url, server = stack.enter_context(serving(Response("not yet", status=503), ports.app))
        config = AppConfig.from_manifest(
            _manifest(url),
            app_url=url,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            signing_secret=SIGNING_SECRET,
        )
        slack = stack.enter_context(SandboxServer(config, port=ports.slack, clock=clock.timestamp))
        slack.sandbox.answer_within = PATIENCE_SECONDS
        settings = settings_for(url, slack.url, database_url, encryption_key, **changes)
        app = create_app(settings, clock=clock)
        apps.append(app)
        server.app = app
        bellhop = Bellhop(app, url, slack.sandbox, slack.url, clock, settings)
        if repetition is not None:
            bellhop.installs = stack.enter_context(repeated(repetition, bellhop, changes))
        yield bellhop


@contextmanager
def repeated(
    repetition: Repetition, bellhop: Bellhop, changes: Mapping[str, Any]
) -> Iterator[RepeatedInstalls]:
    """Let an app that has just started restore installs of earlier tests with its settings."""
    threads = bellhop.services.requests, bellhop.services.background
    with closing(
        RepeatedInstalls(
            repetition.installs,
            repetition.rows(bellhop.settings.database_url),
            bellhop.slack,
            [one for one in threads if isinstance(one, ThreadPoolExecutor)],
            bellhop.clock,
            repr(changes),
        )
    ) as installs:
        yield installs


def _manifest(url: str) -> Any:
    """Return the manifest with the URLs of the app at `url`."""
    text = _manifest_json().replace(PLACEHOLDER_ORIGIN, url)
    return json.loads(text.replace(PLACEHOLDER_HOST, "127.0.0.1"))


@cache
def _manifest_json() -> str:
    """Return the manifest as JSON, which parses a hundred times faster than YAML."""
    return json.dumps(yaml.safe_load(manifest_with_step(PLACEHOLDER_ORIGIN)))


def settings_for(
    url: str, slack_url: str, database_url: str, encryption_key: str, **changes: Any
) -> Settings:
    """Return the settings of a test's app."""
    values: dict[str, Any] = {
        "slack_client_id": CLIENT_ID,
        "slack_client_secret": CLIENT_SECRET,
        "slack_signing_secret": SIGNING_SECRET,
        "slack_base_url": slack_url,
        "database_url": database_url,
        "public_url": url,
        "encryption_keys": (encryption_key,),
        "session_secret": SESSION_SECRET,
        "callback_networks": (ip_network("127.0.0.0/8"),),
        # Without a worker no message gets Slack's ts.
        "delays": replace(Delays(), acknowledgement=PATIENCE_SECONDS, message_result=0),
    }
    return Settings(**{**values, **changes})
