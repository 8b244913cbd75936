package rancher_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/deliver/rancher"
	"regcred.dev/imageref"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakecattle"
)

const (
	host        = "rancher.example.com:8080"
	environment = "1a5"
	secretKey   = "canary-of-the-api-key-4711"
)

// newCattle returns a fake with an environment's API key.
func newCattle(o fakecattle.Options) *fakecattle.Server {
	o.Keys = map[string]fakecattle.Key{"access": {Secret: secretKey, Environment: environment}}
	return fakecattle.New(o)
}

// target returns a target that delivers to a fake, with changes to its options.
func target(fake http.Handler, path string, change func(*rancher.Options)) *rancher.Target {
	o := rancher.Options{
		Name: "test", URL: &url.URL{Scheme: "http", Host: host, Path: path},
		AccessKey: "access", SecretKey: regcred.NewSecret(secretKey), Scope: regcredtest.TargetScope,
		Transport: regcredtest.HandlerTransport{host: fake},
	}
	if change != nil {
		change(&o)
	}
	return rancher.New(o)
}

// TestTarget runs the suite with a target that leaves alone what it did not create:
// what it takes over is tested apart.
func TestTarget(t *testing.T) {
	for _, path := range []string{"/v1/projects/1a5", "/v2-beta"} {
		t.Run(path, func(t *testing.T) {
			regcredtest.TestTarget(t, func(t *testing.T) regcredtest.TargetSystem {
				fake := newCattle(fakecattle.Options{})
				return regcredtest.TargetSystem{
					New: func(*testing.T) deliver.Target {
						return target(fake, path, func(o *rancher.Options) {
							o.AutoCreate, o.NoAdopt, o.Interval = true, true, 10*time.Millisecond
						})
					},
					Logins:    func(t *testing.T) map[string]string { return logins(t, fake) },
					Put:       func(_ *testing.T, host, login string) { put(fake, host, login) },
					WriteOnly: true,
				}
			})
		})
	}
}

// logins returns what Rancher pulls with, "username:password" by host.
func logins(t *testing.T, fake *fakecattle.Server) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, address := range fake.Registries(environment) {
		user, password, ok := fake.Login(environment, address)
		location, err := imageref.ParseLocation(address)
		if ok && err == nil {
			found[location.Host()] = user + ":" + password
		}
	}
	return found
}
