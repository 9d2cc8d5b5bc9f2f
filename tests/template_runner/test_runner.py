"""Custom templates in their processes: results, limits, and attacks on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from bolt_app.config import ROOT
from bolt_app.template_runner.process import OUTPUT_LENGTH
from bolt_app.template_runner.runner import PAUSE_SECONDS, TemplateError, TemplateRunner

OWNER = "webhook:1"
SLOW = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


class Seconds:
    """A monotonic clock that a test advances."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def runner() -> Iterator[TemplateRunner]:
    """A runner without pauses, because its clock jumps ahead."""
    moments = iter(range(0, 10**9, int(2 * PAUSE_SECONDS)))
    running = TemplateRunner(monotonic=lambda: float(next(moments)))
    yield running
    running.close()


def problem_of(runner: TemplateRunner, template: str, body: Any = None) -> str:
    with pytest.raises(TemplateError) as caught:
        runner.render(OWNER, template, body)
    return str(caught.value)


@pytest.mark.parametrize(
    ("template", "body", "output"),
    [
        ("{{ body.a }} {{ body['b c'] }}", {"a": 1, "b c": "x"}, "1 x"),
        ("{{ {'title': body.name} | tojson }}", {"name": 'a "quote"\n'}, None),
        ("{{ body.missing.deeper }}|{{ body.missing | tojson }}", {}, "|null"),
        ("{{ body.text | plain }}", {"text": "<!channel> & <@U1>"}, "&lt;!channel&gt; &amp; "),
        ("{{ body.text | plain }}", {"text": None}, ""),
        ("{% for one in body %}{{ one }},{% endfor %}", [1, 2], "1,2,"),
        ("{{ body | upper }}", "text", "TEXT"),
        ("{{ '%s/%s' % (1, 2) }} {{ '{}'.format(body) }}", "x", "1/2 x"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(1) }}", None, "<1>"),
        ("{% set ns = namespace(n=0) %}{% set ns.n = 2 %}{{ ns.n }}", None, "2"),
        ("Grüße {{ body }}", "🔔", "Grüße 🔔"),
        ("{{ body.items }} {{ body.values.a }}", {"items": 1, "values": {"a": 2}}, "1 2"),
        ("{{ body.items() | list }}", {"a": 1}, "[('a', 1)]"),
        ("{{ body | wordwrap(1) }}", "a b", "a\nb"),
        ("{{ body | pprint }}{{ body | striptags }}", "&lt;", "'&lt;'<"),
        ("{{ body | urlize }}", "https://a.example", "<a href"),
        ("{{ body | dictsort }}{{ body | xmlattr }}", {"a": 1}, "[('a', 1)] a=\"1\""),
        ("{{ [1, 2] | random in [1, 2] }}{{ 2000 | filesizeformat }}", None, "True2.0 kB"),
        ("{{ body | groupby('a') | list | length }}{{ 1.5 | round }}", [{"a": 1}], "12.0"),
    ],
)
def test_the_output_of_a_template(
    runner: TemplateRunner, template: str, body: Any, output: str | None
) -> None:
    found = runner.render(OWNER, template, body)

    if output is None:
        assert json.loads(found) == {"title": body["name"]}
    else:
        assert found.startswith(output)


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("a\n{{ }", "line 2: "),
        ("a\nb\n{% for %}", "line 3: "),
        ("\n{{ 1 / 0 }}", "line 2: ZeroDivisionError: division by zero"),
        ("{{ body.a + 1 }}", "line 1: "),
        ("{{ nothing() }}", "line 1: "),
        ("{% include 'x' %}", "no loader"),
        ("{{ lipsum() }}", "line 1: "),
        ("{{ [dict] | tojson }}", "is not JSON"),
    ],
)
def test_the_problem_of_a_template(runner: TemplateRunner, template: str, problem: str) -> None:
    assert problem in problem_of(runner, template, {"a": "x"})


# Attacks by templates: all end soon, and the next template runs.

