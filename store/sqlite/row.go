package sqlite

import (
	"database/sql"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/store/internal/rules"
)

// seal returns the sealed column of a row: kind and columns are what it is bound
// to, in the order of the schema.
func (s *Store) seal(kind string, payload []byte, columns ...string) []byte {
	return s.keys.Seal(payload, s.associated(kind, columns))
}

// unseal is the reverse of seal. Errors: Corrupt.
func (s *Store) unseal(kind string, sealed []byte, columns ...string) ([]byte, error) {
	return s.keys.Open(sealed, s.associated(kind, columns))
}

func (s *Store) associated(kind string, columns []string) []byte {
	e := make(encoder, 0, 512)
	e.string(kind)
	e.string(s.id)
	for _, column := range columns {
		e.string(column)
	}
	return e
}

// scopeRow is how a scope is stored.
type scopeRow struct{ org, space, app string }

func (r scopeRow) scope() regcred.Scope { return regcred.Scope{Org: r.org, Space: r.space, App: r.app} }

// credentialRow is a row of credentials, as it is stored.
type credentialRow struct {
	guid string
	scopeRow
	location, spelling, provider, username string
	settings, labels, annotations          string
	origin                                 string
	version                                int64
	createdAt, updatedAt                   string
	revision                               int64
	sealed                                 []byte
	dropRevision                           int64
}

// credentialColumns are those of credentialRow.columns.
const credentialColumns = `c.guid, c.org, c.space, c.app, c.location, c.spelling, c.provider, c.username,
	c.settings, c.labels, c.annotations, c.origin, c.version, c.created_at, c.updated_at, c.revision, c.sealed, c.drop_revision`

// columns returns where a row is read to.
func (r *credentialRow) columns() []any {
	return []any{
		&r.guid, &r.org, &r.space, &r.app, &r.location, &r.spelling, &r.provider, &r.username,
		&r.settings, &r.labels, &r.annotations, &r.origin, &r.version, &r.createdAt, &r.updatedAt, &r.revision, &r.sealed, &r.dropRevision,
	}
}

// bound returns the columns that the sealed one is bound to. A drop revision of 0 is
// left out: rows that were sealed before there was the column stay good.
func (r *credentialRow) bound() []string {
	columns := []string{
		r.guid, r.org, r.space, r.app, r.location, r.spelling, r.provider, r.username,
		r.settings, r.labels, r.annotations, r.origin, number(r.version), r.createdAt, r.updatedAt,
	}
	if r.dropRevision != 0 {
		columns = append(columns, number(r.dropRevision))
	}
	return columns
}

// name names the row in an error, by what it says of itself.
func (r *credentialRow) name() string { return rules.Name(r.guid, r.scope(), r.location) }

// newCredentialRow returns c as it is stored.
func (s *Store) newCredentialRow(c regcred.Credential) (*credentialRow, error) {
	r := &credentialRow{
		guid: c.GUID, scopeRow: scopeRow{c.Scope.Org, c.Scope.Space, c.Scope.App},
		location: c.Location.String(), spelling: c.Spelling, provider: c.Provider, username: c.Username, origin: c.Origin,
		version: int64(c.Version), revision: int64(c.Revision), dropRevision: int64(c.DropRevision),
	}
	var errs [5]error
	r.settings, errs[0] = encodeText(c.Settings)
	r.labels, errs[1] = encodeText(c.Labels)
	r.annotations, errs[2] = encodeText(c.Annotations)
	r.createdAt, errs[3] = encodeTime(c.CreatedAt)
	r.updatedAt, errs[4] = encodeTime(c.UpdatedAt)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	r.sealed = s.seal("credential", encodeSecrets(c), r.bound()...)
	return r, nil
}

