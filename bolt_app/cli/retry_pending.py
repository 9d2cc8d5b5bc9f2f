"""The `retry-pending` command: retries work that failed because Slack did not answer."""

from __future__ import annotations

from flask import Flask

from bolt_app.cli.errors import fail, one_line_errors
from bolt_app.cli.output import print_line
from bolt_app.services import FindServices


def register(app: Flask, find_services: FindServices) -> None:
    """Register the command."""

    @app.cli.command("retry-pending")
    @one_line_errors
    def retry_pending() -> None:
        """Retry pending profiles, token revocations and installation checks."""
        services = find_services()
        recorded, record_errors = services.profiles.record_pending()
        revoked, revoke_errors = services.revocations.revoke_pending()
        checked, check_errors = services.installation_checks.run()
        print_line(
            f"Profiles recorded: {recorded}. Tokens revoked: {revoked}. "
            f"Installations checked: {checked}."
        )
        errors = [*record_errors, *revoke_errors, *check_errors]
        if errors:
            fail(f"Still pending: {len(errors)}. {errors[0].sentence}")
