package github_test

import (
	"encoding/pem"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/provider/github"
)

// TestKeyTooLarge: a key that it would take seconds to read is not read.
func TestKeyTooLarge(t *testing.T) {
	large := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: make([]byte, 16<<10)})
	err := github.New(github.Options{}).Check(regcred.Credential{
		Provider: "github", Settings: map[string]string{"app-id": "1", "installation-id": "1"},
		Secrets: map[string]regcred.Secret{"private-key": regcred.NewSecret(string(large))},
	})
	if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), "too large") {
		t.Errorf("error %v, want that it is too large", err)
	}
}
