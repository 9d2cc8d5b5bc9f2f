"""Parsing of the text after `/notify`."""

from __future__ import annotations

from datetime import time, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bolt_app.notifications.content.modes import Mode
from bolt_app.notifications.subscriptions.schedules import QuietHours, Schedule
from bolt_app.slack.subscriptions.parsing import (
    COMMANDS,
    Digest,
    ListHere,
    Mute,
    NotifyHelp,
    NotifyRequest,
    ParseError,
    Quiet,
    SendTest,
    Subscribe,
    Unmute,
    Unsubscribe,
    parse_notify_command,
)

HOURS = timedelta(hours=1)
HOURLY = Schedule()
NINE = Schedule(time(9))
NIGHT = QuietHours(time(22), time(7))


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        ("", NotifyHelp()),
        ("help", NotifyHelp()),
        ("  LIST ", ListHere()),
        ("test", SendTest()),
        ("subscribe deploys", Subscribe("deploys", "", None)),
        ("Subscribe topic:Deploys/*", Subscribe("deploys/*", "", None)),
        (
            "subscribe deploys severity&gt;=warning Service=API -label:bot",
            Subscribe("deploys", "severity>=warning service=api label!=bot", None),
        ),
        ("subscribe deploys mode=thread a=b", Subscribe("deploys", "a=b", Mode.THREAD)),
        ("subscribe deploys a=b mode:channel", Subscribe("deploys", "a=b", Mode.NEW)),
        ("subscribe deploys MODE=Update", Subscribe("deploys", "", Mode.UPDATE)),
        ('subscribe a "b c"="d &amp; e"', Subscribe("a", '"b c"="d & e"', None)),
        ("unsubscribe deploys/*", Unsubscribe("deploys/*")),
        ("mute 2h", Mute(2 * HOURS)),
        ("mute 2 hours", Mute(2 * HOURS)),
        ("mute deploys 30m", Mute(HOURS / 2, "deploys")),
        ("mute 1d deploys", Mute(24 * HOURS, "deploys")),
        ("mute 1w", Mute(7 * 24 * HOURS)),
        ("digest deploys hourly", Digest(HOURLY, "deploys")),
        ("Digest Deploys/* DAILY 9:00", Digest(NINE, "deploys/*")),
        ("digest daily at 9am deploys", Digest(NINE, "deploys")),
        ("digest daily 9", Digest(NINE)),
        ("digest off", Digest(None)),
        ("digest hourly daily 09:00", Digest(NINE, "hourly")),
        ("digest off hourly", Digest(HOURLY, "off")),
        ("digest * daily 9:30 pm", Digest(Schedule(time(21, 30)), "*")),
        ("subscribe deploys digest hourly", Subscribe("deploys", "", None, HOURLY)),
        (
            "subscribe deploys a=b digest daily 09:00 mode=thread c=d",
            Subscribe("deploys", "a=b c=d", Mode.THREAD, NINE),
        ),
        ("subscribe deploys digest=daily", Subscribe("deploys", "digest=daily", None)),
        ("quiet 22:00-07:00", Quiet(NIGHT)),
        ("quiet from 10 pm until 7am", Quiet(NIGHT)),
        ("quiet 22 to 7", Quiet(NIGHT)),
        ("quiet 22\N{EN DASH}7", Quiet(NIGHT)),
        ("quiet OFF", Quiet(None)),
        ("unmute", Unmute()),
        ("unmute deploys", Unmute("deploys")),
    ],
)
def test_valid_commands_are_parsed(words: str, request_: NotifyRequest) -> None:
    assert parse_notify_command(words) == request_


