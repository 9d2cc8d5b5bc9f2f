"""Ids of commands, actions, views and shortcuts, which Slack sends back to the listeners."""

from __future__ import annotations

PROFILE_COMMAND = "/profile"
NOTIFY_COMMAND = "/notify"

LINK_PROFILE = "profile.link"
REFRESH_PROFILE = "profile.refresh"
UNLINK_PROFILE = "profile.unlink"
KEEP_PROFILE = "profile.keep"

SEND_STEP = "send_notification"
LINK_TO_NOTIFICATION = "notification.link"

HOME_TEST = "home.test"
HOME_SUBSCRIBE = "home.subscribe"
SUBSCRIBE_VIEW = "subscribe"
HOME_PREFERENCES = "home.preferences"
RETRY_NOTIFICATION = "notification.retry"
PREFERENCES_VIEW = "preferences"
UNDO_PREFERENCES = "preferences.undo"

UNDO_SUBSCRIPTIONS = "subscriptions.undo"
CHANGE_SUBSCRIPTION = "subscriptions.change"

NEW_API_KEY = "api_key.new"
NEW_API_KEY_VIEW = "api_key.new"
REVOKE_API_KEY = "api_key.revoke"
NEW_WEBHOOK = "hook.new"
NEW_WEBHOOK_VIEW = "hook.new"
REVOKE_WEBHOOK = "hook.revoke"

# Buttons and menus with a listener; each carries a signed value. `LINK_PROFILE` has none, because
# Slack opens its link.
ACTIONS = frozenset(
    {
        REFRESH_PROFILE,
        UNLINK_PROFILE,
        KEEP_PROFILE,
        HOME_TEST,
        HOME_SUBSCRIBE,
        HOME_PREFERENCES,
        RETRY_NOTIFICATION,
        UNDO_PREFERENCES,
        UNDO_SUBSCRIPTIONS,
        CHANGE_SUBSCRIPTION,
        NEW_API_KEY,
        REVOKE_API_KEY,
        NEW_WEBHOOK,
        REVOKE_WEBHOOK,
    }
)
