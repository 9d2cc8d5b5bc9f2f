"""The program of a template process: it renders each template in a short-lived fork of itself.

A fork has no descriptors but the pipe for its result, no environment, and limits on CPU time,
memory and output; it can open no file or socket and start no process. It is killed at a deadline,
so that nothing of one template remains for the next. The program runs alone, without the rest of
Bellhop, because its memory is what a template that escapes Jinja's sandbox could read.

Requests and answers are frames: four bytes with the length, then JSON. A request has the members
`template` and `body`, an answer `output`, or `problem` and perhaps `is_slow`. A request without
`body` only checks the syntax of the template.

https://jinja.palletsprojects.com/en/stable/sandbox/ describes the sandbox,
https://man7.org/linux/man-pages/man2/getrlimit.2.html the limits.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import struct
import sys
import time
from typing import Any, NoReturn

from jinja2 import (
    ChainableUndefined,
    Template,
    TemplateError,
    TemplateSyntaxError,
    Undefined,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

# The first frame of a process.
READY = b"ready"
CPU_SECONDS = 0.25
WALL_SECONDS = 2.0
MEMORY_BYTES = 192 * 1024 * 1024
OUTPUT_LENGTH = 256 * 1024
PROBLEM_LENGTH = 300
# JSON writes a character in up to twelve bytes.
_ANSWER_BYTES = 12 * OUTPUT_LENGTH + 1024
_FRAME = struct.Struct(">I")
_READ_BYTES = 64 * 1024
_MOST_DESCRIPTORS = 64
# What Jinja imports when it is first needed, because a fork opens no file.
_WARM_UP = "{{ ['a&amp;'] | join | wordwrap(1) | striptags | pprint | tojson | plain }}"
_SLOW = "the template takes too long"
_LIMITS = {
    resource.RLIMIT_AS: MEMORY_BYTES,
    # In whole seconds; the timer is earlier.
    resource.RLIMIT_CPU: 1,
    resource.RLIMIT_NOFILE: 0,
    resource.RLIMIT_NPROC: 0,
    resource.RLIMIT_FSIZE: 0,
    resource.RLIMIT_CORE: 0,
}


class OutputError(Exception):
    """The output is too long."""

    def __init__(self) -> None:
        super().__init__(f"the output has more than {OUTPUT_LENGTH:,} characters")


class Environment(ImmutableSandboxedEnvironment):
    """The environment of all templates: missing members are empty, or null in JSON."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a member of a JSON object, even if it is named like a method of dictionaries."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def handle_exception(self, source: str | None = None) -> NoReturn:
        """Raise the current error as it is; Jinja would first import what it rewrites it with."""
        raise


def create_environment() -> Environment:
    """Return the environment, with the filter `plain`."""
    environment = Environment(undefined=ChainableUndefined, autoescape=False, cache_size=0)
    for name in ("cycler", "joiner", "lipsum"):
        del environment.globals[name]
    environment.filters["plain"] = escape_mrkdwn
    environment.policies["json.dumps_function"] = _dumps
    render(environment, _WARM_UP, None)
    return environment


