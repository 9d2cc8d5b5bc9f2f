"""A selection of emoji by Slack's names."""

from __future__ import annotations

import re

from markupsafe import Markup

from slack_sandbox.client.render.tags import tag

NAME = re.compile(r":([a-z0-9_+'-]+)(?:::skin-tone-[2-6])?:")

EMOJI = {
    "+1": "👍", "-1": "👎", "100": "💯", "alarm_clock": "⏰", "ambulance": "🚑",
    "arrow_down": "⬇️", "arrow_left": "⬅️", "arrow_right": "➡️", "arrow_up": "⬆️",
    "bar_chart": "📊", "beers": "🍻", "bell": "🔔", "bellhop_bell": "🛎️", "birthday": "🎂",
    "blue_heart": "💙", "book": "📖", "bookmark": "🔖", "boom": "💥", "bug": "🐛",
    "bulb": "💡", "calendar": "📆", "camera": "📷", "cat": "🐱",
    "chart_with_downwards_trend": "📉", "chart_with_upwards_trend": "📈", "checkered_flag": "🏁",
    "clap": "👏", "clipboard": "📋", "cloud": "☁️", "coffee": "☕", "computer": "💻",
    "confetti_ball": "🎊", "construction": "🚧", "cry": "😢", "dart": "🎯", "date": "📅",
    "dog": "🐶", "earth_africa": "🌍", "email": "✉️", "envelope": "✉️", "exclamation": "❗",
    "eyes": "👀", "fire": "🔥", "flag-fi": "🇫🇮", "gear": "⚙️", "gift": "🎁",
    "green_heart": "💚", "grey_question": "❔", "grin": "😁", "grinning": "😀", "hammer": "🔨",
    "hand": "✋", "heart": "❤️", "heavy_check_mark": "✔️", "heavy_multiplication_x": "✖️",
    "hourglass": "⌛", "hourglass_flowing_sand": "⏳", "house": "🏠", "inbox_tray": "📥",
    "information_source": "\u2139\ufe0f", "joy": "😂", "key": "🔑", "label": "🏷️",
    "large_blue_circle": "🔵", "large_green_circle": "🟢", "large_orange_circle": "🟠",
    "large_red_circle": "🔴", "large_yellow_circle": "🟡", "link": "🔗", "lock": "🔒",
    "loudspeaker": "📢", "mag": "🔍", "mailbox": "📫", "medal": "🏅", "mega": "📣",
    "memo": "📝", "moneybag": "💰", "moon": "🌔", "muscle": "💪", "no_bell": "🔕",
    "no_entry": "⛔", "no_entry_sign": "🚫", "office": "🏢", "ok": "🆗", "ok_hand": "👌",
    "outbox_tray": "📤", "package": "📦", "page_facing_up": "📄", "palm_tree": "🌴",
    "paperclip": "📎", "partying_face": "🥳", "pencil": "📝", "pencil2": "✏️",
    "phone": "☎️", "pizza": "🍕", "point_down": "👇", "point_left": "👈",
    "point_right": "👉", "point_up": "☝️", "pray": "🙏", "pushpin": "📌", "question": "❓",
    "rainbow": "🌈", "raised_hands": "🙌", "recycle": "♻️", "red_circle": "🔴", "repeat": "🔁",
    "robot_face": "🤖", "rocket": "🚀", "rotating_light": "🚨", "satellite": "🛰️", "scream": "😱",
    "scroll": "📜", "seedling": "🌱", "shield": "🛡️", "ship": "🚢", "shrug": "🤷", "skull": "💀",
    "slightly_smiling_face": "🙂", "smile": "😄", "smiley": "😃", "snail": "🐌", "snowflake": "❄️",
    "sob": "😭", "sparkles": "✨", "speech_balloon": "💬", "star": "⭐", "stopwatch": "⏱️",
    "sunglasses": "😎", "sunny": "☀️", "tada": "🎉", "thinking_face": "🤔", "thumbsdown": "👎",
    "thumbsup": "👍", "ticket": "🎫", "traffic_light": "🚥", "trophy": "🏆", "truck": "🚚",
    "unlock": "🔓", "warning": "⚠️", "wave": "👋", "white_check_mark": "✅",
    "white_circle": "⚪", "wink": "😉", "wrench": "🔧", "x": "❌", "zap": "⚡", "zzz": "💤",
}  # fmt: skip


def emoji_tag(name: str) -> Markup | None:
    """An emoji; None for an unknown name."""
    picture = EMOJI.get(name)
    if picture is None:
        return None
    shown = {"class": "emoji", "role": "img", "aria-label": name, "title": f":{name}:"}
    return tag("span", shown, picture)
