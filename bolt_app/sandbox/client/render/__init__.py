"""Slack messages and views as safe HTML: pure functions of what was sent and who reads."""

from bolt_app.sandbox.client.render.blocks import blocks_tag
from bolt_app.sandbox.client.render.messages import confirm_dialog, message_body
from bolt_app.sandbox.client.render.reader import Reader

__all__ = ["Reader", "blocks_tag", "confirm_dialog", "message_body"]
