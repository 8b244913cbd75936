package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"regcred.dev"
	"regcred.dev/regcredtest"
)

// TestSecretsAreSealedOnDisk searches every file of the store for secrets that
// went in, while it is open and after it was closed.
func TestSecretsAreSealedOnDisk(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	var canaries []string
	secret := func(kind string) regcred.Secret {
		canaries = append(canaries, fmt.Sprintf("canary-%s-%d-Zk3", kind, len(canaries)))
		return regcred.NewSecret(canaries[len(canaries)-1])
	}
	fence, err := s.Fence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		c := credential(fmt.Sprint("org", i), "quay.io")
		c.Username = "user-in-clear"
		c.Password, c.Secrets["key"] = secret("password"), secret("secret")
		if c, err = s.Create(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		update := func(c *regcred.Credential) error { c.Password = secret("changed"); return nil }
		if _, err := s.Update(t.Context(), c.GUID, update); err != nil {
			t.Fatal(err)
		}
		l := regcred.Login{Username: secret("user").Reveal(), Password: secret("login"), Version: 2}
		if _, err := s.PutLogin(t.Context(), c.GUID, l, fence); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Key(t.Context(), fmt.Sprint(i), func() (regcred.Secret, error) { return secret("key"), nil }); err != nil {
			t.Fatal(err)
		}
		if err := s.CreateToken(t.Context(), regcred.APIToken{ID: fmt.Sprint(i), Hash: []byte(secret("hash").Reveal())}); err != nil {
			t.Fatal(err)
		}
	}
	sweep := func(when string) {
		files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files, %v", when, err)
		}
		inClear := false
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			inClear = inClear || len(regcredtest.Leaks(content, "user-in-clear")) > 0
			for _, canary := range canaries {
				if found := regcredtest.Leaks(content, canary); len(found) > 0 {
					t.Errorf("%s: %s holds %s as %v", when, filepath.Base(file), canary, found)
				}
			}
		}
		if !inClear {
			t.Errorf("%s: the sweep does not even find what is in clear", when)
		}
	}
	sweep("open")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	sweep("closed")
}
