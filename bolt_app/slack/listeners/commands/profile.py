"""`/profile`: a person's own linked profile, or the public part of somebody else's."""

from __future__ import annotations

from slack_bolt import Ack, App, BoltContext

from bolt_app.access.authorization import Action
from bolt_app.blockkit.elements import Answer
from bolt_app.blockkit.signed_values import shown_to
from bolt_app.services import Services
from bolt_app.slack import ids
from bolt_app.slack.profile.actions import ProfileActions
from bolt_app.slack.profile.blocks import (
    help_answer,
    other_not_linked_answer,
    public_profile_answer,
    unlink_question,
)
from bolt_app.slack.profile.parsing import (
    Help,
    ProfileRequest,
    Refresh,
    ShowOther,
    ShowOwn,
    Unlink,
    parse_profile_command,
)
from bolt_app.slack.signed_actions import address_of_command


def register_profile_command(app: App, services: Services) -> None:
    """Listen for `/profile`."""

    @app.command(ids.PROFILE_COMMAND)
    def answer_profile_command(ack: Ack, command: dict[str, str], context: BoltContext) -> None:
        request = parse_profile_command(command.get("text", ""))
        own = ProfileActions.of(services, context)
        answer = answer_profile_request(services, own, request)
        address = shown_to(own.user_id, address_of_command(context))
        blocks = services.signer.sign_blocks(answer.blocks, own.team_id, address)
        ack(text=answer.text, blocks=blocks)


def answer_profile_request(
    services: Services, own: ProfileActions, request: ProfileRequest
) -> Answer:
    """Return what to show for `request` of the person `own` belongs to."""
    match request:
        case ShowOwn():
            return own.show()
        case ShowOther(user_id) if user_id == own.user_id:
            return own.show()
        case ShowOther(user_id):
            services.access.person(own.team_id, own.user_id).require(Action.SEE_WORKSPACE)
            profile = services.profiles.find(own.team_id, user_id, own.enterprise_id)
            if profile is None:
                return other_not_linked_answer(user_id)
            return public_profile_answer(profile, services.clock())
        case Refresh():
            return own.refresh()
        case Unlink():
            return unlink_question() if own.is_linked() else own.show()
        case Help(unknown):
            return help_answer(unknown)
