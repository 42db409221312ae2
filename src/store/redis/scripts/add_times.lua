-- Adds the times of audit events that were kept by services of before.
--
-- KEYS: the audit log, the times of changes, the times of requests.
-- ARGV: for each event the number of its kind, its time and its sequence.
-- Answers 'done'. What was forgotten meanwhile stays so.
for event = 1, #ARGV, 3 do
    local sequence = ARGV[event + 2]
    if #redis.call('XRANGE', KEYS[1], sequence, sequence) == 1 then
        redis.call('ZADD', KEYS[1 + ARGV[event]], ARGV[event + 1], sequence)
    end
end
return 'done'
