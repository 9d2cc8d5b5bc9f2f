"""Messages of the Slack-compatible Web API: their results, changes and deletion."""
