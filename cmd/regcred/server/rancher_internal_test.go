package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"regcred.dev/config"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakecattle"
	"regcred.dev/regcredtest/fakeecr"
)

const (
	cattleHost  = "rancher.mydomain.com"
	cattleKey   = "canary-of-the-cattle-key-4711"
	environment = "1a5"
	ecrEast     = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
	ecrOther    = "210987654321.dkr.ecr.us-east-1.amazonaws.com"
)

// ranch is an environment of Rancher 1.x, and AWS, with regcred in place of the
// updater.
type ranch struct {
	*testing.T
	cattle *fakecattle.Server
	aws    *fakeecr.Server
	env    map[string]string
	log    *bytes.Buffer
	cut    atomic.Bool // whether nobody reaches Rancher
}

// newRanch sets the environment of the seed's `docker run` line.
func newRanch(t *testing.T) *ranch {
	r := &ranch{
		T: t, log: new(bytes.Buffer),
		cattle: fakecattle.New(fakecattle.Options{
			Keys:   map[string]fakecattle.Key{"access": {Secret: cattleKey, Environment: environment}},
			Settle: 2 * time.Second,
		}),
		aws: fakeecr.New(fakeecr.Options{
			Users: map[string]fakeecr.User{accessKey: {ARN: "arn:aws:iam::123456789012:user/updater", Secret: secretKey}},
			Roles: map[string]fakeecr.Role{"arn:aws:iam::210987654321:role/pull": {Trusts: []string{"arn:aws:iam::123456789012:user/updater"}}},
		}),
		env: map[string]string{
			"AWS_REGION": "us-east-1", "CATTLE_URL": "http://" + cattleHost,
			"CATTLE_ACCESS_KEY": "access", "CATTLE_SECRET_KEY": cattleKey,
		},
	}
	awsEnvironment(t)
	return r
}

// awsEnvironment has AWS's SDK, which reads the process's own environment, find the
// user's keys, and nothing else.
func awsEnvironment(t *testing.T) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "") // restores it at the end
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	nowhere := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey,
		"AWS_CONFIG_FILE": nowhere, "AWS_SHARED_CREDENTIALS_FILE": nowhere, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
}

// start runs the server, without its port, until stop is called. It is a new process,
// as far as anything shows.
func (r *ranch) start() (server *Rancher, stop func()) {
	r.Helper()
	cfg, err := config.LoadRancherUpdater(func(name string) string { return r.env[name] })
	if err != nil {
		r.Fatal(err)
	}
	reached := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.cattle.ServeHTTP(w, req) })
	server, err = newRancher(r.Context(), RancherOptions{
		Config:  cfg,
		Rancher: roundTripper(func(req *http.Request) (*http.Response, error) { return r.reach(req, reached) }),
		AWS: regcredtest.HandlerTransport{
			"api.ecr.us-east-1.amazonaws.com": r.aws, "sts.us-east-1.amazonaws.com": r.aws,
		},
		Log: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: cfg.LogLevel})),
	})
	if err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.keep(ctx); err != nil {
			r.Errorf("it ended with %v", err)
		}
	}()
	pass(10 * time.Second)
	return server, func() { cancel(); <-done }
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func (r *ranch) reach(req *http.Request, h http.Handler) (*http.Response, error) {
	if r.cut.Load() {
		return nil, errors.New("connection refused")
	}
	return regcredtest.HandlerTransport{cattleHost: h}.RoundTrip(req)
}

// registry puts a registry with one credential into Rancher, as its users did.
func (r *ranch) registry(address string) {
	r.cattle.AddCredential(environment, r.cattle.AddRegistry(environment, address), "AWS", "old")
}

// pulls says why images of a server cannot be pulled, nil where they can.
func (r *ranch) pulls(server string) error {
	user, password, ok := r.cattle.Login(environment, server)
	if !ok || user != "AWS" {
		return fmt.Errorf("Rancher has no login for %s but %q", server, user)
	}
	if _, valid := r.aws.Find(password); !valid {
		return fmt.Errorf("Rancher's login for %s is not valid", server)
	}
	return nil
}

func (r *ranch) mustPull(servers ...string) {
	r.Helper()
	for _, server := range servers {
		if err := r.pulls(server); err != nil {
			r.Error(err)
		}
	}
}

// noSecrets looks for secrets in all that was logged: the keys, and what every token
// of AWS's begins with.
func (r *ranch) noSecrets() {
	r.Helper()
	for _, secret := range []string{cattleKey, secretKey, "access:" + cattleKey, "eyJwYXlsb2FkIjoi"} {
		if forms := regcredtest.Leaks(r.log.Bytes(), secret); len(forms) > 0 {
			r.Errorf("the log shows a secret (%v)", forms)
		}
	}
}

