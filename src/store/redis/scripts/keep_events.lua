-- Before a script that keeps audit events: the log, its index, and the times of each kind.
--
-- From `first` on, ARGV has for each event its JSON; what it is in the index under, for its key, its
--   owner and its action, empty where it has none; the number of its kind; and its time.
local function keep_events(log, index, times, first)
    for event = first, #ARGV, 6 do
        local sequence = redis.call('XADD', log, '*', 'event', ARGV[event])
        local millis, number = string.match(sequence, '^(%d+)-(%d+)$')
        -- Of one width, so that they sort as numbers do.
        local wide = string.rep('0', 20 - #millis) .. millis .. '-' .. string.rep('0', 20 - #number) .. number
        for of = event + 1, event + 3 do
            if ARGV[of] ~= '' then
                redis.call('ZADD', index, 0, ARGV[of] .. '\0' .. wide)
            end
        end
        redis.call('ZADD', times[tonumber(ARGV[event + 4])], ARGV[event + 5], sequence)
    end
end

