package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"regcred.dev"
)

// uncovered are the columns that no seal covers; doc.go says why.
var uncovered = map[string]bool{
	"credentials.id": true, "credentials.revision": true, "tombstones.revision": true, "tokens.id": true,
	"audit.id": true,
}

// tampered is what an edited row must do to those who read it.
type tampered struct {
	table, key string // the row is the one whose key column is guid
	name       string // of the row, in errors
	read       func(ctx context.Context, s regcred.Store, guid string) error
}

func readers(a, deleted string) []tampered {
	return []tampered{
		{"credentials", a, "credential ", func(ctx context.Context, s regcred.Store, guid string) error {
			_, err := s.Get(ctx, guid)
			return err
		}},
		{"logins", a, "the login of credential ", func(ctx context.Context, s regcred.Store, guid string) error {
			_, err := s.Login(ctx, guid)
			return err
		}},
		{"tombstones", deleted, "the deletion of credential ", watchError},
		{"tokens", "one", "API token ", func(ctx context.Context, s regcred.Store, id string) error {
			_, err := s.Token(ctx, id)
			return err
		}},
		{"revocations", "one", "the revocation of ", func(ctx context.Context, s regcred.Store, _ string) error {
			_, err := s.Revocations(ctx, time.Now())
			return err
		}},
		{"audit", "1", "entry ", func(ctx context.Context, s regcred.Store, _ string) error {
			_, _, err := s.AuditLog(ctx, regcred.AuditQuery{Limit: 10})
			return err
		}},
		{"keys", "one", "the key ", func(ctx context.Context, s regcred.Store, name string) error {
			_, err := s.Key(ctx, name, func() (regcred.Secret, error) { return regcred.Secret{}, fmt.Errorf("a new key") })
			return err
		}},
	}
}

// watchError returns the error of the change of one credential, which must show
// neither a deletion nor anything else to act upon. Watch must go on behind it.
func watchError(ctx context.Context, s regcred.Store, guid string) error {
	for batch, err := range s.Watch(ctx, 0) {
		if err != nil {
			return err
		}
		if !batch.Current || len(batch.Changes) != 3 {
			return fmt.Errorf("Watch yields %d changes of 3", len(batch.Changes))
		}
		for _, change := range batch.Changes {
			if change.Credential.GUID != guid {
				continue
			}
			if change.Err != nil && (change.Deleted || change.Login != nil || change.Credential.Provider != "" || change.Credential.Scope.Org != "") {
				return fmt.Errorf("a corrupt row is passed on: %+v", change)
			}
			return change.Err
		}
		return fmt.Errorf("Watch does not yield %s", guid)
	}
	return nil
}

// keyColumn is the column by which a row is found.
func keyColumn(table string) string {
	switch table {
	case "tokens":
		return "token_id"
	case "revocations":
		return "subject"
	case "keys":
		return "name"
	}
	return "guid"
}

// columns returns the names of a table's columns and the types of each.
func columns(t *testing.T, db *sql.DB, table string) map[string]string {
	t.Helper()
	rows, err := db.Query(`SELECT name, type FROM pragma_table_info(?)`, table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	types := map[string]string{}
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			t.Fatal(err)
		}
		types[name] = kind
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return types
}

// edits are the changes to a column of one type, as SQL expressions. The
// database itself refuses a value of another type (STRICT).
func edits(column, kind string) []string {
	switch kind {
	case "INTEGER":
		return []string{column + ` + 1`, `-1`, `0`}
	case "BLOB":
		return []string{
			`x''`, `substr(` + column + `, 2)`, `CAST(` + column + ` || x'00' AS BLOB)`,
			`CAST(substr(` + column + `, 1, length(` + column + `) - 1) || iif(substr(` + column + `, -1) = x'00', x'01', x'00') AS BLOB)`, `zeroblob(length(` + column + `))`,
		}
	}
	list := []string{column + ` || 'x'`, column + ` || ' '`, `'x' || ` + column, `char(0) || ` + column}
	switch column { // another value that reads well, too
	case "created_at", "updated_at", "expires_at", "last_used_at", "before", "until":
		list = append(list, `'2525-01-01T00:00:00Z'`)
	case "settings", "labels", "annotations":
		list = append(list, `'{"region":"there"}'`, `'{}'`)
	case "repositories":
		list = append(list, `'["*"]'`, `''`)
	case "location":
		list = append(list, `'other.example.com'`, `''`)
	}
	return list
}

