package plugin_test

import (
	"io"
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/cmd/cf-regcred/plugin"
	"regcred.dev/regcredtest/terminal"
)

// TestPrompt asks for a password at a terminal, in the words of `cf push`.
func TestPrompt(t *testing.T) {
	w := newWorld(t)
	delete(w.env, "CF_DOCKER_PASSWORD")
	const asked = "Environment variable CF_DOCKER_PASSWORD not set.\nDocker password: "
	for _, test := range []struct {
		name, command, typed, want string
		code                       int
	}{
		{"nothing", "create", "\r", "\nThe password is empty.\nFAILED\n", 1},
		{"Ctrl-C", "create", "canary-typed\x03", "\n", 1},
		{"create", "create", "canary-typed\r", "\nCreating registry credential registry.example.com for the foundation as admin...\nOK\n", 0},
		{"update", "update", "canary-newer\r", "\nUpdating registry credential registry.example.com for the foundation as admin...\nOK\n", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			user, tty := terminal.Open(t)
			screen := &terminal.Screen{For: "Docker password: ", Do: func() {
				if _, err := io.WriteString(user, test.typed); err != nil {
					t.Error(err)
				}
			}}
			p := &plugin.Program{Stdin: tty, Stdout: screen, Stderr: screen, Terminal: true, Getenv: w.getenv}
			code := p.Main(t.Context(), []string{w.port, test.command + "-foundation-registry-credential", "registry.example.com", "--username", "u"})
			got := strings.ReplaceAll(screen.String(), "\r", "")
			if code != test.code || got != asked+test.want {
				t.Errorf("exit code %d: %q", code, got)
			}
			_, stored := w.login("registry.example.com", regcred.Foundation)
			if test.code == 0 && stored != strings.TrimSuffix(test.typed, "\r") {
				t.Error("what was typed is not what is stored")
			}
		})
	}
}