ESCAPES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ body.__init__.__globals__ }}",
    "{{ ''['__class__'] }}",
    "{{ '' | attr('__class__') }}",
    "{{ '' | attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
    "{{ [''] | map(attribute='__class__') | list }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context.eval_ctx.environment }}",
    "{{ range.__self__ }}",
    "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "{{ (1).__class__.__base__ }}",
    "{% for x in (1 for y in body).gi_frame.f_globals %}{% endfor %}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ body.update({'a': 1}) }}",
    "{{ body.clear() }}",
]
FORMATS = [
    "{{ '{0.__class__.__init__.__globals__}'.format(body) }}",
    "{{ '{a.__class__}'.format_map({'a': body}) }}",
    "{{ ('{0.__class__}' | attr('format'))(body) }}",
    "{{ '{:>999999999}'.format(1) }}",
    "{{ '%0999999999d' % 1 }}",
]
BOMBS = [
    SLOW,
    "{{ 10 ** 10 ** 10 }}",
    "{{ 'a' * 10 ** 9 }}",
    "{{ ('a' * 10 ** 6) | list | join('b' * 1000) }}",
    "{{ [[0] * 10 ** 8] }}",
    "{{ range(10 ** 9) | list }}",
    "{{ 'a' | center(10 ** 9) }}",
    "{{ ('x' * 10 ** 7) | indent(100) | wordwrap(1) }}",
    "{{ ('a ' * 10 ** 5) | replace('a', 'a' * 10 ** 5) }}",
    "{{ body | urlize }}" * 50,
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(n) %}{{ m(n + 1) }}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
    "{% set x = 'a' %}" + "{% set x = x ~ x %}" * 60 + "{{ x }}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{% if 1 %}" * 500 + "{% endif %}" * 500,
    "{{ " + "-" * 9000 + "1 }}",
    "{% for x in body recursive %}{{ loop([x]) }}{% endfor %}",
]


@pytest.mark.parametrize("template", [*ESCAPES, *FORMATS], ids=range(len(ESCAPES) + len(FORMATS)))
def test_nothing_outside_of_the_body_is_reached(runner: TemplateRunner, template: str) -> None:
    try:
        output = runner.render(OWNER, template, {"a": "b"})
    except TemplateError:
        return
    # The sandbox reads what it refuses as missing.
    assert output.strip() in ("", "[]", "None", "[Undefined]")


@pytest.mark.parametrize("template", BOMBS, ids=range(len(BOMBS)))
def test_a_bomb_ends_with_a_problem(runner: TemplateRunner, template: str) -> None:
    began = time.monotonic()

    with suppress(TemplateError):
        assert len(runner.render(OWNER, template, "a.b " * 10_000)) <= OUTPUT_LENGTH

    assert time.monotonic() - began < 10
    assert runner.render(OWNER, "{{ body }}", "fine") == "fine"


def test_the_output_is_limited(runner: TemplateRunner) -> None:
    most = "{{ 'é' * %d }}"

    assert len(runner.render(OWNER, most % OUTPUT_LENGTH, None)) == OUTPUT_LENGTH
    assert "characters" in problem_of(runner, most % (OUTPUT_LENGTH + 1))


def test_a_large_body_is_rendered(runner: TemplateRunner) -> None:
    body = {"list": ["\u0001é" * 50] * 5000}

    assert runner.render(OWNER, "{{ body.list | length }}", body) == "5000"


ESCAPED = """
import os, socket, sys
from bolt_app.template_runner import process
pipe, code = int(sys.argv[1]), sys.argv[2]
process._drop_privileges(pipe)
names = {"os": os, "socket": socket, "result": ""}
try:
    exec(code, names)
except BaseException as error:
    names["result"] = type(error).__name__
os.write(pipe, str(names["result"]).encode())
os._exit(0)
"""


class TestFork:
    """The process that a template which escapes the sandbox would be in."""

    def run(self, code: str) -> str:
        """Return what code leaves as its result in a process with the limits of a template."""
        read, write = os.pipe()
        ran = subprocess.run(  # noqa: S603
            [sys.executable, "-c", ESCAPED, str(write), code],
            cwd=ROOT,
            pass_fds=[write],
            check=False,
        )
        os.close(write)
        with open(read, "rb") as pipe:
            return pipe.read().decode() or f"signal {-ran.returncode}"

    @pytest.mark.parametrize(
        ("code", "result"),
        [
            ("open('/etc/passwd')", "OSError"),
            ("open('/tmp/bellhop-template', 'w')", "OSError"),
            ("socket.socket()", "OSError"),
            ("os.pipe()", "OSError"),
            ("bytearray(10 ** 9)", "MemoryError"),
            ("result = os.write(1, b'x')", "OSError"),
            ("result = os.read(0, 1)", "OSError"),
            ("while True: pass", "signal 27"),
        ],
    )
    def test_it_can_do_little(self, code: str, result: str) -> None:
        assert self.run(code) == result

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may always start processes")
    def test_it_starts_no_process(self) -> None:
        assert self.run("os.fork()") == "BlockingIOError"


