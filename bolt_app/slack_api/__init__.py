"""Clients of Slack's Web API and response URLs, with reused connections."""

from bolt_app.slack_api.client import BeforeRequest, SlackApi
from bolt_app.slack_api.errors import (
    AMBIGUOUS_CODES,
    DEAD_TOKEN_CODES,
    OVERLOADED,
    SENTENCES,
    TEMPORARY_CODES,
    UNAVAILABLE,
    NotSentError,
    SlackCallError,
)
from bolt_app.slack_api.response_urls import ResponseUrls

__all__ = [
    "AMBIGUOUS_CODES",
    "DEAD_TOKEN_CODES",
    "OVERLOADED",
    "SENTENCES",
    "TEMPORARY_CODES",
    "UNAVAILABLE",
    "BeforeRequest",
    "NotSentError",
    "ResponseUrls",
    "SlackApi",
    "SlackCallError",
]
