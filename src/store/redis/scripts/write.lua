-- Makes one change of one record, with its audit events, or nothing of it.
--
-- KEYS: the record, the index of ids, the index of owners, the audit log, the index of the audit log,
--   the times of changes, the times of requests.
-- ARGV: id; expected version, empty where there must be no record; version; owner; format;
--   revoked_at; revocation_reason; body; the newest format that the writer knows; and the
--   events, as keep_events takes them.
-- Answers 'done', 'taken', 'stale', 'low' where the version would not rise, or 'format' with the
--   stored format that is in the way.
local record, ids, owners, log, log_index = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local log_times = { KEYS[6], KEYS[7] }
local id, expected, version, owner, format = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local revoked_at, reason, body, newest = ARGV[6], ARGV[7], ARGV[8], ARGV[9]

local stored = redis.call('HMGET', record,
    'version', 'owner', 'format', 'revoked_at', 'revocation_reason')
-- A script is not rolled back. A key of another type must fail here, before the first change.
redis.call('ZCARD', ids)
redis.call('ZCARD', owners)
redis.call('XLEN', log)
redis.call('ZCARD', log_index)
redis.call('ZCARD', log_times[1])
redis.call('ZCARD', log_times[2])

if expected == '' then
    if redis.call('EXISTS', record) == 1 then
        return { 'taken' }
    end
else
    -- Compared as text: as numbers, large versions next to each other are the same.
    if stored[1] ~= expected then
        return { 'stale' }
    end
    local ended = stored[4] or ''
    if ended ~= '' and (ended ~= revoked_at or (stored[5] or '') ~= reason) then
        return { 'stale' }
    end
    local stored_format = tonumber(stored[3] or '')
    if not (stored_format and stored_format >= 1 and stored_format <= tonumber(newest)) then
        return { 'format', stored[3] or '' }
    end
    if #version < #expected or (#version == #expected and version <= expected) then
        return { 'low' }
    end
end

if stored[2] and stored[2] ~= owner then
    redis.call('ZREM', owners, stored[2] .. '\0' .. id)
end
redis.call('ZADD', ids, 0, id)
redis.call('ZADD', owners, 0, owner .. '\0' .. id)
redis.call('HSET', record, 'version', version, 'owner', owner, 'format', format,
    'revoked_at', revoked_at, 'revocation_reason', reason, 'body', body)

keep_events(log, log_index, log_times, 10)
return { 'done' }
