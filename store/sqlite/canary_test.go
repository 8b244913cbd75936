package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"regcred.dev"
	"regcred.dev/regcredtest"
)

// canaries makes secrets that can be found again.
type canaries []string

func (c *canaries) secret(kind string) regcred.Secret {
	*c = append(*c, fmt.Sprintf("canary-%s-%d-Zk3", kind, len(*c)))
	return regcred.NewSecret((*c)[len(*c)-1])
}

// TestSecretsAreSealedOnDisk searches every file of the store for secrets that
// went in, while it is open and after it was closed.
func TestSecretsAreSealedOnDisk(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	var all canaries
	fence, err := s.Fence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		writeCanaries(t, s, fence, fmt.Sprint(i), &all)
	}
	sweep(t, "open", path, all)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	sweep(t, "closed", path, all)
}

// inClear is stored in clear, to see that a sweep would find it.
const inClear = "user-in-clear"

// writeCanaries stores a secret of each kind.
func writeCanaries(t *testing.T, s regcred.Store, fence uint64, id string, all *canaries) {
	t.Helper()
	c := credential(id, "quay.io")
	c.Username = inClear
	c.Password, c.Secrets["key"] = all.secret("password"), all.secret("secret")
	c, err := s.Create(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	_, updateErr := s.Update(t.Context(), c.GUID, func(c *regcred.Credential) error { c.Password = all.secret("changed"); return nil })
	l := regcred.Login{Username: all.secret("user").Reveal(), Password: all.secret("login"), Version: 2}
	_, loginErr := s.PutLogin(t.Context(), c.GUID, l, fence)
	_, keyErr := s.Key(t.Context(), id, func() (regcred.Secret, error) { return all.secret("key"), nil })
	tokenErr := s.CreateToken(t.Context(), regcred.APIToken{ID: id, Hash: []byte(all.secret("hash").Reveal())})
	if err := errors.Join(updateErr, loginErr, keyErr, tokenErr); err != nil {
		t.Fatal(err)
	}
}

// sweep searches the files beside the database.
func sweep(t *testing.T, when, path string, all canaries) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil {
		t.Fatal(err)
	}
	works := false
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		works = works || len(regcredtest.Leaks(content, inClear)) > 0
		for _, canary := range all {
			if found := regcredtest.Leaks(content, canary); len(found) > 0 {
				t.Errorf("%s: %s holds %s as %v", when, filepath.Base(file), canary, found)
			}
		}
	}
	if !works {
		t.Errorf("%s: the sweep does not even find what is in clear, in %v", when, files)
	}
}
