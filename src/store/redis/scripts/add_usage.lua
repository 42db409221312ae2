-- Adds a batch of counts, or nothing of it.
--
-- KEYS: the last batch of the instance, the index of days.
-- ARGV: what the name of a key of usage begins with; the sequence of the batch; for how many seconds
--   it is kept;
--   how many keys there are, and for each: id, requests, last_used_at, last_used_from, how many
--   parts, and name, count and moment of each part;
--   how many days there are, and for each: date, its number, how many keys, id and requests of each,
--   how many owners, owner and requests of each.
-- Each key, part, day and owner comes once.
-- Answers 'added'; 'known' where this batch or a later one was added before; or what is in the way:
--   'damaged' with a key and a field, empty where it has none, or 'refused' with a key and an error.
local instance, days = KEYS[1], KEYS[2]
local prefix, sequence, kept_for = ARGV[1], ARGV[2], ARGV[3]

local position = 3
local function take()
    position = position + 1
    return ARGV[position]
end

-- A script is not rolled back. Everything is read and judged before the first change.
local writes, obstacle = {}, nil

-- The reply, or false for nothing and for an error.
local function ask(command, key, ...)
    local reply = redis.pcall(command, key, ...)
    if type(reply) == 'table' and reply.err then
        obstacle = obstacle or { 'refused', key, reply.err }
        return false
    end
    return reply
end

-- A command takes a part of its arguments at once: the stack of Lua is small.
local PIECE = 1000

local function read(hash, fields)
    local values = {}
    for from = 1, #fields, PIECE do
        local to = math.min(from + PIECE - 1, #fields)
        for i, value in ipairs(ask('HMGET', hash, unpack(fields, from, to)) or {}) do
            values[from + i - 1] = value
        end
    end
    return values
end

-- The sum of two counts in decimal. Numbers of Lua are exact below 2^53, so large ones are added in
-- two parts. It ends where 64 bits do.
local LARGEST = '18446744073709551615'
local function sum(one, other)
    local total = one + other
    if total < 2 ^ 53 then
        return string.format('%.0f', total)
    end
    local low = string.sub(one, -9) + string.sub(other, -9)
    local high = ('0' .. string.sub(one, 1, -10)) + ('0' .. string.sub(other, 1, -10))
    total = string.format('%.0f%09.0f', high + math.floor(low / 1e9), low % 1e9)
    if #total > #LARGEST or (#total == #LARGEST and total > LARGEST) then
        return LARGEST
    end
    return total
end

-- What the pattern finds in a stored value, which is sound or in the way.
local function find(hash, field, stored, pattern)
    local first, second = string.match(stored, pattern)
    if not first or #first > #LARGEST then
        obstacle = obstacle or { 'damaged', hash, field }
        return '0', '0'
    end
    return first, second
end

local last = ask('GET', instance)
if last and not string.find(last, '^%d+$') then
    return { 'damaged', instance, '' }
end
-- Compared as text: as numbers, large sequences next to each other are the same.
if last and (#sequence < #last or (#sequence == #last and sequence <= last)) then
    return { 'known' }
end
ask('ZCARD', days)

for _ = 1, take() do
    local hash = prefix .. 'key:' .. take()
    local requests, moment, from = take(), take(), take()
    local fields, counts, moments = { 'requests', 'last_used_at' }, {}, {}
    for i = 3, take() + 2 do
        fields[i], counts[i], moments[i] = take(), take(), take()
    end
    local stored, set = read(hash, fields), {}
    if stored[1] then
        requests = sum(find(hash, 'requests', stored[1], '^(%d+)$'), requests)
    end
    set[1], set[2] = 'requests', requests
    if not stored[2] or find(hash, 'last_used_at', stored[2], '^(%d+)$') - moment <= 0 then
        set[3], set[4], set[5], set[6] = 'last_used_at', moment, 'last_used_from', from
    end
    for i = 3, #fields do
        local count, at = counts[i], moments[i]
        if stored[i] then
            local before, before_at = find(hash, fields[i], stored[i], '^(%d+) (%d+)$')
            count = sum(before, count)
            if before_at - at > 0 then
                at = before_at
            end
        end
        local place = #set
        set[place + 1], set[place + 2] = fields[i], count .. ' ' .. at
    end
    writes[#writes + 1] = { 'HSET', hash, set }
end

for _ = 1, take() do
    local date, since_1970 = take(), take()
    local day = prefix .. 'day:' .. date
    writes[#writes + 1] = { 'ZADD', days, { since_1970, date } }
    for _, of in ipairs({ ':keys', ':owners' }) do
        local hash, names, set, members = day .. of, {}, {}, {}
        for i = 1, take() do
            names[i] = take()
            set[2 * i - 1], set[2 * i] = names[i], take()
            members[2 * i - 1], members[2 * i] = 0, names[i]
        end
        for i, stored in ipairs(read(hash, names)) do
            if stored then
                set[2 * i] = sum(find(hash, names[i], stored, '^(%d+)$'), set[2 * i])
            end
        end
        writes[#writes + 1] = { 'HSET', hash, set }
        if of == ':owners' then
            ask('ZCARD', hash .. ':index')
            writes[#writes + 1] = { 'ZADD', hash .. ':index', members }
        end
    end
end

if obstacle then
    return obstacle
end
redis.call('SET', instance, sequence, 'EX', kept_for)
for _, write in ipairs(writes) do
    local command, key, arguments = write[1], write[2], write[3]
    for from = 1, #arguments, PIECE do
        redis.call(command, key, unpack(arguments, from, math.min(from + PIECE - 1, #arguments)))
    end
end
return { 'added' }
