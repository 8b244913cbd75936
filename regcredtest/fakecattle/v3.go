package fakecattle

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"regcred.dev/regcredtest/internal/fake"
)

// V3Options configure a V3.
type V3Options struct {
	Quirks

	// Tokens are the API keys, "ACCESS:SECRET".
	Tokens []string
	// Projects are the ids of those that the tokens may write to, "c-x:p-y".
	Projects []string
	// ReadOnly are the ids of those that they may only read.
	ReadOnly []string
	// NamespaceRequired refuses credentials without a namespace, as new projects do
	// from Rancher 2.11 on.
	NamespaceRequired bool
	// Limit is how many entries a page has. Default 1000.
	Limit int
}

// V3 is a fake of the API of Rancher 2.x as far as the docker credentials of projects
// go. It may be used concurrently.
type V3 struct {
	*fake.Issuer

	o V3Options

	mu      sync.Mutex
	objects []*object
}

// NewV3 returns a V3.
func NewV3(o V3Options) *V3 {
	if o.Limit == 0 {
		o.Limit = 1000
	}
	return &V3{Issuer: fake.New(o.Quirks, 0), o: o}
}

// object is a docker credential.
type object struct {
	project, namespace, name, description string
	registries                            map[string]V3Login
}

// V3Login is what a docker credential has for one registry.
type V3Login struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Auth     string `json:"auth"`
}

// collections are the names of those of a project, and the type of what is in each.
var collections = map[string]string{"dockercredentials": "dockerCredential", "namespaceddockercredentials": "namespacedDockerCredential"}

// v3Address is /v3/project/PROJECT/COLLECTION[/ID], where the id is NAMESPACE:NAME.
type v3Address struct{ base, project, collection, id string }

func (a v3Address) url() string { return a.base + "/v3/project/" + a.project + "/" + a.collection }

func parseV3(r *http.Request) (v3Address, bool) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) < 4 || len(parts) > 5 || parts[0] != "v3" || parts[1] != "project" || collections[strings.ToLower(parts[3])] == "" {
		return v3Address{}, false
	}
	a := v3Address{base: "https://" + r.Host, project: parts[2], collection: strings.ToLower(parts[3])}
	if len(parts) == 5 {
		a.id = parts[4]
	}
	return a, true
}

// ServeHTTP implements http.Handler.
func (s *V3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Begin(w, r, r.Method) != fake.Serve {
		return
	}
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	at, known := parseV3(r)
	readable := slices.Contains(s.o.Projects, at.project) || slices.Contains(s.o.ReadOnly, at.project)
	switch {
	case !bearer || !slices.Contains(s.o.Tokens, token):
		s.refuse(w, http.StatusUnauthorized, "Unauthorized")
	case !known:
		s.refuse(w, http.StatusNotFound, "NotFound")
	case !readable, r.Method != http.MethodGet && slices.Contains(s.o.ReadOnly, at.project):
		s.refuse(w, http.StatusForbidden, "Forbidden")
	default:
		s.serve(w, r, at)
	}
}

func (s *V3) refuse(w http.ResponseWriter, status int, code string) {
	s.Write(w, status, map[string]any{"type": "error", "baseType": "error", "status": status, "code": code, "message": code})
}

func (s *V3) serve(w http.ResponseWriter, r *http.Request, at v3Address) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.objects, func(o *object) bool { return at.holds(o) && o.id() == at.id })
	switch {
	case at.id == "" && r.Method == http.MethodGet:
		s.list(w, r, at)
	case at.id == "" && r.Method == http.MethodPost:
		s.create(w, r, at)
	case i < 0:
		s.refuse(w, http.StatusNotFound, "NotFound")
	case r.Method == http.MethodPut:
		if o, ok := s.decode(w, r); ok {
			s.objects[i].description, s.objects[i].registries = o.Description, o.Registries
			s.Write(w, http.StatusOK, s.objects[i].body(at))
		}
	case r.Method == http.MethodDelete:
		body := s.objects[i].body(at)
		s.objects = slices.Delete(s.objects, i, i+1)
		s.Write(w, http.StatusOK, body)
	default:
		s.refuse(w, http.StatusMethodNotAllowed, "MethodNotAllow")
	}
}

// holds reports whether an object is in the collection.
func (a v3Address) holds(o *object) bool {
	return o.project == a.project && (o.namespace != "") == (a.collection == "namespaceddockercredentials")
}

