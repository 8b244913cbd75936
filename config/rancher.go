package config

import (
	"cmp"
	"crypto/x509"
	"log/slog"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"regcred.dev"
	"regcred.dev/imageref"
)

// The environment of the Rancher ECR Credentials Updater.
const (
	cattleURL       = "CATTLE_URL"
	cattleAccessKey = "CATTLE_ACCESS_KEY"
	cattleSecretKey = "CATTLE_SECRET_KEY"
	autoCreate      = "AUTO_CREATE"
	ecrProxyHost    = "ECR_PROXY_HOST"
	ecrRegistryIDs  = "AWS_ECR_REGISTRY_IDS"
	listenPort      = "LISTEN_PORT"
	logLevel        = "LOG_LEVEL"

	defaultListenPort = "8080"
)

// What AWS's own SDK reads of it too.
const (
	awsRegion          = "AWS_REGION"
	awsRoleARN         = "AWS_ROLE_ARN"
	awsWebIdentityFile = "AWS_WEB_IDENTITY_TOKEN_FILE"

	// AWSCABundle names a file with certificates in PEM form. The SDK does not take it
	// where it is given an HTTP client, as regcred's providers do: the credentials have
	// its content as their setting "ca".
	AWSCABundle = "AWS_CA_BUNDLE"
)

// RancherUpdater is what the environment of a Rancher ECR Credentials Updater's
// container says.
type RancherUpdater struct {
	// URL is Rancher's API.
	URL       *url.URL
	AccessKey string
	SecretKey regcred.Secret
	// AutoCreate creates what is missing in Rancher.
	AutoCreate bool
	// Listen is the address of health and metrics, HOST:PORT.
	Listen string
	// LogLevel is the least that is logged.
	LogLevel slog.Level
	// Credentials are one for each account, or for all of them where a proxy stands in
	// front. Where they have no location, it is found at the first mint.
	Credentials []Credential
}

// LoadRancherUpdater is ParseRancherUpdater of an environment on this machine.
func LoadRancherUpdater(getenv func(string) string) (RancherUpdater, error) {
	return ParseRancherUpdater(Sources{
		Getenv:   func(name string) (string, bool) { value := getenv(name); return value, value != "" },
		ReadFile: readFile,
	})
}

// ParseRancherUpdater reads the environment. Space around a value does not count, and
// an empty one is not set. All errors are Invalid and name the variable.
func ParseRancherUpdater(s Sources) (RancherUpdater, error) {
	get := func(name string) string {
		value, _ := s.Getenv(name)
		return strings.TrimSpace(value)
	}
	u := RancherUpdater{AccessKey: get(cattleAccessKey), SecretKey: regcred.NewSecret(get(cattleSecretKey))}
	var err error
	if u.LogLevel, err = parseLogLevel(get(logLevel)); err != nil {
		return RancherUpdater{}, err
	}
	for _, name := range []string{cattleURL, cattleAccessKey, cattleSecretKey} {
		if get(name) == "" {
			return RancherUpdater{}, regcred.Errorf(regcred.Invalid,
				"%s is not set: set it, with an API key of the environment, or give the service the labels io.rancher.container.create_agent: true and io.rancher.container.agent.role: environment, by which Rancher sets %s, %s and %s", name, cattleURL, cattleAccessKey, cattleSecretKey)
		}
	}
	if u.URL, err = ParseRancherURL(get(cattleURL)); err != nil {
		return RancherUpdater{}, regcred.Errorf(regcred.Invalid, "%s: %w", cattleURL, err)
	}
	if text := get(autoCreate); text != "" {
		if u.AutoCreate, err = strconv.ParseBool(text); err != nil {
			return RancherUpdater{}, regcred.Errorf(regcred.Invalid, "%s is %q: write true or false", autoCreate, text)
		}
	}
	port := cmp.Or(get(listenPort), defaultListenPort)
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return RancherUpdater{}, regcred.Errorf(regcred.Invalid, "%s is %q: write a port, such as %s", listenPort, port, defaultListenPort)
	}
	u.Listen = ":" + port
	if u.Credentials, err = ecrCredentials(get); err != nil {
		return RancherUpdater{}, err
	}
	if path := get(AWSCABundle); path != "" {
		err = u.trust(s, path)
	}
	return u, err
}

// trust has AWS verified by the authorities in a file.
func (u *RancherUpdater) trust(s Sources, path string) error {
	pem, err := s.ReadFile(path)
	switch {
	case err != nil:
		return regcred.Errorf(regcred.Invalid, "%s: %w", AWSCABundle, err)
	case len(pem) > maxReference:
		return regcred.Errorf(regcred.Invalid, "%s: %s is larger than %d bytes", AWSCABundle, path, maxReference)
	case !x509.NewCertPool().AppendCertsFromPEM(pem):
		return regcred.Errorf(regcred.Invalid, "%s: %s has no certificate in PEM form", AWSCABundle, path)
	}
	for i, c := range u.Credentials {
		u.Credentials[i] = c.with("ca", string(pem))
	}
	return nil
}

