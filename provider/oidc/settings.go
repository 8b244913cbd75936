package oidc

import (
	"crypto/x509"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"regcred.dev"
	"regcred.dev/provider/internal/bearer"
	"regcred.dev/provider/internal/setting"
)

// The settings.
const (
	settingExchange      = "exchange"
	settingUsername      = "username"
	settingToken         = "token"
	settingTokenFile     = "token-file"
	settingIssuer        = "issuer"
	settingClientID      = "client-id"
	settingClientSecret  = "client-secret"
	settingTokenURL      = "token-url"
	settingAudience      = "audience"
	settingResource      = "resource"
	settingScope         = "scope"
	settingSubjectType   = "subject-token-type"
	settingRequestedType = "requested-token-type"
	settingLifetime      = "lifetime"
)

// The ways to exchange a token.
const (
	exchangeRFC8693 = "rfc8693"
	exchangeQuay    = "quay"
	exchangeNone    = "none" // the issuer's token is the password
)

// Where Quay is, and where in it robots exchange tokens.
const (
	quayIO   = "quay.io"
	quayPath = "/oauth2/federation/robot/token"
)

// Limits on the setting "lifetime"; no login is taken to live for longer.
const (
	minLifetime = time.Minute
	maxLifetime = 366 * 24 * time.Hour
)

// tokenTypes is what the URNs of token types begin with (RFC 8693, section 3).
const tokenTypes = "urn:ietf:params:oauth:token-type:"

// settings are the settings of a credential, read.
type settings struct {
	exchange string
	username string

	// One of these three is set.
	token     string
	tokenFile string
	issuer    string // URL without a trailing slash

	clientID, clientSecret     string // both or neither
	tokenURL                   string // "": the issuer's token endpoint
	audience, resource, scope  string
	subjectType, requestedType string // URN; requestedType may be ""
	lifetime                   time.Duration
	roots                      *x509.CertPool
	hosts                      []string // that logins are for; at least one
}

// parse reads a credential. Errors: Invalid.
func (p *Provider) parse(c regcred.Credential) (s settings, err error) {
	info := p.Describe()
	if err := info.CheckFields(c); err != nil {
		return s, err
	}
	if err := setting.NoPassword(info, c); err != nil {
		return s, err
	}
	if s.exchange = c.Settings[settingExchange]; s.exchange == "" {
		s.exchange = exchangeRFC8693
	}
	if !slices.Contains([]string{exchangeRFC8693, exchangeQuay, exchangeNone}, s.exchange) {
		return s, regcred.Errorf(regcred.Invalid, "the setting %q is %q: write %s, %s or %s", settingExchange, s.exchange, exchangeRFC8693, exchangeQuay, exchangeNone)
	}
	for _, read := range []func(regcred.Credential) error{s.parseSubject, s.parseLogin, s.parseRequest, s.parseTokenURL, s.parseHosts} {
		if err := read(c); err != nil {
			return s, err
		}
	}
	return s, nil
}

// parseSubject reads where the token to exchange comes from.
func (s *settings) parseSubject(c regcred.Credential) error {
	secret, byToken := c.Secrets[settingToken]
	file, byFile := c.Settings[settingTokenFile]
	issuer, err := setting.URL(c, settingIssuer)
	if err != nil {
		return err
	}
	sources := 0
	for _, set := range []bool{byToken, byFile, issuer != nil} {
		if set {
			sources++
		}
	}
	s.token, s.tokenFile = strings.TrimSpace(secret.Reveal()), file
	s.clientID, s.clientSecret = c.Settings[settingClientID], c.Secrets[settingClientSecret].Reveal()
	switch {
	case sources != 1:
		return regcred.Errorf(regcred.Invalid, "set one of %q, %q and %q, to say which token is exchanged", settingToken, settingTokenFile, settingIssuer)
	case byToken && !bearer.IsToken(s.token):
		return regcred.Errorf(regcred.Invalid, "the setting %q holds no token: one has no spaces or line breaks, and at most %d bytes", settingToken, bearer.MaxLength)
	case byToken && s.exchange == exchangeNone:
		return regcred.Errorf(regcred.Invalid, "with %s=%s the setting %q would be the password itself: store it as that, with provider %s", settingExchange, exchangeNone, settingToken, regcred.ProviderStatic)
	case byFile && !filepath.IsAbs(file):
		return regcred.Errorf(regcred.Invalid, "the setting %q is no absolute path", settingTokenFile)
	case (s.clientID == "") != (s.clientSecret == ""):
		return regcred.Errorf(regcred.Invalid, "the settings %q and %q belong together", settingClientID, settingClientSecret)
	case issuer != nil && s.clientID == "":
		return regcred.Errorf(regcred.Invalid, "the setting %q needs %q and %q", settingIssuer, settingClientID, settingClientSecret)
	}
	if issuer != nil {
		s.issuer = strings.TrimSuffix(issuer.String(), "/")
	}
	return nil
}

