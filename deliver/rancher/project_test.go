package rancher_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/deliver/rancher"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakecattle"
)

const (
	v3Host  = "rancher.example.com"
	project = "c-abcde:p-fghij"
)

// projectTarget returns a target that delivers to a project, or a namespace of it.
func projectTarget(fake *fakecattle.V3, namespace string, change func(*rancher.Options)) *rancher.Target {
	return target(nil, "", func(o *rancher.Options) {
		o.URL = &url.URL{Scheme: "https", Host: v3Host, Path: "/v3"}
		o.Transport = regcredtest.HandlerTransport{v3Host: fake}
		o.Project, o.Namespace, o.Interval = project, namespace, 10*time.Millisecond
		if change != nil {
			change(o)
		}
	})
}

func newV3(o fakecattle.V3Options) *fakecattle.V3 {
	o.Tokens, o.Projects, o.ReadOnly = []string{"access:" + secretKey}, []string{project}, []string{"c-abcde:p-read"}
	return fakecattle.NewV3(o)
}

func TestProjectTarget(t *testing.T) {
	for _, namespace := range []string{"", "dev"} {
		t.Run("namespace "+namespace, func(t *testing.T) {
			regcredtest.TestTarget(t, func(*testing.T) regcredtest.TargetSystem {
				fake := newV3(fakecattle.V3Options{NamespaceRequired: namespace != "", Limit: 7})
				return regcredtest.TargetSystem{
					New: func(*testing.T) deliver.Target { return projectTarget(fake, namespace, nil) },
					Logins: func(*testing.T) map[string]string {
						found := map[string]string{}
						for registry, login := range fake.Logins(project, "dev") {
							found[registry] = login.Username + ":" + login.Password
						}
						return found
					},
					Put: func(_ *testing.T, host, login string) {
						name := fake.Name(project, namespace, host)
						if login == "" {
							fake.Put(project, namespace, name, nil)
							return
						}
						if name == "" {
							name = "by-hand"
						}
						user, password, _ := strings.Cut(login, ":")
						registries := fake.Logins(project, namespace)
						for other := range registries { // those of the same object
							if fake.Name(project, namespace, other) != name {
								delete(registries, other)
							}
						}
						registries[host] = fakecattle.V3Login{Username: user, Password: password}
						fake.Put(project, namespace, name, registries)
					},
					WriteOnly: true,
				}
			})
		})
	}
}

// TestProjectShapes: what is written, and where.
func TestProjectShapes(t *testing.T) {
	fake := newV3(fakecattle.V3Options{})
	hosts := []string{ecrHost, "host.example.com:5000", "docker.io", "[2001:db8::1]:5000"}
	if report := mustSync(t, projectTarget(fake, "", nil), book(1, hosts...)); report.Changed != len(hosts) || len(report.Warnings) > 0 {
		t.Errorf("%+v", report)
	}
	for registry, name := range map[string]string{
		ecrHost:                 "regcred-" + ecrHost,
		"host.example.com:5000": "regcred-host.example.com-5000-",
		"index.docker.io":       "regcred-docker.io",
		"[2001:db8::1]:5000":    "regcred-2001-db8--1--5000-",
	} {
		if got := fake.Name(project, "", registry); got == "" || !strings.HasPrefix(got, name) {
			t.Errorf("%s is in %q, want %s", registry, got, name)
		}
		if got := fake.Logins(project, "")[registry]; got.Username != "AWS" || got.Password != token {
			t.Errorf("%s has %+v", registry, got)
		}
	}
}

func TestProjectRefusals(t *testing.T) {
	for _, test := range []struct {
		name   string
		fake   fakecattle.V3Options
		change func(*rancher.Options)
		code   regcred.Code
		want   string
	}{
		{"2.11", fakecattle.V3Options{NamespaceRequired: true}, nil, regcred.Denied, "from Rancher 2.11 on, new projects take no credential for all of their namespaces"},
		{"an unknown key", fakecattle.V3Options{}, func(o *rancher.Options) { o.AccessKey = "other" }, regcred.Denied, "does not know the API key"},
		{"another project", fakecattle.V3Options{}, func(o *rancher.Options) { o.Project = "c-abcde:p-other" }, regcred.Denied, "may not see"},
		{"a reader", fakecattle.V3Options{}, func(o *rancher.Options) { o.Project, o.Namespace = "c-abcde:p-read", "dev" }, regcred.Denied, "needs to be a member of its project"},
		{"a wrong URL", fakecattle.V3Options{}, func(o *rancher.Options) { o.URL = &url.URL{Scheme: "https", Host: v3Host, Path: "/x"} }, regcred.Invalid, "no API of Rancher 2.x"},
		{"a page", fakecattle.V3Options{Quirks: fakecattle.Quirks{Garbage: fakecattle.HTML}}, nil, regcred.Unavailable, "no JSON"},
		{"a redirect", fakecattle.V3Options{Quirks: fakecattle.Quirks{Redirect: "https://evil.example.com/"}}, nil, regcred.Unavailable, "redirects"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := sync(t, projectTarget(newV3(test.fake), "", test.change))
			if regcred.CodeOf(err) != test.code || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v (%s), want %q", err, regcred.CodeOf(err), test.want)
			}
		})
	}
}

// TestProjectShared: what somebody added a host to is his own from then on.
func TestProjectShared(t *testing.T) {
	fake := newV3(fakecattle.V3Options{})
	tg, b := projectTarget(fake, "", nil), book(1, ecrHost)
	mustSync(t, tg, b)
	theirs := map[string]fakecattle.V3Login{ecrHost: {Username: "AWS", Password: "x"}, "other.example.com": {Username: "u", Password: "y"}}
	fake.Put(project, "", fake.Name(project, "", ecrHost), theirs)
	report := mustSync(t, tg, b)
	wantWarnings(t, report, "conflict")
	if report.Changed != 0 || len(fake.Logins(project, "")) != 2 {
		t.Errorf("%+v, %v", report, fake.Logins(project, ""))
	}
}
