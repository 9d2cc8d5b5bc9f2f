"""What a message says, and what a confirm dialog asks."""

from __future__ import annotations

from markupsafe import Markup

from slack_sandbox.client.render.attachments import attachment_tag
from slack_sandbox.client.render.blocks import blocks_tag
from slack_sandbox.client.render.mrkdwn import mrkdwn
from slack_sandbox.client.render.reader import Reader
from slack_sandbox.client.render.tags import join, tag
from slack_sandbox.client.render.texts import text_object, words
from slack_sandbox.client.render.values import JsonDict, records, string


def message_body(message: JsonDict, reader: Reader) -> Markup:
    """The blocks of a message, or its text where it has none, and its attachments.

    ``message`` is as Slack's API shows one; anything at all in it is safe to show.
    """
    pieces: list[Markup] = []
    blocks = records(message.get("blocks"))
    text = string(message.get("text"))
    if blocks:
        pieces.append(blocks_tag(blocks, reader))
    elif text:
        pieces.append(tag("div", {"class": "text"}, mrkdwn(text, reader)))
    pieces += [attachment_tag(one, reader) for one in records(message.get("attachments"))]
    return join(pieces)


def confirm_dialog(confirm: JsonDict, reader: Reader) -> dict[str, str]:
    """A confirm dialog for the page's script: three plain texts, and ``html``
    (https://docs.slack.dev/reference/block-kit/composition-objects/confirmation-dialog-object).
    """
    return {
        "title": words(confirm.get("title")),
        "html": text_object(confirm.get("text"), reader),
        "confirm": words(confirm.get("confirm")),
        "deny": words(confirm.get("deny")),
        "style": "danger" if confirm.get("style") == "danger" else "primary",
    }
