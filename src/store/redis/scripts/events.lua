-- Reads some audit events, the oldest first.
--
-- KEYS: the audit log, its index.
-- ARGV: what the index is to be asked for, or empty for the whole log; the sequence to begin after;
--   at most how many.
-- Answers how many were looked at, the last sequence of them, and sequence and JSON of each event.
-- Of events that were trimmed off the log, the index may know still: they are looked at alone.
local log, index, asked, after, limit = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]

local looked_at, last, events = 0, after, {}
local function take(entries)
    for _, entry in ipairs(entries) do
        local fields = entry[2]
        events[#events + 1] = { entry[1], fields[1] == 'event' and fields[2] or '' }
    end
end

if asked == '' then
    local entries = redis.call('XRANGE', log, '(' .. after, '+', 'COUNT', limit)
    take(entries)
    looked_at = #entries
    if looked_at > 0 then
        last = entries[looked_at][1]
    end
else
    local millis, number = string.match(after, '^(%d+)-(%d+)$')
    local begin = string.rep('0', 20 - #millis) .. millis .. '-' .. string.rep('0', 20 - #number) .. number
    -- A colon is greater than every digit.
    for _, member in ipairs(redis.call('ZRANGE', index, '(' .. asked .. begin, '(' .. asked .. ':',
        'BYLEX', 'LIMIT', 0, limit)) do
        millis, number = string.match(string.sub(member, #asked + 1), '^0*(%d+)-0*(%d+)$')
        looked_at, last = looked_at + 1, millis .. '-' .. number
        take(redis.call('XRANGE', log, last, last))
    end
end
return { looked_at, last, events }
