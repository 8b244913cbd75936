package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/client"
)

// readAudit answers with a page of the audit log.
func (h *handler) readAudit(r call) (answer, error) {
	q := r.URL.Query()
	known := slices.Concat([]string{"page", "per_page", "order_by", "callers", "operations", "guids", "repositories", "allowed"}, timeKeys("created_ats"))
	if err := knownQuery(q, known...); err != nil {
		return answer{}, err
	}
	page, perPage, err := paging(q)
	if err != nil {
		return answer{}, err
	}
	values, err := lists(q, "callers", "operations", "guids", "repositories")
	if err != nil {
		return answer{}, err
	}
	if err := knownOperations(values["operations"]); err != nil {
		return answer{}, err
	}
	query := regcred.AuditQuery{
		Callers: values["callers"], Operations: values["operations"], GUIDs: values["guids"],
		Repositories: values["repositories"],
		Offset:       (page - 1) * perPage, Limit: perPage,
	}
	if q.Has("allowed") {
		allowed, err := boolean(q, "allowed")
		if err != nil {
			return answer{}, err
		}
		query.Allowed = &allowed
	}
	if query.Newest, err = newest(q.Get("order_by")); err != nil {
		return answer{}, err
	}
	times, err := parseTimes(q, "created_ats")
	if err != nil {
		return answer{}, err
	}
	if query.Since, query.Before, err = times.span(); err != nil {
		return answer{}, err
	}
	found, total, err := h.Service.AuditLog(r.Context(), r.caller, query)
	if err != nil {
		return answer{}, err
	}
	out := client.Page[client.AuditEntry]{
		Resources: make([]client.AuditEntry, len(found)), Pagination: h.pagination(r.URL, total, page, perPage),
	}
	for i, e := range found {
		out.Resources[i] = auditEntry(e)
	}
	return answer{status: http.StatusOK, body: out}, nil
}

// knownOperations refuses the name of an operation that is not in any audit log.
func knownOperations(names []string) error {
	for _, name := range names {
		if !slices.Contains(regcred.AuditOperations, name) {
			return badQuery(fmt.Sprintf("there is no operation %.40q; there are: %s", name, strings.Join(regcred.AuditOperations, ", ")))
		}
	}
	return nil
}

// newest reads an order of which only the time of creation can be asked for.
func newest(order string) (bool, error) {
	switch order {
	case "", "created_at", "+created_at":
		return false, nil
	case "-created_at":
		return true, nil
	}
	return false, badQuery("Order by can only be: 'created_at'")
}

// span returns the filter as the first time that it selects and the first after that
// which it does not; times are those of whole seconds.
func (f timeFilter) span() (since, before time.Time, err error) {
	if f.at != nil {
		return since, before, badQuery("created_ats: ask for a span of time, by created_ats[gte] and created_ats[lt]")
	}
	for _, b := range f.bounds {
		switch next := b.t.Add(time.Second); {
		case b.operator == "gt" && next.After(since):
			since = next
		case b.operator == "gte" && b.t.After(since):
			since = b.t
		case b.operator == "lt" && (before.IsZero() || b.t.Before(before)):
			before = b.t
		case b.operator == "lte" && (before.IsZero() || next.Before(before)):
			before = next
		}
	}
	return since, before, nil
}

func auditEntry(e regcred.AuditEntry) client.AuditEntry {
	return client.AuditEntry{
		Sequence: e.Sequence, CreatedAt: seconds(e.At), Caller: e.Caller, Role: string(e.Role), From: e.From,
		Operation: e.Operation, Scope: e.Scope.Level().String(), Relationships: client.RelationshipsOf(e.Scope),
		Location: e.Location, GUID: e.GUID, Repository: e.Repository, Allowed: e.Allowed, Detail: e.Detail, Count: e.Count,
	}
}
