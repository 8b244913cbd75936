-- When a credential's login was last dropped on order: the revision, 0 for never.

-- +goose Up

ALTER TABLE credentials ADD COLUMN drop_revision INTEGER NOT NULL DEFAULT 0;
