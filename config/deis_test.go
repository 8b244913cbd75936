package config_test

import (
	"crypto/rand"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/config"
)

// environment is that of a pod in the namespace "workflow".
func environment(variables ...string) config.Sources {
	return config.Sources{
		Getenv: func(name string) (string, bool) {
			for _, v := range variables {
				if value, ok := strings.CutPrefix(v, name+"="); ok {
					return value, true
				}
			}
			return "", false
		},
		ReadFile: func(path string) ([]byte, error) {
			if path == "/var/run/secrets/kubernetes.io/serviceaccount/namespace" {
				return []byte("workflow"), nil
			}
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		},
	}
}

func TestParseDeis(t *testing.T) {
	const moot = "DEIS_NAMESPACE_REFRESH_TIME has no effect: namespaces are watched, and get their secret at once"
	for _, test := range []struct {
		name string
		env  []string
		want config.Deis
	}{
		{"as the chart of Workflow sets it",
			[]string{"DEIS_REGISTRY_LOCATION=ecr", "DEIS_REGISTRY_SECRET_PREFIX=private-registry", "DEIS_NAMESPACE_REFRESH_TIME=5", "DEIS_TOKEN_REFRESH_TIME="},
			config.Deis{Location: "ecr", SecretPrefix: "private-registry", Namespace: "workflow", Listen: ":8440", Notes: []string{moot}}},
		{"the least", []string{"DEIS_REGISTRY_LOCATION=gcr"},
			config.Deis{Location: "gcr", SecretPrefix: "private-registry", Namespace: "workflow", Listen: ":8440"}},
		{"everything", []string{"DEIS_REGISTRY_LOCATION=gcr", "DEIS_REGISTRY_SECRET_PREFIX=acme", "DEIS_TOKEN_REFRESH_TIME=25", "POD_NAMESPACE=deis", "REGCRED_LISTEN=127.0.0.1:0"},
			config.Deis{Location: "gcr", SecretPrefix: "acme", TokenRefresh: 25 * time.Minute, Namespace: "deis", Listen: "127.0.0.1:0"}},
		{"nothing to refresh", []string{"DEIS_REGISTRY_LOCATION=on-cluster", "POD_NAMESPACE=not a name"},
			config.Deis{Location: "on-cluster", SecretPrefix: "private-registry", Listen: ":8440"}},
	} {
		got, err := config.ParseDeis(environment(test.env...))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

func TestParseDeisProblems(t *testing.T) {
	const ecr = "DEIS_REGISTRY_LOCATION=ecr"
	for _, test := range []struct {
		name string
		env  []string
		want string
	}{
		{"no location", nil, "DEIS_REGISTRY_LOCATION is not set: it is one of ecr, gcr, off-cluster, on-cluster"},
		{"another location", []string{"DEIS_REGISTRY_LOCATION=acr"}, `DEIS_REGISTRY_LOCATION is "acr": it must be one of ecr`},
		{"prefix", []string{ecr, "DEIS_REGISTRY_SECRET_PREFIX=Private_Registry"}, `called "Private_Registry-ecr"`},
		{"a long prefix", []string{ecr, "DEIS_REGISTRY_SECRET_PREFIX=" + strings.Repeat("a", 250)}, "no name that Kubernetes allows"},
		{"no number", []string{ecr, "DEIS_TOKEN_REFRESH_TIME=25m"}, `DEIS_TOKEN_REFRESH_TIME is "25m": write a number of minutes`},
		{"no time", []string{ecr, "DEIS_TOKEN_REFRESH_TIME=0"}, "a number of minutes from 1 on"},
		{"too long a time", []string{ecr, "DEIS_TOKEN_REFRESH_TIME=9999999999999"}, "a number of minutes from 1 on"},
		{"namespace", []string{ecr, "POD_NAMESPACE=a/b"}, `POD_NAMESPACE: "a/b" is no name of a namespace`},
	} {
		_, err := config.ParseDeis(environment(test.env...))
		if err == nil || !strings.Contains(err.Error(), test.want) || regcred.CodeOf(err) != regcred.Invalid {
			t.Errorf("%s: error %v, want one with %q", test.name, err, test.want)
		}
	}
	outside := environment(ecr)
	outside.ReadFile = func(string) ([]byte, error) { return nil, fs.ErrNotExist }
	if _, err := config.ParseDeis(outside); err == nil || !strings.Contains(err.Error(), "outside a pod set POD_NAMESPACE") {
		t.Errorf("outside a pod: %v", err)
	}
}

func TestDeisIdle(t *testing.T) {
	for location, want := range map[string]string{
		"ecr": "", "gcr": "",
		"off-cluster": "Deis's controller itself writes the secrets private-registry-off-cluster",
		"on-cluster":  "the registry in the cluster, which asks for no login",
	} {
		d, err := config.ParseDeis(environment("DEIS_REGISTRY_LOCATION=" + location))
		if err != nil {
			t.Fatal(err)
		}
		if why := d.Idle(); (why == "") != (want == "") || !strings.Contains(why, want) {
			t.Errorf("%s: %q", location, why)
		}
	}
}

// mount writes files as the kubelet mounts a Secret: in a directory of their own,
// which the link ..data leads to. It may be called again for the same directory.
func mount(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	version := filepath.Join(dir, "..2016_"+rand.Text())
	if err := os.Mkdir(version, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, value := range files {
		if err := os.WriteFile(filepath.Join(version, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		_ = os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name))
	}
	next := filepath.Join(dir, "..data_tmp")
	if err := os.Symlink(filepath.Base(version), next); err != nil {
		t.Fatal(err)
	}
	old, _ := filepath.EvalSymlinks(filepath.Join(dir, "..data"))
	if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if old != "" {
		if err := os.RemoveAll(old); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadDeisFiles(t *testing.T) {
	dir := t.TempDir()
	mount(t, dir, map[string]string{"accesskey": "AKIA\n", "secretkey": " s3cr3t ", "region": "us-west-2", "registryid": "", "hostname": "\n"})
	want := config.DeisFiles{AccessKey: "AKIA", SecretKey: regcred.NewSecret("s3cr3t"), Region: "us-west-2"}
	got, err := config.ReadDeisFiles(dir)
	if err != nil || !got.Equal(want) {
		t.Errorf("files %+v, %v", got, err)
	}
	if got.Equal(config.DeisFiles{}) {
		t.Error("they are equal to none")
	}
	mount(t, dir, map[string]string{"key.json": "{}", "hostname": "us.gcr.io"})
	want = config.DeisFiles{KeyJSON: regcred.NewSecret("{}"), Hostname: "us.gcr.io"}
	if got, err := config.ReadDeisFiles(dir); err != nil || !got.Equal(want) {
		t.Errorf("files after a change %+v, %v", got, err)
	}
	plain := t.TempDir() // not mounted by Kubernetes
	if err := os.WriteFile(filepath.Join(plain, "region"), []byte("us-west-2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := config.ReadDeisFiles(plain); err != nil || got.Region != "us-west-2" {
		t.Errorf("plain files: %+v, %v", got, err)
	}
}

// TestReadDeisFilesOneVersion changes the files while they are read.
func TestReadDeisFilesOneVersion(t *testing.T) {
	dir := t.TempDir()
	version := func(text string) map[string]string {
		return map[string]string{"accesskey": text, "secretkey": text, "region": text, "registryid": text, "hostname": text, "key.json": text}
	}
	mount(t, dir, version("0"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 {
			mount(t, dir, version(strings.Repeat("x", i+1)))
		}
	}()
	for more := true; more; {
		select {
		case <-done:
			more = false
		default:
		}
		f, err := config.ReadDeisFiles(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range []string{f.SecretKey.Reveal(), f.Region, f.RegistryID, f.Hostname, f.KeyJSON.Reveal()} {
			if value != f.AccessKey || value == "" {
				t.Fatalf("files of two versions: %q and %q", f.AccessKey, value)
			}
		}
	}
}

func TestReadDeisFilesProblems(t *testing.T) {
	for _, test := range []struct {
		name, content, want string
	}{
		{"too large", strings.Repeat(" ", 1<<20+1), "is larger than"},
		{"no text", "\xff\xfe", "is not UTF-8 text"},
	} {
		dir := t.TempDir()
		mount(t, dir, map[string]string{"key.json": test.content})
		_, err := config.ReadDeisFiles(dir)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "key.json") || regcred.CodeOf(err) != regcred.Invalid {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if _, err := config.ReadDeisFiles("/nowhere"); err == nil || !strings.Contains(err.Error(), "mount the Secret registry-secret there") {
		t.Errorf("no directory: %v", err)
	}
}

func TestDeisCredential(t *testing.T) {
	secret := regcred.NewSecret(canary)
	for _, test := range []struct {
		name, location string
		files          config.DeisFiles
		want           config.Credential
	}{
		{"ECR", "ecr", config.DeisFiles{AccessKey: "AKIA", SecretKey: secret, Region: "us-west-2"}, config.Credential{
			Provider: "ecr", Settings: map[string]string{"access-key-id": "AKIA", "region": "us-west-2"},
			References: map[string]regcred.Secret{"secret-access-key": secret},
		}},
		{"ECR by the pod's role", "ecr", config.DeisFiles{Region: "us-west-2"}, config.Credential{
			Provider: "ecr", Settings: map[string]string{"region": "us-west-2"},
		}},
		{"ECR, all of it", "ecr", config.DeisFiles{AccessKey: "AKIA", SecretKey: secret, Region: "us-west-2", RegistryID: "123456789012", Hostname: "https://Mirror.example.com/"}, config.Credential{
			Provider: "ecr", Spelling: "mirror.example.com",
			Settings:   map[string]string{"access-key-id": "AKIA", "region": "us-west-2", "registry-ids": "123456789012", "host": "mirror.example.com"},
			References: map[string]regcred.Secret{"secret-access-key": secret},
		}},
		{"GCR", "gcr", config.DeisFiles{KeyJSON: secret, AccessKey: "of no use"}, config.Credential{
			Provider: "google", Spelling: "gcr.io", Settings: map[string]string{"push": "true"},
			References: map[string]regcred.Secret{"key": secret},
		}},
		{"GCR elsewhere, by the pod's identity", "gcr", config.DeisFiles{Hostname: "eu.gcr.io"}, config.Credential{
			Provider: "google", Spelling: "eu.gcr.io", Settings: map[string]string{"push": "true", "host": "eu.gcr.io"},
		}},
	} {
		got, err := config.Deis{Location: test.location}.Credential(test.files)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got.Location.String() != test.want.Spelling || got.Where != "registry-secret" || !got.Scope.Contains(regcred.OrgScope("any")) {
			t.Errorf("%s: location %s at scope %s, from %s", test.name, got.Location, got.Scope, got.Where)
		}
		if diff := cmp.Diff(test.want.Settings, got.Settings); diff != "" || got.Provider != test.want.Provider || got.Spelling != test.want.Spelling {
			t.Errorf("%s: %s of %s for %q", test.name, diff, got.Provider, got.Spelling)
		}
		if len(got.References) != len(test.want.References) {
			t.Errorf("%s: secrets %v", test.name, got.References)
		}
		for name, want := range test.want.References {
			if !got.References[name].Equal(want) {
				t.Errorf("%s: secret %s", test.name, name)
			}
		}
	}
}

func TestDeisCredentialProblems(t *testing.T) {
	secret := regcred.NewSecret(canary)
	for _, test := range []struct {
		name, want string
		files      config.DeisFiles
	}{
		{"a secret without its key", "of accesskey and secretkey only one is set", config.DeisFiles{SecretKey: secret, Region: "us-west-2"}},
		{"a key without its secret", "of accesskey and secretkey only one is set", config.DeisFiles{AccessKey: "AKIA", Region: "us-west-2"}},
		{"no region", "region is empty", config.DeisFiles{AccessKey: "AKIA", SecretKey: secret}},
		{"a path", "leave out the path", config.DeisFiles{Hostname: "https://gcr.io/project"}},
		{"http", "hostname is", config.DeisFiles{Hostname: "http://registry.example.com"}},
		{"shared domain", "shared registry domain", config.DeisFiles{Hostname: "amazonaws.com"}},
	} {
		_, err := config.Deis{Location: "ecr"}.Credential(test.files)
		if err == nil || !strings.Contains(err.Error(), test.want) || regcred.CodeOf(err) != regcred.Invalid || !strings.HasPrefix(err.Error(), "registry-secret: ") {
			t.Errorf("%s: error %v, want one with %q", test.name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the error shows a secret", test.name)
		}
	}
}

// FuzzDeis reads any environment and any files: what is accepted makes sense, and no
// error shows a secret.
func FuzzDeis(f *testing.F) {
	f.Add("ecr", "private-registry", "", "AKIA", "us-west-2", "", "")
	f.Add("gcr", "", "25", "", "", "", "https://us.gcr.io")
	f.Add("ecr", "p", "600", "AKIA", "", "123456789012", "123456789012.dkr.ecr.us-east-1.amazonaws.com:443")
	f.Add("off-cluster", "P", "-1", "\x00", "\n", "a,b", "http://[::1]/x")
	f.Fuzz(func(t *testing.T, location, prefix, minutes, accessKey, region, registryID, hostname string) {
		d, err := config.ParseDeis(environment("DEIS_REGISTRY_LOCATION="+location, "DEIS_REGISTRY_SECRET_PREFIX="+prefix, "DEIS_TOKEN_REFRESH_TIME="+minutes))
		if err != nil {
			if regcred.CodeOf(err) != regcred.Invalid {
				t.Errorf("code %v: %v", regcred.CodeOf(err), err)
			}
			return
		}
		if name := d.SecretName(); strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" || d.TokenRefresh < 0 {
			t.Errorf("accepted %+v", d)
		}
		if d.Idle() != "" {
			return
		}
		secret := regcred.NewSecret(canary)
		c, err := d.Credential(config.DeisFiles{AccessKey: accessKey, SecretKey: secret, KeyJSON: secret, Region: region, RegistryID: registryID, Hostname: hostname})
		if err != nil {
			if regcred.CodeOf(err) != regcred.Invalid || strings.Contains(err.Error(), canary) {
				t.Errorf("code %v: %v", regcred.CodeOf(err), err)
			}
			return
		}
		if c.Location.Path() != "" || !c.Location.IsZero() && c.Location.Assignable() != nil || c.Location.IsZero() && d.Location == "gcr" {
			t.Errorf("accepted the location %q", c.Location)
		}
		for name, value := range c.Settings {
			if value == "" || strings.Contains(value, canary) {
				t.Errorf("the setting %s is %q", name, value)
			}
		}
	})
}