// TestEveryColumnCounts edits every column of every kind of row behind the
// store's back: who reads the row is told, by its name.
func TestEveryColumnCounts(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	a, _, deleted := fill(t, s)
	db := raw(t, path)
	if _, err := db.Exec(`PRAGMA foreign_keys = OFF; PRAGMA busy_timeout = 10000`); err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, row := range readers(a, deleted) {
		types := columns(t, db, row.table)
		if len(types) < 2 || types["sealed"] != "BLOB" {
			t.Fatalf("table %s has the columns %v", row.table, types)
		}
		for column, kind := range types {
			if uncovered[row.table+"."+column] {
				continue
			}
			for _, edit := range edits(column, kind) {
				if strings.HasSuffix(edit, "|| ' '") && column == keyColumn(row.table) {
					continue // the name in an error would not show it
				}
				tryEdit(t, s, db, row, column, edit)
			}
		}
		if err := row.read(t.Context(), s, row.key); err != nil {
			t.Errorf("%s as it was: %v", row.table, err)
		}
	}
}

// tryEdit makes one edit, has the row read, and takes the edit back.
func tryEdit(t *testing.T, s regcred.Store, db *sql.DB, row tampered, column, edit string) {
	t.Helper()
	id := keyColumn(row.table)
	var rowid int64
	var before any
	if err := db.QueryRow(fmt.Sprintf(`SELECT rowid, %s FROM %s WHERE %s = ?`, column, row.table, id), row.key).Scan(&rowid, &before); err != nil {
		t.Fatal(err)
	}
	set := func(expression string, args ...any) {
		t.Helper()
		args = append(args, rowid)
		if _, err := db.Exec(fmt.Sprintf(`UPDATE %s SET %s = %s WHERE rowid = ?`, row.table, column, expression), args...); err != nil {
			t.Fatalf("%s.%s = %s: %v", row.table, column, expression, err)
		}
	}
	set(edit)
	key := row.key
	if column == id {
		if err := db.QueryRow(fmt.Sprintf(`SELECT %s FROM %s WHERE rowid = ?`, id, row.table), rowid).Scan(&key); err != nil {
			t.Fatal(err)
		}
	}
	orphaned := row.table == "logins" && column == id // it belongs to nobody now
	err := row.read(t.Context(), s, key)
	corrupt := regcred.CodeOf(err) == regcred.Corrupt && strings.Contains(err.Error(), row.name) && strings.Contains(err.Error(), row.key)
	if !corrupt && !(orphaned && regcred.CodeOf(err) == regcred.NotFound) {
		t.Errorf("%s.%s = %s: %v", row.table, column, edit, err)
	}
	if row.table == "credentials" {
		if _, listErr := s.List(t.Context(), regcred.Filter{}); regcred.CodeOf(listErr) != regcred.Corrupt {
			t.Errorf("%s.%s = %s: List says %v", row.table, column, edit, listErr)
		}
		if watchErr := watchError(t.Context(), s, key); regcred.CodeOf(watchErr) != regcred.Corrupt {
			t.Errorf("%s.%s = %s: Watch says %v", row.table, column, edit, watchErr)
		}
	}
	set("?", before)
}

