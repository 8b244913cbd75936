package fakecattle

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of a page (gdapi's Pagination), and of columns of Cattle's database.
const (
	defaultLimit   = 100
	maxLimit       = 3000
	maxDescription = 1024
	maxSecret      = 4096
)

// list answers with a page of a collection.
func (s *Server) list(w http.ResponseWriter, r *http.Request, at address) {
	query := r.URL.Query()
	limit := defaultLimit
	if n, err := strconv.Atoi(query.Get("limit")); err == nil && n > 0 {
		limit = min(n, maxLimit)
	}
	offset, _ := strconv.Atoi(strings.TrimPrefix(query.Get("marker"), "m")) // what is no marker is the first page
	all := s.matching(at, query)
	page := all[min(offset, len(all)):min(offset+limit, len(all))]
	partial := offset+limit < len(all)
	pagination := map[string]any{"limit": limit, "total": nil, "partial": partial}
	if partial {
		next := url.Values{"limit": {strconv.Itoa(limit)}, "marker": {"m" + strconv.Itoa(offset+limit)}}
		if id := query.Get("registryId"); id != "" {
			next.Set("registryId", id)
		}
		pagination["next"] = at.collection(at.kind) + "?" + next.Encode()
	}
	s.Write(w, http.StatusOK, map[string]any{
		"type": "collection", "resourceType": at.kind, "links": map[string]string{"self": at.collection(at.kind)},
		"pagination": pagination, "data": page,
	})
	if partial && s.o.BetweenPages != nil {
		s.o.BetweenPages()
	}
}

// matching returns the resources that a list shows.
func (s *Server) matching(at address, query url.Values) []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []map[string]any{}
	for _, r := range s.resources {
		r.settle(s.Now())
		if r.kind != at.kind || r.environment != at.environment || r.gone() {
			continue
		}
		if id := query.Get("registryId"); id != "" && r.fields["registryId"] != id {
			continue
		}
		list = append(list, r.body(at, false))
	}
	return list
}

// problem is why a request is refused.
type problem struct {
	status      int
	code, field string
}

// write reads the fields that a request writes. Links, actions and all that is null
// or no text does not count.
func (a address) write(r *http.Request) (fields map[string]string, why *problem) {
	var body map[string]any
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<20)).Decode(&body); err != nil {
		return nil, &problem{http.StatusBadRequest, "InvalidBodyContent", ""}
	}
	fields = map[string]string{}
	for name := range a.fields(a.kind) {
		if text, ok := body[name].(string); ok {
			fields[name] = text
		}
	}
	switch {
	case utf8.RuneCountInString(fields["description"]) > maxDescription:
		return nil, &problem{http.StatusUnprocessableEntity, "MaxLengthExceeded", "description"}
	case utf8.RuneCountInString(fields["secretValue"]) > maxSecret:
		return nil, &problem{http.StatusUnprocessableEntity, "MaxLengthExceeded", "secretValue"}
	}
	return fields, nil
}

// create answers a POST to a collection.
func (s *Server) create(w http.ResponseWriter, r *http.Request, at address) {
	fields, why := at.write(r)
	if why == nil {
		why = at.missing(fields)
	}
	if why != nil {
		s.refuse(w, why.status, why.code, why.field)
		return
	}
	s.mu.Lock()
	why = s.conflict(at, fields)
	var body map[string]any
	if why == nil {
		secret := fields["secretValue"]
		delete(fields, "secretValue")
		body = s.newResource(at.kind, at.environment, fields, secret).body(at, true)
	}
	s.mu.Unlock()
	if why != nil {
		s.refuse(w, why.status, why.code, why.field)
		return
	}
	s.Write(w, http.StatusCreated, body)
}

// missing says which required field a request lacks.
func (a address) missing(fields map[string]string) *problem {
	required := []string{"registryId"}
	if a.kind == typeRegistry {
		required = []string{"serverAddress"}
	} else if a.version == v1 {
		required = append(required, "email")
	}
	for _, name := range required {
		if fields[name] == "" {
			return &problem{http.StatusUnprocessableEntity, "MissingRequired", name}
		}
	}
	return nil
}

// conflict says why a resource cannot be created beside those that there are.
func (s *Server) conflict(at address, fields map[string]string) *problem {
	found := false
	for _, r := range s.resources {
		r.settle(s.Now())
		if r.kind != typeRegistry || r.environment != at.environment || r.state == purged {
			continue
		}
		found = found || r.id == fields["registryId"]
		if at.kind == typeRegistry && !r.gone() && strings.EqualFold(r.fields["serverAddress"], fields["serverAddress"]) {
			return &problem{http.StatusBadRequest, "ServerAddressUsed", ""}
		}
	}
	if at.kind == typeCredential && !found {
		return &problem{http.StatusUnprocessableEntity, "InvalidReference", "registryId"}
	}
	return nil
}

// one answers a request for a resource.
func (s *Server) one(w http.ResponseWriter, r *http.Request, at address) {
	var fields map[string]string
	if r.Method == http.MethodPut {
		var why *problem
		if fields, why = at.write(r); why != nil {
			s.refuse(w, why.status, why.code, why.field)
			return
		}
	}
	body, why := s.change(r, at, fields)
	if why != nil {
		s.refuse(w, why.status, why.code, why.field)
		return
	}
	status := http.StatusOK
	if r.Method == http.MethodPost {
		status = http.StatusAccepted
	}
	s.Write(w, status, body)
}

// change carries out a request for a resource, and returns what is then shown of it.
func (s *Server) change(r *http.Request, at address, fields map[string]string) (map[string]any, *problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.resources, func(r *resource) bool {
		return r.kind == at.kind && r.id == at.id && r.environment == at.environment
	})
	if i < 0 {
		return nil, &problem{http.StatusNotFound, "NotFound", ""}
	}
	found := s.resources[i]
	found.settle(s.Now())
	until := s.Now().Add(s.o.Settle)
	switch r.Method {
	case http.MethodPut:
		if !found.update(fields, until) {
			return nil, &problem{http.StatusConflict, "Conflict", ""}
		}
	case http.MethodDelete:
		if !found.do("remove", until) {
			return nil, &problem{http.StatusMethodNotAllowed, "MethodNotAllowed", ""}
		}
	case http.MethodPost:
		action := r.URL.Query().Get("action")
		if action == "update" || !found.do(action, until) {
			return nil, &problem{http.StatusUnprocessableEntity, "ActionNotAvailable", ""}
		}
	}
	if found.kind == typeRegistry && found.state == "removing" {
		s.removeCredentials(found.id, until)
	}
	return found.body(at, false), nil
}

// update writes fields; those that cannot be changed stay. It reports false while the
// resource is on its way to a state.
func (r *resource) update(fields map[string]string, until time.Time) bool {
	if !r.do("update", until) {
		return false
	}
	for name, value := range fields {
		switch name {
		case "serverAddress", "registryId":
		case "secretValue":
			r.secret = value
		default:
			r.fields[name] = value
		}
	}
	return true
}

// removeCredentials removes those of a registry that is removed.
func (s *Server) removeCredentials(registryID string, until time.Time) {
	for _, r := range s.resources {
		if r.kind == typeCredential && r.fields["registryId"] == registryID {
			r.enter("removing", until)
		}
	}
}
