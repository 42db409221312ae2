-- Reads some audit events, the oldest first.
--
-- KEYS: the audit log, its index.
-- ARGV: the sequence to begin after; at most how many; and what the index is to be asked for, any of
--   which will do; nothing for the whole log.
-- Answers how many were looked at, the last sequence of them, and sequence and JSON of each event.
-- Of events that were trimmed off the log, the index may know still: they are looked at alone.
local log, index, after, limit = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2])

local looked_at, last, events = 0, after, {}
local function take(entries)
    for _, entry in ipairs(entries) do
        local fields = entry[2]
        events[#events + 1] = { entry[1], fields[1] == 'event' and fields[2] or '' }
    end
end

if #ARGV == 2 then
    local entries = redis.call('XRANGE', log, '(' .. after, '+', 'COUNT', limit)
    take(entries)
    looked_at = #entries
    if looked_at > 0 then
        last = entries[looked_at][1]
    end
else
    local millis, number = string.match(after, '^(%d+)-(%d+)$')
    local begin = string.rep('0', 20 - #millis) .. millis .. '-' .. string.rep('0', 20 - #number) .. number
    local found = {}
    for asked = 3, #ARGV do
        local of = ARGV[asked] .. '\0'
        -- A colon is greater than every digit.
        for _, member in ipairs(redis.call('ZRANGE', index, '(' .. of .. begin, '(' .. of .. ':',
            'BYLEX', 'LIMIT', 0, limit)) do
            found[#found + 1] = string.sub(member, #of + 1)
        end
    end
    table.sort(found)
    for place = 1, math.min(#found, limit) do
        millis, number = string.match(found[place], '^0*(%d+)-0*(%d+)$')
        looked_at, last = place, millis .. '-' .. number
        take(redis.call('XRANGE', log, last, last))
    end
end
return { looked_at, last, events }