def escape_mrkdwn(value: object) -> str:
    """Return any value as text in which Slack finds no link and no mention.

    https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    text = "" if value is None else str(value)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def read_frame(descriptor: int) -> bytes | None:
    """Return the next frame; None at the end of the stream."""
    head = _read_exactly(descriptor, _FRAME.size)
    return None if head is None else _read_exactly(descriptor, _FRAME.unpack(head)[0])


def write_frame(descriptor: int, content: bytes) -> None:
    """Write a frame."""
    _write_all(descriptor, _FRAME.pack(len(content)) + content)


def answer(environment: Environment, request: bytes) -> bytes:
    """Render the template of a request in a fork, and return the answer."""
    result, pipe = os.pipe()
    child = os.fork()
    if child == 0:
        _render_and_exit(environment, request, pipe)
    os.close(pipe)
    try:
        written = _collect(result, time.monotonic() + WALL_SECONDS)
    finally:
        os.close(result)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if written is None:
        return _problem(_SLOW, is_slow=True)
    content = written[_FRAME.size :]
    is_whole = written[: _FRAME.size] == _FRAME.pack(len(content))
    return content if is_whole else _problem_of(status)


def _problem_of(status: int) -> bytes:
    """Return the answer for a fork that ended before it wrote one."""
    ended_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    if ended_by in (signal.SIGPROF, signal.SIGXCPU):
        return _problem(_SLOW, is_slow=True)
    return _problem("the template uses too much memory")


def _collect(descriptor: int, deadline: float) -> bytes | None:
    """Return what a fork writes before it closes its pipe; None at the deadline."""
    pieces: list[bytes] = []
    size = 0
    while size <= _ANSWER_BYTES:
        wait = deadline - time.monotonic()
        if wait <= 0 or not select.select([descriptor], [], [], wait)[0]:
            return None
        piece = os.read(descriptor, _READ_BYTES)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        size += len(piece)
    return b""


def _render_and_exit(environment: Environment, request: bytes, pipe: int) -> NoReturn:
    try:
        _drop_privileges(pipe)
        write_frame(pipe, _rendered(environment, request))
    finally:
        # Without the handlers of the process that was forked.
        os._exit(0)


def _drop_privileges(pipe: int) -> None:
    os.closerange(0, pipe)
    os.closerange(pipe + 1, _MOST_DESCRIPTORS)
    for limit, value in _LIMITS.items():
        resource.setrlimit(limit, (value, value))
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)


def _rendered(environment: Environment, request: bytes) -> bytes:
    try:
        given = json.loads(request)
        if "body" not in given:
            environment.from_string(given["template"])
            return _json({"output": ""})
        return _json({"output": render(environment, given["template"], given["body"])})
    except MemoryError:
        return _problem("the template uses too much memory")
    except RecursionError:
        return _problem("the template or the body is nested too deep")
    except Exception as error:
        return _problem(_words(error))


def render(environment: Environment, source: str, body: Any) -> str:
    """Return the output of a template.

    Raises:
        OutputError: it is too long.
        Exception: any error of the template.
    """
    pieces: list[str] = []
    length = 0
    for piece in environment.from_string(source).generate(body=body):
        pieces.append(piece)
        length += len(piece)
        if length > OUTPUT_LENGTH:
            raise OutputError
    return "".join(pieces)


def _words(error: Exception) -> str:
    """Return an error in one line, with the line of the template."""
    line, text = _line_of(error), str(error)
    if isinstance(error, TemplateSyntaxError):
        # Its own text ends with the line.
        line, text = error.lineno, error.message or ""
    text = " ".join(text.split())
    if not isinstance(error, TemplateError | OutputError):
        text = f"{type(error).__name__}: {text}"
    return f"line {line}: {text}" if line else text


def _line_of(error: Exception) -> int | None:
    """Return the line of a template in which an error was raised."""
    line, frame = None, error.__traceback__
    while frame is not None:
        template = frame.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, Template):
            line = template.get_corresponding_lineno(frame.tb_lineno)
        frame = frame.tb_next
    return line


def _problem(text: str, *, is_slow: bool = False) -> bytes:
    return _json({"problem": text[:PROBLEM_LENGTH], "is_slow": is_slow})


def _dumps(value: Any, **options: Any) -> str:
    return json.dumps(value, default=_null_if_undefined, **options)


def _null_if_undefined(value: object) -> None:
    if not isinstance(value, Undefined):
        raise TypeError(f"{type(value).__name__} is not JSON")


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _read_exactly(descriptor: int, size: int) -> bytes | None:
    content = bytearray()
    while len(content) < size:
        piece = os.read(descriptor, min(_READ_BYTES, size - len(content)))
        if not piece:
            return None
        content += piece
    return bytes(content)


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def main() -> None:
    """Answer requests from standard input until it ends."""
    environment = create_environment()
    write_frame(sys.stdout.fileno(), READY)
    while (request := read_frame(sys.stdin.fileno())) is not None:
        write_frame(sys.stdout.fileno(), answer(environment, request))


if __name__ == "__main__":
    main()