// TestRancherDays: simulated days in which AWS and Rancher fail in turn, up to five
// hours at a time, and the container is restarted, leave no gap. No secret is logged
// at the most talkative level.
func TestRancherDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		r := newRanch(t)
		r.env["LOG_LEVEL"] = "debug"
		r.registry(ecrEast)
		_, stop := r.start()
		begun := time.Now()
		watch := func(d time.Duration) {
			for until := time.Now().Add(d); time.Now().Before(until); pass(5 * time.Minute) {
				if err := r.pulls(ecrEast); err != nil {
					t.Fatalf("after %s: %v\n%s", time.Since(begun), err, tail(r.log.String()))
				}
			}
		}
		failures := []func(){
			func() { r.aws.Set(fakeecr.Quirks{Throttle: -1}) },
			func() { r.aws.Set(fakeecr.Quirks{Garbage: fakeecr.HTML}) },
			func() { r.aws.Set(fakeecr.Quirks{ExpiredAtIssue: true}) },
			func() { r.aws.Set(fakeecr.Quirks{Slow: time.Hour}) },
			func() { r.cattle.Break(http.StatusServiceUnavailable) },
			func() { r.cattle.Set(fakecattle.Quirks{Garbage: fakecattle.Cut}) },
			func() { r.cattle.Set(fakecattle.Quirks{Slow: time.Hour}) },
			func() { r.cattle.Set(fakecattle.Quirks{Throttle: -1, RetryAfter: time.Minute}) },
			func() { r.cut.Store(true) },
			func() { stop() }, // no container at all
		}
		outages := 0
		for time.Since(begun) < 6*24*time.Hour {
			watch(time.Hour + time.Duration(random.Int64N(int64(3*time.Hour))))
			which := (outages + random.IntN(3)) % len(failures)
			failures[which]()
			outages++
			watch(time.Duration(random.Int64N(int64(5 * time.Hour))))
			if which == len(failures)-1 {
				_, stop = r.start()
			}
			r.aws.Set(fakeecr.Quirks{})
			r.cattle.Set(fakecattle.Quirks{})
			r.cattle.Break(0)
			r.cut.Store(false)
		}
		stop()
		if outages < 20 {
			t.Errorf("only %d outages", outages)
		}
		for _, said := range []string{"delivery fails", "delivery works again", "asks to be asked less often", "status 503"} {
			if !strings.Contains(r.log.String(), said) {
				t.Errorf("the log does not say %q: the test shows nothing", said)
			}
		}
		r.noSecrets()
		if n := len(r.cattle.Credentials(environment)); n != 1 {
			t.Errorf("%d credentials are in Rancher", n)
		}
	})
}

// tail returns the last lines of a log.
func tail(log string) string {
	lines := strings.Split(log, "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// TestRancherWrites: a login is written once, though Rancher is looked at every few
// minutes; a restart writes once more.
func TestRancherWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRanch(t)
		r.registry(ecrEast)
		_, stop := r.start()
		pass(47 * time.Hour)
		stop()
		if n := r.cattle.Calls()[fakecattle.CallUpdate]; n < 7 || n > 9 { // every 6 hours or so
			t.Errorf("%d writes in 2 days", n)
		}
		before := r.cattle.Calls()[fakecattle.CallUpdate]
		_, stop = r.start()
		pass(time.Hour)
		stop()
		if n := r.cattle.Calls()[fakecattle.CallUpdate] - before; n != 1 {
			t.Errorf("%d writes after a restart", n)
		}
		r.mustPull(ecrEast)
	})
}

func TestRancherSettings(t *testing.T) {
	for _, test := range []struct {
		name string
		env  map[string]string
		set  func(*ranch)
		pull []string
		not  []string // registries that there are not
	}{
		{
			"three pages of registries", nil,
			func(r *ranch) {
				for i := range 240 {
					r.registry(fmt.Sprintf("r%03d.example.com", i))
				}
				for _, address := range []string{"10.0.0.1:5000", "HTTPS://Host/", "https://", ecrEast} {
					r.registry(address)
				}
			},
			[]string{ecrEast}, nil,
		},
		{
			"two accounts", map[string]string{"AWS_ECR_REGISTRY_IDS": "123456789012,210987654321"},
			func(r *ranch) { r.registry(ecrEast); r.registry(ecrOther) },
			[]string{ecrEast, ecrOther}, nil,
		},
		{
			"created", map[string]string{"AWS_ECR_REGISTRY_IDS": "123456789012,210987654321", "AUTO_CREATE": "true"}, nil,
			[]string{ecrEast, ecrOther}, nil,
		},
		{
			"a proxy", map[string]string{"ECR_PROXY_HOST": "registry.corp.example:5000", "AUTO_CREATE": "true"},
			func(r *ranch) { r.registry("Registry.corp.example:5000") },
			[]string{"registry.corp.example:5000"}, []string{ecrEast},
		},
		{
			"a role in another account", map[string]string{"AWS_ROLE_ARN": "arn:aws:iam::210987654321:role/pull"},
			func(r *ranch) { r.registry(ecrOther); r.registry(ecrEast) },
			[]string{ecrOther}, nil,
		},
		{
			"an environment's URL", map[string]string{"CATTLE_URL": "http://" + cattleHost + "/v1/projects/1a5/"},
			func(r *ranch) { r.registry(ecrEast) }, []string{ecrEast}, nil,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRanch(t)
				maps.Copy(r.env, test.env)
				if test.set != nil {
					test.set(r)
				}
				server, stop := r.start()
				defer stop()
				r.mustPull(test.pull...)
				pass(13 * time.Hour)
				r.mustPull(test.pull...)
				if err := server.ready(time.Now()); err != nil {
					t.Errorf("it is not ready: %v", err)
				}
				for _, address := range r.cattle.Registries(environment) {
					for _, not := range test.not {
						if address == not {
							t.Errorf("the registry %s was created", address)
						}
					}
				}
				r.noSecrets()
			})
		})
	}
}

