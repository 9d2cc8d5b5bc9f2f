-- Script for wrk: sends each request of a file once, and prints one line of JSON at the end.
-- https://github.com/wg/wrk/blob/master/SCRIPTING

local requests, answer = {}, ""
local threads = {}
sent, wrong = 0, 0

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  answer = arguments[2] or ""
  for line in io.lines(arguments[1]) do
    local content_type, timestamp, signature, body = line:match("^(.-)\t(.-)\t(.-)\t(.*)$")
    local headers = {
      ["Content-Type"] = content_type,
      ["X-Slack-Request-Timestamp"] = timestamp,
      ["X-Slack-Signature"] = signature,
    }
    table.insert(requests, wrk.format("POST", wrk.path, headers, body))
  end
end

function request()
  sent = sent + 1
  return requests[(sent - 1) % #requests + 1]
end

function response(status, headers, body)
  if status ~= 200 or not body:find(answer, 1, true) then
    wrong = wrong + 1
  end
end

function done(summary, latency, _)
  local errors, all_sent, all_wrong = summary.errors, 0, 0
  for _, thread in ipairs(threads) do
    all_sent = all_sent + thread:get("sent")
    all_wrong = all_wrong + thread:get("wrong")
  end
  io.write(string.format(
    '{"answers": %d, "elapsed_us": %d, "p50_us": %d, "p99_us": %d, "sent": %d, "wrong": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), all_sent,
    all_wrong + errors.connect + errors.read + errors.write + errors.timeout))
end
