"""API keys and hooks as Block Kit: their list in the App Home of admins, and their modals."""

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
from bolt_app.blockkit.mrkdwn import escape, person_mention
from bolt_app.blockkit.text import cut
from bolt_app.credentials.api_keys import LIMITED_SCOPES, SCOPES, ApiKeyRecord, Scope
from bolt_app.credentials.webhooks import WebhookRecord
from bolt_app.slack import ids

Record = TypeVar("Record", ApiKeyRecord, WebhookRecord)
# Of the hundred blocks that Slack takes.
MOST_LISTED = 15
NAME_BLOCK, SCOPES_BLOCK, CHANNELS_BLOCK = "name", "scopes", "channels"
LIFETIME_BLOCK, TARGET_BLOCK, KEY_FIELD_BLOCK = "lifetime", "target", "key_field"
NEVER = "never"
LIFETIMES = {NEVER: "Until it is revoked", "30": "30 days", "90": "90 days", "365": "A year"}
_SCOPES: dict[Scope, str] = {
    "send": "Send notifications, cancel and retry its own",
    "read": "Read its own notifications, and what went to public channels",
    "admin": "All of that, also for what other keys sent",
}


def credential_blocks(
    keys: Sequence[ApiKeyRecord],
    webhooks: Sequence[WebhookRecord],
    now: datetime,
    notice: Reply | None,
) -> list[Block]:
    """Return what admins see of the ways in to their workspace.

    Args:
        notice: what was done just now.
    """
    return [
        {"type": "divider"},
        header("API keys and hooks"),
        *(notice.blocks if notice else ()),
        *_listed([_key(one, now) for one in _in_order(keys)], "No system has an API key yet."),
        *_listed([_webhook(one) for one in _in_order(webhooks)], "There is no hook yet."),
        actions(
            button("New API key…", ids.NEW_API_KEY),
            button("New hook…", ids.NEW_WEBHOOK),
        ),
        context(
            "Only admins see this part. By a key your systems use the HTTP API; a hook is an "
            "address that takes what a Slack incoming webhook takes"
        ),
    ]


def key_modal() -> Block:
    """Return the modal that asks what a new API key is for."""
    return modal(
        ids.NEW_API_KEY_VIEW,
        "New API key",
        "Create",
        [
            _name_input("What it is for", "monitoring"),
            input_block(
                SCOPES_BLOCK,
                "What it may do",
                {
                    "type": "checkboxes",
                    "options": [_scope_option(one) for one in SCOPES],
                    "initial_options": [_scope_option(one) for one in LIMITED_SCOPES],
                },
            ),
            text_input(
                CHANNELS_BLOCK,
                "Only to",
                "As senders write them: #ops topic:deploys. Empty means anywhere.",
                optional=True,
            ),
            input_block(
                LIFETIME_BLOCK,
                "How long it is good for",
                {
                    "type": "static_select",
                    "options": [option(*one) for one in LIFETIMES.items()],
                    "initial_option": option(NEVER, LIFETIMES[NEVER]),
                },
            ),
        ],
    )


def webhook_modal() -> Block:
    """Return the modal that asks where a new hook leads."""
    return modal(
        ids.NEW_WEBHOOK_VIEW,
        "New hook",
        "Create",
        [
            _name_input("Which system posts to it", "Grafana"),
            input_block(
                TARGET_BLOCK,
                "Channel",
                {
                    "type": "conversations_select",
                    "filter": {"include": ["public", "private"]},
                },
                "Into a private channel Bellhop must be invited first.",
            ),
            text_input(
                KEY_FIELD_BLOCK,
                "Key field",
                "The field, such as alertname, that names the subject. A later message with the "
                "same value changes the earlier one. Empty: each message is posted.",
                optional=True,
            ),
        ],
    )


def key_created_view(name: str, user_id: str, secret: str) -> Block:
    """Return the view that shows the text of a new key, this once."""
    return _made_view("New API key", f"<@{user_id}> made the API key {_name(name)}.", secret)


def webhook_created_view(name: str, user_id: str, channel_id: str, url: str) -> Block:
    """Return the view that shows the address of a new hook, this once."""
    text = f"<@{user_id}> made the hook {_name(name)} into <#{channel_id}>."
    return _made_view("New hook", text, url)


