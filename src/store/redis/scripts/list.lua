-- Reads a page of records, as of one moment.
--
-- KEYS: the index to go through.
-- ARGV: what the name of a record's key begins with; the owner, or empty; the id to begin after, or
--   empty; at most how many; and the fields to read.
-- Answers for each record its id and its fields, or its id and an error.
local index, record, owner, after, limit = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local prefix, last = '', '+'
if owner ~= '' then
    prefix, last = owner .. '\0', '(' .. owner .. '\1'
end
local page = {}
for _, member in ipairs(redis.call('ZRANGE', index, '(' .. prefix .. after, last,
    'BYLEX', 'LIMIT', 0, limit)) do
    local id = string.sub(member, #prefix + 1)
    -- A key of another type is one that cannot be read, and not the end of the page.
    local fields = redis.pcall('HMGET', record .. id, unpack(ARGV, 5))
    page[#page + 1] = { id, fields.err or fields }
end
return page
