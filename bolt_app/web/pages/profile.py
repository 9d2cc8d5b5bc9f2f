"""Pages for people: home, and their own profile."""

from __future__ import annotations

import hashlib
import json
import logging
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

from flask import (
    Blueprint,
    Response,
    flash,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from werkzeug.wrappers import Response as BaseResponse

from bolt_app.access.authorization import AccessDeniedError, Action, Person
from bolt_app.installations.flow import INSTALL_PATH
from bolt_app.installations.records import StoredInstallation
from bolt_app.lifecycle.personal_data import personal_data
from bolt_app.manifest import BOT_SCOPE_REASONS, USER_SCOPE_REASONS
from bolt_app.profiles.view import Profile, Workspace
from bolt_app.profiles.workspace import workspace_of
from bolt_app.services import Services
from bolt_app.slack_api import SlackCallError
from bolt_app.web.errors import problem
from bolt_app.web.sessions import (
    earlier_account,
    forget_earlier_account,
    has_installed,
    sign_out,
    signed_in_installation,
)
from bolt_app.workspaces.channels import PublicChannel
from bolt_app.workspaces.client import BotWorkspace, NotInstalledError
from bolt_app.workspaces.greetings import TooManyGreetingsError

logger = logging.getLogger(__name__)

_EXPORT_IS_RUNNING = "Downloads are being prepared, perhaps yours already. Try again in a minute."
WEB = Path(__file__).parent.parent
STATIC = WEB / "static"


def create_blueprint(services: Services) -> Blueprint:
    """Return the blueprint of the pages for people."""
    blueprint = Blueprint(
        "pages",
        __name__,
        template_folder=str(WEB / "templates"),
        static_folder=str(STATIC),
        static_url_path="/static",
    )
    blueprint.app_template_global("static_url")(static_url)
    blueprint.app_template_global("install_url")(install_url)

    @blueprint.app_context_processor
    def warn_of_stand_in() -> dict[str, str]:
        return {"stand_in": "" if services.settings.is_slack else services.settings.slack_base_url}

    @blueprint.get("/", strict_slashes=False)
    def home() -> str:
        installation = active_installation(services)
        return render_template(
            "home.html",
            profile=None if installation is None else services.profiles.find_for(installation),
            signed_in=installation is not None,
            is_installed=installation is None and services.installations.has_bot(),
            bot_scopes=BOT_SCOPE_REASONS,
            user_scopes=USER_SCOPE_REASONS,
        )

    @blueprint.get("/profile")
    def profile() -> str | BaseResponse:
        installation = active_installation(services)
        if installation is None:
            return redirect(url_for("pages.home"), 303)
        recorded, reason = recorded_profile(services, installation)
        if recorded is not None and recorded.is_deleted:
            return redirect(url_for("pages.home"), 303)
        query = request.args.get("channel", "")
        return render_profile(services, installation, recorded, query, problem=reason)

    @blueprint.get("/profile/channels")
    def channels() -> Response | BaseResponse:
        installation = active_installation(services)
        if installation is None:
            return redirect(url_for("pages.home"), 303)
        workspace = workspace_of(installation, services.profiles.find_for(installation))
        person = services.access.person(workspace.team_id, installation.user_id)
        found = visible_channels(services, person, workspace, request.args.get("q", ""))
        return jsonify(channels=[_channel_json(channel) for channel in found])

    @blueprint.post("/profile/hello")
    def hello() -> BaseResponse:
        installation = active_installation(services)
        if installation is None:
            return redirect(url_for("pages.home"), 303)
        say_hello(services, installation, request.form.get("channel_id", ""))
        return redirect(url_for("pages.profile"), 303)

    @blueprint.post("/signout")
    def signout() -> BaseResponse:
        response = make_response(redirect(url_for("pages.home"), 303))
        sign_out(services, response)
        return response

    @blueprint.get("/profile/data")
    def data() -> Response | BaseResponse:
        installation = active_installation(services)
        if installation is None:
            return redirect(url_for("pages.home"), 303)
        recorded, _ = recorded_profile(services, installation)
        # The recording of a deactivated person's profile has ended the session.
        if recorded is None or recorded.is_deleted:
            return redirect(url_for("pages.profile"), 303)
        with services.exports.enter(str(installation.id)) as has_room:
            if not has_room:
                return problem(503, _EXPORT_IS_RUNNING)
            found = personal_data(services.database, installation)
            body = json.dumps(found, indent=2, ensure_ascii=False)
        # JSON has the same escapes for surrogates, which UTF-8 cannot have.
        response = Response(body.encode(errors="backslashreplace"), mimetype="application/json")
        response.headers["Content-Disposition"] = 'attachment; filename="bellhop-data.json"'
        return response

    @blueprint.post("/profile/unlink")
    def unlink() -> BaseResponse:
        installation = active_installation(services)
        if installation is None:
            return redirect(url_for("pages.home"), 303)
        services.lifecycle.profiles.unlink(installation)
        services.background.submit(services.revocations.revoke_pending)
        response = make_response(redirect(url_for("pages.home"), 303))
        sign_out(services, response)
        flash("Your profile is unlinked. Your personal data and your token are deleted.", "done")
        return response

    @blueprint.post("/profile/join")
    def join() -> BaseResponse:
        installation = active_installation(services)
        if installation is None:
            return redirect(url_for("pages.home"), 303)
        earlier = earlier_account(services)
        forget_earlier_account()
        agreed = request.form.get("answer") == "join"
        if agreed and (earlier is None or not services.profiles.join(installation, earlier)):
            flash("These accounts cannot be joined now. Sign in with both again.", "problem")
        return redirect(url_for("pages.profile"), 303)

    return blueprint


def active_installation(services: Services) -> StoredInstallation | None:
    """Return the installation of the signed-in person, unless they are deactivated."""
    installation = signed_in_installation(services)
    if installation is None:
        return None
    profile = services.profiles.find_for(installation)
    if profile is not None and profile.is_deleted:
        return None
    team_id = workspace_of(installation, profile).team_id
    if services.access.is_deactivated(installation, team_id):
        # Otherwise they would be valid again after a reactivation, or while Slack does not answer.
        services.sessions.end_of_account(installation)
        return None
    return installation


def render_profile(
    services: Services,
    installation: StoredInstallation,
    profile: Profile | None,
    query: str,
    *,
    problem: str | None,
) -> str:
    """Return the profile page of the signed-in person.

    Args:
        query: the search for channels.
        problem: why the profile is missing.
    """
    workspace = workspace_of(installation, profile)
    channels, channel_problem = find_channels(services, installation, workspace, query)
    return render_template(
        "profile.html",
        installation=installation,
        profile=profile,
        other=other_account(services, installation),
        problem=problem,
        workspace_id=workspace.team_id,
        query=query,
        channels=channels,
        channel_problem=channel_problem,
        now=services.clock(),
        command=services.settings.command if is_operator(profile, workspace) else None,
        is_guest=is_guest(profile, workspace),
        may_say_hello=may_say_hello(services, installation, workspace),
        open_slack_url=open_slack_url(services, installation, workspace.team_id),
        bot_scopes=_granted(installation.bot_scopes, BOT_SCOPE_REASONS),
        user_scopes=_granted(installation.user_scopes, USER_SCOPE_REASONS),
    )


def is_operator(profile: Profile | None, workspace: BotWorkspace) -> bool:
    """Whether to show operator commands: to admins, and to the person who installed."""
    membership = _membership_in(profile, workspace)
    return has_installed() or (membership is not None and membership.role in ("Owner", "Admin"))


def is_guest(profile: Profile | None, workspace: BotWorkspace) -> bool:
    """Whether the person is recorded as a guest of the workspace of the page."""
    membership = _membership_in(profile, workspace)
    return membership is not None and membership.is_guest


def may_say_hello(
    services: Services, installation: StoredInstallation, workspace: BotWorkspace
) -> bool:
    """Whether to offer the bot's introduction; also while the person's role is unknown."""
    try:
        person = services.access.person(workspace.team_id, installation.user_id)
    except (SlackCallError, NotInstalledError):
        return True
    return person.may(Action.POST_TEST)


def _membership_in(profile: Profile | None, workspace: BotWorkspace) -> Workspace | None:
    memberships = () if profile is None else profile.workspaces
    team_id = workspace.team_id
    return next((membership for membership in memberships if membership.team_id == team_id), None)


def other_account(services: Services, installation: StoredInstallation) -> Profile | None:
    """Return the earlier account that the person may join, if there is one."""
    earlier = earlier_account(services)
    return None if earlier is None else services.profiles.find_joinable(installation, earlier)


def recorded_profile(
    services: Services, installation: StoredInstallation
) -> tuple[Profile | None, str | None]:
    """Return the profile, recording it first if it is missing; otherwise the reason why not."""
    profile = services.profiles.find_for(installation)
    if profile is not None:
        return profile, None
    try:
        return services.profiles.record(installation), None
    except SlackCallError as error:
        return None, error.sentence
    except NotInstalledError as error:
        return None, str(error)


def find_channels(
    services: Services, installation: StoredInstallation, workspace: BotWorkspace, query: str
) -> tuple[list[PublicChannel], str | None]:
    """Return the channels to choose from, or the reason why there are none."""
    if installation.bot_token is None:
        return [], None
    try:
        person = services.access.person(workspace.team_id, installation.user_id)
        person.require(Action.POST_TEST)
        return visible_channels(services, person, workspace, query), None
    except (SlackCallError, NotInstalledError, AccessDeniedError) as error:
        return [], error.sentence if isinstance(error, SlackCallError) else str(error)


def visible_channels(
    services: Services, person: Person, workspace: BotWorkspace, query: str
) -> list[PublicChannel]:
    """Return the public channels that a person may choose from; a guest only those they are in.

    Raises:
        AccessDeniedError: the person is not in the workspace.
        NotInstalledError: the bot is not installed in the workspace.
        SlackCallError: the call to Slack failed.
    """
    person.require(Action.USE)
    among = None if person.may(Action.SEE_WORKSPACE) else person.memberships().keys()
    return services.channels.search(workspace, query, among=among)


def say_hello(services: Services, installation: StoredInstallation, channel_id: str) -> None:
    """Post the bot's introduction to a channel, and flash the result."""
    if not channel_id:
        flash("Choose a channel first.", "problem")
        return
    workspace = workspace_of(installation, services.profiles.find_for(installation))
    try:
        person = services.access.person(workspace.team_id, installation.user_id)
        person.require(Action.POST_TEST)
        person.require_channel(channel_id)
        posted = services.greetings.hello(workspace, channel_id, installation.user_id)
    except SlackCallError as error:
        flash(error.sentence, "problem")
    except (NotInstalledError, AccessDeniedError, TooManyGreetingsError) as error:
        flash(str(error), "problem")
    else:
        flash(posted.permalink or "", "hello")


def open_slack_url(services: Services, installation: StoredInstallation, team_id: str) -> str:
    """Return the URL that opens the app in Slack.

    https://docs.slack.dev/interactivity/deep-linking
    """
    query = urlencode({"app": installation.app_id or "", "team": team_id})
    return f"{services.settings.slack_base_url}/app_redirect?{query}"


def install_url(**query: str) -> str:
    """Return the URL of Add to Slack."""
    return f"{INSTALL_PATH}?{urlencode(query)}" if query else INSTALL_PATH


def static_url(filename: str) -> str:
    """Return the URL of a static file, which changes with its content."""
    return url_for("pages.static", filename=filename, v=_fingerprint(filename))


@cache
def _fingerprint(filename: str) -> str:
    return hashlib.sha256((STATIC / filename).read_bytes()).hexdigest()[:12]


def _granted(scopes: tuple[str, ...], reasons: object) -> dict[str, str]:
    known = dict(reasons) if isinstance(reasons, dict) else {}
    return {scope: known.get(scope, "Granted earlier, no longer used") for scope in scopes}


def _channel_json(channel: PublicChannel) -> dict[str, object]:
    return {
        "id": channel.channel_id,
        "name": channel.name,
        "is_member": channel.is_member,
        "member_count": channel.member_count,
    }
