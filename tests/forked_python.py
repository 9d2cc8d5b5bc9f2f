"""`python` with arguments, in a process that is forked instead of started.

The fork has what a new interpreter has: the environment, the folder, `sys.argv`, `sys.path[0]`, the
standard streams, `__main__`, handlers of signals and exit status. Only the options of the
interpreter itself, such as `-X` and `PYTHONIOENCODING`, need a new one.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing.reduction import DupFd
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType, TracebackType
from typing import Any, TextIO

from bolt_app.config import ROOT
from tests.forking import forking

# As of streams in the C locale (https://docs.python.org/3/library/sys.html#sys.stdin).
_ERRORS = "surrogateescape", "surrogateescape", "backslashreplace"


class ForkedPython:
    """A running `python script.py`, `python -m module` or `python -c code`.

    It has the methods of `subprocess.Popen[str]` that tests use.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        stdin: int = 0,
        stdout: int = 1,
        stderr: int = 2,
    ) -> None:
        """Fork it.

        Args:
            command: begins with `sys.executable`.
            env: its whole environment, by default that of the tests.
            stdin: a descriptor.
            stdout, stderr: a descriptor, or `subprocess.PIPE`.
        """
        assert command[0] == sys.executable
        self.returncode: int | None = None
        self.stdout, self.stderr = None, None
        theirs = [stdin, stdout, stderr]
        if stdout == subprocess.PIPE:
            self.stdout, theirs[1] = _pipe()
        if stderr == subprocess.PIPE:
            self.stderr, theirs[2] = _pipe()
        environment = dict(os.environ if env is None else env)
        streams = [_Descriptor(number) for number in theirs]
        self._process = forking.Process(
            target=_run, args=([*command[1:]], environment, cwd, streams), daemon=True
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid
        for given, number in zip((stdin, stdout, stderr), theirs, strict=True):
            if given == subprocess.PIPE:
                os.close(number)

    def __enter__(self) -> ForkedPython:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the streams and wait for the end."""
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self.wait()

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, or `None` while it runs."""
        self.returncode = self._process.exitcode
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit status.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        self._process.join(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def run_forked(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    input: str = "",
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; return its status and what it printed.

    Raises:
        subprocess.CalledProcessError: it failed, and `check` is set.
    """
    with TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        paths = [Path(folder, name) for name in ("input", "output", "errors")]
        paths[0].write_text(input)
        descriptors = []
        for path, mode in zip(paths, ("r", "w", "w"), strict=True):
            descriptors.append(stack.enter_context(path.open(mode)).fileno())
        stdin, stdout, stderr = descriptors
        process = ForkedPython(command, env=env, cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr)
        try:
            status = process.wait(60)
        finally:
            process.kill()
        output, errors = (path.read_text() for path in paths[1:])
    done = subprocess.CompletedProcess([*command], status, output, errors)
    if check:
        done.check_returncode()
    return done


def _pipe() -> tuple[TextIO, int]:
    """Return a stream to read from, and the descriptor to write to."""
    ours, theirs = os.pipe()
    return open(ours, encoding="utf-8"), theirs


class _Descriptor:
    """A descriptor of this process, which is a number in the other."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Any, tuple[Any]]:
        return _detach, (DupFd(self._number),)


def _detach(duplicate: Any) -> int:
    number: int = duplicate.detach()
    return number


def _run(
    arguments: list[str], environment: Mapping[str, str], folder: Path, streams: list[int]
) -> None:
    """Become `python` with arguments."""
    # A server collects garbage before it forks: over all that is imported here it would take more
    # time than the rest of its start.
    gc.freeze()
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    _replace_streams(streams)
    os._exit(_status_of(arguments))


def _replace_streams(descriptors: list[int]) -> None:
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin, sys.stdout, sys.stderr = (
        open(  # noqa: SIM115
            number,
            "r" if number == 0 else "w",
            encoding="utf-8",
            errors=_ERRORS[number],
            buffering=1 if number == 2 else -1,
            closefd=False,
        )
        for number in range(3)
    )


def _status_of(arguments: list[str]) -> int:
    """Run a program and what it has left for its end; return the exit status."""
    try:
        _run_main(*arguments)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if end.code is not None and status is not end.code:
            print(end.code, file=sys.stderr)  # noqa: T201
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def _run_main(option: str, *arguments: str) -> None:
    """Run a module, code or a script as `__main__`."""
    if option == "-m":
        name, *rest = arguments
        # The server of the forks has imported it for other tests.
        sys.modules.pop(f"{name}.__main__", None)
        sys.path.insert(0, str(Path.cwd()))
        sys.argv = [name, *rest]
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    elif option == "-c":
        code, *rest = arguments
        main = sys.modules["__main__"] = ModuleType("__main__")
        sys.path.insert(0, "")
        sys.argv = ["-c", *rest]
        exec(compile(code, "<string>", "exec"), vars(main))  # noqa: S102
    else:
        sys.path.insert(0, str(Path(option).resolve().parent))
        sys.argv = [option, *arguments]
        runpy.run_path(option, run_name="__main__")
