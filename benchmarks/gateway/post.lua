-- For wrk: POST a body of $BODY_BYTES bytes. With $CANDIDATE_PCT above 0 so many percent of the requests name version 2.0
-- and all others 1.0. At the end one line that load.py reads.
wrk.method = "POST"
wrk.body = string.rep("x", tonumber(os.getenv("BODY_BYTES")))
wrk.headers["Content-Type"] = "application/octet-stream"
local candidate_pct = tonumber(os.getenv("CANDIDATE_PCT"))
local rest, candidate

function init()
  math.randomseed(os.time())
  rest = wrk.format(nil, candidate_pct > 0 and wrk.path .. "/1.0" or nil)
  candidate = wrk.format(nil, wrk.path .. "/2.0")
end

function request()
  return math.random() * 100 < candidate_pct and candidate or rest
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    "RESULT requests=%d duration_us=%d p50_us=%d p99_us=%d failed=%d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
