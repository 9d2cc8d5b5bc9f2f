"""`api.test`, `auth.test` and `team.info`."""

from __future__ import annotations

from bolt_app.web.methods.arguments import Arguments
from bolt_app.web.methods.call import Answer, Call, Method
from bolt_app.web.methods.errors import MethodError

API_TEST = "api.test"


def api_test(arguments: Arguments) -> Answer:
    """Answer with the arguments (https://docs.slack.dev/reference/methods/api.test).

    Raises:
        MethodError: the argument `error` asks for it.
    """
    values = dict(arguments.values)
    if error := arguments.text("error"):
        raise MethodError(error, args=values)
    return {"args": values} if values else {}


def auth_test(call: Call) -> Answer:
    """Identify the key (https://docs.slack.dev/reference/methods/auth.test).

    The ids are those of Bellhop's bot, which posts the messages.
    """
    bot = call.services.installations.find_bot(call.team_id)
    answer: Answer = {"team_id": call.team_id, "user": call.key.name}
    if bot is None:
        return answer
    known = {
        "url": f"https://{bot.domain}.slack.com/" if bot.domain else None,
        "team": bot.team_name,
        "user_id": bot.user_id,
        "bot_id": bot.bot_id,
        "enterprise_id": bot.enterprise_id,
    }
    found = {name: value for name, value in known.items() if value}
    return {**answer, **found, "is_enterprise_install": False}


def team_info(call: Call) -> Answer:
    """Return the workspace of the key (https://docs.slack.dev/reference/methods/team.info).

    Raises:
        MethodError: the argument `team` names another one.
    """
    if call.arguments.text("team").strip() not in ("", call.team_id):
        raise MethodError("team_not_found")
    bot = call.services.installations.find_bot(call.team_id)
    known = {} if bot is None else {"name": bot.team_name, "domain": bot.domain}
    return {"team": {"id": call.team_id, **{name: text for name, text in known.items() if text}}}


METHODS = {"auth.test": Method(auth_test, None), "team.info": Method(team_info, None)}
