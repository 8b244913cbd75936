package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"regcred.dev"
	"regcred.dev/store/internal/rules"
)

// tokenRow is a row of tokens.
type tokenRow struct {
	id, name, role string
	scopeRow
	createdAt, expiresAt     string
	sealed                   []byte
	repositories, lastUsedAt string // '' where there are none, and where it was never used
}

const tokenColumns = `token_id, name, role, org, space, app, created_at, expires_at, sealed, repositories, last_used_at`

func (r *tokenRow) columns() []any {
	return []any{
		&r.id, &r.name, &r.role, &r.org, &r.space, &r.app, &r.createdAt, &r.expiresAt, &r.sealed, &r.repositories, &r.lastUsedAt,
	}
}

// bound returns the columns that the sealed one is bound to. The last two are left out
// where both are empty: rows that were sealed before there were those stay good.
func (r *tokenRow) bound() []string {
	columns := []string{r.id, r.name, r.role, r.org, r.space, r.app, r.createdAt, r.expiresAt}
	if r.repositories != "" || r.lastUsedAt != "" {
		columns = append(columns, r.repositories, r.lastUsedAt)
	}
	return columns
}

// newTokenRow returns t as it is stored.
func (s *Store) newTokenRow(t regcred.APIToken) (*tokenRow, error) {
	r := &tokenRow{id: t.ID, name: t.Name, role: string(t.Role), scopeRow: scopeRow{t.Scope.Org, t.Scope.Space, t.Scope.App}}
	var errs [4]error
	r.createdAt, errs[0] = encodeTime(t.CreatedAt)
	r.expiresAt, errs[1] = encodeTime(t.ExpiresAt)
	if len(t.Repositories) > 0 {
		text, err := json.Marshal(t.Repositories)
		r.repositories, errs[2] = string(text), err
	}
	if !t.LastUsedAt.IsZero() {
		r.lastUsedAt, errs[3] = encodeTime(t.LastUsedAt)
	}
	r.sealed = s.seal("token", t.Hash, r.bound()...)
	return r, errors.Join(errs[:]...)
}

// token checks the row and returns what it holds. Errors: Corrupt, naming the
// token.
func (s *Store) token(r *tokenRow) (regcred.APIToken, error) {
	hash, err := s.unseal("token", r.sealed, r.bound()...)
	t := regcred.APIToken{ID: r.id, Name: r.name, Hash: hash, Role: regcred.Role(r.role), Scope: r.scope()}
	if err == nil {
		err = errors.Join(t.CreatedAt.UnmarshalText([]byte(r.createdAt)), t.ExpiresAt.UnmarshalText([]byte(r.expiresAt)))
	}
	if err == nil && r.repositories != "" {
		err = json.Unmarshal([]byte(r.repositories), &t.Repositories)
	}
	if err == nil && r.lastUsedAt != "" {
		err = t.LastUsedAt.UnmarshalText([]byte(r.lastUsedAt))
	}
	if err != nil {
		return regcred.APIToken{}, regcred.Errorf(regcred.Corrupt, "API token %s: %w", r.id, err)
	}
	return t, nil
}

// CreateToken implements regcred.TokenStore.
func (s *Store) CreateToken(ctx context.Context, t regcred.APIToken) error {
	t, err := rules.Token(t)
	if err != nil {
		return err
	}
	row, err := s.newTokenRow(t)
	if err != nil {
		return err
	}
	return s.write(ctx, func(tx *writeTx) error {
		var taken bool
		if err := tx.row(`SELECT EXISTS (SELECT 1 FROM tokens WHERE token_id = ?)`, t.ID).Scan(&taken); err != nil {
			return err
		}
		if taken {
			return rules.TokenTaken(t.ID)
		}
		return tx.exec(`INSERT INTO tokens (`+tokenColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, row.columns()...)
	})
}

// Token implements regcred.TokenStore.
func (s *Store) Token(ctx context.Context, id string) (regcred.APIToken, error) {
	var row tokenRow
	err := s.readers.QueryRowContext(ctx, `SELECT `+tokenColumns+` FROM tokens WHERE token_id = ?`, id).Scan(row.columns()...)
	if errors.Is(err, sql.ErrNoRows) {
		return regcred.APIToken{}, rules.NoToken(id)
	}
	if err != nil {
		return regcred.APIToken{}, s.fault(ctx, err)
	}
	return s.token(&row)
}

