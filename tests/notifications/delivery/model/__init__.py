"""A model of the delivery protocol: two owners around real schedulers, a database and Slack."""
