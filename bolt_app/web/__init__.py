"""HTTP: pages for people, the API, webhooks, health checks and errors."""

from __future__ import annotations

from flask import Flask

from bolt_app.services import Services
from bolt_app.web import (
    api,
    client_addresses,
    csrf,
    errors,
    forms,
    headers,
    health,
    inputs,
    methods,
    sessions,
    uploads,
    webhooks,
)
from bolt_app.web.pages import files as file_pages
from bolt_app.web.pages import notifications as notification_pages
from bolt_app.web.pages import profile as profile_pages
from bolt_app.web.pages import webhooks as webhook_pages


def register_web(app: Flask, services: Services) -> None:
    """Register all blueprints, error handlers and headers."""
    client_addresses.register_client_addresses(app, services.settings)
    forms.register_form_limits(app)
    sessions.configure_sessions(app, services.settings)
    app.register_blueprint(profile_pages.create_blueprint(services))
    app.register_blueprint(notification_pages.create_blueprint(services))
    app.register_blueprint(webhook_pages.create_blueprint(services))
    app.register_blueprint(file_pages.create_blueprint(services))
    app.register_blueprint(api.create_blueprint(services))
    app.register_blueprint(methods.create_blueprint(services))
    app.register_blueprint(uploads.create_blueprint(services))
    app.register_blueprint(webhooks.create_blueprint(services))
    app.register_blueprint(health.create_blueprint(services.readiness))
    inputs.register_input_checks(app, services)
    csrf.register_csrf_protection(app, services.settings)
    errors.register_errors(app)
    headers.register_headers(app, services.settings)
