"""The app registered with the sandbox, as described by its Slack manifest."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from slack_sandbox.errors import ManifestError


@dataclass(frozen=True)
class SlashCommand:
    """A slash command of the manifest."""

    command: str
    description: str
    usage_hint: str
    url: str
    should_escape: bool


@dataclass(frozen=True)
class MessageShortcut:
    """A message shortcut of the manifest."""

    callback_id: str
    name: str
    description: str


@dataclass(frozen=True)
class Function:
    """A workflow step of the manifest, with its parameters in Slack's format."""

    callback_id: str
    title: str
    inputs: Mapping[str, Mapping[str, Any]]
    outputs: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class AppConfig:
    """An app's manifest and credentials.

    Build it with :meth:`from_manifest`. Its ``repr`` contains no secrets.
    """

    app_id: str
    name: str
    app_url: str
    client_id: str
    client_secret: str = field(repr=False)
    signing_secret: str = field(repr=False)
    verification_token: str = field(repr=False, default="not-a-secret-use-signatures")
    bot_name: str = "app"
    redirect_urls: tuple[str, ...] = ()
    bot_scopes: tuple[str, ...] = ()
    optional_bot_scopes: tuple[str, ...] = ()
    user_scopes: tuple[str, ...] = ()
    slash_commands: tuple[SlashCommand, ...] = ()
    unfurl_domains: tuple[str, ...] = ()
    message_shortcuts: tuple[MessageShortcut, ...] = ()
    functions: tuple[Function, ...] = ()
    events_url: str | None = None
    bot_events: tuple[str, ...] = ()
    interactivity_url: str | None = None
    token_rotation: bool = False
    org_deploy: bool = False
    home_tab: bool = False
    messages_tab: bool = True
    messages_tab_read_only: bool = False

    @classmethod
    def from_manifest(
        cls,
        manifest: Mapping[str, Any],
        *,
        app_url: str,
        client_id: str,
        client_secret: str,
        signing_secret: str,
        app_id: str = "A0BELLHOP01",
        token_rotation: bool | None = None,
    ) -> AppConfig:
        """Read an app manifest (https://docs.slack.dev/reference/app-manifest).

        The scheme, host and port of ``app_url`` replace those of every URL in the manifest, and its
        host replaces theirs in ``unfurl_domains``. ``token_rotation`` overrides the manifest's
        setting. Raises :class:`ManifestError` for a manifest without a name, or with entries of the
        wrong type.
        """
        display = _section(manifest, "display_information")
        features = _section(manifest, "features")
        settings = _section(manifest, "settings")
        if settings.get("socket_mode_enabled"):
            raise ManifestError(
                "Socket Mode is not supported: disable settings.socket_mode_enabled"
            )
        oauth = _section(manifest, "oauth_config")
        events = _section(settings, "event_subscriptions")
        interactivity = _section(settings, "interactivity")
        home = _section(features, "app_home")
        scopes = _section(oauth, "scopes")
        name = display.get("name")
        if not isinstance(name, str) or not name:
            raise ManifestError("the manifest has no display_information.name")
        if not set(_strings(scopes, "bot_optional")) <= set(_strings(scopes, "bot")):
            raise ManifestError("scopes.bot_optional has scopes that scopes.bot does not have")
        rotation = bool(settings.get("token_rotation_enabled", False))
        config = cls(
            app_id=app_id,
            name=name,
            app_url=app_url,
            client_id=client_id,
            client_secret=client_secret,
            signing_secret=signing_secret,
            bot_name=str(_section(features, "bot_user").get("display_name", name)).lower(),
            redirect_urls=_strings(oauth, "redirect_urls"),
            bot_scopes=_strings(scopes, "bot"),
            optional_bot_scopes=_strings(scopes, "bot_optional"),
            user_scopes=_strings(scopes, "user"),
            slash_commands=tuple(_command(entry) for entry in features.get("slash_commands") or ()),
            unfurl_domains=_strings(features, "unfurl_domains"),
            message_shortcuts=tuple(_shortcuts(features)),
            functions=tuple(_functions(manifest, settings)),
            events_url=events.get("request_url"),
            bot_events=_strings(events, "bot_events"),
            interactivity_url=(
                interactivity.get("request_url") if interactivity.get("is_enabled") else None
            ),
            token_rotation=rotation if token_rotation is None else token_rotation,
            org_deploy=bool(settings.get("org_deploy_enabled", False)),
            home_tab=bool(home.get("home_tab_enabled", False)),
            messages_tab=bool(home.get("messages_tab_enabled", True)),
            messages_tab_read_only=bool(home.get("messages_tab_read_only_enabled", False)),
        )
        return config.at(app_url)

    def at(self, app_url: str) -> AppConfig:
        """The same app at another origin (scheme, host and port of ``app_url``)."""
        hosts = {_host(url) for url in (*self.redirect_urls, self.events_url or "")}
        return dataclasses.replace(
            self,
            app_url=app_url.rstrip("/"),
            unfurl_domains=tuple(
                _host(app_url) if domain in hosts else domain for domain in self.unfurl_domains
            ),
            redirect_urls=tuple(_moved(url, app_url) for url in self.redirect_urls),
            slash_commands=tuple(
                dataclasses.replace(command, url=_moved(command.url, app_url))
                for command in self.slash_commands
            ),
            events_url=self.events_url and _moved(self.events_url, app_url),
            interactivity_url=self.interactivity_url and _moved(self.interactivity_url, app_url),
        )

    def find_function(self, callback_id: str) -> Function | None:
        """The workflow step with this id, or None."""
        return next(
            (function for function in self.functions if function.callback_id == callback_id), None
        )

    def find_command(self, command: str) -> SlashCommand | None:
        """The slash command with this name (including its slash), or None."""
        return next((entry for entry in self.slash_commands if entry.command == command), None)