// credential checks the row and returns what it holds, secrets included.
// Errors: Corrupt, naming the credential.
func (s *Store) credential(r *credentialRow) (regcred.Credential, error) {
	fail := func(err error) (regcred.Credential, error) {
		return regcred.Credential{}, regcred.Errorf(regcred.Corrupt, "credential %s: %w", r.name(), err)
	}
	payload, err := s.unseal("credential", r.sealed, r.bound()...)
	if err != nil {
		return fail(err)
	}
	c := regcred.Credential{
		GUID: r.guid, Scope: r.scope(), Spelling: r.spelling, Provider: r.provider, Username: r.username, Origin: r.origin,
		Version: uint64(r.version), DropRevision: uint64(r.dropRevision), Revision: uint64(r.revision),
	}
	if err := errors.Join(
		decodeSecrets(&c, payload),
		c.Location.UnmarshalText([]byte(r.location)),
		decodeText(r.settings, &c.Settings),
		decodeText(r.labels, &c.Labels),
		decodeText(r.annotations, &c.Annotations),
		c.CreatedAt.UnmarshalText([]byte(r.createdAt)),
		c.UpdatedAt.UnmarshalText([]byte(r.updatedAt)),
	); err != nil {
		return fail(err)
	}
	return c, nil
}

// loginRow is a row of logins. Read by a LEFT JOIN, its columns may be NULL.
type loginRow struct {
	version sql.NullInt64
	sealed  []byte
}

func loginBound(guid string, scope regcred.Scope, version int64) []string {
	return []string{guid, scope.Org, scope.Space, scope.App, number(version)}
}

// sealLogin returns the sealed column of a login.
func (s *Store) sealLogin(c regcred.Credential, l regcred.Login) []byte {
	return s.seal("login", encodeLogin(l), loginBound(c.GUID, c.Scope, int64(l.Version))...)
}

// login checks the row and returns what it holds. Errors: Corrupt, naming the
// credential.
func (s *Store) login(of *credentialRow, r loginRow) (regcred.Login, error) {
	payload, err := s.unseal("login", r.sealed, loginBound(of.guid, of.scope(), r.version.Int64)...)
	if err == nil {
		var l regcred.Login
		if l, err = decodeLogin(payload); err == nil {
			l.Version = uint64(r.version.Int64)
			return l, nil
		}
	}
	return regcred.Login{}, regcred.Errorf(regcred.Corrupt, "the login of credential %s: %w", of.name(), err)
}

// tombstoneRow is a row of tombstones.
type tombstoneRow struct {
	guid string
	scopeRow
	location          string
	version, revision int64
	sealed            []byte
}

const tombstoneColumns = `guid, org, space, app, location, version, revision, sealed`

func (r *tombstoneRow) columns() []any {
	return []any{&r.guid, &r.org, &r.space, &r.app, &r.location, &r.version, &r.revision, &r.sealed}
}

func (r *tombstoneRow) bound() []string {
	return []string{r.guid, r.org, r.space, r.app, r.location, number(r.version)}
}

// check returns the location of a deleted credential. Errors: Corrupt, naming it.
func (s *Store) check(r *tombstoneRow) (imageref.Location, error) {
	var location imageref.Location
	_, err := s.unseal("tombstone", r.sealed, r.bound()...)
	if err == nil {
		err = location.UnmarshalText([]byte(r.location))
	}
	if err != nil {
		name := rules.Name(r.guid, r.scope(), r.location)
		return imageref.Location{}, regcred.Errorf(regcred.Corrupt, "the deletion of credential %s: %w", name, err)
	}
	return location, nil
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// encodeText returns a map as a JSON object with its keys in order.
func encodeText(m map[string]string) (string, error) {
	if len(m) == 0 {
		return "{}", nil
	}
	text, err := json.Marshal(m)
	return string(text), err
}

func decodeText(text string, m *map[string]string) error {
	if text == "{}" {
		return nil
	}
	return json.Unmarshal([]byte(text), m)
}

// encodeTime returns t as text. Errors: Invalid for a year beyond 9999.
func encodeTime(t time.Time) (string, error) {
	text, err := t.UTC().MarshalText()
	if err != nil {
		return "", regcred.Errorf(regcred.Invalid, "a time that is too far away: %w", err)
	}
	return string(text), nil
}
