package plugin

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/client"
)

// serverVariable names regcred's server where the targeted API does not serve it.
const serverVariable = "REGCRED_SERVER"

// gatewayLink is the link in the answer of GET / by which regcred's gateway says that
// the API serves registry credentials.
const gatewayLink = "regcred"

// requestTimeout bounds one request to the targeted API.
const requestTimeout = time.Minute

// maxDocument bounds what is read of an answer of the targeted API, in bytes.
const maxDocument = 8 << 20

// connect finds regcred's server: the one that REGCRED_SERVER names, else the targeted
// API itself where its root document says that regcred's gateway serves it. The user's
// token goes to no other host, and with the TLS settings that the CLI has for its API.
func (s *session) connect(ctx context.Context, cli cf, endpoint string) error {
	api, err := parseServer(endpoint)
	if err != nil {
		return regcred.Errorf(regcred.Invalid, "the API endpoint %.200q: %w", endpoint, err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if config.InsecureSkipVerify, err = cli.skipsTLS(); err != nil {
		return err
	}
	token, err := cli.accessToken()
	if err != nil {
		return err
	}
	_, raw, ok := strings.Cut(token, " ")
	if !ok {
		return regcred.Errorf(regcred.Unauthenticated, "Not logged in. Use 'cf login' or 'cf login --sso' to log in.")
	}
	s.capi = capi{base: api, token: regcred.NewSecret(raw), http: &http.Client{
		Timeout:       requestTimeout,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	server, err := s.server(ctx, api)
	if err != nil {
		return err
	}
	c, err := client.New(server.String(), regcred.NewSecret(raw))
	if err != nil {
		return err
	}
	s.regcred = c.WithTLS(config)
	return nil
}

// server returns the URL of regcred.
func (s *session) server(ctx context.Context, api *url.URL) (*url.URL, error) {
	if named := s.Getenv(serverVariable); named != "" {
		u, err := parseServer(named)
		if err != nil {
			return nil, regcred.Errorf(regcred.Invalid, "%s: %w", serverVariable, err)
		}
		if u.Scheme == "http" && !isLoopback(u.Hostname()) {
			return nil, regcred.Errorf(regcred.Invalid, "%s: your token would be sent to %s in clear: use https://", serverVariable, u.Host)
		}
		return u, nil
	}
	var root struct {
		Links map[string]*client.Link `json:"links"`
	}
	if err := s.capi.get(ctx, "/", nil, &root); err != nil {
		return nil, err
	}
	link := root.Links[gatewayLink]
	if link == nil {
		return nil, regcred.Errorf(regcred.NotFound, "The API at %s has no registry credentials: ask its operator for regcred's gateway, or name regcred's server in the environment variable %s.", api, serverVariable)
	}
	u, err := parseServer(link.Href)
	if err != nil || !sameOrigin(u, api) {
		return nil, regcred.Errorf(regcred.Denied, "The API at %s names another server for registry credentials. Your token is not sent there: if you trust it, name it in the environment variable %s.", api, serverVariable)
	}
	return api, nil
}

// parseServer reads http[s]://HOST[:PORT][/].
func parseServer(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(s, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, regcred.Errorf(regcred.Invalid, "write https://HOST[:PORT]")
	}
	return u, nil
}

func sameOrigin(a, b *url.URL) bool {
	port := func(u *url.URL) string {
		return cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// capi is the targeted Cloud Foundry API.
type capi struct {
	base  *url.URL
	token regcred.Secret
	http  *http.Client
}

// get asks for a document.
func (c capi) get(ctx context.Context, path string, query url.Values, out any) error {
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	if path != "/" { // the root document is everybody's
		req.Header.Set("Authorization", "bearer "+c.token.Reveal())
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return regcred.Errorf(regcred.Unavailable, "cannot reach the API at %s: %w", c.base, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument))
	if err != nil {
		return regcred.Errorf(regcred.Unavailable, "the answer of the API at %s broke off: %w", c.base, err)
	}
	if resp.StatusCode != http.StatusOK {
		return regcred.Errorf(regcred.Unavailable, "the API at %s answered %s to GET %s", c.base, resp.Status, path)
	}
	if err := json.Unmarshal(data, out); err != nil {
		return regcred.Errorf(regcred.Unavailable, "the answer of the API at %s to GET %s is no JSON document", c.base, path)
	}
	return nil
}

// app is an app of the API.
type app struct {
	GUID string `json:"guid"`
	Name string `json:"name"`
}

// app returns the guid of the app of a name in a space, "" where there is none.
func (c capi) app(ctx context.Context, name, space string) (string, error) {
	var page client.Page[app]
	// Commas separate values in a filter; each value is escaped for itself.
	escaped := strings.NewReplacer("%", "%25", ",", "%2C").Replace(name)
	err := c.get(ctx, "/v3/apps", url.Values{"names": {escaped}, "space_guids": {space}}, &page)
	if err != nil {
		return "", err
	}
	for _, a := range page.Resources {
		if a.Name == name {
			return a.GUID, nil
		}
	}
	return "", nil
}

// maxGUIDs is how many apps are asked for at once: URLs have bounds.
const maxGUIDs = 50

// appNames returns the names of apps by guid. Those that the user may not see are
// named by their guid.
func (c capi) appNames(ctx context.Context, guids []string) (map[string]string, error) {
	names := map[string]string{}
	for len(guids) > 0 {
		some := guids[:min(maxGUIDs, len(guids))]
		guids = guids[len(some):]
		var page client.Page[app]
		if err := c.get(ctx, "/v3/apps", url.Values{"guids": {strings.Join(some, ",")}, "per_page": {"100"}}, &page); err != nil {
			return nil, err
		}
		for _, guid := range some {
			names[guid] = guid
		}
		for _, a := range page.Resources {
			names[a.GUID] = a.Name
		}
	}
	return names, nil
}
