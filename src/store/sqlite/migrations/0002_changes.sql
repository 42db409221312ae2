-- Which keys were changed, in the order in which they were, so that every process drops what it
-- remembers of them. Triggers keep it, so changes typed by hand are in it too. Of old entries
-- nothing is needed: a process that is further behind drops everything.

CREATE TABLE keygate_changes (
    -- Without gaps, and never used twice.
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    -- Tells the same number apart before and after a backup was put back.
    mark INTEGER NOT NULL DEFAULT (random()),
    id TEXT NOT NULL
) STRICT;

CREATE TRIGGER keygate_changes_are_the_last_ones
AFTER INSERT ON keygate_changes
BEGIN
    DELETE FROM keygate_changes WHERE sequence <= NEW.sequence - 4096;
END;

CREATE TRIGGER keygate_keys_insert_is_a_change
AFTER INSERT ON keygate_keys
BEGIN
    INSERT INTO keygate_changes (id) VALUES (NEW.id);
END;

CREATE TRIGGER keygate_keys_update_is_a_change
AFTER UPDATE ON keygate_keys
BEGIN
    INSERT INTO keygate_changes (id) VALUES (NEW.id);
END;

CREATE TRIGGER keygate_keys_delete_is_a_change
AFTER DELETE ON keygate_keys
BEGIN
    INSERT INTO keygate_changes (id) VALUES (OLD.id);
END;
