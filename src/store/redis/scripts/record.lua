-- Keeps audit events that come with no change, all of them or none.
--
-- KEYS: the audit log, its index, the times of changes, the times of requests.
-- ARGV: the events, as keep_events takes them.
-- Answers 'done'.
local log, index, times = KEYS[1], KEYS[2], { KEYS[3], KEYS[4] }

-- A script is not rolled back. A key of another type must fail here, before the first change.
redis.call('XLEN', log)
redis.call('ZCARD', index)
redis.call('ZCARD', times[1])
redis.call('ZCARD', times[2])

keep_events(log, index, times, 1)
return 'done'
