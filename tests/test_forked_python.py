"""A fork does what a new interpreter does with the same command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forked_python import ForkedPython, run_forked

STATE = """
import json, logging, os, signal, sys
print(json.dumps([
    sys.argv, sys.path[0], os.getcwd(), dict(os.environ), __name__, sys.stdin.read(),
    [[stream.encoding, stream.errors] for stream in (sys.stdin, sys.stdout, sys.stderr)],
    [str(signal.getsignal(number)) for number in range(1, signal.NSIG)],
    sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    [str(handler) for handler in logging.root.handlers], logging.root.level,
    sys.modules["__main__"].STATE,
]))
"""
PROGRAMS = {
    "its state": f"STATE = 1\n{STATE}",
    "a status": "import sys; sys.exit(3)",
    "a sentence": "import sys; sys.exit('It cannot start.')",
    "an end": "import sys; sys.exit()",
    "a signal": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "an end of its own": "import os; print('unseen', end=''); os._exit(4)",
    "what is left to do": (
        "import atexit, threading, time\n"
        "atexit.register(print, 'third')\n"
        "threading.Thread(target=lambda: [time.sleep(0.1), print('second')]).start()\n"
        "print('first')\n"
    ),
}
ENVIRONMENT = {"PATH": "/usr/bin", "COLOR": "grün", "TZ": "Asia/Kolkata", "LC_CTYPE": "C.UTF-8"}


def test_it_ends_and_prints_the_same(tmp_path: Path, subtests: pytest.Subtests) -> None:
    commands = {name: [sys.executable, "-c", code, "x", "ü"] for name, code in PROGRAMS.items()}
    script = tmp_path / "script.py"
    script.write_text(PROGRAMS["its state"])
    commands |= {
        "a script": [sys.executable, "script.py", "a b"],
        "a module": [sys.executable, "-m", "script", "-c"],
    }
    for name, command in commands.items():
        with subtests.test(name):
            new = subprocess.run(  # noqa: S603
                command,
                cwd=tmp_path,
                env=ENVIRONMENT,
                input="first\nlast",
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

            fork = run_forked(command, cwd=tmp_path, env=ENVIRONMENT, input="first\nlast")

            assert vars(fork) == vars(new)


def test_an_exception_ends_it() -> None:
    fork = run_forked([sys.executable, "-c", "def f():\n  raise ValueError('x')\nf()"])

    assert (fork.returncode, fork.stdout) == (1, "")
    assert fork.stderr.startswith("Traceback (most recent call last):\n")
    assert fork.stderr.endswith("ValueError: x\n")


def test_it_is_read_and_ended_while_it_runs() -> None:
    command = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)"]
    with ForkedPython(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0)
        assert os.getpgid(process.pid)
        process.terminate()
        assert process.stdout.read() == ""
        assert process.wait(30) == -signal.SIGTERM
        process.kill()