// Tokens implements regcred.TokenStore. Where some are corrupt, it returns the
// others together with a Corrupt error that names those.
func (s *Store) Tokens(ctx context.Context) ([]regcred.APIToken, error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT `+tokenColumns+` FROM tokens ORDER BY id`)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	defer rows.Close()
	var list []regcred.APIToken
	var bad corruptions
	for rows.Next() {
		var row tokenRow
		if err := rows.Scan(row.columns()...); err != nil {
			return nil, s.fault(ctx, err)
		}
		t, err := s.token(&row)
		if err != nil {
			bad.add(err)
			continue
		}
		list = append(list, t)
	}
	if err := rows.Err(); err != nil {
		return nil, s.fault(ctx, err)
	}
	return list, bad.err()
}

// UseTokens implements regcred.TokenStore.
func (s *Store) UseTokens(ctx context.Context, uses map[string]time.Time) error {
	return s.write(ctx, func(tx *writeTx) error {
		for id, at := range uses {
			if err := s.useToken(tx, id, at); err != nil {
				return err
			}
		}
		return nil
	})
}

// useToken records the use of one token, unless it is gone, or cannot be read.
func (s *Store) useToken(tx *writeTx, id string, at time.Time) error {
	var row tokenRow
	err := tx.row(`SELECT `+tokenColumns+` FROM tokens WHERE token_id = ?`, id).Scan(row.columns()...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	t, err := s.token(&row)
	if err != nil || !at.After(t.LastUsedAt) {
		return nil //nolint:nilerr // who reads or uses that token is told
	}
	t.LastUsedAt = rules.Time(at)
	used, err := s.newTokenRow(t)
	if err != nil {
		return err
	}
	return tx.exec(`UPDATE tokens SET last_used_at = ?, sealed = ? WHERE token_id = ?`, used.lastUsedAt, used.sealed, id)
}

// DeleteToken implements regcred.TokenStore.
func (s *Store) DeleteToken(ctx context.Context, id string) error {
	return s.write(ctx, func(tx *writeTx) error {
		var deleted int64
		err := tx.row(`DELETE FROM tokens WHERE token_id = ? RETURNING id`, id).Scan(&deleted)
		if errors.Is(err, sql.ErrNoRows) {
			return rules.NoToken(id)
		}
		return err
	})
}

// revocationRow is a row of revocations.
type revocationRow struct {
	subject, before, until string
	sealed                 []byte
}

const revocationColumns = `subject, before, until, sealed`

func (r *revocationRow) columns() []any { return []any{&r.subject, &r.before, &r.until, &r.sealed} }

// revocation checks the row and returns what it holds. Errors: Corrupt, naming
// the subject.
func (s *Store) revocation(row *revocationRow) (regcred.Revocation, error) {
	_, err := s.unseal("revocation", row.sealed, row.subject, row.before, row.until)
	r := regcred.Revocation{Subject: row.subject}
	if err == nil {
		err = errors.Join(r.Before.UnmarshalText([]byte(row.before)), r.Until.UnmarshalText([]byte(row.until)))
	}
	if err != nil {
		return regcred.Revocation{}, regcred.Errorf(regcred.Corrupt, "the revocation of %q: %w", row.subject, err)
	}
	return r, nil
}

// Revoke implements regcred.TokenStore.
func (s *Store) Revoke(ctx context.Context, r regcred.Revocation) error {
	return s.write(ctx, func(tx *writeTx) error {
		var old regcred.Revocation
		var row revocationRow
		err := tx.row(`SELECT `+revocationColumns+` FROM revocations WHERE subject = ?`, r.Subject).Scan(row.columns()...)
		if err == nil {
			old, err = s.revocation(&row)
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		wide := rules.Widen(old, r)
		row = revocationRow{subject: wide.Subject}
		if row.before, err = encodeTime(wide.Before); err != nil {
			return err
		}
		if row.until, err = encodeTime(wide.Until); err != nil {
			return err
		}
		row.sealed = s.seal("revocation", nil, row.subject, row.before, row.until)
		return tx.exec(`INSERT OR REPLACE INTO revocations (`+revocationColumns+`) VALUES (?, ?, ?, ?)`, row.columns()...)
	})
}

// Revocations implements regcred.TokenStore, in the order of subjects. Where one
// is corrupt it returns the error alone: what is revoked cannot be told then.
func (s *Store) Revocations(ctx context.Context, now time.Time) ([]regcred.Revocation, error) {
	rows, err := s.readers.QueryContext(ctx, `SELECT `+revocationColumns+` FROM revocations ORDER BY subject`)
	if err != nil {
		return nil, s.fault(ctx, err)
	}
	defer rows.Close()
	var list []regcred.Revocation
	for rows.Next() {
		var row revocationRow
		if err := rows.Scan(row.columns()...); err != nil {
			return nil, s.fault(ctx, err)
		}
		r, err := s.revocation(&row)
		if err != nil {
			return nil, err
		}
		if now.Before(r.Until) {
			list = append(list, r)
		}
	}
	return list, s.fault(ctx, rows.Err())
}

// Key implements regcred.TokenStore. create is called outside of any transaction;
// where two callers make a key at the same time, one of the two is thrown away.
func (s *Store) Key(ctx context.Context, name string, create func() (regcred.Secret, error)) (regcred.Secret, error) {
	key, err := s.key(ctx, name)
	if !errors.Is(err, sql.ErrNoRows) {
		return key, s.fault(ctx, err)
	}
	made, err := create()
	if err != nil {
		return regcred.Secret{}, err
	}
	err = s.write(ctx, func(tx *writeTx) error {
		return tx.exec(`INSERT INTO keys (name, sealed) VALUES (?, ?) ON CONFLICT DO NOTHING`,
			name, s.seal("key", []byte(made.Reveal()), name))
	})
	if err != nil {
		return regcred.Secret{}, err
	}
	key, err = s.key(ctx, name)
	return key, s.fault(ctx, err)
}

// key reads a key. Errors: sql.ErrNoRows; Corrupt, naming the key.
func (s *Store) key(ctx context.Context, name string) (regcred.Secret, error) {
	var sealed []byte
	if err := s.readers.QueryRowContext(ctx, `SELECT sealed FROM keys WHERE name = ?`, name).Scan(&sealed); err != nil {
		return regcred.Secret{}, err
	}
	key, err := s.unseal("key", sealed, name)
	if err != nil {
		return regcred.Secret{}, regcred.Errorf(regcred.Corrupt, "the key %q: %w", name, err)
	}
	return regcred.NewSecret(string(key)), nil
}
