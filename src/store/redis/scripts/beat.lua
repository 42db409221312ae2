-- Changes a key and leaves nothing of it, so that its invalidation comes to whoever listens.
--
-- KEYS: the key.
-- Neither the append-only file nor a replica is told, so a beat costs no fsync.
redis.set_repl(redis.REPL_NONE)
redis.call('SET', KEYS[1], '')
redis.call('DEL', KEYS[1])
return 'done'
