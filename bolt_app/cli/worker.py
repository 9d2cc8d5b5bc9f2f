"""`worker`: delivers, in a process of its own."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import click
from flask import Flask

from bolt_app.cli.errors import fail, one_line_errors
from bolt_app.db import schema
from bolt_app.delivery import create_worker
from bolt_app.health_server import serving_health
from bolt_app.services import Services


def register(app: Flask, services: Services) -> None:
    """Add the command."""

    @app.cli.command("worker")
    @one_line_errors
    def worker() -> None:
        """Deliver what was accepted, until SIGTERM or Ctrl-C."""
        if services.settings.worker_threads == 0:
            fail("WORKER_THREADS is 0, so there is nothing to deliver with: set it to 1 or more.")
        schema.require_current(services.database)
        with _health_addresses(services):
            click.echo("Delivering. Stop with Ctrl-C.", err=True)
            create_worker(services).run()
        services.close()


def _health_addresses(services: Services) -> AbstractContextManager[object]:
    settings = services.settings
    if settings.health_port == 0:
        return nullcontext()
    return serving_health(services.readiness, settings.host, settings.health_port)
