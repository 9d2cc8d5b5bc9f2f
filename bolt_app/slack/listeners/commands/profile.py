"""`/profile`: a person's own linked profile, or the public part of another."""

from __future__ import annotations

from slack_bolt import Ack, App, BoltContext

from bolt_app.access.authorization import Action
from bolt_app.blockkit.elements import Reply
from bolt_app.blockkit.signed_values import shown_to
from bolt_app.services import Services
from bolt_app.slack import ids
from bolt_app.slack.profile.actions import ProfileActions
from bolt_app.slack.profile.blocks import (
    help_reply,
    other_not_linked_reply,
    public_profile_reply,
    unlink_question,
)
from bolt_app.slack.profile.parsing import (
    ProfileHelp,
    ProfileRequest,
    Refresh,
    ShowOther,
    ShowOwn,
    Unlink,
    parse_profile_command,
)
from bolt_app.slack.signed_actions import address_of_command


def register_profile_command(app: App, services: Services) -> None:
    """Register `/profile`."""

    @app.command(ids.PROFILE_COMMAND)
    def answer_profile_command(ack: Ack, command: dict[str, str], context: BoltContext) -> None:
        request = parse_profile_command(command.get("text", ""))
        requester = ProfileActions.of(services, context)
        reply = answer_profile_request(services, requester, request)
        address = shown_to(requester.user_id, address_of_command(context))
        blocks = services.signer.sign_blocks(reply.blocks, requester.team_id, address)
        ack(text=reply.text, blocks=blocks)


def answer_profile_request(
    services: Services, requester: ProfileActions, request: ProfileRequest
) -> Reply:
    """Run a request of a person, and return the reply."""
    match request:
        case ShowOwn():
            return requester.show()
        case ShowOther(user_id) if user_id == requester.user_id:
            return requester.show()
        case ShowOther(user_id):
            services.access.person(requester.team_id, requester.user_id).require(
                Action.SEE_WORKSPACE
            )
            profile = services.profiles.find(requester.team_id, user_id, requester.enterprise_id)
            if profile is None:
                return other_not_linked_reply(user_id)
            return public_profile_reply(profile, services.clock())
        case Refresh():
            return requester.refresh()
        case Unlink():
            return unlink_question() if requester.is_linked() else requester.show()
        case ProfileHelp(unknown):
            return help_reply(unknown)
