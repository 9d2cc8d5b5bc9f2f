"""`users.*`: people, for keys with the scope `users`."""

from __future__ import annotations

from bolt_app.credentials.api_keys import Scope
from bolt_app.recipients import email_address
from bolt_app.slack_api import SlackCallError
from bolt_app.web.methods.call import Answer, Call, Method
from bolt_app.web.methods.errors import MethodError
from bolt_app.web.methods.slack_calls import waiting_for_slack
from bolt_app.workspaces.people import PAGE_SIZE
from bolt_app.workspaces.users import LOOKUP

_CURSOR_LENGTH, _ID_LENGTH, _EMAIL_LENGTH = 200, 64, 320


def info(call: Call) -> Answer:
    """Return a person (https://docs.slack.dev/reference/methods/users.info)."""
    user_id = call.arguments.require_text("user")
    if not user_id.isalnum() or len(user_id) > _ID_LENGTH:
        raise MethodError("user_not_found")
    workspace = call.services.client.find_workspace(call.team_id)
    with waiting_for_slack(call):
        return {"user": call.services.people.find(workspace, user_id, call.share)}


def list_people(call: Call) -> Answer:
    """Return a page of people (https://docs.slack.dev/reference/methods/users.list)."""
    cursor, limit = call.arguments.text("cursor"), call.arguments.number("limit", 0, most=1000)
    if len(cursor) > _CURSOR_LENGTH:
        raise MethodError("invalid_cursor")
    workspace = call.services.client.find_workspace(call.team_id)
    with waiting_for_slack(call):
        size = min(limit or PAGE_SIZE, PAGE_SIZE)
        page = call.services.people.page(workspace, cursor, size, call.share)
    return {"members": page.people, "response_metadata": {"next_cursor": page.next_cursor}}


def lookup_by_email(call: Call) -> Answer:
    """Return the person with an e-mail address
    (https://docs.slack.dev/reference/methods/users.lookupByEmail).
    """
    email = call.arguments.require_text("email")
    if len(email) > _EMAIL_LENGTH:
        raise SlackCallError(LOOKUP, "users_not_found")
    workspace = call.services.client.find_workspace(call.team_id)
    address = email_address(email).removeprefix("@")
    with waiting_for_slack(call):
        user_id = call.services.users.find(workspace, address, call.share)
        return {"user": call.services.people.find(workspace, user_id, call.share)}


METHODS = {
    "users.info": Method(info, Scope.USERS),
    "users.list": Method(list_people, Scope.USERS),
    "users.lookupByEmail": Method(lookup_by_email, Scope.USERS),
}
