"""Validation of Block Kit, as strict as Slack's.

:func:`check_blocks` and :func:`check_view` return Slack's error messages; :func:`with_ids` adds the
ids that Slack generates.
"""

from slack_sandbox.blocks.check import check_blocks, check_view, elements_of, with_ids

__all__ = ["check_blocks", "check_view", "elements_of", "with_ids"]