def revoked_reply(user_id: str, what: str, name: str | None) -> Reply:
    """Say who revoked something; or, with no name, that there is nothing to revoke.

    Args:
        what: "API key" or "hook".
    """
    if name is None:
        return plain_reply(f"That {what} was revoked before.")
    return plain_reply(f"<@{user_id}> revoked the {what} {_name(name)}: it is refused from now on.")


def _made_view(title: str, text: str, secret: str) -> Block:
    return info_modal(
        title,
        [
            section(text),
            section("*Copy it now: it is shown only this once.*"),
            section(f"```{secret}```"),
            context(
                "Anyone who has it can send notifications: store it like a password. "
                "You can revoke it in App Home."
            ),
        ],
    )


def _listed(blocks: Sequence[Block], nothing: str) -> Iterator[Block]:
    yield from blocks[:MOST_LISTED]
    if not blocks:
        yield context(nothing)
    if len(blocks) > MOST_LISTED:
        yield context(f"… and {len(blocks) - MOST_LISTED} more, which the command line lists")


def _in_order(records: Sequence[Record]) -> list[Record]:
    """Return what is good first, and what is newest first."""
    return sorted(records, key=lambda one: (one.revoked_at is not None, -one.id))


def _key(key: ApiKeyRecord, now: datetime) -> Block:
    state = key.state(now)
    scopes = ", ".join(one for one in SCOPES if one in key.scopes)
    where = f"only to {_addresses(key.channels)}" if key.channels else "to anywhere"
    facts = [_made(key), _ended(key) if state == "revoked" else _good(key, state), *_use(key)]
    text = f"API key {_name(key.name)}: {scopes}, {where}\n{'  •  '.join(facts)}"
    if state != "active":
        return section(text)
    question = f"Systems that use {_name(key.name)} are refused from then on."
    return section(
        text, _revoke(ids.REVOKE_API_KEY, {"key": key.id}, "Revoke this API key?", question)
    )


def _webhook(webhook: WebhookRecord) -> Block:
    name = _name(webhook.name or str(webhook.id))
    facts = [
        _made(webhook),
        "active" if webhook.revoked_at is None else _ended(webhook),
        *_use(webhook),
    ]
    if webhook.key_field is not None:
        facts.append(f"key from {_name(webhook.key_field)}")
    text = f"Hook {name}: to {_addresses(webhook.to)}\n{'  •  '.join(facts)}"
    if webhook.revoked_at is not None:
        return section(text)
    question = f"Posts to the hook {name} are refused from then on."
    return section(
        text, _revoke(ids.REVOKE_WEBHOOK, {"hook": webhook.id}, "Revoke this hook?", question)
    )


def _good(key: ApiKeyRecord, state: str) -> str:
    if key.expires_at is None:
        return state
    return f"{state} {'since' if state == 'expired' else 'until'} {date(key.expires_at)}"


def _made(one: ApiKeyRecord | WebhookRecord) -> str:
    by = person_mention(one.created_by) if one.created_by else "the command line"
    return f"by {by}, {date(one.created_at)}"


def _ended(one: ApiKeyRecord | WebhookRecord) -> str:
    by = f" by {person_mention(one.revoked_by)}" if one.revoked_by else ""
    at = f", {date(one.revoked_at)}" if one.revoked_at else ""
    return f"revoked{by}{at}"


def _use(one: ApiKeyRecord | WebhookRecord) -> Iterator[str]:
    if one.own_source is not None:
        yield f"source `{one.own_source}`"
    if one.allow_broadcast:
        yield "may call everybody in a channel"
    if one.use.rejected:
        last = f", last {date(one.use.at)}" if one.use.at else ""
        yield f"{one.use.rejected:,} requests rejected{last} (too many {one.use.reason})"


def _addresses(addresses: Sequence[str]) -> str:
    return ", ".join(
        f"<#{one}>" if one[0] in "CG" else f"<@{one}>" if one[0] in "UW" else f"`{escape(one)}`"
        for one in addresses
    )


def _name(name: str) -> str:
    return f"`{escape(cut(name, 80)).replace('`', chr(39))}`"


def _revoke(action_id: str, fields: Mapping[str, int], title: str, question: str) -> Block:
    sure = confirmation(title, question, "Revoke")
    return button("Revoke", action_id, value=fields, style="danger", confirm=sure)


def _name_input(label: str, example: str) -> Block:
    element: Block = {"type": "plain_text_input", "max_length": 80}
    return input_block(NAME_BLOCK, label, element, f"For example {example}.")


def _scope_option(scope: Scope) -> Block:
    return option(scope, scope, _SCOPES[scope])
