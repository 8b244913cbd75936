package sqlite

import (
	"bytes"
	"testing"
	"time"

	"regcred.dev"
)

// FuzzDecodeLogin checks that any bytes are either refused or a login that reads
// the same once it was written again.
func FuzzDecodeLogin(f *testing.F) {
	f.Add(encodeLogin(regcred.Login{}))
	f.Add(encodeLogin(regcred.Login{
		Username: "AWS", Password: regcred.NewSecret("p"), Hosts: []string{"a", ""}, MintedAt: time.Unix(-1, 999999999),
	}))
	f.Fuzz(func(t *testing.T, payload []byte) {
		l, err := decodeLogin(payload)
		if err != nil {
			return
		}
		written := encodeLogin(l)
		again, err := decodeLogin(written)
		if err != nil || !bytes.Equal(encodeLogin(again), written) {
			t.Errorf("%x reads as %+v, %v", written, again, err)
		}
	})
}

// FuzzDecodeSecrets is the same for a credential's secrets.
func FuzzDecodeSecrets(f *testing.F) {
	f.Add(encodeSecrets(regcred.Credential{}))
	f.Add(encodeSecrets(regcred.Credential{
		Password: regcred.NewSecret("p"), Secrets: map[string]regcred.Secret{"": {}, "b": regcred.NewSecret("c")},
	}))
	f.Fuzz(func(t *testing.T, payload []byte) {
		var c, again regcred.Credential
		if decodeSecrets(&c, payload) != nil {
			return
		}
		written := encodeSecrets(c)
		if err := decodeSecrets(&again, written); err != nil || !again.SameSource(c) {
			t.Errorf("%x reads differently: %v", written, err)
		}
	})
}

// TestPayloadIsRead pins the first format, and refuses all that is not quite it.
func TestPayloadIsRead(t *testing.T) {
	payload := []byte("\x01\x01u\x02pw\x01\x04host\x02\x03\x00\x00\x00\x00")
	want := regcred.Login{
		Username: "u", Password: regcred.NewSecret("pw"), Hosts: []string{"host"},
		MintedAt: time.Unix(1, 3).UTC(), ExpiresAt: time.Unix(0, 0).UTC(), RenewableAt: time.Unix(0, 0).UTC(),
	}
	if got := encodeLogin(want); !bytes.Equal(got, payload) {
		t.Errorf("written as %q", got)
	}
	if _, err := decodeLogin(payload); err != nil {
		t.Error(err)
	}
	bad := [][]byte{append(bytes.Clone(payload), 0), append([]byte{2}, payload[1:]...)}
	for n := range payload {
		bad = append(bad, payload[:n])
	}
	for _, payload := range bad {
		if l, err := decodeLogin(payload); err == nil {
			t.Errorf("%q reads as %+v", payload, l)
		}
	}
}
