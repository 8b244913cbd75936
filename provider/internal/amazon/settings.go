package amazon

import (
	"crypto/x509"
	"path/filepath"
	"regexp"
	"strings"

	"regcred.dev"
	"regcred.dev/provider/internal/setting"
)

// Settings are those that both providers take, parsed.
type Settings struct {
	Identity

	// Endpoint and STSEndpoint are URLs, "" for the usual ones.
	Endpoint    string
	STSEndpoint string
	// RootCAs verify whom the mint asks; nil: the system's.
	RootCAs *x509.CertPool
	// Hosts are those that an admin named.
	Hosts []string
}

// Identity says who asks AWS.
type Identity struct {
	accessKeyID     string
	secretAccessKey regcred.Secret
	sessionToken    regcred.Secret
	profile         string
	tokenFile       string // of a web identity

	roles       []string // ARNs, each assumed by the one before
	externalID  string
	sessionName string
}

// What AWS takes for an access key id (API reference of IAM, AccessKey), an ARN of
// a role, and the parameters ExternalId and RoleSessionName (API reference of STS,
// AssumeRole).
var (
	accessKeyPattern   = regexp.MustCompile(`^\w{1,128}$`)
	secretPattern      = regexp.MustCompile(`^[!-~]+$`)
	rolePattern        = regexp.MustCompile(`^arn:aws[a-z-]*:iam::([0-9]{12}):role/[\w+=.@/-]{1,576}$`)
	externalIDPattern  = regexp.MustCompile(`^[\w+=,.@:/-]{2,}$`)
	sessionNamePattern = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
)

// maxExternalID is an external id's greatest length.
const maxExternalID = 1224

// maxRoles bounds a chain of roles: each takes a request.
const maxRoles = 5

// Parse reads the settings of a credential for the provider that info describes.
// Errors: Invalid, naming the setting.
func Parse(info regcred.ProviderInfo, c regcred.Credential) (Settings, error) {
	if err := info.CheckFields(c); err != nil {
		return Settings{}, err
	}
	if err := setting.NoPassword(info, c); err != nil {
		return Settings{}, err
	}
	var s Settings
	var err error
	if s.Identity, err = parseIdentity(c); err != nil {
		return Settings{}, err
	}
	if s.Endpoint, err = endpoint(c, setting.Endpoint); err != nil {
		return Settings{}, err
	}
	if s.STSEndpoint, err = endpoint(c, STSEndpoint); err != nil {
		return Settings{}, err
	}
	if s.RootCAs, err = setting.Pool(c); err != nil {
		return Settings{}, err
	}
	if s.Hosts, err = setting.Hosts(c); err != nil {
		return Settings{}, err
	}
	return s, nil
}

func endpoint(c regcred.Credential, name string) (string, error) {
	u, err := setting.URL(c, name)
	if u == nil || err != nil {
		return "", err
	}
	return u.String(), nil
}

func parseIdentity(c regcred.Credential) (Identity, error) {
	i := Identity{
		accessKeyID:     c.Settings[AccessKeyID],
		secretAccessKey: c.Secrets[SecretAccessKey],
		sessionToken:    c.Secrets[SessionToken],
		profile:         c.Settings[Profile],
		tokenFile:       c.Settings[WebIdentityToken],
		externalID:      c.Settings[ExternalID],
		sessionName:     DefaultSessionName,
	}
	if err := checkOneIdentity(c); err != nil {
		return Identity{}, err
	}
	if err := i.checkKeys(c); err != nil {
		return Identity{}, err
	}
	if i.tokenFile != "" && !filepath.IsAbs(i.tokenFile) {
		return Identity{}, regcred.Errorf(regcred.Invalid, "the setting %q is %q: write an absolute path", WebIdentityToken, i.tokenFile)
	}
	var err error
	if i.roles, err = parseRoles(c); err != nil {
		return Identity{}, err
	}
	if name, ok := c.Settings[SessionName]; ok {
		i.sessionName = name
	}
	return i, i.checkRoles(c)
}

// checkOneIdentity refuses two identities in one credential, and empty ones.
func checkOneIdentity(c regcred.Credential) error {
	first := ""
	for _, name := range []string{AccessKeyID, Profile, WebIdentityToken} {
		value, ok := c.Settings[name]
		switch {
		case !ok:
		case value == "":
			return regcred.Errorf(regcred.Invalid, "the setting %q is empty: leave it out for the server's own AWS identity", name)
		case first != "":
			return regcred.Errorf(regcred.Invalid, "the settings %q and %q name two identities: leave out one", first, name)
		default:
			first = name
		}
	}
	return nil
}

