"""Block Kit and mrkdwn: elements, escaping, limits, and rules for senders' blocks."""
