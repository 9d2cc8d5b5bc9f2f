"""Calls to Slack's Web API and response URLs, each sent once over a pooled connection."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.proxy_env_variable_loader import load_http_proxy_from_env
from slack_sdk.web import WebClient
from slack_sdk.web.async_client import AsyncWebClient
from yarl import URL

from bolt_app.http_loop import HttpLoop
from bolt_app.logs import describe_error
from bolt_app.slack_api.errors import SlackCallError, error_of

logger = logging.getLogger(__name__)

# More than a process has threads that call Slack, unless its operator wants very many.
MOST_CONNECTIONS = 100
# Slack does not say when it closes idle connections. A minute is usual; this is well below it.
IDLE_SECONDS = 15.0
MAX_ANSWER_BYTES = 64 * 1024
RESPONSE_URL = "response_url"

BeforeRequest = Callable[[], Awaitable[None]]


@dataclass
class _Attempt:
    """A request on its way.

    Attributes:
        before_request: awaited when a connection is there and nothing was sent.
        is_begun: whether some of the request may have been sent.
    """

    before_request: BeforeRequest | None = None
    is_begun: bool = False


_attempt: ContextVar[_Attempt] = ContextVar("attempt")


class SlackApi:
    """Calls Slack's Web API, once each: whether to try again is the caller's to decide.

    slack_sdk's own retries are off, because a connection that breaks after Slack took a message
    would post it twice; aiohttp does not repeat a POST. Redirects are not followed.
    """

    def __init__(
        self,
        api_url: str,
        http: HttpLoop,
        *,
        timeout: float = 10,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Take what it works with.

        Args:
            api_url: the Web API's base address.
            http: runs the requests and keeps the connections.
            timeout: seconds from waiting for a connection to the last byte of the answer.
            tls: which certificates are trusted; the system's by default.
        """
        self._api_url = api_url
        self._http = http
        self._timeout = timeout
        self._tls = tls
        self._client: AsyncWebClient | None = None

    def client(self) -> WebClient:
        """Return the synchronous `WebClient` without a token that Bolt's OAuth flow insists on.

        Bellhop's flow makes its calls through `call`; nothing is sent with this one.
        """
        return WebClient(base_url=self._api_url, retry_handlers=[])

    def call(self, token: str | None, method: str, /, **arguments: Any) -> dict[str, Any]:
        """Call `method` with `arguments` (those that are None are left out).

        Returns: Slack's answer.

        Raises:
            SlackCallError: Slack refused, or no answer came.
        """
        attempt = _Attempt()
        with _answered(method, attempt):
            call = self._call(attempt, token, method, arguments)
            return self._http.run(call, self._timeout)

    async def call_async(
        self,
        token: str | None,
        method: str,
        /,
        *,
        before_request: BeforeRequest | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Call `method` from a coroutine on the HTTP loop.

        Args:
            before_request: awaited when a connection is free, right before the request is sent and
                within the timeout. It stops the call by raising, best a `NotSentError`.

        Raises:
            SlackCallError: Slack refused, or no answer came.
        """
        attempt = _Attempt(before_request)
        with _answered(method, attempt):
            return await self._call(attempt, token, method, arguments)

    def post_to(self, url: str, message: Mapping[str, Any]) -> int:
        """Post a message to a response URL, which the caller has checked; return the HTTP status.

        Raises:
            SlackCallError: no answer came.
        """
        attempt = _Attempt()
        with _answered(RESPONSE_URL, attempt):
            return self._http.run(self._post_to(attempt, url, message), self._timeout)

    async def _call(
        self, attempt: _Attempt, token: str | None, method: str, arguments: Mapping[str, Any]
    ) -> dict[str, Any]:
        given = {name: value for name, value in arguments.items() if value is not None}
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        body = {"json": given} if _needs_json(given) else {"data": _form(given)}
        with _current(attempt):
            response = await self._web_client().api_call(method, headers=headers, **body)
        return dict(response.data) if isinstance(response.data, dict) else {}

    async def _post_to(self, attempt: _Attempt, url: str, message: Mapping[str, Any]) -> int:
        session = self._http.session(self._create_session)
        with _current(attempt):
            async with session.post(
                URL(url, encoded=True), json=message, proxy=_proxy(url), allow_redirects=False
            ) as response:
                # Read to its end, the connection can be used again.
                await response.content.read(MAX_ANSWER_BYTES)
                return response.status

    def _web_client(self) -> AsyncWebClient:
        session = self._http.session(self._create_session)
        client = self._client
        if client is None or client.session is not session:
            # Of nobody: each call brings its token. A client costs more to make than a call.
            client = AsyncWebClient(base_url=self._api_url, session=session, retry_handlers=[])
            client.proxy = _proxy(self._api_url)
            self._client = client
        return client

    def _create_session(self) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        # aiohttp sends the first bytes after this signal.
        trace.on_request_headers_sent.append(_before_request)
        trace.on_request_redirect.append(_refuse_redirect)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=self._tls or True, limit=MOST_CONNECTIONS, keepalive_timeout=IDLE_SECONDS
            ),
            # slack_sdk leaves the timeout to the session. aiohttp would round one above 5 s up.
            timeout=aiohttp.ClientTimeout(total=self._timeout, ceil_threshold=self._timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
        )


@contextmanager
def _current(attempt: _Attempt) -> Iterator[None]:
    """Let the session's signals see the attempt, whose signature slack_sdk decides."""
    token = _attempt.set(attempt)
    try:
        yield
    finally:
        _attempt.reset(token)


@contextmanager
def _answered(method: str, attempt: _Attempt) -> Iterator[None]:
    """Raise SlackCallError in place of what aiohttp and slack_sdk raise."""
    try:
        yield
    except SlackApiError as error:
        raise error_of(method, error) from None
    except (aiohttp.ClientError, SlackClientError, OSError) as error:
        raise _unanswered(method, attempt, error) from None
    except (AttributeError, ValueError) as error:
        if not attempt.is_begun:
            raise
        # slack_sdk takes every answer for JSON of an object; this one is neither.
        raise _unanswered(method, attempt, error) from None


def _unanswered(method: str, attempt: _Attempt, error: Exception) -> SlackCallError:
    extra = {"method": method, "error": describe_error(error)}
    logger.warning("no answer from Slack", extra=extra)
    return SlackCallError(method, "unavailable", ambiguous=attempt.is_begun)


async def _before_request(*_signal: object) -> None:
    attempt = _attempt.get()
    if attempt.before_request is not None:
        await attempt.before_request()
    attempt.is_begun = True


async def _refuse_redirect(*_signal: object) -> None:
    raise aiohttp.ClientPayloadError("redirects are not followed")


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for an address, as slack_sdk's client finds it.

    slack_sdk's asynchronous client ignores NO_PROXY.
    """
    return None if proxy_bypass(urlsplit(url).netloc) else load_http_proxy_from_env(logger)


def _needs_json(arguments: Mapping[str, Any]) -> bool:
    return any(isinstance(value, dict | list) for value in arguments.values())


def _form(arguments: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: str(int(value)) if isinstance(value, bool) else str(value)
        for name, value in arguments.items()
    }