def _section(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = parent.get(name) or {}
    if not isinstance(section, Mapping):
        raise ManifestError(f"{name} in the manifest is not a mapping")
    return section


def _strings(parent: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = parent.get(name) or []
    if not isinstance(values, list):
        raise ManifestError(f"{name} in the manifest is not a list")
    return tuple(str(value) for value in values)


def _command(entry: Any) -> SlashCommand:
    if not isinstance(entry, Mapping) or not entry.get("command") or not entry.get("url"):
        raise ManifestError("a slash command in the manifest has no command or url")
    return SlashCommand(
        command=str(entry["command"]),
        description=str(entry.get("description", "")),
        usage_hint=str(entry.get("usage_hint", "")),
        url=str(entry["url"]),
        should_escape=bool(entry.get("should_escape", False)),
    )


def _shortcuts(features: Mapping[str, Any]) -> Iterator[MessageShortcut]:
    """Message shortcuts. Global shortcuts are not supported and are ignored."""
    for entry in features.get("shortcuts") or ():
        if not isinstance(entry, Mapping) or not entry.get("callback_id") or not entry.get("name"):
            raise ManifestError("a shortcut in the manifest has no callback_id or name")
        if entry.get("type") == "message":
            described = str(entry.get("description", ""))
            yield MessageShortcut(str(entry["callback_id"]), str(entry["name"]), described)


def _functions(manifest: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[Function]:
    """Workflow steps. Slack requires an org-ready app and a function runtime for them."""
    functions = _section(manifest, "functions")
    if functions and not settings.get("org_deploy_enabled"):
        raise ManifestError("functions need settings.org_deploy_enabled")
    if functions and settings.get("function_runtime") != "remote":
        raise ManifestError("functions need settings.function_runtime: remote")
    for callback_id, entry in functions.items():
        inputs, outputs = (_section(entry, f"{kind}_parameters") for kind in ("input", "output"))
        yield Function(callback_id, str(entry.get("title", "")), inputs, outputs)


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _moved(url: str, app_url: str) -> str:
    target = urlsplit(app_url)
    return urlunsplit(urlsplit(url)._replace(scheme=target.scheme, netloc=target.netloc))
