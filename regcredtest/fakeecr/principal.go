package fakeecr

import (
	"slices"
	"strings"
	"time"
)

// principal is who asks: a user, or a session of a role.
type principal struct {
	arn         string // as AWS names it: of a session, arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION
	identity    string // the ARN of the user or role
	accessKeyID string
	secret      string
	token       string    // the session token, "" of a user
	expires     time.Time // of a session
	denied      []string
}

// account returns the account's 12 digits.
func (p principal) account() string { return accountOf(p.arn) }

func (p principal) may(action string) bool { return !slices.Contains(p.denied, action) }

// sessionOf returns a session of a role. It has no keys yet.
func sessionOf(arn, name string, role Role, expires time.Time) principal {
	_, path, _ := strings.Cut(arn, ":role/")
	partition := strings.Split(arn, ":")[1]
	return principal{
		arn:      "arn:" + partition + ":sts::" + accountOf(arn) + ":assumed-role/" + path[strings.LastIndexByte(path, '/')+1:] + "/" + name,
		identity: arn, expires: expires, denied: role.Denied,
	}
}

// accountOf returns the account of an ARN: arn:PARTITION:SERVICE:REGION:ACCOUNT:...
func accountOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[4]
}
