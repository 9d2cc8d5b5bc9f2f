"""Block Kit as strictly as Slack reads it.

:func:`check_blocks` and :func:`check_view` say what is wrong in Slack's words, and
:func:`with_ids` fills in the ids Slack makes up.
"""

from slack_sandbox.blocks.check import check_blocks, check_view, elements_of, with_ids

__all__ = ["check_blocks", "check_view", "elements_of", "with_ids"]
