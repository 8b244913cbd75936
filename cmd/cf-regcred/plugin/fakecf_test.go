//nolint:revive,staticcheck // the names are the protocol's
package plugin_test

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/rpc"
	"strconv"
	"strings"
	"sync"
	"testing"

	"regcred.dev/client"
)

// The types of the CLI's plugin protocol as the CLI itself has them, with the fields
// that the plugin does not know.
type (
	VersionType    struct{ Major, Minor, Build int }
	PluginMetadata struct {
		Name           string
		Version        VersionType
		LibraryVersion VersionType
		MinCliVersion  VersionType
		Commands       []Command
	}
	Command struct {
		Name, Alias, HelpText string
		UsageDetails          Usage
	}
	Usage struct {
		Usage   string
		Options map[string]string
	}
	QuotaFields        struct{ Guid, Name string }
	OrganizationFields struct {
		Guid, Name      string
		QuotaDefinition QuotaFields
	}
	Organization struct{ OrganizationFields }
	SpaceFields  struct{ Guid, Name string }
	Space        struct{ SpaceFields }
)

// CliRpcCmd is a CLI that a user is logged in with. The name is the protocol's.
type CliRpcCmd struct {
	Org, Spc         [2]string // guid and name
	API, Token, User string
	LoggedOut, Skip  bool
	Refuse           bool
	Expired          bool // the session, so that there is no new token

	mu       sync.Mutex
	metadata PluginMetadata
	calls    map[string]int
}

func (c *CliRpcCmd) called(method string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		c.calls = map[string]int{}
	}
	c.calls[method]++
}

func (c *CliRpcCmd) SetPluginMetadata(m PluginMetadata, ok *bool) error {
	c.metadata, *ok = m, !c.Refuse
	return nil
}

func (c *CliRpcCmd) GetCurrentOrg(_ string, o *Organization) error {
	o.Guid, o.Name = c.Org[0], c.Org[1]
	return nil
}

func (c *CliRpcCmd) GetCurrentSpace(_ string, s *Space) error {
	s.Guid, s.Name = c.Spc[0], c.Spc[1]
	return nil
}

func (c *CliRpcCmd) IsLoggedIn(_ string, v *bool) error    { *v = !c.LoggedOut; return nil }
func (c *CliRpcCmd) IsSSLDisabled(_ string, v *bool) error { *v = c.Skip; return nil }
func (c *CliRpcCmd) ApiEndpoint(_ string, v *string) error { *v = c.API; return nil }
func (c *CliRpcCmd) Username(_ string, v *string) error    { *v = c.User; return nil }

func (c *CliRpcCmd) AccessToken(_ string, v *string) error {
	c.called("AccessToken")
	if c.Expired {
		return errors.New("Authentication has expired. Please log back in to re-authenticate.")
	}
	*v = "bearer " + c.Token
	return nil
}

// serve serves the protocol and returns the port.
func (c *CliRpcCmd) serve(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := rpc.NewServer()
	if err := s.RegisterName("CliRpcCmd", c); err != nil {
		t.Fatal(err)
	}
	go s.Accept(l)
	t.Cleanup(func() { _ = l.Close() })
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// api is what the plugin asks of the targeted API.
type api struct {
	apps map[string]string // names by guid
	link func(self string) string

	mu     sync.Mutex
	tokens []string // that came with requests
}

func (a *api) serve(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(nil)
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.tokens = append(a.tokens, r.Header.Get("Authorization"))
		a.mu.Unlock()
		switch r.URL.Path {
		case "/":
			links := map[string]*client.Link{"self": {Href: s.URL}}
			if a.link != nil {
				links["regcred"] = &client.Link{Href: a.link(s.URL)}
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"links": links})
		case "/v3/apps":
			a.list(w, r)
		default:
			http.NotFound(w, r)
		}
	})
	t.Cleanup(s.Close)
	return s
}

func (a *api) list(w http.ResponseWriter, r *http.Request) {
	type app struct {
		GUID string `json:"guid"`
		Name string `json:"name"`
	}
	var page client.Page[app]
	for guid, name := range a.apps {
		if selects(r.URL.Query().Get("guids"), guid) && selects(r.URL.Query().Get("names"), name) {
			page.Resources = append(page.Resources, app{guid, name})
		}
	}
	_ = json.NewEncoder(w).Encode(page)
}

// selects reports whether a filter of the API has a value: commas separate, %2C is one.
func selects(filter, value string) bool {
	if filter == "" {
		return true
	}
	for v := range strings.SplitSeq(filter, ",") {
		if strings.NewReplacer("%2C", ",", "%25", "%").Replace(v) == value {
			return true
		}
	}
	return false
}
