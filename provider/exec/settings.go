package exec

import (
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/provider/internal/setting"
)

// The settings.
const (
	settingHelper    = "helper"
	settingServerURL = "server-url"
	settingEnv       = "env"
	settingLifetime  = "lifetime"
	settingTimeout   = "timeout"
)

// The protocol has no expiry, so logins are taken to live for an hour: that is what
// the shortest-lived cloud tokens do (Google, GitHub), and asking a program on the
// same machine twice an hour costs next to nothing.
const (
	defaultLifetime = time.Hour
	minLifetime     = time.Minute
	maxLifetime     = 365 * 24 * time.Hour
)

const (
	defaultTimeout = 30 * time.Second
	minTimeout     = time.Second
	maxTimeout     = 5 * time.Minute
)

// prefix begins the name of each docker credential helper.
const prefix = "docker-credential-"

// hubURL is what docker asks for where it means Docker Hub.
const hubURL = "https://index.docker.io/v1/"

// maxServerURL bounds the setting server-url, in bytes.
const maxServerURL = 4 << 10

var (
	helperName   = regexp.MustCompile(`^[a-z0-9-]+$`)
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// Describe says what the provider is and which settings it takes. All of them are an
// admin's: a program on the server is run.
func (*Provider) Describe() regcred.ProviderInfo {
	return regcred.ProviderInfo{
		Name: Name,
		Doc:  "Logins that a docker credential helper on the server gives: a program docker-credential-NAME, run as docker runs it.",
		Fields: []regcred.Field{
			{
				Name:     settingHelper,
				Doc:      "The NAME of a program docker-credential-NAME in the server's directories for helpers, or its absolute path.",
				Example:  "ecr-login",
				Required: true,
				Admin:    true,
			},
			{
				Name:    settingServerURL,
				Doc:     "What the helper is asked for: a registry's host or URL; by default the location's host, and " + hubURL + " for Docker Hub.",
				Example: "https://registry.example.com",
				Admin:   true,
			},
			{
				Name:    settingEnv,
				Doc:     "The names of the server's environment variables that the helper sees besides PATH and HOME, separated by commas.",
				Example: "AWS_PROFILE,HTTPS_PROXY",
				Admin:   true,
			},
			{
				Name:    settingLifetime,
				Doc:     "How long a login is taken to live, which the protocol does not say; after half of it the helper is asked again. Where the secret is a JWT that expires earlier, that counts.",
				Default: regcred.FormatDuration(defaultLifetime),
				Example: "12h",
				Admin:   true,
			},
			{
				Name:    settingTimeout,
				Doc:     "How long the helper may take before it is killed.",
				Default: regcred.FormatDuration(defaultTimeout),
				Example: "10s",
				Admin:   true,
			},
		},
		Permissions: "Those that the helper needs. It runs as the server's own user; others must not be able to change it or its directory.",
		Hosts:       "The location's host, or where there is no location that of server-url.",
		Examples: []string{
			"123456789012.dkr.ecr.eu-west-1.amazonaws.com --set helper=ecr-login --set env=AWS_REGION,AWS_PROFILE --set lifetime=12h",
			"gcr.io --set helper=/opt/helpers/docker-credential-gcr --set server-url=https://gcr.io",
		},
		Rate:   5,
		Burst:  10,
		Shared: true,
	}
}

// settings are those of one credential.
type settings struct {
	helper    string // a name, or an absolute path
	serverURL string
	host      string // which the logins are for, in canonical form
	env       []string
	lifetime  time.Duration
	timeout   time.Duration
}

func (p *Provider) settings(c regcred.Credential) (settings, error) {
	info := p.Describe()
	if err := info.CheckFields(c); err != nil {
		return settings{}, err
	}
	if err := setting.NoPassword(info, c); err != nil {
		return settings{}, err
	}
	s := settings{helper: c.Settings[settingHelper], serverURL: serverURL(c)}
	if err := checkHelper(s.helper); err != nil {
		return settings{}, err
	}
	var err error
	if s.host, err = loginHost(c, s.serverURL); err != nil {
		return settings{}, err
	}
	if s.env, err = variables(c); err != nil {
		return settings{}, err
	}
	if s.lifetime, err = duration(c, settingLifetime, defaultLifetime, minLifetime, maxLifetime); err != nil {
		return settings{}, err
	}
	s.timeout, err = duration(c, settingTimeout, defaultTimeout, minTimeout, maxTimeout)
	return s, err
}

// checkHelper refuses whatever is neither a NAME nor the clean absolute path of a
// docker-credential-NAME.
func checkHelper(helper string) error {
	name := helper
	if strings.ContainsRune(helper, filepath.Separator) {
		var ok bool
		name, ok = strings.CutPrefix(filepath.Base(helper), prefix)
		if !ok || !filepath.IsAbs(helper) || filepath.Clean(helper) != helper || strings.Contains(helper, "\x00") {
			return regcred.Errorf(regcred.Invalid, "the setting %q is %q: a path has to be absolute and to end in %sNAME", settingHelper, helper, prefix)
		}
	}
	if !helperName.MatchString(name) {
		return regcred.Errorf(regcred.Invalid, "the setting %q is %q: a NAME consists of a-z, 0-9 and -", settingHelper, helper)
	}
	return nil
}

// programName returns the name of a helper's program.
func programName(helper string) string {
	return prefix + strings.TrimPrefix(filepath.Base(helper), prefix)
}

// serverURL returns what the helper is asked for.
func serverURL(c regcred.Credential) string {
	if text, ok := c.Settings[settingServerURL]; ok {
		return text
	}
	if host := c.Location.Host(); host != imageref.DockerHub {
		return host
	}
	return hubURL
}

// loginHost returns the host that the logins are for.
func loginHost(c regcred.Credential, serverURL string) (string, error) {
	if serverURL == "" {
		return "", regcred.Errorf(regcred.Invalid, "give the credential a location, or say in the setting %q what the helper is asked for", settingServerURL)
	}
	host, err := hostOf(serverURL)
	if err != nil {
		return "", regcred.Errorf(regcred.Invalid, "the setting %q: %w", settingServerURL, err)
	}
	if !c.Location.IsZero() {
		return c.Location.Host(), nil
	}
	location, err := imageref.ParseLocation(host)
	if err == nil {
		err = location.Assignable()
	}
	if err != nil {
		return "", regcred.Errorf(regcred.Invalid, "the setting %q: %w", settingServerURL, err)
	}
	return host, nil
}

// hostOf returns the host, in canonical form, of HOST, HOST/PATH or a URL. The text
// goes to a program that reads lines, and into error messages: it holds no spaces, no
// control characters and no user name.
func hostOf(serverURL string) (string, error) {
	refuse := func(why string) (string, error) {
		return "", regcred.Errorf(regcred.Invalid, "%s: write HOST[:PORT], or https://HOST[:PORT]/PATH", why)
	}
	if len(serverURL) > maxServerURL {
		return refuse("it is too long")
	}
	for i := range len(serverURL) {
		if b := serverURL[i]; b <= ' ' || b > '~' || b == '@' || b == '?' || b == '#' {
			return refuse("it has a character that has no place in a registry's URL")
		}
	}
	rest := serverURL
	if scheme, after, ok := strings.Cut(serverURL, "://"); ok {
		if scheme != "https" && scheme != "http" {
			return refuse("it is neither a host nor an https URL")
		}
		rest = after
	}
	host, _, _ := strings.Cut(rest, "/")
	location, err := imageref.ParseLocation(host)
	if err != nil {
		return "", err
	}
	return location.Host(), nil
}

// variables reads the setting "env".
func variables(c regcred.Credential) ([]string, error) {
	names, err := setting.List(c, settingEnv)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if !variableName.MatchString(name) {
			return nil, regcred.Errorf(regcred.Invalid, "the setting %q holds what is no name of a variable: write names without values, as in AWS_PROFILE,AWS_REGION", settingEnv)
		}
	}
	return names, nil
}

func duration(c regcred.Credential, name string, usual, least, most time.Duration) (time.Duration, error) {
	text, ok := c.Settings[name]
	if !ok {
		return usual, nil
	}
	d, ok := regcred.ParseDuration(text)
	if !ok {
		return 0, regcred.Errorf(regcred.Invalid, "the setting %q is no duration: write one such as 30s, 15m or 12h", name)
	}
	if d < least || d > most {
		return 0, regcred.Errorf(regcred.Invalid, "the setting %q is %s: it must be from %s to %s", name, regcred.FormatDuration(d), regcred.FormatDuration(least), regcred.FormatDuration(most))
	}
	return d, nil
}
