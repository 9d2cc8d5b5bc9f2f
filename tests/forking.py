"""Processes that are forked from one that has imported the whole application.

Importing it takes longer than what most tests do in a process of their own.
"""

from __future__ import annotations

import multiprocessing

# The standard library has one such server for all that use it.
forking = multiprocessing.get_context("forkserver")
forking.set_forkserver_preload(
    [
        "bolt_app.__main__",
        "bolt_app.application",
        "bolt_app.cli",
        # Imported at their first use.
        "bolt_app.db.migrating",
        "bolt_app.server",
        "bolt_app.worker",
        "gunicorn.app.wsgiapp",
        "slack_sandbox.__main__",
        "tests.faults.worker_process",
        "tests.forked_python",
        "tests.notifications.delivery.owner_process",
    ]
)
