-- Takes what a request costs from each of the limits of a key; or, where one does not allow it, from none.
--
-- KEYS: the moments up to which the key is paid for, a field for each limit.
-- ARGV: for each limit: its name; what has to be left for the request, what it costs, and what a key may
--   be ahead of now; three numbers each.
-- Times are seconds, nanoseconds and parts of one, of which there are 2^32: numbers of Lua are exact
-- below 2^53.
-- Answers 'taken' or 'over', with how far ahead of now the key is paid for, in three numbers for each
-- limit; or 'damaged'.

-- Counts go to replicas, for a failover, and not to the append-only file: none is worth an fsync.
redis.set_repl(redis.REPL_REPLICA)

local SECOND, NANOSECOND = 1000000000, 4294967296
local NOTHING = { 0, 0, 0 }
local WIDTH = 10

local function is_less(a, b)
    for i = 1, 3 do
        if a[i] ~= b[i] then
            return a[i] < b[i]
        end
    end
    return false
end

local function add(a, b)
    local seconds, nanos, parts = a[1] + b[1], a[2] + b[2], a[3] + b[3]
    if parts >= NANOSECOND then
        nanos, parts = nanos + 1, parts - NANOSECOND
    end
    if nanos >= SECOND then
        seconds, nanos = seconds + 1, nanos - SECOND
    end
    return { seconds, nanos, parts }
end

-- Nothing where b is more.
local function subtract(a, b)
    if is_less(a, b) then
        return NOTHING
    end
    local seconds, nanos, parts = a[1] - b[1], a[2] - b[2], a[3] - b[3]
    if parts < 0 then
        nanos, parts = nanos - 1, parts + NANOSECOND
    end
    if nanos < 0 then
        seconds, nanos = seconds - 1, nanos + SECOND
    end
    return { seconds, nanos, parts }
end

local function given(from)
    return { tonumber(ARGV[from]), tonumber(ARGV[from + 1]), tonumber(ARGV[from + 2]) }
end

-- A stored moment; nil: it is none.
local function read(stored)
    if not stored then
        return NOTHING
    end
    local seconds, nanos, parts = string.match(stored, '^(%d+) (%d+) (%d+)$')
    if not seconds or #seconds > 16 then
        return nil
    end
    local moment = { tonumber(seconds), tonumber(nanos), tonumber(parts) }
    if moment[1] > 2 ^ 53 or moment[2] >= SECOND or moment[3] >= NANOSECOND then
        return nil
    end
    return moment
end

local time = redis.call('TIME')
local now = { tonumber(time[1]), tonumber(time[2]) * 1000, 0 }

local names = {}
for from = 1, #ARGV, WIDTH do
    names[#names + 1] = ARGV[from]
end
local stored = redis.pcall('HMGET', KEYS[1], unpack(names))
if stored.err then
    return string.find(stored.err, 'WRONGTYPE', 1, true) and { 'damaged', {} } or stored
end

local paid, is_over = {}, false
for n = 1, #names do
    paid[n] = read(stored[n])
    if not paid[n] then
        return { 'damaged', {} }
    end
    local from = (n - 1) * WIDTH + 2
    local free = subtract(given(from + 6), subtract(paid[n], now))
    is_over = is_over or is_less(free, given(from))
end

local latest = NOTHING
if not is_over then
    local fields = {}
    for n = 1, #names do
        local start = is_less(paid[n], now) and now or paid[n]
        paid[n] = add(start, given((n - 1) * WIDTH + 5))
        latest = is_less(latest, paid[n]) and paid[n] or latest
        fields[#fields + 1] = names[n]
        fields[#fields + 1] = string.format('%.0f %.0f %.0f', paid[n][1], paid[n][2], paid[n][3])
    end
    -- Other limits of the key may be paid for further ahead. 3,000 years are enough.
    local ends = math.min(latest[1] + 2, now[1] + 1e11)
    local left = redis.call('PTTL', KEYS[1])
    redis.call('HSET', KEYS[1], unpack(fields))
    if left < (ends - now[1]) * 1000 then
        redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', ends * 1000))
    end
end

local ahead = {}
for n = 1, #names do
    for _, number in ipairs(subtract(paid[n], now)) do
        ahead[#ahead + 1] = number
    end
end
return { is_over and 'over' or 'taken', ahead }
