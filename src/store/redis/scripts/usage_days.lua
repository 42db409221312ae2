-- Reads the counts of one name on each day of a range, as of one moment.
--
-- KEYS: the index of days.
-- ARGV: what the name of a day's counts begins with, and ends with; the name; the numbers of the
--   first and the last day.
-- Answers the number of each day that has a count, and that count.
local prefix, suffix, name = ARGV[1], ARGV[2], ARGV[3]
local counts = {}
local days = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[4], ARGV[5], 'WITHSCORES')
for i = 1, #days, 2 do
    local count = redis.call('HGET', prefix .. days[i] .. suffix, name)
    if count then
        counts[#counts + 1] = { days[i + 1], count }
    end
end
return counts
