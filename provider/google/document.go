package google

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/oauth2/google/externalaccount"

	"regcred.dev"
	"regcred.dev/provider/internal/rsakey"
)

// maxDocument bounds a credentials file, in bytes: keys have about 2,400.
const maxDocument = 32 << 10

// Values of a credentials file's field "type".
const (
	typeServiceAccount  = "service_account"
	typeUser            = "authorized_user"
	typeExternalAccount = "external_account"
	typeImpersonated    = "impersonated_service_account"
)

// defaultUniverse is the domain of Google's public cloud.
const defaultUniverse = "googleapis.com"

// A document is a credentials file of Google's: what gcloud and the console write
// (AIP-4110 and those that it names). It holds secrets, and is never printed.
type document struct {
	Type           string `json:"type"`
	UniverseDomain string `json:"universe_domain"`

	// Of a service account's key.
	ClientEmail  string `json:"client_email"`
	PrivateKeyID string `json:"private_key_id"`
	PrivateKey   string `json:"private_key"`
	TokenURI     string `json:"token_uri"`

	// Of an authorized user.
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	RefreshToken string `json:"refresh_token"`

	// Of an external account.
	Audience                 string                           `json:"audience"`
	SubjectTokenType         string                           `json:"subject_token_type"`
	TokenURL                 string                           `json:"token_url"`
	WorkforcePoolUserProject string                           `json:"workforce_pool_user_project"`
	CredentialSource         externalaccount.CredentialSource `json:"credential_source"`
	Impersonation            struct {
		Seconds int `json:"token_lifetime_seconds"`
	} `json:"service_account_impersonation"`

	// Of an external account and an impersonated service account.
	ImpersonationURL string `json:"service_account_impersonation_url"`

	// Of an impersonated service account.
	Source    *document `json:"source_credentials"`
	Delegates []string  `json:"delegates"`

	key *rsa.PrivateKey // PrivateKey, parsed by check
}

// readDocument reads a credentials file's JSON, or base64 of that, as Deis's
// key_json is and registries take it for the user _json_key_base64. where names it
// in errors, which quote nothing of it.
func readDocument(where, text string) (*document, error) {
	if len(text) > maxDocument {
		return nil, regcred.Errorf(regcred.Invalid, "%s has %d bytes, at most %d are read: it is no credentials file of Google's", where, len(text), maxDocument)
	}
	data := []byte(strings.TrimSpace(strings.TrimPrefix(text, "\ufeff")))
	if !bytes.HasPrefix(data, []byte("{")) {
		data = fromBase64(data)
	}
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, regcred.Errorf(regcred.Invalid, "%s is neither the JSON of a credentials file of Google's nor base64 of it", where)
	}
	return &d, nil
}

// fromBase64 decodes base64 in the standard or the URL's alphabet, with or without
// padding and line breaks; nil where it is none.
func fromBase64(text []byte) []byte {
	compact := strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '\r', '\n', '=':
			return -1
		case '-':
			return '+'
		case '_':
			return '/'
		}
		return r
	}, string(text))
	data, err := base64.RawStdEncoding.DecodeString(compact)
	if err != nil {
		return nil
	}
	return data
}

// shownType is the type for an error: any text may stand there.
func (d *document) shownType() string {
	if known := []string{typeServiceAccount, typeUser, typeExternalAccount, typeImpersonated}; slices.Contains(known, d.Type) {
		return d.Type
	}
	return "of another kind"
}

// universe is the domain of the cloud that the identity belongs to.
func (d *document) universe() string {
	if d.UniverseDomain == "" {
		return defaultUniverse
	}
	return d.UniverseDomain
}

// hasSecret reports whether an external account's configuration holds one. Headers
// that are no secret are the few that metadata servers ask for.
func (d *document) hasSecret() bool {
	for name := range d.CredentialSource.Headers {
		if !slices.Contains([]string{"metadata", "metadata-flavor", "accept"}, strings.ToLower(name)) {
			return true
		}
	}
	return d.ClientSecret != "" || d.PrivateKey != "" || d.RefreshToken != "" || d.Source != nil
}

