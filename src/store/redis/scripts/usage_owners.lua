-- Reads the counts of some owners on one day, in the order of their names.
--
-- KEYS: the counts, the index of their owners.
-- ARGV: where to begin, as ZRANGE BYLEX has it; at most how many.
-- Answers each owner and its count.
local owners = redis.call('ZRANGE', KEYS[2], ARGV[1], '+', 'BYLEX', 'LIMIT', 0, ARGV[2])
if #owners == 0 then
    return {}
end
local counts, page = redis.call('HMGET', KEYS[1], unpack(owners)), {}
for i, owner in ipairs(owners) do
    page[i] = { owner, counts[i] or '' }
end
return page
