"""The body of a message, and confirm dialogs."""

from __future__ import annotations

from markupsafe import Markup

from slack_sandbox.client.render.attachments import attachment_tag
from slack_sandbox.client.render.blocks import blocks_tag
from slack_sandbox.client.render.mrkdwn import mrkdwn
from slack_sandbox.client.render.reader import Reader
from slack_sandbox.client.render.tags import join, tag
from slack_sandbox.client.render.texts import label_text, text_object
from slack_sandbox.client.render.values import JsonDict, records, string


def message_body(message: JsonDict, reader: Reader) -> Markup:
    """The blocks of a message, or its text if it has none, and its attachments.

    ``message`` is in the format of Slack's API; any content is rendered safely.
    """
    fragments: list[Markup] = []
    blocks = records(message.get("blocks"))
    text = string(message.get("text"))
    if blocks:
        fragments.append(blocks_tag(blocks, reader))
    elif text:
        fragments.append(tag("div", {"class": "text"}, mrkdwn(text, reader)))
    fragments += [
        attachment_tag(attachment, reader) for attachment in records(message.get("attachments"))
    ]
    return join(fragments)


def confirm_dialog(confirm: JsonDict, reader: Reader) -> dict[str, str]:
    """A confirm dialog for the page's script: three plain texts, and ``html``
    (https://docs.slack.dev/reference/block-kit/composition-objects/confirmation-dialog-object).
    """
    return {
        "title": label_text(confirm.get("title")),
        "html": text_object(confirm.get("text"), reader),
        "confirm": label_text(confirm.get("confirm")),
        "deny": label_text(confirm.get("deny")),
        "style": "danger" if confirm.get("style") == "danger" else "primary",
    }
