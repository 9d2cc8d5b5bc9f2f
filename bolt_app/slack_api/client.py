"""The client of Slack's Web API: each call is sent once, over a pooled connection."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator, Mapping
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
from bolt_app.slack_api.errors import OVERLOADED, UNAVAILABLE, SlackCallError, error_of
from bolt_app.thread_limit import SlackWaits

logger = logging.getLogger(__name__)

# More than a process has threads that call Slack, unless configured otherwise.
MOST_CONNECTIONS = 100
# Slack does not document when it closes idle connections. A minute is common; this is well below.
IDLE_SECONDS = 15.0
MAX_ANSWER_BYTES = 64 * 1024
RESPONSE_URL = "response_url"
UPLOAD = "upload"
# Calls that answer a person's click. Only people who may use Bellhop cause them.
_ANSWERS = frozenset({RESPONSE_URL, "views.open"})
# For the bytes of a file.
UPLOAD_SECONDS = 60.0

BeforeRequest = Callable[[], Awaitable[None]]


@dataclass
class _Attempt:
    """The state of a request.

    Attributes:
        before_request: awaited once there is a connection, before anything is sent.
        is_begun: whether part of the request may have been sent.
    """

    before_request: BeforeRequest | None = None
    is_begun: bool = False


_attempt: ContextVar[_Attempt] = ContextVar("attempt")


class SlackApi:
    """Calls Slack's Web API without retries, which are up to the caller.

    slack_sdk's retries are disabled, because a connection that fails after Slack accepted a message
    would post it twice; aiohttp does not repeat a POST. Redirects are not followed.
    """

    def __init__(
        self,
        api_url: str,
        http: HttpLoop,
        *,
        waits: SlackWaits | None = None,
        timeout: float = 10,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Configure the client.

        Args:
            api_url: the base URL of the Web API.
            http: the loop that runs requests and owns the connections.
            waits: limits the threads that wait in `call` and `post_to`; None: nothing does.
            timeout: seconds, from waiting for a connection to the last byte of the response.
            tls: the TLS settings; default: the system's certificates.
        """
        self._api_url = api_url
        self._http = http
        self._waits = waits
        self._timeout = timeout
        self._tls = tls
        self._client: AsyncWebClient | None = None

    def client(self) -> WebClient:
        """Return the synchronous `WebClient` without a token that Bolt's OAuth flow requires.

        Bellhop's flow uses `call` instead; nothing is sent with this client.
        """
        return WebClient(base_url=self._api_url, retry_handlers=[])

    def call(self, token: str | None, method: str, /, **arguments: Any) -> dict[str, Any]:
        """Call `method` with `arguments`, except the ones that are None.

        Returns: Slack's response.

        Raises:
            SlackCallError: Slack refused the call or did not answer, or too many threads wait for
                Slack (`overloaded`).
        """
        attempt = _Attempt()
        with self.room(method), _answered(method, attempt):
            call = self._call(attempt, token, method, arguments)
            return self._http.run(call, self._timeout)

    @contextmanager
    def room(self, method: str) -> Iterator[None]:
        """Let this thread wait for calls of a method, until the context ends.

        Raises:
            SlackCallError: too many threads wait for Slack (`overloaded`).
        """
        if self._waits is None:
            yield
            return
        with self._waits.calling(is_answer=method in _ANSWERS) as has_room:
            if not has_room:
                raise SlackCallError(method, OVERLOADED)
            yield

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
            before_request: awaited once a connection is free, just before the request is sent and
                within the timeout. It can stop the call by raising, preferably `NotSentError`.

        Raises:
            SlackCallError: Slack refused the call or did not answer.
        """
        attempt = _Attempt(before_request)
        with _answered(method, attempt):
            return await self._call(attempt, token, method, arguments)

    def post_to(self, url: str, message: Mapping[str, Any]) -> int:
        """Post a message to a response URL that the caller has checked; return the HTTP status.

        Raises:
            SlackCallError: Slack did not answer, or too many threads wait for it (`overloaded`).
        """
        attempt = _Attempt()
        with self.room(RESPONSE_URL), _answered(RESPONSE_URL, attempt):
            return self._http.run(self._post_to(attempt, url, message), self._timeout)

    async def upload_to(self, url: str, data: AsyncIterable[bytes], length: int) -> int:
        """Send bytes to an upload URL that the caller has checked; return the HTTP status.

        It takes up to `UPLOAD_SECONDS`.

        Raises:
            SlackCallError: Slack did not answer.
        """
        attempt = _Attempt()
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
        session = self._http.session(self._create_session)
        with _answered(UPLOAD, attempt), _current(attempt):
            async with session.post(
                URL(url, encoded=True),
                data=data,
                headers=headers,
                proxy=_proxy(url),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=UPLOAD_SECONDS),
            ) as response:
                await response.content.read(MAX_ANSWER_BYTES)
                return response.status

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
                # Reading to the end makes the connection reusable.
                await response.content.read(MAX_ANSWER_BYTES)
                return response.status

    def _web_client(self) -> AsyncWebClient:
        session = self._http.session(self._create_session)
        client = self._client
        if client is None or client.session is not session:
            # Without a token: each call has its own. Creating a client costs more than a call.
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
            # slack_sdk leaves the timeout to the session. aiohttp would round up one above 5 s.
            timeout=aiohttp.ClientTimeout(total=self._timeout, ceil_threshold=self._timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[trace],
        )


@contextmanager
def _current(attempt: _Attempt) -> Iterator[None]:
    """Make the attempt available to the session's signals, whose signature is fixed."""
    token = _attempt.set(attempt)
    try:
        yield
    finally:
        _attempt.reset(token)


@contextmanager
def _answered(method: str, attempt: _Attempt) -> Iterator[None]:
    """Convert errors of aiohttp and slack_sdk to `SlackCallError`."""
    try:
        yield
    except SlackApiError as error:
        raise error_of(method, error) from None
    except (aiohttp.ClientError, SlackClientError, OSError) as error:
        raise _unanswered(method, attempt, error) from None
    except (AttributeError, ValueError) as error:
        if not attempt.is_begun:
            raise
        # slack_sdk assumes that every response is a JSON object; this one is not.
        raise _unanswered(method, attempt, error) from None


def _unanswered(method: str, attempt: _Attempt, error: Exception) -> SlackCallError:
    extra = {"method": method, "error": describe_error(error)}
    logger.warning("no answer from Slack", extra=extra)
    return SlackCallError(method, UNAVAILABLE, ambiguous=attempt.is_begun)


async def _before_request(*_signal: object) -> None:
    attempt = _attempt.get()
    if attempt.before_request is not None:
        await attempt.before_request()
    attempt.is_begun = True


async def _refuse_redirect(*_signal: object) -> None:
    raise aiohttp.ClientPayloadError("redirects are not followed")


def _proxy(url: str) -> str | None:
    """Return the proxy for a URL from the environment, like slack_sdk's synchronous client.

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