// parseLogin reads what the logins look like beside their password.
func (s *settings) parseLogin(c regcred.Credential) error {
	s.username = c.Settings[settingUsername]
	switch {
	case s.username == "" || !utf8.ValidString(s.username) || strings.Contains(s.username, ":") || strings.ContainsFunc(s.username, func(r rune) bool { return !unicode.IsPrint(r) }):
		return regcred.Errorf(regcred.Invalid, "the setting %q is empty, or has a colon or control characters", settingUsername)
	case s.exchange == exchangeQuay && !strings.Contains(s.username, "+"):
		return regcred.Errorf(regcred.Invalid, "the setting %q is no robot account of Quay: write ORGANIZATION+NAME", settingUsername)
	}
	text, ok := c.Settings[settingLifetime]
	if !ok {
		return nil
	}
	lifetime, ok := regcred.ParseDuration(text)
	if !ok || lifetime < minLifetime || lifetime > maxLifetime {
		return regcred.Errorf(regcred.Invalid, "the setting %q is no duration from %s to %s: write one such as 15m or 12h", settingLifetime,
			regcred.FormatDuration(minLifetime), regcred.FormatDuration(maxLifetime))
	}
	s.lifetime = lifetime
	return nil
}

// parseRequest reads what the token service is asked for.
func (s *settings) parseRequest(c regcred.Credential) (err error) {
	s.audience, s.resource, s.scope = c.Settings[settingAudience], c.Settings[settingResource], c.Settings[settingScope]
	if s.subjectType, err = tokenType(c, settingSubjectType); err != nil {
		return err
	}
	if s.subjectType == "" {
		s.subjectType = tokenTypes + "jwt"
	}
	if s.requestedType, err = tokenType(c, settingRequestedType); err != nil {
		return err
	}
	if s.roots, err = setting.Pool(c); err != nil {
		return err
	}
	return s.refuseUnused(c)
}

// refuseUnused refuses settings that would be sent to nobody: whoever set them
// expects something of them.
func (s *settings) refuseUnused(c regcred.Credential) error {
	if s.exchange == exchangeRFC8693 {
		return nil
	}
	if name := firstSet(c, settingResource, settingSubjectType, settingRequestedType); name != "" {
		return regcred.Errorf(regcred.Invalid, "the setting %q is used with %s=%s alone", name, settingExchange, exchangeRFC8693)
	}
	if name := firstSet(c, settingAudience, settingScope, settingClientID); name != "" && s.issuer == "" {
		return regcred.Errorf(regcred.Invalid, "the setting %q is used with %s=%s or %q alone", name, settingExchange, exchangeRFC8693, settingIssuer)
	}
	return nil
}

// firstSet returns the first of the settings that is set, "" where none is.
func firstSet(c regcred.Credential, names ...string) string {
	for _, name := range names {
		if _, ok := c.Settings[name]; ok {
			return name
		}
	}
	return ""
}

// tokenType reads the type of a token as a URN, "" where it is not set.
func tokenType(c regcred.Credential, name string) (string, error) {
	text, ok := c.Settings[name]
	switch {
	case !ok, strings.HasPrefix(text, "urn:"):
		return text, nil
	case slices.Contains([]string{"jwt", "access_token", "id_token"}, text):
		return tokenTypes + text, nil
	}
	return "", regcred.Errorf(regcred.Invalid, "the setting %q is %q: write jwt, access_token, id_token or a URN", name, text)
}

// parseTokenURL reads whom to ask for the exchange.
func (s *settings) parseTokenURL(c regcred.Credential) error {
	custom, err := setting.URL(c, settingTokenURL)
	switch {
	case err != nil:
		return err
	case custom != nil && s.exchange == exchangeNone:
		return regcred.Errorf(regcred.Invalid, "the setting %q has no meaning with %s=%s", settingTokenURL, settingExchange, exchangeNone)
	case custom != nil:
		s.tokenURL = custom.String()
	case s.exchange == exchangeQuay:
		s.tokenURL = "https://" + quayHost(c) + quayPath
	case s.exchange == exchangeRFC8693 && s.issuer == "":
		return regcred.Errorf(regcred.Invalid, "the setting %q is missing: which token service exchanges the token?", settingTokenURL)
	}
	return nil
}

// parseHosts reads which registries the logins are for: those that are named, and
// quay.io for tokens of quay.io itself, or without Quay the location's host.
func (s *settings) parseHosts(c regcred.Credential) (err error) {
	if s.hosts, err = setting.Hosts(c); err != nil {
		return err
	}
	_, elsewhere := c.Settings[settingTokenURL]
	host, own := c.Location.Host(), ""
	switch {
	case s.exchange != exchangeQuay:
		own = host
	case !elsewhere && quayHost(c) == quayIO:
		own = quayIO
	}
	if own != "" && !slices.Contains(s.hosts, own) {
		s.hosts = append([]string{own}, s.hosts...)
	}
	switch {
	case len(s.hosts) == 0 && s.exchange != exchangeQuay:
		return regcred.Errorf(regcred.Invalid, "the location is missing: with %s=%s nothing else says which registry the logins are for", settingExchange, s.exchange)
	case elsewhere && (len(s.hosts) == 0 || host != "" && !slices.Contains(s.hosts, host)):
		return regcred.Errorf(regcred.Invalid, "with the setting %q, name the registry that its tokens are for: --set %s=quay.corp.example", settingTokenURL, setting.Host)
	case host != "" && !slices.Contains(s.hosts, host):
		return regcred.Errorf(regcred.Invalid, "%s is not quay.io: where it is a Quay of one's own, an admin names it with --set %s=%s", host, setting.Host, host)
	}
	return nil
}

// quayHost returns the host of the Quay that a credential is for.
func quayHost(c regcred.Credential) string {
	if c.Location.IsZero() {
		return quayIO
	}
	return c.Location.Host()
}
