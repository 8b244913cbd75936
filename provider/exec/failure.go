package exec

import (
	"bytes"
	"fmt"
	"strings"

	"regcred.dev"
)

// cause is a phrase that helpers write when they fail, and what is said in its place.
type cause struct {
	phrase string // in lower case
	code   regcred.Code
	words  string
}

// causes are looked for in this order. The first three are the protocol's own
// (docker-credential-helpers, credentials/error.go), the others are those of the
// clouds' programs and of Go's standard library.
var causes = []cause{
	{"credentials not found in native keychain", regcred.Denied, "it has no login for this server, or could not obtain one: log in with it, and see what it logs itself"},
	{"no credentials server url", regcred.Invalid, "it takes what it was asked for as no server"},
	{"no credentials username", regcred.Invalid, "what it has stored for this server has no user name"},
	{"throttl", regcred.Throttled, "its cloud wants to be asked less often"},
	{"toomanyrequests", regcred.Throttled, "its cloud wants to be asked less often"},
	{"too many requests", regcred.Throttled, "its cloud wants to be asked less often"},
	{"rate exceeded", regcred.Throttled, "its cloud wants to be asked less often"},
	{"expiredtoken", regcred.Denied, "the identity that it uses has expired"},
	{"invalid_grant", regcred.Denied, "the identity that it uses has expired or was revoked"},
	{"unrecognizedclient", regcred.Denied, "its cloud does not know the identity that it uses"},
	{"invalidclienttokenid", regcred.Denied, "its cloud does not know the identity that it uses"},
	{"accessdenied", regcred.Denied, "its cloud does not let it: give its identity the right to obtain registry logins"},
	{"not authorized", regcred.Denied, "its cloud does not let it: give its identity the right to obtain registry logins"},
	{"default credentials", regcred.Denied, "it found no identity to use: name the variables that it needs in the setting \"env\""},
	{"nocredentialproviders", regcred.Denied, "it found no identity to use: name the variables that it needs in the setting \"env\""},
	{"no ec2 imds role", regcred.Denied, "it found no identity to use: name the variables that it needs in the setting \"env\""},
	{"no such host", regcred.Unavailable, "it could not find its cloud's or registry's address"},
	{"connection refused", regcred.Unavailable, "it could not connect"},
	{"network is unreachable", regcred.Unavailable, "it could not connect"},
	{"x509:", regcred.Unavailable, "it could not verify the certificate of whom it asked"},
	{"i/o timeout", regcred.Unavailable, "whom it asked did not answer in time"},
	{"context deadline exceeded", regcred.Unavailable, "whom it asked did not answer in time"},
	{"executable file not found", regcred.Unavailable, "it needs another program, which is not in PATH"},
	{"permission denied", regcred.Unavailable, "it may not read a file that it needs"},
	{"dbus", regcred.Unavailable, "it needs a desktop's keyring, which a server does not have: use another helper"},
	{"gpg", regcred.Unavailable, "it could not decrypt what it has stored: its key has to be usable without a passphrase"},
}

// failure says in words why the program called name failed. ended is how it ended,
// as in "exit status 1". Helpers write their errors to standard output; what they
// write to either is never shown, as it may hold a secret.
func failure(name, serverURL, ended string, stdout, stderr []byte) error {
	for _, out := range [][]byte{stdout, stderr} {
		text := bytes.ToLower(out)
		for _, c := range causes {
			if bytes.Contains(text, []byte(c.phrase)) {
				return regcred.Errorf(c.code, "%s gave no login for %s: %s", name, serverURL, c.words)
			}
		}
	}
	said := "said nothing"
	if len(stdout)+len(stderr) > 0 {
		said = "what it said is not shown here, as it may hold a secret"
	}
	byHand := fmt.Sprintf("printf %%s '%s' | %s get", strings.ReplaceAll(serverURL, "'", `'\''`), name)
	return regcred.Errorf(regcred.Unavailable, "%s gave no login for %s: it ended with %s; %s: as the server's user run %s", name, serverURL, ended, said, byHand)
}