class TestSharing:
    def test_a_template_that_takes_too_long_pauses(self) -> None:
        seconds = Seconds()
        runner = TemplateRunner(monotonic=seconds)
        try:
            assert problem_of(runner, SLOW) == "the template takes too long"
            assert "pauses" in problem_of(runner, "{{ 1 }}")
            assert runner.render("webhook:2", "{{ 1 }}", None) == "1"

            seconds.now += PAUSE_SECONDS
            assert runner.render(OWNER, "{{ 1 }}", None) == "1"
        finally:
            runner.close()

    def test_many_slow_templates_do_not_stop_others(self) -> None:
        runner = TemplateRunner(most=16)

        def slow(number: int) -> str:
            return problem_of(runner, SLOW) if number < 12 else ""

        with ThreadPoolExecutor(13) as threads:
            running = [threads.submit(slow, number) for number in range(12)]
            began = time.monotonic()
            output = runner.render("webhook:2", "{{ 1 }}", None)
            waited = time.monotonic() - began
            problems = [one.result() for one in running]
        runner.close()

        assert output == "1"
        assert waited < 3
        assert sum("pauses" in problem for problem in problems) == 11

    def test_bodies_of_one_webhook_do_not_hold_all_threads(self) -> None:
        bodies = 12
        runner = TemplateRunner(most=6)
        together = Barrier(bodies)

        def slow(_number: int) -> str:
            together.wait()
            return problem_of(runner, SLOW)

        with ThreadPoolExecutor(bodies + 1) as threads:
            running = [threads.submit(slow, number) for number in range(bodies)]
            wait(running, return_when=FIRST_COMPLETED)
            output = runner.render("webhook:2", "{{ 1 }}", None)
            problems = [one.result() for one in running]
        runner.close()

        assert output == "1"
        assert problems.count("too many bodies at once") == bodies - 4

    def test_templates_of_one_webhook_take_turns(self) -> None:
        runner = TemplateRunner(most=16)
        with ThreadPoolExecutor(8) as threads:
            outputs = list(threads.map(lambda n: runner.render(OWNER, "{{ body }}", n), range(40)))
        runner.close()

        assert outputs == [str(number) for number in range(40)]


class TestProcess:
    def test_nothing_remains_of_one_template_for_the_next(self, runner: TemplateRunner) -> None:
        for _ in range(3):
            runner.render(OWNER, "{% set x = 1 %}{% macro m() %}{% endmacro %}", None)
            assert runner.render(OWNER, "{{ x }}{{ m }}", None) == ""

    def test_a_process_that_died_is_replaced(self) -> None:
        runner = TemplateRunner()
        runner.render(OWNER, "", None)
        [idle] = runner._idle
        idle._process.kill()
        idle._process.wait()

        assert problem_of(runner, "") == "the template process ended"
        assert runner.render(OWNER, "x", None) == "x"
        runner.close()

    @pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc")
    def test_it_has_no_environment_and_no_other_descriptors(self, tmp_path: Path) -> None:
        runner = TemplateRunner()
        with (tmp_path / "secret").open("w"):
            runner.render(OWNER, "", None)
        [idle] = runner._idle
        process = Path("/proc") / str(idle._process.pid)

        assert (process / "environ").read_bytes() in (b"", b"LC_CTYPE=C.UTF-8\0")
        names = {os.readlink(one) for one in (process / "fd").iterdir()}
        assert all(name.startswith("pipe:") or name == "/dev/null" for name in names)
        runner.close()

    def test_it_ends_with_its_runner(self) -> None:
        runner = TemplateRunner()
        runner.render(OWNER, "", None)
        [idle] = runner._idle

        runner.close()

        assert idle._process.returncode is not None


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ body.x", "line 1: unexpected end of template, expected 'end of print statement'."),
        ("\n{{ body | nofilter }}", "line 2: No filter named 'nofilter'."),
    ],
)
def test_the_syntax_is_checked_without_a_body(
    runner: TemplateRunner, template: str, problem: str
) -> None:
    with pytest.raises(TemplateError) as caught:
        runner.check(OWNER, template)

    assert str(caught.value) == problem
    assert problem_of(runner, template) == problem


def test_a_check_runs_nothing(runner: TemplateRunner) -> None:
    runner.check(OWNER, "{{ 1 / body }}")
    runner.check(OWNER, SLOW)
