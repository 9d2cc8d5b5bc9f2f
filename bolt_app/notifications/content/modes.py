"""Modes of the deliveries that follow an incident."""

from __future__ import annotations

# `refresh` shows a message again, `remind` posts in its thread that a snooze is over, `escalate`
# waits to notify others for as long as nobody answers.
REFRESH, REMIND, ESCALATE = "refresh", "remind", "escalate"
