-- Takes what a request costs from each of the limits of a key; or, where one does not allow it, from none.
--
-- KEYS: the moments up to which the key is paid for, as `name=seconds nanoseconds parts of room;` for each
--   limit; its room is what the key could be ahead of now when it was last used, in three numbers.
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

-- Reads what the key is paid for into `held` and `rooms`; false where it was damaged.
local held, rooms = {}, {}
local function read(stored)
    local from = 1
    while from <= #stored do
        local _, last, name, seconds, nanos, parts, room =
            string.find(stored, '^([^;=]+)=(%d+) (%d+) (%d+) of (%d+ %d+ %d+);', from)
        if not last then
            return false
        end
        local moment = { tonumber(seconds), tonumber(nanos), tonumber(parts) }
        if moment[1] > 2 ^ 53 or moment[2] >= SECOND or moment[3] >= NANOSECOND then
            return false
        end
        held[name], rooms[name], from = moment, room, last + 1
    end
    return true
end

local time = redis.call('TIME')
local now = { tonumber(time[1]), tonumber(time[2]) * 1000, 0 }

local names = {}
for from = 1, #ARGV, WIDTH do
    names[#names + 1] = ARGV[from]
end
local stored = redis.pcall('GET', KEYS[1])
if type(stored) == 'table' and stored.err then
    return string.find(stored.err, 'WRONGTYPE', 1, true) and { 'damaged', {} } or stored
end
if not read(stored or '') then
    return { 'damaged', {} }
end

local is_over, is_cut = false, false
for n = 1, #names do
    local from = (n - 1) * WIDTH + 2
    local debt = subtract(held[names[n]] or NOTHING, now)
    local room = table.concat(ARGV, ' ', from + 6, from + 8)
    -- The limit is another than before: nobody waits for longer than if its burst had just been used up.
    if rooms[names[n]] ~= room and is_less(given(from + 6), debt) then
        debt, is_cut = given(from + 6), true
        held[names[n]] = add(now, debt)
    end
    rooms[names[n]] = room
    is_over = is_over or is_less(subtract(given(from + 6), debt), given(from))
end

if not is_over then
    for n = 1, #names do
        local paid = held[names[n]] or NOTHING
        paid = is_less(paid, now) and now or paid
        held[names[n]] = add(paid, given((n - 1) * WIDTH + 5))
    end
end
if not is_over or is_cut then
    -- What says nothing any more is dropped.
    local kept, last = {}, now[1]
    for name, paid in pairs(held) do
        if is_less(now, paid) then
            last = math.max(last, paid[1])
            kept[#kept + 1] = string.format('%s=%.0f %.0f %.0f of %s;', name, paid[1], paid[2], paid[3], rooms[name])
        end
    end
    -- 3,000 years are long enough. It is one command: two would be wrapped into a transaction, of which
    -- the append-only file is told.
    local ends = string.format('%.0f', math.min(last + 2, now[1] + 1e11) * 1000)
    redis.call('SET', KEYS[1], table.concat(kept), 'PXAT', ends)
end

local ahead = {}
for n = 1, #names do
    for _, number in ipairs(subtract(held[names[n]] or NOTHING, now)) do
        ahead[#ahead + 1] = number
    end
end
return { is_over and 'over' or 'taken', ahead }
