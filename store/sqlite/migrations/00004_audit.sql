-- The audit log.

-- +goose Up

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    caller TEXT NOT NULL,
    role TEXT NOT NULL,
    from_address TEXT NOT NULL,
    operation TEXT NOT NULL,
    org TEXT NOT NULL,
    space TEXT NOT NULL,
    app TEXT NOT NULL,
    location TEXT NOT NULL,
    guid TEXT NOT NULL,
    allowed INTEGER NOT NULL,
    detail TEXT NOT NULL,
    count INTEGER NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_guid ON audit (guid) WHERE guid <> '';
