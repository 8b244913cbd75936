package sqlite

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	"regcred.dev"
)

// The format of what is sealed, and of associated data. A number is a varint of
// encoding/binary, without a sign unless said otherwise. A string is its length
// in bytes and the bytes, which may be any. A list is the number of its strings
// and the strings; a map is a list of keys and values in turn, keys ascending. A
// time is the seconds since 1970, signed, and the nanoseconds.
//
//	associated data  strings: kind, store id, then the row's columns in the order
//	                 of the schema, numbers in decimal; drop_revision only where
//	                 it is not 0, repositories and last_used_at only where one of
//	                 the two is not empty
//	credential       1, password, map of secrets
//	login            1, username, password, list of hosts, time minted, time of
//	                 expiry, time from which it can be renewed
//	token            its hash
//	key              the key
//	others           nothing
//
// The leading 1 is the format's version.
const payloadVersion = 1

var errPayload = errors.New("its content cannot be read")

// encoder builds bytes in this format.
type encoder []byte

func (e *encoder) number(n uint64) { *e = binary.AppendUvarint(*e, n) }

func (e *encoder) string(s string) {
	e.number(uint64(len(s)))
	*e = append(*e, s...)
}

func (e *encoder) list(list []string) {
	e.number(uint64(len(list)))
	for _, s := range list {
		e.string(s)
	}
}

func (e *encoder) time(t time.Time) {
	*e = binary.AppendVarint(*e, t.Unix())
	e.number(uint64(t.Nanosecond()))
}

// decoder takes bytes in this format apart. After the first fault it returns zero
// values, and end returns an error.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) fail() { d.rest, d.bad = nil, true }

func (d *decoder) number() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) string() string {
	n := d.number()
	if n > uint64(len(d.rest)) {
		d.fail()
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) list() []string {
	n := d.number()
	if n > uint64(len(d.rest)) { // each string takes a byte or more
		d.fail()
		return nil
	}
	var list []string
	for range n {
		list = append(list, d.string())
	}
	return list
}

func (d *decoder) time() time.Time {
	seconds, n := binary.Varint(d.rest)
	if n <= 0 {
		d.fail()
		return time.Time{}
	}
	d.rest = d.rest[n:]
	nanoseconds := d.number()
	if nanoseconds >= uint64(time.Second) {
		d.fail()
		return time.Time{}
	}
	return time.Unix(seconds, int64(nanoseconds)).UTC()
}

func (d *decoder) version() {
	if d.number() != payloadVersion {
		d.fail()
	}
}

func (d *decoder) end() error {
	if d.bad || len(d.rest) > 0 {
		return errPayload
	}
	return nil
}

// encodeSecrets returns the sealed part of a credential.
func encodeSecrets(c regcred.Credential) []byte {
	var e encoder
	e.number(payloadVersion)
	e.string(c.Password.Reveal())
	var secrets []string
	for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
		secrets = append(secrets, name, c.Secrets[name].Reveal())
	}
	e.list(secrets)
	return e
}

// decodeSecrets sets the sealed part of a credential.
func decodeSecrets(c *regcred.Credential, payload []byte) error {
	d := decoder{rest: payload}
	d.version()
	c.Password = regcred.NewSecret(d.string())
	secrets := d.list()
	if err := d.end(); err != nil || len(secrets)%2 != 0 {
		return errPayload
	}
	if len(secrets) > 0 {
		c.Secrets = make(map[string]regcred.Secret, len(secrets)/2)
	}
	for pair := range slices.Chunk(secrets, 2) {
		c.Secrets[pair[0]] = regcred.NewSecret(pair[1])
	}
	return nil
}

// encodeLogin returns the sealed part of a login: all but its version.
func encodeLogin(l regcred.Login) []byte {
	var e encoder
	e.number(payloadVersion)
	e.string(l.Username)
	e.string(l.Password.Reveal())
	e.list(l.Hosts)
	e.time(l.MintedAt)
	e.time(l.ExpiresAt)
	e.time(l.RenewableAt)
	return e
}

// decodeLogin is the reverse of encodeLogin.
func decodeLogin(payload []byte) (regcred.Login, error) {
	d := decoder{rest: payload}
	d.version()
	l := regcred.Login{
		Username: d.string(), Password: regcred.NewSecret(d.string()), Hosts: d.list(),
		MintedAt: d.time(), ExpiresAt: d.time(), RenewableAt: d.time(),
	}
	if err := d.end(); err != nil {
		return regcred.Login{}, err
	}
	return l, nil
}
