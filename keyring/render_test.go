package keyring_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/keyring"
)

// rendered shows a rendering as lines: KEY = GUID, KEY blocked, - GUID: REASON.
func rendered(r keyring.Rendering) []string {
	lines := []string{}
	for _, a := range r.Auths {
		line := a.Key + " = " + a.GUID
		if a.Blocks() {
			line = a.Key + " blocked for " + a.GUID
		}
		if a.Email != "" {
			line += " " + a.Email
		}
		lines = append(lines, line)
	}
	for _, o := range r.Omitted {
		lines = append(lines, "- "+o.GUID+": "+o.Reason)
	}
	return lines
}

type renderTest struct {
	name        string
	credentials []credential
	want        []string
}

func runRender(t *testing.T, d keyring.Dialect, o keyring.RenderOptions, tests []renderTest) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := book(t, test.credentials...).Keyring(space).Render(d, o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, rendered(r)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

const (
	dockerPath    = "docker applies a key to its whole host, and this credential is for a path alone"
	dockerBroaden = dockerPath + "; broaden lets it stand for the host"
	spelling      = "clients cannot tell acme/app from docker.io/acme/app, and this keyring has different credentials for the two"
)

func TestRenderDocker(t *testing.T) {
	runRender(t, keyring.Docker, keyring.RenderOptions{}, []renderTest{
		{"hosts", []credential{{"a", space, "quay.io", nil}, {"b", org, "ghcr.io:5000", nil}}, []string{"ghcr.io:5000 = b", "quay.io = a"}},
		{"Docker Hub", []credential{{"a", space, "docker.io", nil}}, []string{"https://index.docker.io/v1/ = a"}},
		{"nearer", []credential{{"a", space, "quay.io", nil}, {"b", org, "quay.io", nil}},
			[]string{"quay.io = a", "- b: the credential of space acme/dev for quay.io is nearer"}},
		{"a nearer path", []credential{{"a", space, "quay.io/acme", nil}, {"b", org, "quay.io", nil}},
			[]string{"- a: " + dockerPath, "- b: docker applies a key to its whole host, and images at quay.io/acme have another credential"}},
		{"a path beside it", []credential{{"a", space, "quay.io/acme", nil}, {"b", space, "quay.io", nil}},
			[]string{"- b: docker applies a key to its whole host, and images at quay.io/acme have another credential", "- a: " + dockerPath}},
		{"a farther path", []credential{{"a", space, "quay.io", nil}, {"b", org, "quay.io/acme", nil}},
			[]string{"quay.io = a", "- b: the credential of space acme/dev for quay.io is nearer"}},
		{"a lone path", []credential{{"a", space, "quay.io/acme", nil}}, []string{"- a: " + dockerBroaden}},
		{"a nearer parent domain", []credential{{"a", space, "example.com", nil}, {"b", org, "r.example.com", nil}},
			[]string{"example.com = a", "r.example.com = a", "- b: the credential of space acme/dev for example.com is nearer"}},
		{"hosts of a login", []credential{{"a", space, "example.com", loginFor("x.example.com", "y.example.com", "example.org")}},
			[]string{"x.example.com = a", "y.example.com = a"}},
		{"a host that it is not for", []credential{{"a", space, "r.example.com", loginFor("example.org")}},
			[]string{"- a: its login is for example.org, not for r.example.com"}},
		{"library", []credential{{"a", space, "docker.io/library", nil}, {"b", space, "docker.io", nil}},
			[]string{"- b: " + spelling, "- a: " + dockerPath}},
		{"no login", []credential{{"a", space, "quay.io", noLogin}, {"b", org, "quay.io", nil}, {"c", org, "", noLogin}},
			[]string{"- a: it has no login yet", "- c: its location is found when its first login is minted, and there is none yet",
				"- b: the credential of space acme/dev for quay.io is nearer"}},
		{"expired", []credential{{"a", space, "quay.io", expired}}, []string{"quay.io = a"}},
		{"user names", []credential{{"a", space, "quay.io", userName("a:b")}, {"b", space, "ghcr.io", userName("")}},
			[]string{"- b: its login has no user name, which clients refuse", "- a: its user name holds a colon, which Basic authentication cannot carry"}},
		{"registry-1.docker.io", []credential{{"a", space, "registry-1.docker.io", nil}},
			[]string{"- a: podman and skopeo would also send it to docker.io, which has no entry of its own"}},
		{"registry-1.docker.io beside Docker Hub", []credential{{"a", space, "registry-1.docker.io", nil}, {"b", space, "docker.io", nil}},
			[]string{"docker.io = b", "https://index.docker.io/v1/ = b", "registry-1.docker.io = a"}},
		{"nothing", nil, []string{}},
	})
}

func TestRenderBroaden(t *testing.T) {
	broaden := keyring.RenderOptions{Broaden: true}
	runRender(t, keyring.Docker, broaden, []renderTest{
		{"lone", []credential{{"a", space, "quay.io/acme", nil}}, []string{"quay.io = a"}},
		{"two paths", []credential{{"a", space, "quay.io/acme", nil}, {"b", space, "quay.io/other", nil}},
			[]string{"- a: " + dockerPath, "- b: " + dockerPath}},
		{"the same path farther", []credential{{"a", space, "quay.io/acme", nil}, {"b", org, "quay.io/acme", nil}},
			[]string{"- a: " + dockerPath, "- b: the credential of space acme/dev for quay.io/acme is nearer"}},
		{"a parent domain", []credential{{"a", space, "r.example.com/acme", nil}, {"b", org, "example.com", nil}},
			[]string{"example.com = b", "- a: " + dockerPath}},
		{"library", []credential{{"a", space, "docker.io/library", nil}}, []string{"https://index.docker.io/v1/ = a"}},
		{"library beside Docker Hub", []credential{{"a", space, "docker.io/library", nil}, {"b", space, "docker.io", nil}},
			[]string{"- b: " + spelling, "- a: " + dockerPath}},
		{"no login", []credential{{"a", space, "quay.io/acme", noLogin}}, []string{"- a: it has no login yet"}},
	})
	runRender(t, keyring.Containers, broaden, []renderTest{
		{"has paths", []credential{{"a", space, "quay.io/acme", nil}}, []string{"quay.io/acme = a"}},
	})
}

func TestRenderContainers(t *testing.T) {
	runRender(t, keyring.Containers, keyring.RenderOptions{}, []renderTest{
		{"paths", []credential{{"a", space, "docker.io/acme/app", nil}, {"b", space, "docker.io/acme", nil}, {"c", space, "docker.io", nil}},
			[]string{"docker.io = c", "docker.io/acme = b", "docker.io/acme/app = a"}},
		{"a nearer path under a farther host", []credential{{"a", space, "quay.io/acme", nil}, {"b", org, "quay.io", nil}},
			[]string{"quay.io = b", "quay.io/acme = a"}},
		{"a farther path under a nearer host", []credential{{"a", space, "quay.io", nil}, {"b", org, "quay.io/acme", nil}},
			[]string{"quay.io = a", "- b: the credential of space acme/dev for quay.io is nearer"}},
		{"a path without a login", []credential{{"a", space, "quay.io/acme", noLogin}, {"b", org, "quay.io", nil}},
			[]string{"quay.io = b", "quay.io/acme blocked for a", "- a: it has no login yet"}},
		{"below a block", []credential{{"a", app, "quay.io", nil}, {"b", space, "quay.io/acme", noLogin}, {"c", space, "quay.io/acme/app", nil}, {"d", org, "quay.io", nil}},
			[]string{"quay.io = d", "quay.io/acme blocked for b", "quay.io/acme/app = c", "- b: it has no login yet"}},
		{"nothing to block", []credential{{"a", space, "quay.io/acme", noLogin}}, []string{"- a: it has no login yet"}},
		{"siblings that sort between", []credential{{"a", space, "quay.io/acme-b", nil}, {"b", space, "quay.io/acme/x", nil}, {"c", space, "quay.io/acme", nil}},
			[]string{"quay.io/acme = c", "quay.io/acme-b = a", "quay.io/acme/x = b"}},
		{"library", []credential{{"a", space, "docker.io/library", nil}, {"b", space, "docker.io", nil}},
			[]string{"docker.io/library = a", "- b: " + spelling}},
		{"registry-1.docker.io that a login is not for", []credential{{"a", space, "docker.io", loginFor("docker.io")}},
			[]string{"docker.io = a", "registry-1.docker.io blocked for a"}},
	})
}

func TestRenderKubelet(t *testing.T) {
	below := func(name string) string {
		return "the kubelet applies it below " + name + "/, not to the repository " + name + " itself"
	}
	runRender(t, keyring.Kubelet, keyring.RenderOptions{}, []renderTest{
		{"hosts", []credential{{"a", space, "registry.example.com:5000", nil}, {"b", space, "10.0.0.1", nil}, {"c", space, "docker.io", nil}},
			[]string{"*.registry.example.com:5000 = a", "10.0.0.1 = b", "docker.io = c", "registry.example.com:5000 = a"}},
		{"paths", []credential{{"a", space, "10.0.0.1/acme", nil}, {"b", org, "10.0.0.1", nil}},
			[]string{"10.0.0.1 = b", "10.0.0.1/acme/ = a", "- a: " + below("10.0.0.1/acme")}},
		{"a path without a login", []credential{{"a", space, "10.0.0.1/acme", noLogin}, {"b", org, "10.0.0.1", nil}},
			[]string{"- a: it has no login yet",
				"- b: the kubelet would also try it for images at 10.0.0.1/acme, which have another credential but no key of their own"}},
		{"v2", []credential{{"a", space, "10.0.0.1/v2/acme", nil}},
			[]string{"- a: the kubelet takes the path's first segment for the version of a registry API and would apply it to the whole host"}},
		{"IPv6", []credential{{"a", space, "[fd00::1]", nil}, {"b", space, "[fd00::1]:5000", nil}},
			[]string{"[fd00::1]:5000 = b", "- a: the kubelet cannot match an IPv6 address without a port"}},
		{"another credential below a domain", []credential{{"a", space, "example.com", nil}, {"b", space, "r.example.com/acme", nil}},
			[]string{"example.com = a", "r.example.com = a", "r.example.com/acme/ = b",
				"- a: the kubelet applies it to example.com alone and to no host below, since r.example.com/acme has another credential",
				"- b: " + below("r.example.com/acme")}},
		{"a farther one below a domain", []credential{{"a", space, "example.com", nil}, {"b", org, "r.example.com", nil}},
			[]string{"*.example.com = a", "example.com = a", "r.example.com = a", "- b: the credential of space acme/dev for example.com is nearer"}},
		{"another port below a domain", []credential{{"a", space, "example.com", nil}, {"b", org, "r.example.com:5000", nil}},
			[]string{"*.example.com = a", "*.r.example.com:5000 = b", "example.com = a", "r.example.com:5000 = b"}},
		{"hosts of a login", []credential{{"a", space, "example.com", loginFor("x.example.com")}}, []string{"x.example.com = a"}},
	})
}

func TestRenderDeis(t *testing.T) {
	for _, test := range []struct {
		name        string
		credentials []credential
		broaden     bool
		want        []string
		err         string
	}{
		{name: "one", credentials: []credential{{"a", space, "quay.io", nil}}, want: []string{"https://quay.io = a none@none.com"}},
		{name: "port", credentials: []credential{{"a", space, "r.example.com:5000", nil}}, want: []string{"https://r.example.com:5000 = a none@none.com"}},
		{name: "Docker Hub", credentials: []credential{{"a", space, "docker.io", loginFor("docker.io")}}, want: []string{"https://index.docker.io/v1/ = a none@none.com"}},
		{name: "hosts of a login", credentials: []credential{{"a", space, "r.example.com", loginFor("r.example.com", "x.r.example.com")}},
			want: []string{"https://r.example.com = a none@none.com"}},
		{name: "nearest", credentials: []credential{{"a", space, "quay.io", nil}, {"b", org, "quay.io", nil}},
			want: []string{"https://quay.io = a none@none.com", "- b: the credential of space acme/dev for quay.io is nearer"}},
		{name: "broaden", credentials: []credential{{"a", space, "quay.io/acme", nil}}, broaden: true, want: []string{"https://quay.io = a none@none.com"}},
		{name: "none", err: "Deis needs one credential for a whole registry host, with a login, and space acme/dev has none"},
		{name: "no login", credentials: []credential{{"a", space, "quay.io", noLogin}}, err: "has none; quay.io: it has no login yet"},
		{name: "path", credentials: []credential{{"a", space, "quay.io/acme", nil}}, err: "has none; quay.io/acme: " + dockerBroaden},
		{name: "two", credentials: []credential{{"a", space, "quay.io", nil}, {"b", org, "ghcr.io", nil}}, err: "Deis takes one credential, and space acme/dev has some for ghcr.io, quay.io"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := book(t, test.credentials...).Keyring(space).Render(keyring.Deis, keyring.RenderOptions{Broaden: test.broaden})
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got error %v, want %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, rendered(r)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDialects(t *testing.T) {
	for _, d := range keyring.Dialects {
		if got, err := keyring.ParseDialect(string(d)); got != d || err != nil {
			t.Errorf("%s: got %q, %v", d, got, err)
		}
	}
	_, err := keyring.ParseDialect("podman")
	if want := `"podman" is no dialect of docker config files: use docker, containers, kubelet, deis`; regcred.CodeOf(err) != regcred.Invalid || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := book(t).Keyring(space).Render("podman", keyring.RenderOptions{}); regcred.CodeOf(err) != regcred.Invalid {
		t.Errorf("Render: got %v", err)
	}
}

func TestDockerConfig(t *testing.T) {
	r := keyring.Rendering{Auths: []keyring.Auth{
		{Key: "quay.io", Username: "user", Password: regcred.NewSecret("pass:word"), ExpiresAt: now},
		{Key: "https://a.example.com", Username: "user", Email: "none@none.com"},
		{Key: "quay.io/acme"},
	}}
	const want = `{
	"auths": {
		"https://a.example.com": {
			"auth": "dXNlcjo=",
			"email": "none@none.com"
		},
		"quay.io": {
			"auth": "dXNlcjpwYXNzOndvcmQ="
		},
		"quay.io/acme": {}
	}
}
`
	got, err := r.DockerConfig()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	if s := fmt.Sprintf("%v %+v %#v", r, r, r); strings.Contains(s, "pass:word") {
		t.Errorf("a rendering shows its secrets: %s", s)
	}
	if got, err := (keyring.Rendering{}).DockerConfig(); err != nil || string(got) != "{\n\t\"auths\": {}\n}\n" {
		t.Errorf("empty: got %s, %v", got, err)
	}
	r.Auths[0].Username = "a:b"
	if _, err := r.DockerConfig(); regcred.CodeOf(err) != regcred.Invalid {
		t.Errorf("a colon: got %v", err)
	}
}

// TestRenderLarge renders 3,000 paths of one host, and 3,000 hosts of one domain:
// none is lost.
func TestRenderLarge(t *testing.T) {
	var list []credential
	for i := range 3000 {
		list = append(list, credential{fmt.Sprint("c", i), foundation, fmt.Sprintf("quay.io/org-%d", i), nil},
			credential{fmt.Sprint("h", i), foundation, fmt.Sprintf("r%d.example.com", i), nil})
	}
	k := book(t, list...).Keyring(space)
	for _, d := range []keyring.Dialect{keyring.Docker, keyring.Containers, keyring.Kubelet} {
		r, err := k.Render(d, keyring.RenderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.IsSortedFunc(r.Auths, func(a, b keyring.Auth) int { return strings.Compare(a.Key, b.Key) }) {
			t.Errorf("%s: not sorted", d)
		}
		if d != keyring.Docker && len(r.Auths) < len(list) {
			t.Errorf("%s: %d entries of %d credentials", d, len(r.Auths), len(list))
		}
	}
}
