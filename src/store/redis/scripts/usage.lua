-- Reads how some keys were used, as of one moment.
--
-- KEYS: what the name of a key's usage begins with.
-- ARGV: the ids.
-- Answers for each id its fields and their values, none where it was never used, or an error.
local page = {}
for i, id in ipairs(ARGV) do
    -- A key of another type is one that cannot be read.
    local fields = redis.pcall('HGETALL', KEYS[1] .. id)
    page[i] = fields.err or fields
end
return page
