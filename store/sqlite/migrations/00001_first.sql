-- The first schema. doc.go describes it.

-- +goose Up

CREATE TABLE meta (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    store_id TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    fence    INTEGER NOT NULL,
    sealed   BLOB    NOT NULL
) STRICT;

CREATE TABLE credentials (
    id          INTEGER PRIMARY KEY, -- grows with each creation: the order of age
    guid        TEXT    NOT NULL UNIQUE,
    org         TEXT    NOT NULL,
    space       TEXT    NOT NULL,
    app         TEXT    NOT NULL,
    location    TEXT    NOT NULL,
    spelling    TEXT    NOT NULL,
    provider    TEXT    NOT NULL,
    username    TEXT    NOT NULL,
    settings    TEXT    NOT NULL,
    labels      TEXT    NOT NULL,
    annotations TEXT    NOT NULL,
    origin      TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    created_at  TEXT    NOT NULL,
    updated_at  TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    sealed      BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX credentials_place ON credentials (org, space, app, location) WHERE location <> '';
CREATE INDEX credentials_scope ON credentials (org, space, app);
CREATE INDEX credentials_location ON credentials (location);
CREATE UNIQUE INDEX credentials_revision ON credentials (revision);

CREATE TABLE logins (
    guid    TEXT    PRIMARY KEY NOT NULL REFERENCES credentials (guid) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    sealed  BLOB    NOT NULL
) STRICT;

CREATE TABLE tombstones (
    guid     TEXT    PRIMARY KEY NOT NULL,
    org      TEXT    NOT NULL,
    space    TEXT    NOT NULL,
    app      TEXT    NOT NULL,
    location TEXT    NOT NULL,
    version  INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    sealed   BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX tombstones_revision ON tombstones (revision);

CREATE TABLE tokens (
    id         INTEGER PRIMARY KEY, -- grows with each creation: the order of age
    token_id   TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    org        TEXT    NOT NULL,
    space      TEXT    NOT NULL,
    app        TEXT    NOT NULL,
    created_at TEXT    NOT NULL,
    expires_at TEXT    NOT NULL,
    sealed     BLOB    NOT NULL
) STRICT;

CREATE TABLE revocations (
    subject TEXT PRIMARY KEY NOT NULL,
    before  TEXT NOT NULL,
    until   TEXT NOT NULL,
    sealed  BLOB NOT NULL
) STRICT;

CREATE TABLE keys (
    name   TEXT PRIMARY KEY NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
