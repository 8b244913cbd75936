-- The repositories that an API token is for, and when it was last used.

-- +goose Up

ALTER TABLE tokens ADD COLUMN repositories TEXT NOT NULL DEFAULT '';
ALTER TABLE tokens ADD COLUMN last_used_at TEXT NOT NULL DEFAULT '';