func (i Identity) checkKeys(c regcred.Credential) error {
	if i.accessKeyID == "" {
		for _, name := range []string{SecretAccessKey, SessionToken} {
			if _, ok := c.Secrets[name]; ok {
				return regcred.Errorf(regcred.Invalid, "the setting %q needs %q beside it", name, AccessKeyID)
			}
		}
		return nil
	}
	if !accessKeyPattern.MatchString(i.accessKeyID) {
		return regcred.Errorf(regcred.Invalid, "the setting %q is no access key id: write letters and digits alone, such as AKIAIOSFODNN7EXAMPLE", AccessKeyID)
	}
	if i.secretAccessKey.IsZero() {
		return regcred.Errorf(regcred.Invalid, "the setting %q needs %q beside it", AccessKeyID, SecretAccessKey)
	}
	for _, name := range []string{SecretAccessKey, SessionToken} {
		if secret, ok := c.Secrets[name]; ok && !secretPattern.MatchString(secret.Reveal()) {
			return regcred.Errorf(regcred.Invalid, "the setting %q is empty, or holds spaces, line breaks or other characters that AWS's keys do not have", name)
		}
	}
	return nil
}

func parseRoles(c regcred.Credential) ([]string, error) {
	roles, err := setting.List(c, RoleARN)
	if err != nil {
		return nil, err
	}
	for _, role := range roles {
		if !rolePattern.MatchString(role) {
			return nil, regcred.Errorf(regcred.Invalid, "the setting %q: %q is no ARN of a role: write arn:aws:iam::ACCOUNT:role/NAME", RoleARN, role)
		}
	}
	if len(roles) > maxRoles {
		return nil, regcred.Errorf(regcred.Invalid, "the setting %q names %d roles, at most %d are allowed", RoleARN, len(roles), maxRoles)
	}
	return roles, nil
}

// checkRoles looks at what comes with the roles.
func (i Identity) checkRoles(c regcred.Credential) error {
	if len(i.roles) == 0 {
		for _, name := range []string{WebIdentityToken, ExternalID, SessionName} {
			if _, ok := c.Settings[name]; ok {
				return regcred.Errorf(regcred.Invalid, "the setting %q needs %q beside it", name, RoleARN)
			}
		}
		return nil
	}
	if !sessionNamePattern.MatchString(i.sessionName) {
		return regcred.Errorf(regcred.Invalid, "the setting %q must have 2 to 64 letters, digits or characters of _+=,.@-", SessionName)
	}
	if _, ok := c.Settings[ExternalID]; !ok {
		return nil
	}
	if len(i.externalID) > maxExternalID || !externalIDPattern.MatchString(i.externalID) {
		return regcred.Errorf(regcred.Invalid, "the setting %q must have 2 to 1224 letters, digits or characters of _+=,.@:/-", ExternalID)
	}
	if i.tokenFile != "" && len(i.roles) == 1 {
		return regcred.Errorf(regcred.Invalid, "the setting %q is of no use beside %q: a role that a web identity assumes knows no external id", ExternalID, WebIdentityToken)
	}
	return nil
}

// Ambient reports whether it is the server's own identity, which may be anything
// that AWS's SDK finds.
func (i Identity) Ambient() bool {
	return i.accessKeyID == "" && i.profile == "" && i.tokenFile == ""
}

// Own reports whether the server's AWS configuration is read for it: its
// environment, files, or a service of the machine.
func (i Identity) Own() bool { return i.Ambient() || i.profile != "" }

// Issuer names on whose account AWS counts a credential's requests, as well as that
// can be known without asking and without secrets: by the account of the role that
// is used in the end, or else by the identity.
func Issuer(c regcred.Credential) string {
	roles := strings.Split(c.Settings[RoleARN], ",")
	if role := rolePattern.FindStringSubmatch(strings.TrimSpace(roles[len(roles)-1])); role != nil {
		return "account " + role[1]
	}
	for _, name := range []string{AccessKeyID, Profile} {
		if value := c.Settings[name]; value != "" {
			return name + " " + value
		}
	}
	return "the server"
}

// String names the identity, for errors.
func (i Identity) String() string {
	switch {
	case i.accessKeyID != "":
		return "the access key " + i.accessKeyID
	case i.profile != "":
		return "the profile " + i.profile
	case i.tokenFile != "":
		return "the web identity token in " + i.tokenFile
	}
	return Ambient
}
