package google

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/internal/web"
)

// Where the metadata server is, on every machine of Google's. GCE_METADATA_HOST
// names another one, as with Google's own libraries.
const (
	metadataAddress = "169.254.169.254"
	metadataName    = "metadata.google.internal"
)

// metadataEarly is how long before a token expires the metadata server surely has
// another one: until then it hands out the same. Its caches keep a token until 4
// or 5 minutes before the end; golang.org/x/oauth2/google and Google's library for
// Python ask 3 min 45 s before it.
const metadataEarly = 225 * time.Second

// metadata asks the metadata server for the machine's own identity, or a GKE pod's
// (Compute Engine's page "View and query VM metadata").
type metadata struct {
	client *web.Client
}

// token implements identity.
func (m metadata) token(ctx context.Context, scopes []string) (token, error) {
	host := metadataAddress
	if named := os.Getenv("GCE_METADATA_HOST"); named != "" {
		host = named
	}
	at := "http://" + host + "/computeMetadata/v1/instance/service-accounts/default/token?" + url.Values{"scopes": {strings.Join(scopes, ",")}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody) //nolint:gosec // the environment is the operator's
	if err != nil {
		return token{}, regcred.Errorf(regcred.Invalid, "the server's environment variable GCE_METADATA_HOST is no host")
	}
	req.Header.Set("Metadata-Flavor", "Google")
	asked := time.Now()
	answer, err := m.client.Do(req)
	if err != nil {
		return token{}, absent(err)
	}
	if err := m.refusal(answer); err != nil {
		return token{}, err
	}
	t, err := readToken(answer, "the metadata server "+host, asked)
	if err != nil {
		return token{}, err
	}
	if early := t.expires.Add(-metadataEarly); early.After(asked) {
		t.renewable = early
	}
	return t, nil
}

// absent says what it means that the metadata server cannot be reached.
func absent(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return regcred.Errorf(regcred.Unavailable, "this server seems to have no Google identity of its own: the metadata server %w; give the credential a %s, or a %s or %s", err, settingKey, settingFile, settingFederation)
}

// refusal is an error for an answer that brings no token, or is not from Google.
func (metadata) refusal(a web.Answer) error {
	switch {
	case a.Status >= 200 && a.Status < 300 && a.Header.Get("Metadata-Flavor") != "Google":
		return regcred.Errorf(regcred.Unavailable, "this server has no Google identity of its own: its metadata server is not Google's; give the credential a %s, or a %s or %s", settingKey, settingFile, settingFederation)
	case a.Status == http.StatusNotFound:
		return a.Err("this machine has no service account: attach one, or give the credential a " + settingKey)
	case a.Status == http.StatusForbidden:
		return a.Err("this machine's access scopes do not include what was asked for: devstorage.read_only to pull, cloud-platform to push or impersonate")
	}
	return a.Err("")
}
