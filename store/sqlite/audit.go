package sqlite

import (
	"context"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/store/internal/rules"
)

// auditRow is a row of audit. allowed is 1 or 0.
type auditRow struct {
	id                                int64
	at, caller, role, from, operation string
	scopeRow
	location, guid, repository string
	allowed                    int64
	detail                     string
	count                      int64
	sealed                     []byte
}

const auditColumns = `at, caller, role, from_address, operation, org, space, app, location, guid, repository, allowed, detail, count, sealed`

func (r *auditRow) columns() []any {
	return []any{
		&r.at, &r.caller, &r.role, &r.from, &r.operation, &r.org, &r.space, &r.app, &r.location, &r.guid, &r.repository,
		&r.allowed, &r.detail, &r.count, &r.sealed,
	}
}

// bound returns what the seal covers. Rows that were written before there was a
// repository have none, and no place for one.
func (r *auditRow) bound() []string {
	list := []string{
		r.at, r.caller, r.role, r.from, r.operation, r.org, r.space, r.app, r.location, r.guid,
		number(r.allowed), r.detail, number(r.count),
	}
	if r.repository != "" {
		list = append(list, r.repository)
	}
	return list
}

// auditLayout writes times so that they sort as text: in nine digits always.
const auditLayout = "2006-01-02T15:04:05.000000000Z"

func (s *Store) newAuditRow(e regcred.AuditEntry) *auditRow {
	r := &auditRow{
		at: e.At.UTC().Format(auditLayout), caller: e.Caller, role: string(e.Role), from: e.From, operation: e.Operation,
		scopeRow: scopeRow{e.Scope.Org, e.Scope.Space, e.Scope.App}, location: e.Location, guid: e.GUID, repository: e.Repository,
		detail: e.Detail, count: int64(e.Count),
	}
	if e.Allowed {
		r.allowed = 1
	}
	r.sealed = s.seal("audit", nil, r.bound()...)
	return r
}

// entry checks the row and returns what it holds. Errors: Corrupt, naming the entry.
func (s *Store) entry(r *auditRow) (regcred.AuditEntry, error) {
	e := regcred.AuditEntry{Sequence: uint64(r.id)}
	_, err := s.unseal("audit", r.sealed, r.bound()...)
	at, timeErr := time.Parse(auditLayout, r.at)
	if err == nil {
		err = timeErr
	}
	if err != nil {
		return e, regcred.Errorf(regcred.Corrupt, "entry %d of the audit log: %w", r.id, err)
	}
	e.At, e.Caller, e.Role, e.From, e.Operation = at, r.caller, regcred.Role(r.role), r.from, r.operation
	e.Scope, e.Location, e.GUID, e.Repository = r.scope(), r.location, r.guid, r.repository
	e.Allowed, e.Detail, e.Count = r.allowed == 1, r.detail, int(r.count)
	return e, nil
}

// Audit implements regcred.AuditStore.
func (s *Store) Audit(ctx context.Context, entries ...regcred.AuditEntry) error {
	rows := make([]*auditRow, len(entries))
	for i, e := range entries {
		e, err := rules.AuditEntry(e)
		if err != nil {
			return err
		}
		rows[i] = s.newAuditRow(e)
	}
	return s.write(ctx, func(tx *writeTx) error {
		for _, row := range rows {
			err := tx.exec(`INSERT INTO audit (`+auditColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, row.columns()...)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// AuditLog implements regcred.AuditStore.
func (s *Store) AuditLog(ctx context.Context, q regcred.AuditQuery) ([]regcred.AuditEntry, int, error) {
	where, args := auditWhere(q)
	var total int
	if err := s.readers.QueryRowContext(ctx, `SELECT count(*) FROM audit`+where, args...).Scan(&total); err != nil {
		return nil, 0, s.fault(ctx, err)
	}
	order := ` ORDER BY id`
	if q.Newest {
		order += ` DESC`
	}
	selected := `SELECT id, ` + auditColumns + ` FROM audit` + where + order + ` LIMIT ? OFFSET ?` //nolint:gosec // values are arguments
	rows, err := s.readers.QueryContext(ctx, selected, append(args, q.Limit, q.Offset)...)
	if err != nil {
		return nil, 0, s.fault(ctx, err)
	}
	defer rows.Close()
	var list []regcred.AuditEntry
	var bad corruptions
	for rows.Next() {
		var row auditRow
		if err := rows.Scan(append([]any{&row.id}, row.columns()...)...); err != nil {
			return nil, 0, s.fault(ctx, err)
		}
		e, err := s.entry(&row)
		if err != nil {
			bad.add(err)
		}
		list = append(list, e)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, s.fault(ctx, err)
	}
	return list, total, bad.err()
}

// auditWhere returns the condition of a query, with its arguments.
func auditWhere(q regcred.AuditQuery) (where string, args []any) {
	var all []string
	in := func(column string, values []string) {
		if values == nil {
			return
		}
		all = append(all, column+` IN (`+strings.TrimSuffix(strings.Repeat("?,", len(values)), ",")+`)`)
		for _, v := range values {
			args = append(args, v)
		}
	}
	in("caller", q.Callers)
	in("operation", q.Operations)
	in("guid", q.GUIDs)
	in("repository", q.Repositories)
	if q.Allowed != nil {
		all, args = append(all, `allowed = ?`), append(args, *q.Allowed)
	}
	if !q.Since.IsZero() {
		all, args = append(all, `at >= ?`), append(args, q.Since.UTC().Format(auditLayout))
	}
	if !q.Before.IsZero() {
		all, args = append(all, `at < ?`), append(args, q.Before.UTC().Format(auditLayout))
	}
	if len(all) == 0 {
		return "", nil
	}
	return ` WHERE ` + strings.Join(all, ` AND `), args
}

// pruneStep bounds how many entries one transaction removes: others wait for it.
const pruneStep = 5000

// PruneAudit implements regcred.AuditStore.
func (s *Store) PruneAudit(ctx context.Context, before time.Time) (int, error) {
	pruned := 0
	for {
		n := 0
		err := s.write(ctx, func(tx *writeTx) error {
			const old = `SELECT id FROM audit WHERE at < ? ORDER BY at LIMIT ?`
			at := before.UTC().Format(auditLayout)
			if err := tx.row(`SELECT count(*) FROM (`+old+`)`, at, pruneStep).Scan(&n); err != nil || n == 0 {
				return err
			}
			return tx.exec(`DELETE FROM audit WHERE id IN (`+old+`)`, at, pruneStep)
		})
		if err != nil || n == 0 {
			return pruned, err
		}
		pruned += n
	}
}