// ParseRancherURL reads the URL of an API of Rancher. Errors: Invalid.
func ParseRancherURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return nil, regcred.Errorf(regcred.Invalid, "it is no URL of Rancher: write http://HOST:8080, with /v1, /v2-beta or /v1/projects/1aN behind it or not")
	case u.User != nil:
		return nil, regcred.Errorf(regcred.Invalid, "the URL has a user name: leave it out, the API key has variables of its own")
	}
	u.Path, u.RawPath = "/"+strings.Trim(u.Path, "/"), ""
	return u, nil
}

// logLevels are those of the library logrus, by which the updater logged, from the
// least that is logged to the most.
var logLevels = []struct {
	name  string
	level slog.Level
}{
	{"panic", slog.LevelError}, {"fatal", slog.LevelError}, {"error", slog.LevelError},
	{"warn", slog.LevelWarn}, {"warning", slog.LevelWarn},
	{"info", slog.LevelInfo},
	{"debug", slog.LevelDebug}, {"trace", slog.LevelDebug},
}

func parseLogLevel(text string) (slog.Level, error) {
	if text == "" {
		return slog.LevelInfo, nil
	}
	var names []string
	for _, l := range logLevels {
		if strings.EqualFold(text, l.name) {
			return l.level, nil
		}
		names = append(names, l.name)
	}
	return 0, regcred.Errorf(regcred.Invalid, "%s is %q: it is one of %s", logLevel, text, strings.Join(names, ", "))
}

// What AWS takes for a region, an account and the ARN of a role.
var (
	regionPattern  = regexp.MustCompile(`^[a-z]{2,10}(-[a-z0-9]{1,20}){1,4}$`)
	accountPattern = regexp.MustCompile(`^[0-9]{12}$`)
	rolePattern    = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=.@/-]{1,576}$`)
)

// ecrCredentials returns the credentials that the updater's variables mean. The keys
// are those that AWS's SDK finds.
func ecrCredentials(get func(string) string) ([]Credential, error) {
	shared := Credential{Where: "the environment", Provider: "ecr", Settings: map[string]string{}}
	if region := get(awsRegion); region != "" {
		if !regionPattern.MatchString(region) {
			return nil, regcred.Errorf(regcred.Invalid, "%s is %q: write a region such as us-east-1", awsRegion, region)
		}
		shared.Settings["region"] = region
	}
	// With a web identity token the SDK itself assumes the role, by that token.
	if role := get(awsRoleARN); role != "" && get(awsWebIdentityFile) == "" {
		if !rolePattern.MatchString(role) {
			return nil, regcred.Errorf(regcred.Invalid, "%s is %q: write the ARN of a role, arn:aws:iam::ACCOUNT:role/NAME", awsRoleARN, role)
		}
		shared.Settings["role-arn"] = role
	}
	accounts, err := parseAccounts(get(ecrRegistryIDs))
	if err != nil {
		return nil, err
	}
	if proxy := get(ecrProxyHost); proxy != "" {
		return shared.behind(proxy, accounts)
	}
	if len(accounts) == 0 {
		return []Credential{shared}, nil
	}
	var list []Credential
	for _, account := range accounts {
		list = append(list, shared.with("registry-ids", account))
	}
	return list, nil
}

// parseAccounts reads accounts, separated by commas, and leaves out repetitions.
func parseAccounts(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	var accounts []string
	for item := range strings.SplitSeq(text, ",") {
		account := strings.TrimSpace(item)
		if !accountPattern.MatchString(account) {
			return nil, regcred.Errorf(regcred.Invalid, "%s: %q is no account: write accounts of 12 digits, separated by commas", ecrRegistryIDs, account)
		}
		if !slices.Contains(accounts, account) {
			accounts = append(accounts, account)
		}
	}
	return accounts, nil
}

// behind returns the credential for a proxy in front of ECR. A token is good for every
// registry that its identity may use, so one login serves all accounts.
func (c Credential) behind(proxy string, accounts []string) ([]Credential, error) {
	location, err := imageref.ParseLocation(proxy)
	switch {
	case err == nil && location.Path() != "":
		err = regcred.Errorf(regcred.Invalid, "leave out the path")
	case err == nil:
		err = location.Assignable()
	}
	if err != nil {
		return nil, regcred.Errorf(regcred.Invalid, "%s is %q: write the registry's host as Rancher has it, HOST[:PORT]: %w", ecrProxyHost, proxy, err)
	}
	if c.Settings["region"] == "" {
		return nil, regcred.Errorf(regcred.Invalid, "%s is not set: with %s it says whose registries are behind the proxy", awsRegion, ecrProxyHost)
	}
	c = c.with("host", location.Host())
	if len(accounts) > 0 {
		c = c.with("registry-ids", strings.Join(accounts, ","))
	}
	c.Location, c.Spelling = location, proxy
	return []Credential{c}, nil
}

// with returns a copy that has a setting more.
func (c Credential) with(name, value string) Credential {
	c.Settings = maps.Clone(c.Settings)
	c.Settings[name] = value
	return c
}