// TestRancherSharedEnvironment: two containers for two regions in one environment
// leave each other's alone.
func TestRancherSharedEnvironment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRanch(t)
		r.env["AUTO_CREATE"] = "true"
		_, stop := r.start()
		defer stop()
		r.env["AWS_ECR_REGISTRY_IDS"] = "210987654321"
		_, stopOther := r.start()
		defer stopOther()
		pass(24 * time.Hour)
		r.mustPull(ecrEast, ecrOther)
		if strings.Contains(r.log.String(), "delivery holds") {
			t.Errorf("something is held:\n%s", tail(r.log.String()))
		}
	})
}

// TestRancherTwice: two containers with the same settings neither quarrel nor leave a
// gap, whichever ends first.
func TestRancherTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRanch(t)
		r.registry(ecrEast)
		_, stopFirst := r.start()
		pass(time.Hour)
		_, stopSecond := r.start()
		watch := func(d time.Duration) {
			t.Helper()
			for until := time.Now().Add(d); time.Now().Before(until); pass(time.Minute) {
				r.mustPull(ecrEast)
			}
		}
		watch(36 * time.Hour)
		if n := r.cattle.Calls()[fakecattle.CallUpdate]; n > 15 { // each renews every 6 hours
			t.Errorf("%d writes in 36 hours", n)
		}
		stopSecond()
		watch(24 * time.Hour)
		_, stopThird := r.start()
		pass(time.Hour)
		stopFirst()
		watch(24 * time.Hour)
		stopThird()
		if strings.Contains(r.log.String(), "delivery holds") {
			t.Errorf("something is held:\n%s", tail(r.log.String()))
		}
	})
}

// TestRancherReady: what is wrong is said at /readyz, also while /ping answers.
func TestRancherReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRanch(t)
		r.aws.Set(fakeecr.Quirks{Throttle: -1})
		server, stop := r.start()
		defer stop()
		get := func(path string) (int, string) {
			w := httptest.NewRecorder()
			server.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			return w.Code, w.Body.String()
		}
		wantReady := func(status int, text string) {
			t.Helper()
			if code, body := get("/readyz"); code != status || !strings.Contains(body, text) {
				t.Errorf("/readyz: %d %q, want %d %q", code, body, status, text)
			}
			if code, body := get("/ping"); code != 200 || body != "pong!" {
				t.Errorf("/ping: %d %q", code, body)
			}
			if code, _ := get("/healthz"); code != 200 {
				t.Errorf("/healthz: %d", code)
			}
		}
		wantReady(503, "there is no valid login: ")
		r.aws.Set(fakeecr.Quirks{})
		pass(5 * time.Minute)
		wantReady(503, "there is no registry "+ecrEast)
		r.registry(ecrEast)
		pass(6 * time.Minute)
		wantReady(200, "ok")
		if _, body := get("/metrics"); !strings.Contains(body, `regcred_target_entries{target="rancher"} 1`) || !strings.Contains(body, "regcred_login_expiry_seconds") {
			t.Errorf("/metrics:\n%s", body)
		}
		r.cattle.Break(http.StatusBadGateway)
		pass(6 * time.Minute)
		wantReady(503, "status 502")
		r.noSecrets()
	})
}

// TestRancherLevels: at each LOG_LEVEL failures are told as loudly as it asks, and no
// secret is.
func TestRancherLevels(t *testing.T) {
	for level, wanted := range map[string]string{"": "WARN", "panic": "", "fatal": "", "error": "", "warn": "WARN", "warning": "WARN", "info": "INFO", "debug": "DEBUG", "trace": "DEBUG"} {
		t.Run(level, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRanch(t)
				r.env["LOG_LEVEL"] = level
				r.registry(ecrEast)
				r.cattle.Break(http.StatusServiceUnavailable)
				_, stop := r.start()
				r.cattle.Break(0)
				r.aws.Set(fakeecr.Quirks{Throttle: -1})
				pass(8 * time.Hour)
				r.aws.Set(fakeecr.Quirks{Garbage: fakeecr.NoToken})
				pass(time.Hour)
				r.cattle.Set(fakecattle.Quirks{Garbage: fakecattle.HTML})
				r.aws.Set(fakeecr.Quirks{})
				pass(time.Hour)
				stop()
				if wanted != "" && !strings.Contains(r.log.String(), "level="+wanted) {
					t.Errorf("nothing is logged at level %s:\n%s", wanted, r.log)
				}
				if wanted == "" && strings.Contains(r.log.String(), "level=WARN") {
					t.Errorf("it says more than LOG_LEVEL asks for:\n%s", r.log)
				}
				r.noSecrets()
			})
		})
	}
}
