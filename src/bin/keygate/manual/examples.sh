# A store in a SQLite file, with a pepper and a file with settings beside it.
keygate init --store keys.db --prefix acme_live
# A key for CI, whose text goes to a file of its own.
keygate issue --owner org_42 --scope orders:read,write --name CI --out ci.key
# Which keys end within a month? And their ids alone, for scripts.
keygate list --expiring-within 30d
keygate list --expiring-within 30d --json | jq -r '.keys[].key_id'
# Nobody misses it: end it for ever.
keygate show 4KX9vQ2mB7tZ
keygate revoke 4KX9vQ2mB7tZ --reason 'idle for a year'
# Whose is the key that was found? It is asked for, and read without being shown.
keygate verify