// check returns an Invalid error where the document cannot work. endpoint is what
// an admin set, nil where none did: only that allows another cloud than Google's
// own, or a token endpoint that is not Google's.
func (d *document) check(where string, endpoint *url.URL) error {
	if d.universe() != defaultUniverse && (endpoint == nil || !domain.MatchString(d.universe())) {
		return regcred.Errorf(regcred.Invalid, "%s is for another cloud than Google's own (its universe_domain is not %s): an admin names that cloud's token endpoint in the setting \"endpoint\"", where, defaultUniverse)
	}
	switch d.Type {
	case typeServiceAccount:
		return d.checkServiceAccount(where, endpoint)
	case typeUser:
		return need(where, field{"client_id", d.ClientID}, field{"client_secret", d.ClientSecret}, field{"refresh_token", d.RefreshToken})
	case typeExternalAccount:
		return d.checkExternalAccount(where)
	case typeImpersonated:
		return d.checkImpersonated(where, endpoint)
	}
	return regcred.Errorf(regcred.Invalid, "%s is %s: it must have the type %s, %s, %s or %s", where, d.shownType(), typeServiceAccount, typeExternalAccount, typeUser, typeImpersonated)
}

// domain is a name in the DNS, of two labels or more.
var domain = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`)

// tokenURIs are the token endpoints of Google's that keys name, new and old.
var tokenURIs = []string{
	"https://oauth2.googleapis.com/token",
	"https://accounts.google.com/o/oauth2/token",
	"https://www.googleapis.com/oauth2/v3/token",
	"https://www.googleapis.com/oauth2/v4/token",
}

func (d *document) checkServiceAccount(where string, endpoint *url.URL) error {
	if err := need(where, field{"client_email", d.ClientEmail}, field{"private_key", d.PrivateKey}); err != nil {
		return err
	}
	if !account.MatchString(d.ClientEmail) {
		return regcred.Errorf(regcred.Invalid, "%s has a client_email that is no e-mail address", where)
	}
	if d.TokenURI == "" {
		d.TokenURI = tokenURIs[0]
	}
	if !slices.Contains(tokenURIs, d.TokenURI) && (endpoint == nil || endpoint.String() != d.TokenURI) {
		return regcred.Errorf(regcred.Invalid, "%s has a token_uri that is not Google's (%s): where it is right, an admin names the same in the setting \"endpoint\"", where, tokenURIs[0])
	}
	var err error
	if d.key, err = rsakey.Parse(d.PrivateKey, minKeySize); err != nil {
		return regcred.Errorf(regcred.Invalid, "%s has as its private_key %w", where, err)
	}
	return nil
}

// minKeySize is the least size of a key in bits: crypto/rsa signs with no smaller one.
const minKeySize = 1024

func (d *document) checkExternalAccount(where string) error {
	if d.TokenURL == "" {
		d.TokenURL = "https://sts." + d.universe() + "/v1/token"
	}
	if err := need(where, field{"audience", d.Audience}, field{"subject_token_type", d.SubjectTokenType}); err != nil {
		return err
	}
	if err := checkURL(where, "token_url", d.TokenURL); err != nil {
		return err
	}
	s := d.CredentialSource
	if s.File == "" && s.URL == "" && s.Executable == nil && s.EnvironmentID == "" {
		return regcred.Errorf(regcred.Invalid, "%s has no credential_source with a file, url, executable or environment_id", where)
	}
	if u, err := url.Parse(s.URL); s.URL != "" && (err != nil || u.Host == "") {
		return regcred.Errorf(regcred.Invalid, "%s has a url in its credential_source that is none", where)
	}
	if d.ImpersonationURL == "" {
		return nil
	}
	return checkURL(where, "service_account_impersonation_url", d.ImpersonationURL)
}

func (d *document) checkImpersonated(where string, endpoint *url.URL) error {
	if d.Source == nil || d.Source.Type != typeServiceAccount && d.Source.Type != typeUser {
		return regcred.Errorf(regcred.Invalid, "%s has no source_credentials of the type %s or %s", where, typeUser, typeServiceAccount)
	}
	if err := checkURL(where, "service_account_impersonation_url", d.ImpersonationURL); err != nil {
		return err
	}
	return d.Source.check(where, endpoint)
}

// field is one of a document's, and its value.
type field struct{ name, value string }

// need returns an error where one of the fields is empty.
func need(where string, fields ...field) error {
	for _, f := range fields {
		if f.value == "" {
			return regcred.Errorf(regcred.Invalid, "%s has no %s", where, f.name)
		}
	}
	return nil
}

// checkURL returns an error where a URL that tokens are sent to is not https. http
// is for loopback addresses.
func checkURL(where, field, text string) error {
	u, err := url.Parse(text)
	if err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())) {
		return nil
	}
	return regcred.Errorf(regcred.Invalid, "%s has a %s that is no https URL", where, field)
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