@pytest.mark.parametrize(
    ("words", "reason", "nearest"),
    [
        ("subscrbe deploys a=b", "Unknown command “subscrbe”", "subscribe deploys a=b"),
        ("lst", "Unknown command", "list"),
        ("xyzzy", "Unknown command", ""),
        ("subscribe", "Name a topic", "subscribe deploys"),
        ("unsubscribe", "Name a topic", "unsubscribe deploys"),
        ("subscribe de*", "use a star alone", ""),
        ("subscribe deploys api", "“api” is not a condition", ""),
        ("subscribe deploys severity>=eror", "Did you mean `error`", ""),
        ("subscribe d a=b mode=tread c=d", "is not a mode", "subscribe d a=b mode=thread c=d"),
        ("subscribe d mode=", "is not a mode", "subscribe d mode=thread"),
        ("digest", "how often", "digest daily 09:00"),
        ("digest deploys", "how often", "digest deploys daily 09:00"),
        ("digest deploys dayly 9", "how often", "digest deploys daily 09:00"),
        ("digest hourli deploys", "how often", "digest deploys hourly"),
        ("digest deploys daily", "the time of day", "digest deploys daily 09:00"),
        ("digest deploys daily 25:00", "not a time of day", "digest deploys daily 09:00"),
        ("digest deploys hourly 9", "Only daily takes a time", "digest deploys hourly"),
        ("digest de*p hourly", "use a star alone", ""),
        ("digets deploys hourly", "Unknown command", "digest deploys hourly"),
        (
            "subscribe d a=b digest weekly c=d",
            "is not a digest schedule",
            "subscribe d a=b digest daily 09:00 c=d",
        ),
        ("subscribe d digest daily", "the time of day", "subscribe d digest daily 09:00"),
        ("quiet", "a start and an end time", "quiet 22:00-07:00"),
        ("quiet 22:00", "a start and an end time", "quiet 22:00-07:00"),
        ("quiet 22-25", "not a time of day", "quiet 22:00-07:00"),
        ("quiet 7-7", "start and the end of the quiet hours", "quiet 22:00-07:00"),
        ("quite 22-7", "Unknown command", "quiet 22-7"),
        ("mute", "a duration", "mute 2h"),
        ("mute deploys", "a duration", "mute 2h"),
        ("mute 0h", "at least one minute", "mute 2h"),
        ("mute 31d", "at most 30 days", "mute 2h"),
        ("mute two words 2h", "is not a topic", ""),
    ],
)
def test_the_nearest_is_offered(words: str, reason: str, nearest: str) -> None:
    answer = parse_notify_command(words)

    assert isinstance(answer, ParseError)
    assert reason in answer.reason
    assert answer.nearest == nearest


@given(
    st.one_of(
        st.text(),
        st.tuples(st.sampled_from(COMMANDS), st.text()).map(" ".join),
        st.tuples(st.sampled_from(COMMANDS), st.text(alphabet='ab*/ ="-:<>!,mode2hdw9&;gt')).map(
            " ".join
        ),
        st.lists(st.sampled_from(["9", "10:30", "99", "-", "to", "until", "pm", "from"])).map(
            lambda words: " ".join(["quiet", *words])
        ),
        st.lists(
            st.sampled_from(["hourly", "daily", "off", "at", "9:00", "99", "pm", "a/*", "digest"])
        ).map(lambda words: " ".join(["digest", *words])),
    )
)
@example("mute 99999w")
@example("mute 9999\u0662h")
def test_it_never_raises(words: str) -> None:
    answer = parse_notify_command(words)

    if isinstance(answer, ParseError):
        assert answer.reason
        if answer.nearest.startswith("quiet") and words.startswith("quiet"):
            assert isinstance(parse_notify_command(answer.nearest), Quiet)
        if answer.nearest.startswith("mute"):
            assert isinstance(parse_notify_command(answer.nearest), Mute)
        if answer.nearest.startswith("digest") and words.startswith("digest"):
            assert isinstance(parse_notify_command(answer.nearest), Digest)


@given(
    st.none()
    | st.builds(Schedule, st.none() | st.times().map(lambda at: time(at.hour, at.minute))),
    st.none() | st.sampled_from(["deploys", "deploys/*", "*", "daily", "off", "hourly", "at", "9"]),
)
def test_a_digest_is_read_as_it_is_written(schedule: Schedule | None, topic: str | None) -> None:
    words = " ".join(filter(None, ["digest", topic, str(schedule or "off")]))

    assert parse_notify_command(words) == Digest(schedule, topic)
    if topic is not None and schedule is not None:
        words = f"subscribe {topic} digest {schedule} a=b"
        assert parse_notify_command(words) == Subscribe(topic, "a=b", None, schedule)


@given(st.times(), st.times())
def test_quiet_hours_are_read_as_they_are_written(start: time, end: time) -> None:
    hours = QuietHours(time(start.hour, start.minute), time(end.hour, end.minute))

    answer = parse_notify_command(f"quiet {hours}")

    if hours.start == hours.end:
        assert isinstance(answer, ParseError)
    else:
        assert answer == Quiet(hours)
