"""``functions.*``: completion of workflow steps."""

from __future__ import annotations

from slack_sandbox.core import StepRun
from slack_sandbox.errors import ApiError
from slack_sandbox.limits import Tier
from slack_sandbox.web_api.call import Call
from slack_sandbox.web_api.registry import method
from slack_sandbox.workflows import missing_outputs
from slack_sandbox.world import JsonDict


@method("functions.completeSuccess", Tier.THREE, takes_json=True)
def complete_success(call: Call) -> JsonDict:
    """Complete a step (https://docs.slack.dev/reference/methods/functions.completeSuccess)."""
    run = _running(call)
    outputs = call.structure("outputs")
    if not isinstance(outputs, dict):
        raise ApiError("invalid_arguments")
    wrong = missing_outputs(run, outputs)
    if wrong:
        messages = [f"missing or unknown: {name}" for name in wrong]
        raise ApiError("parameter_validation_failed", response_metadata={"messages": messages})
    with call.core.edit():
        run.state, run.outputs = "completed", outputs
    return {"ok": True}


@method("functions.completeError", Tier.THREE, takes_json=True)
def complete_error(call: Call) -> JsonDict:
    """Fail a step with a message for people
    (https://docs.slack.dev/reference/methods/functions.completeError).
    """
    run = _running(call)
    error = call.need_text("error")
    with call.core.edit():
        run.state, run.error = "failed", error
    return {"ok": True}


def _running(call: Call) -> StepRun:
    run = call.core.step_runs.get(call.need_text("function_execution_id"))
    if run is None or run.team_id not in call.installation.team_ids:
        raise ApiError("function_execution_not_found")
    if run.state != "running":
        raise ApiError("execution_not_in_running_state")
    return run