// TestSwappedRows exchanges content between two rows of each kind, and moves a
// whole row to where another one was.
func TestSwappedRows(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	a, b, _ := fill(t, s)
	tests := []struct{ name, table, key, other, set string }{
		{"secrets swapped", "credentials", a, b, `sealed = o.sealed`},
		{"place moved", "credentials", a, b, `org = o.org, app = 'elsewhere'`},
		{"all but the guid copied", "credentials", a, b, `org = 'x', location = o.location, spelling = o.spelling, sealed = o.sealed`},
		{"drop forged", "credentials", b, a, `drop_revision = o.drop_revision`},
		{"login swapped", "logins", a, b, `sealed = o.sealed, version = o.version`},
		{"token's hash swapped", "tokens", "one", "two", `sealed = o.sealed`},
		{"token's scope swapped", "tokens", "one", "two", `org = o.org`},
		{"revocation swapped", "revocations", "one", "two", `sealed = o.sealed`},
		{"key swapped", "keys", "one", "two", `sealed = o.sealed`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			id := keyColumn(test.table)
			execRaw(t, path, `CREATE TABLE copy AS SELECT * FROM `+test.table)
			execRaw(t, path, fmt.Sprintf(`UPDATE %s AS r SET %s FROM copy o WHERE r.%s = ? AND o.%s = ?`, test.table, test.set, id, id), test.key, test.other)
			defer execRaw(t, path, fmt.Sprintf(`PRAGMA foreign_keys = OFF; DELETE FROM %s; INSERT INTO %s SELECT * FROM copy; DROP TABLE copy`, test.table, test.table))
			for _, row := range readers(a, "") {
				if row.table == test.table {
					if err := row.read(t.Context(), s, test.key); regcred.CodeOf(err) != regcred.Corrupt || !strings.Contains(err.Error(), row.name) || !strings.Contains(err.Error(), test.key) {
						t.Errorf("read: %v", err)
					}
				}
			}
		})
	}
	everything(t, s) // all is as it was
}

// TestAnotherStoresRow copies rows from another store with the same seal key.
func TestAnotherStoresRow(t *testing.T) {
	path, otherPath := newPath(t), newPath(t)
	s, other := open(t, path), open(t, otherPath)
	a, _, _ := fill(t, s)
	fill(t, other)
	execRaw(t, path, `ATTACH ? AS other; DELETE FROM main.credentials; INSERT INTO main.credentials SELECT * FROM other.credentials`, otherPath)
	list, err := s.List(t.Context(), regcred.Filter{})
	if len(list) > 0 || regcred.CodeOf(err) != regcred.Corrupt {
		t.Errorf("List: %d credentials, %v", len(list), err)
	}
	if _, err := s.Get(t.Context(), a); regcred.CodeOf(err) != regcred.NotFound {
		t.Errorf("Get of one that was taken out: %v", err)
	}
}

// TestCorruptRowsAreNoDeadEnd: the others are listed, writes on the row are
// refused, and it can be deleted.
func TestCorruptRowsAreNoDeadEnd(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	a, b, _ := fill(t, s)
	execRaw(t, path, `UPDATE credentials SET username = 'mallory' WHERE guid = ?`, a)
	list, err := s.List(t.Context(), regcred.Filter{})
	if len(list) != 1 || list[0].GUID != b || regcred.CodeOf(err) != regcred.Corrupt || !strings.Contains(err.Error(), a) {
		t.Errorf("List: %d credentials, %v", len(list), err)
	}
	fence, err := s.Fence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, put := s.PutLogin(t.Context(), a, regcred.Login{Version: 1}, fence)
	_, update := s.Update(t.Context(), a, func(*regcred.Credential) error { t.Error("called"); return nil })
	for name, err := range map[string]error{"PutLogin": put, "Update": update} {
		if regcred.CodeOf(err) != regcred.Corrupt || !strings.Contains(err.Error(), a+" (app one/dev/web, one.example.com)") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Delete(t.Context(), a); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if list, err := s.List(t.Context(), regcred.Filter{}); len(list) != 1 || err != nil {
		t.Errorf("List: %d credentials, %v", len(list), err)
	}
}
