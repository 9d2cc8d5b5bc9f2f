"""API keys and webhooks as Block Kit: their list in the App Home of admins, and their modals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from bolt_app.blockkit.elements import (
    Block,
    Reply,
    actions,
    button,
    confirmation,
    context,
    date,
    header,
    info_modal,
    input_block,
    modal,
    option,
    plain_reply,
    section,
    text_input,
)
from bolt_app.blockkit.mrkdwn import escape, link, person_mention
from bolt_app.blockkit.text import cut
from bolt_app.credentials.api_keys import (
    LIMITED_SCOPES,
    PERSONAL_SCOPES,
    ApiKeyRecord,
    ApiKeyState,
    Scope,
)
from bolt_app.credentials.webhooks import AUTO, CUSTOM, WEBHOOK_PAGES_PATH, WebhookRecord
from bolt_app.senders.custom import TITLE as CUSTOM_TITLE
from bolt_app.senders.registry import known_senders, shows_its_own_secret, signing_of
from bolt_app.slack import ids

Record = TypeVar("Record", ApiKeyRecord, WebhookRecord)
# A view has at most a hundred blocks.
MOST_LISTED = 15
NAME_BLOCK, SCOPES_BLOCK, CHANNELS_BLOCK = "name", "scopes", "channels"
LIFETIME_BLOCK, TARGET_BLOCK = "lifetime", "target"
KEY_FIELD_BLOCK, SENDER_BLOCK, SECRET_BLOCK = "key_field", "sender", "signing_secret"
_RECOGNIZED = "Recognized by each message"
NEVER = "never"
LIFETIMES = {NEVER: "Until it is revoked", "30": "30 days", "90": "90 days", "365": "1 year"}
_SCOPES: dict[Scope, str] = {
    Scope.SEND: "Send notifications; cancel and retry its own",
    Scope.READ: "Read its own notifications and those sent to public channels",
    Scope.ADMIN: "All of the above, also for notifications of other keys",
}


def credential_blocks(
    keys: Sequence[ApiKeyRecord],
    webhooks: Sequence[WebhookRecord],
    now: datetime,
    notice: Reply | None,
    *,
    public_url: str,
) -> list[Block]:
    """Return the list of API keys and webhooks for admins.

    Args:
        notice: the result of the latest action.
        public_url: Bellhop's, for links to the pages of webhooks.
    """
    return [
        {"type": "divider"},
        header("API keys and webhooks"),
        *(notice.blocks if notice else ()),
        *_listed([_key(key, now) for key in _in_order(keys)], "No API keys yet."),
        *_listed(
            [_webhook(webhook, public_url) for webhook in _in_order(webhooks)], "No webhooks yet."
        ),
        actions(
            button("New API key…", ids.NEW_API_KEY),
            button("New webhook…", ids.NEW_WEBHOOK),
        ),
        context(
            "Only admins see this section. An API key gives a system access to the HTTP API. A "
            "webhook is a URL that accepts what tools such as Alertmanager and GitHub post."
        ),
    ]


def key_modal() -> Block:
    """Return the modal that creates an API key."""
    return modal(
        ids.NEW_API_KEY_VIEW,
        "New API key",
        "Create",
        [
            _name_input("Name", "monitoring"),
            input_block(
                SCOPES_BLOCK,
                "Permissions",
                {
                    "type": "checkboxes",
                    "options": [_scope_option(scope) for scope in PERSONAL_SCOPES],
                    "initial_options": [_scope_option(scope) for scope in LIMITED_SCOPES],
                },
            ),
            text_input(
                CHANNELS_BLOCK,
                "Only to",
                "For example #ops topic:deploys. Empty: anywhere.",
                optional=True,
            ),
            input_block(
                LIFETIME_BLOCK,
                "Valid for",
                {
                    "type": "static_select",
                    "options": [option(*lifetime) for lifetime in LIFETIMES.items()],
                    "initial_option": option(NEVER, LIFETIMES[NEVER]),
                },
            ),
        ],
    )


def webhook_modal() -> Block:
    """Return the modal that creates a webhook."""
    return modal(
        ids.NEW_WEBHOOK_VIEW,
        "New webhook",
        "Create",
        [
            _name_input("Name", "Grafana"),
            input_block(
                TARGET_BLOCK,
                "Channel",
                {
                    "type": "conversations_select",
                    "filter": {"include": ["public", "private"]},
                },
                "Invite Bellhop to a private channel first.",
            ),
            input_block(
                SENDER_BLOCK,
                "Tool",
                {
                    "type": "static_select",
                    "options": [
                        option(AUTO, _RECOGNIZED),
                        *(option(name, one.title) for name, one in known_senders().items()),
                        option(CUSTOM, CUSTOM_TITLE),
                    ],
                    "initial_option": option(AUTO, _RECOGNIZED),
                },
                "The signature of a tool is checked only if you choose the tool. A custom template "
                "is for any other tool: write it on the page of the webhook.",
            ),
            text_input(
                SECRET_BLOCK,
                "Secret of the tool",
                f"Only for {_showing_their_secret()}, which show their own. Until it is known, "
                "unsigned messages are accepted.",
                optional=True,
            ),
            text_input(
                KEY_FIELD_BLOCK,
                "Key field",
                "A field of the message, such as alertname. A later message with the same value "
                "updates the earlier one. Empty: the key of the tool's own format.",
                optional=True,
            ),
        ],
    )


def key_created_view(name: str, user_id: str, secret: str) -> Block:
    """Return the view that shows a new API key once."""
    return _created_view("New API key", f"<@{user_id}> created the API key {_name(name)}.", secret)


def webhook_created_view(
    name: str,
    user_id: str,
    channel_id: str,
    url: str,
    signing_secret: str | None,
    *,
    unsigned: str = "",
) -> Block:
    """Return the view that shows the URL of a new webhook, and its signing secret, once.

    Args:
        signing_secret: the secret to enter in the tool.
        unsigned: the webhook's tool, if its secret is not known yet.
    """
    text = f"<@{user_id}> created the webhook {_name(name)} for <#{channel_id}>."
    if unsigned:
        text += (
            " It accepts unsigned messages until an operator runs `webhook secret` with the "
            f"secret that {known_senders()[unsigned].title} shows."
        )
    return _created_view("New webhook", text, url, signing_secret)


def revoked_reply(user_id: str, what: str, name: str | None) -> Reply:
    """Report who revoked a credential; without a name, that it was revoked before.

    Args:
        what: "API key" or "webhook".
    """
    if name is None:
        return plain_reply(f"That {what} was already revoked.")
    return plain_reply(
        f"<@{user_id}> revoked the {what} {_name(name)}. Requests that use it are now rejected."
    )


def _created_view(title: str, text: str, secret: str, signing_secret: str | None = None) -> Block:
    signing = (
        []
        if signing_secret is None
        else [
            section("The secret to enter in the tool:"),
            section(f"```{signing_secret}```"),
        ]
    )
    return info_modal(
        title,
        [
            section(text),
            section("*Copy it now. It is shown only once.*"),
            section(f"```{secret}```"),
            *signing,
            context(
                "Anyone who has it can send notifications. Store it like a password. "
                "You can revoke it in the App Home."
            ),
        ],
    )


def _listed(blocks: Sequence[Block], empty: str) -> Iterator[Block]:
    yield from blocks[:MOST_LISTED]
    if not blocks:
        yield context(empty)
    if len(blocks) > MOST_LISTED:
        yield context(f"… and {len(blocks) - MOST_LISTED} more, listed by the command line")


def _in_order(records: Sequence[Record]) -> list[Record]:
    """Return valid records before revoked ones, the newest first."""
    return sorted(records, key=lambda record: (record.revoked_at is not None, -record.id))


def _key(key: ApiKeyRecord, now: datetime) -> Block:
    state = key.state(now)
    scopes = ", ".join(scope for scope in Scope if scope in key.scopes)
    channels = f"only to {_addresses(key.channels)}" if key.channels else "to anywhere"
    facts = [
        _created(key),
        _revoked(key) if state == ApiKeyState.REVOKED else _validity(key, state),
        *_use(key),
    ]
    text = f"API key {_name(key.name)}: {scopes}, {channels}\n{'  •  '.join(facts)}"
    if state != ApiKeyState.ACTIVE:
        return section(text)
    question = f"Requests that use {_name(key.name)} will be rejected."
    return section(
        text, _revoke_button(ids.REVOKE_API_KEY, {"key": key.id}, "Revoke this API key?", question)
    )


def _webhook(webhook: WebhookRecord, public_url: str) -> Block:
    name = _name(webhook.name or str(webhook.id))
    facts = [
        _created(webhook),
        "active" if webhook.revoked_at is None else _revoked(webhook),
        *_from(webhook),
        *_use(webhook),
    ]
    if webhook.key_field:
        facts.append(f"key from {_name(webhook.key_field)}")
    text = f"Webhook {name}: to {_addresses(webhook.to)}\n{'  •  '.join(facts)}"
    if webhook.revoked_at is not None:
        return section(text)
    shown = "latest messages" if webhook.is_signed else "latest messages and template"
    page = link(f"{public_url}{WEBHOOK_PAGES_PATH}/{webhook.id}", shown)
    text = f"{text}  •  {page}"
    question = f"Posts to the webhook {name} will be rejected."
    return section(
        text,
        _revoke_button(ids.REVOKE_WEBHOOK, {"hook": webhook.id}, "Revoke this webhook?", question),
    )


def _validity(key: ApiKeyRecord, state: str) -> str:
    if key.expires_at is None:
        return state
    return f"{state} {'since' if state == ApiKeyState.EXPIRED else 'until'} {date(key.expires_at)}"


def _created(record: ApiKeyRecord | WebhookRecord) -> str:
    by = person_mention(record.created_by) if record.created_by else "the command line"
    return f"created by {by}, {date(record.created_at)}"


def _revoked(record: ApiKeyRecord | WebhookRecord) -> str:
    by = f" by {person_mention(record.revoked_by)}" if record.revoked_by else ""
    at = f", {date(record.revoked_at)}" if record.revoked_at else ""
    return f"revoked{by}{at}"


def _use(record: ApiKeyRecord | WebhookRecord) -> Iterator[str]:
    if record.own_source is not None:
        yield f"source `{record.own_source}`"
    if record.allow_broadcast:
        yield "may notify everyone in a channel"
    use = record.use
    if use.rejected:
        last = f", last {date(use.at)}" if use.at else ""
        yield f"{use.rejected:,} requests rejected{last} (too many {use.reason})"


def _from(webhook: WebhookRecord) -> Iterator[str]:
    is_custom = webhook.sender == CUSTOM
    if is_custom:
        yield "with its own template" if webhook.has_template else "its template is not written yet"
    elif webhook.sender != AUTO:
        known = known_senders().get(webhook.sender)
        title = known.title if known else webhook.sender
        signing = signing_of(webhook)
        yield f"from {title}{f', {signing}' if signing else ''}"
    if webhook.topic_arn:
        yield f"topic {_name(webhook.topic_arn)}"
    if webhook.unrecognized:
        last = f", last {date(webhook.unrecognized_at)}" if webhook.unrecognized_at else ""
        reason = "with a failed template" if is_custom else "in an unknown format"
        yield f":warning: {webhook.unrecognized:,} {reason}{last}"


def _showing_their_secret() -> str:
    """Return the names of the tools that show the secret they sign with."""
    names = filter(shows_its_own_secret, known_senders())
    return " and ".join(known_senders()[name].title for name in names)


def _addresses(addresses: Sequence[str]) -> str:
    return ", ".join(_address(address) for address in addresses)


def _address(address: str) -> str:
    if address[0] in "CG":
        return f"<#{address}>"
    return f"<@{address}>" if address[0] in "UW" else f"`{escape(address)}`"


def _name(name: str) -> str:
    return f"`{escape(cut(name, 80)).replace('`', chr(39))}`"


def _revoke_button(action_id: str, fields: Mapping[str, int], title: str, question: str) -> Block:
    confirm = confirmation(title, question, "Revoke")
    return button("Revoke", action_id, value=fields, style="danger", confirm=confirm)


def _name_input(label: str, example: str) -> Block:
    element: Block = {"type": "plain_text_input", "max_length": 80}
    return input_block(NAME_BLOCK, label, element, f"For example {example}.")


def _scope_option(scope: Scope) -> Block:
    return option(scope, scope, _SCOPES[scope])
