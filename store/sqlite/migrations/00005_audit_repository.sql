-- The repository that an entry of the audit log is about.

-- +goose Up

ALTER TABLE audit ADD COLUMN repository TEXT NOT NULL DEFAULT '';

CREATE INDEX audit_repository ON audit (repository) WHERE repository <> '';
