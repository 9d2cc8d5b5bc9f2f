"""Slack messages and views as safe HTML: pure functions of the content and the reader."""

from slack_sandbox.client.render.blocks import blocks_tag
from slack_sandbox.client.render.messages import confirm_dialog, message_body
from slack_sandbox.client.render.reader import Reader

__all__ = ["Reader", "blocks_tag", "confirm_dialog", "message_body"]
