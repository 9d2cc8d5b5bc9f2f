"""Errors of commands: one line on standard error, and a nonzero exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import NoReturn, ParamSpec, TypeVar

from bolt_app.cli.output import print_line
from bolt_app.db import DATABASE_UNAVAILABLE, DecryptionError
from bolt_app.db.schema import SchemaError
from bolt_app.logs import describe_error
from bolt_app.notifications.delivery.errors import OwnershipError
from bolt_app.slack_api import SlackCallError
from bolt_app.workspaces.client import NotInstalledError

P = ParamSpec("P")
R = TypeVar("R")

FAILED = 1
# The status that click uses for invalid options and arguments.
MISUSED = 2


def one_line_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Decorate a command to report expected errors in one line."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except SlackCallError as error:
            fail(f"{error.sentence} ({error.method}: {error.code})")
        except (NotInstalledError, SchemaError, DecryptionError, OwnershipError) as error:
            fail(str(error))
        except DATABASE_UNAVAILABLE as error:
            fail(f"The database is not answering: {describe_error(error)}")

    return run


def fail(*sentences: str, status: int = FAILED) -> NoReturn:
    """Print the sentences of an error, each in a line, and exit."""
    for sentence in sentences:
        print_line(sentence, err=True)
    sys.exit(status)
