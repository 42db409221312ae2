-- Forgets some audit events of a kind, the oldest first, with what the index has of them.
--
-- KEYS: the audit log, its index, the times of changes, the times of requests.
-- ARGV: the number of the kind; the time of the first event that stays; at most how many.
-- Answers how many were forgotten, and how many events there are whose time is not known: those that
-- were kept by services of before.
local log, index, times = KEYS[1], KEYS[2], { KEYS[3], KEYS[4] }
local of_kind = times[tonumber(ARGV[1])]

-- A script is not rolled back. A key of another type must fail here, before the first change.
redis.call('XLEN', log)
redis.call('ZCARD', index)
redis.call('ZCARD', times[1])
redis.call('ZCARD', times[2])

local due = redis.call('ZRANGEBYSCORE', of_kind, '-inf', '(' .. ARGV[2], 'LIMIT', 0, ARGV[3])
for _, sequence in ipairs(due) do
    local millis, number = string.match(sequence, '^(%d+)-(%d+)$')
    local wide = '\0' .. string.rep('0', 20 - #millis) .. millis .. '-' .. string.rep('0', 20 - #number) .. number
    local entry = redis.call('XRANGE', log, sequence, sequence)[1]
    local is_json, event = pcall(cjson.decode, entry and entry[2][2] or '')
    if is_json and type(event) == 'table' then
        for prefix, of in pairs({ k = event.key_id, o = event.owner, a = event.action }) do
            if type(of) == 'string' then
                redis.call('ZREM', index, prefix .. of .. wide)
            end
        end
    end
    redis.call('XDEL', log, sequence)
    redis.call('ZREM', of_kind, sequence)
end
return { #due, redis.call('XLEN', log) - redis.call('ZCARD', times[1]) - redis.call('ZCARD', times[2]) }
