package seal_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"regcred.dev"
	"regcred.dev/seal"
)

// key returns the key whose root is one byte repeated.
func key(t testing.TB, b byte) *seal.Key {
	t.Helper()
	k, err := seal.NewKey(bytes.Repeat([]byte{b}, seal.RootSize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestRoundTrip(t *testing.T) {
	keys := seal.Keys{key(t, 1)}
	rapid.Check(t, func(t *rapid.T) {
		plaintext := rapid.SliceOf(rapid.Byte()).Draw(t, "plaintext")
		associated := rapid.SliceOf(rapid.Byte()).Draw(t, "associated")
		sealed := keys.Seal(plaintext, associated)
		if len(sealed) != len(plaintext)+seal.Overhead {
			t.Fatalf("%d bytes sealed have %d", len(plaintext), len(sealed))
		}
		got, err := keys.Open(sealed, associated)
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("Open: %q, %v; want %q", got, err, plaintext)
		}
		if bytes.Equal(sealed, keys.Seal(plaintext, associated)) {
			t.Fatal("sealed twice with the same nonce")
		}
	})
}

// TestEveryBitCounts flips each bit of sealed data and of its associated data.
func TestEveryBitCounts(t *testing.T) {
	keys := seal.Keys{key(t, 1)}
	associated := []byte("credential 7")
	sealed := keys.Seal([]byte("canary"), associated)
	check := func(what string, data []byte, open func() ([]byte, error)) {
		for i := range len(data) * 8 {
			data[i/8] ^= 1 << (i % 8)
			got, err := open()
			if regcred.CodeOf(err) != regcred.Corrupt || got != nil {
				t.Errorf("bit %d of the %s flipped: %q, %v", i, what, got, err)
			}
			data[i/8] ^= 1 << (i % 8)
		}
	}
	open := func() ([]byte, error) { return keys.Open(sealed, associated) }
	check("sealed data", sealed, open)
	check("associated data", associated, open)
	for n := range sealed {
		if _, err := keys.Open(sealed[:n], associated); regcred.CodeOf(err) != regcred.Corrupt {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := open(); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

func TestRotation(t *testing.T) {
	before, after := key(t, 1), key(t, 2)
	old := seal.Keys{before}.Seal([]byte("old"), nil)
	both := seal.Keys{after, before}
	if got, err := both.Open(old, nil); err != nil || string(got) != "old" {
		t.Errorf("the older key's data: %q, %v", got, err)
	}
	renewed := both.Seal([]byte("new"), nil)
	if got, err := (seal.Keys{after}).Open(renewed, nil); err != nil || string(got) != "new" {
		t.Errorf("the first key does not seal: %q, %v", got, err)
	}
	_, err := seal.Keys{before}.Open(renewed, nil)
	if regcred.CodeOf(err) != regcred.Corrupt || !strings.Contains(err.Error(), before.ID()) || !strings.Contains(err.Error(), after.ID()) {
		t.Errorf("a missing key is not named beside the one that is there: %v", err)
	}
}

func TestKeyIsNeverShown(t *testing.T) {
	k := key(t, 7)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, k); got != "seal key "+k.ID() {
			t.Errorf("%s prints %q", verb, got)
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("opened", "key", k)
	if !strings.Contains(log.String(), "key="+k.ID()) {
		t.Errorf("slog: %s", log.String())
	}
}

// TestFormat pins version 1: what was written once must open for ever.
func TestFormat(t *testing.T) {
	k := key(t, 1)
	if got, want := k.ID(), "2409e43de2d15249"; got != want {
		t.Errorf("the key's id is %s, want %s", got, want)
	}
	sealed := fromHex(t, "012409e43de2d15249df61d2849a3e281f0fa1f2242a7f91f6af596fd49717c42fc566bbfe01861f887e0d0a7e0c")
	got, err := seal.Keys{k}.Open(sealed, []byte("associated"))
	if err != nil || string(got) != "plaintext" {
		t.Errorf("Open: %q, %v", got, err)
	}
}

// FuzzOpen checks that no bytes but those that were sealed open.
func FuzzOpen(f *testing.F) {
	keys := seal.Keys{key(f, 1), key(f, 2)}
	genuine := keys.Seal([]byte("plaintext"), []byte("associated"))
	f.Add(genuine, []byte("associated"))
	f.Add(genuine, []byte("other"))
	f.Add(genuine[:seal.Overhead], []byte{})
	f.Add([]byte{1}, []byte{})
	f.Fuzz(func(t *testing.T, sealed, associated []byte) {
		plaintext, err := keys.Open(sealed, associated)
		switch {
		case err == nil && string(plaintext) != "plaintext":
			t.Errorf("a forgery opened: %x with %x", sealed, associated)
		case err != nil && (regcred.CodeOf(err) != regcred.Corrupt || plaintext != nil):
			t.Errorf("Open: %q, %v", plaintext, err)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	keys := seal.Keys{key(b, 1)}
	associated := make([]byte, 300)
	sealed := keys.Seal(make([]byte, 1500), associated)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := keys.Open(sealed, associated); err != nil {
			b.Fatal(err)
		}
	}
}
