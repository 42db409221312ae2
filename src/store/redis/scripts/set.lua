-- Sets one setting, if it holds what is expected.
--
-- KEYS: the settings.
-- ARGV: name; value; and the expected value, left out where there must be none.
-- Answers 'done' or 'stale'.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= (ARGV[3] or false) then
    return 'stale'
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 'done'
