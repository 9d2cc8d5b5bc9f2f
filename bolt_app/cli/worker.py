"""The `worker` command: delivers notifications in a separate process."""

from __future__ import annotations

from contextlib import ExitStack

from flask import Flask

from bolt_app.cli.errors import fail, one_line_errors
from bolt_app.cli.output import print_line
from bolt_app.db import schema
from bolt_app.health_server import serving_health
from bolt_app.services import FindServices, Services
from bolt_app.worker import create_worker


def register(app: Flask, find_services: FindServices) -> None:
    """Register the command."""

    @app.cli.command("worker")
    @one_line_errors
    def worker() -> None:
        """Deliver accepted notifications until SIGTERM or Ctrl-C."""
        services = find_services()
        if services.settings.worker_threads == 0:
            fail("WORKER_THREADS is 0, so this worker cannot deliver. Set it to 1 or more.")
        schema.require_current(services.database)
        with ExitStack() as stack:
            _serve_health(services, stack)
            print_line("Delivering. Stop with Ctrl-C.", err=True)
            create_worker(services).run()
        services.close()


def _serve_health(services: Services, stack: ExitStack) -> None:
    host, port = services.settings.host, services.settings.health_port
    if port == 0:
        return
    try:
        stack.enter_context(serving_health(services.readiness, host, port))
    except OSError as error:
        fail(f"HEALTH_PORT {port} on {host} cannot be used: {error.strerror}.")
