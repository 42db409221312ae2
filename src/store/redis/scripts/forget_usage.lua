-- Forgets the counts of some days, the oldest first. Redis gives their memory back in a thread beside.
--
-- KEYS: the index of days.
-- ARGV: what the name of a day's counts begins with; the number of the first day that stays; at most
--   how many days.
-- Answers how many were forgotten.
local prefix = ARGV[1]
local days = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[2], 'LIMIT', 0, ARGV[3])
for _, date in ipairs(days) do
    local day = prefix .. date
    redis.call('UNLINK', day .. ':keys', day .. ':owners', day .. ':owners:index')
    redis.call('ZREM', KEYS[1], date)
end
return #days