func (s *V3) list(w http.ResponseWriter, r *http.Request, at v3Address) {
	data := []map[string]any{}
	for _, o := range s.objects {
		if at.holds(o) {
			data = append(data, o.body(at))
		}
	}
	offset, _ := strconv.Atoi(r.URL.Query().Get("marker")) // none is the first page
	end := min(offset+s.o.Limit, len(data))
	pagination := map[string]any{"limit": s.o.Limit, "total": len(data)}
	if end < len(data) {
		pagination["partial"], pagination["next"] = true, at.url()+"?marker="+strconv.Itoa(end)
	}
	s.Write(w, http.StatusOK, map[string]any{"type": "collection", "resourceType": collections[at.collection], "data": data[min(offset, end):end], "pagination": pagination})
}

// v3Body is what a request writes.
type v3Body struct {
	Type, Name, ProjectID, NamespaceID, Description string
	Registries                                      map[string]V3Login
}

func (s *V3) decode(w http.ResponseWriter, r *http.Request) (v3Body, bool) {
	var b v3Body
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&b); err != nil {
		s.refuse(w, http.StatusBadRequest, "InvalidBodyContent")
		return b, false
	}
	if len(b.Registries) == 0 {
		s.refuse(w, http.StatusUnprocessableEntity, "MissingRequired")
		return b, false
	}
	return b, true
}

func (s *V3) create(w http.ResponseWriter, r *http.Request, at v3Address) {
	b, ok := s.decode(w, r)
	namespaced := at.collection == "namespaceddockercredentials"
	o := &object{project: at.project, namespace: b.NamespaceID, name: b.Name, description: b.Description, registries: b.Registries}
	switch {
	case !ok:
	case b.Type != collections[at.collection], b.ProjectID != at.project, namespaced && b.NamespaceID == "":
		s.refuse(w, http.StatusUnprocessableEntity, "MissingRequired")
	case !namespaced && s.o.NamespaceRequired:
		s.refuse(w, http.StatusForbidden, "Forbidden")
	case slices.ContainsFunc(s.objects, func(other *object) bool { return at.holds(other) && other.id() == o.id() }):
		s.refuse(w, http.StatusConflict, "AlreadyExists")
	default:
		s.objects = append(s.objects, o)
		s.Write(w, http.StatusCreated, o.body(at))
	}
}

// id is that of Norman's stores: the namespace, of a project its own, and the name.
func (o *object) id() string {
	namespace := o.namespace
	if namespace == "" {
		_, namespace, _ = strings.Cut(o.project, ":")
	}
	return namespace + ":" + o.name
}

// body returns the object as the API shows it, without passwords.
func (o *object) body(at v3Address) map[string]any {
	registries := map[string]any{}
	for host, login := range o.registries {
		registries[host] = map[string]any{"type": "/v3/project/schemas/registryCredential", "username": login.Username}
	}
	self := at.url() + "/" + o.id()
	return map[string]any{
		"id": o.id(), "type": collections[at.collection], "name": o.name, "projectId": o.project, "namespaceId": nilOr(o.namespace),
		"description": nilOr(o.description), "registries": registries,
		"links": map[string]string{"self": self, "update": self, "remove": self},
	}
}

func nilOr(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// Logins returns what the pods of a namespace are pulled with, by registry as it is
// stored: by the credentials of the namespace, and those of the whole project.
func (s *V3) Logins(project, namespace string) map[string]V3Login {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]V3Login{}
	for _, o := range s.objects {
		if o.project == project && (o.namespace == "" || o.namespace == namespace) {
			maps.Copy(all, o.registries)
		}
	}
	return all
}

// Put has a stranger write credentials under a name into a project, or remove those
// where there are none.
func (s *V3) Put(project, namespace, name string, registries map[string]V3Login) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects = slices.DeleteFunc(s.objects, func(o *object) bool {
		return o.project == project && o.namespace == namespace && o.name == name
	})
	if len(registries) > 0 {
		s.objects = append(s.objects, &object{project: project, namespace: namespace, name: name, registries: registries, description: "by hand"})
	}
}

// Name returns the name of the credential that has a registry, "" where none has.
func (s *V3) Name(project, namespace, registry string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.objects {
		if _, ok := o.registries[registry]; ok && o.project == project && o.namespace == namespace {
			return o.name
		}
	}
	return ""
}
