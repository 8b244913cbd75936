package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"regcred.dev"
	"regcred.dev/config"
	"regcred.dev/deliver"
	"regcred.dev/keyring"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakeecr"
	"regcred.dev/regcredtest/fakegoogle"
)

// The keys of two IAM users, of two accounts.
const (
	accessKey, secretKey             = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	otherAccessKey, otherSecretKey   = "AKIAI44QH8DHBEXAMPLE", "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY"
	registryHost, otherRegistryHost  = "123456789012.dkr.ecr.us-west-2.amazonaws.com", "210987654321.dkr.ecr.us-west-2.amazonaws.com"
	ecrAPI                           = "api.ecr.us-west-2.amazonaws.com"
	releaseNamespace, releaseNamesOf = "deis", "private-registry-ecr"
)

// cluster is the API server of a test, as far as a Deis sees it: the Secret of the
// release's own namespace, which the target writes and a restart reads.
type cluster struct {
	mu       sync.Mutex
	down     bool
	secret   *v1.Secret
	writes   int
	held     []deliver.Hold // until it is confirmed
	annotate func(string, []keyring.Auth) map[string]string
}

// setDown has the API server answer no more, or again.
func (c *cluster) setDown(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
}

// Get implements secrets.
func (c *cluster) Get(_ context.Context, name string) (*v1.Secret, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.down:
		return nil, errors.New("connection refused")
	case c.secret == nil:
		return nil, apierrors.NewNotFound(v1.Resource("secrets"), name)
	}
	return c.secret.DeepCopy(), nil
}

// Update implements secrets.
func (c *cluster) Update(_ context.Context, s *v1.Secret) (*v1.Secret, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return nil, errors.New("connection refused")
	}
	c.secret = s.DeepCopy()
	return s, nil
}

// Describe implements deliver.Target.
func (c *cluster) Describe() deliver.Info { return deliver.Info{Name: "deis", Kind: "test"} }

// Watch implements deliver.Target.
func (c *cluster) Watch(ctx context.Context, changed func()) error {
	changed()
	<-ctx.Done()
	return ctx.Err()
}

// Uninstall implements deliver.Target.
func (c *cluster) Uninstall(context.Context, string) error { return errors.ErrUnsupported }

// Sync implements deliver.Target: it writes the one entry where there is one.
func (c *cluster) Sync(_ context.Context, book *keyring.Book, o deliver.SyncOptions) (deliver.Report, error) {
	rendering, err := book.Keyring(regcred.Foundation).Render(keyring.Deis, keyring.RenderOptions{})
	if err != nil {
		return deliver.Report{}, err
	}
	file, err := rendering.DockerConfig()
	if err != nil {
		return deliver.Report{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(o.Confirmed) == len(c.held) {
		c.held = nil
	}
	if c.secret != nil && string(c.secret.Data[v1.DockerConfigJsonKey]) == string(file) {
		return deliver.Report{Delivered: 1, Held: c.held}, nil
	}
	c.writes++
	c.secret = &v1.Secret{Data: map[string][]byte{v1.DockerConfigJsonKey: file}}
	c.secret.Annotations = c.annotate(releaseNamespace, rendering.Auths)
	return deliver.Report{Delivered: 1, Changed: 1, Held: c.held}, nil
}

// hold has the next Syncs hold n entries until they are confirmed.
func (c *cluster) hold(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range n {
		c.held = append(c.held, deliver.Hold{Delivered: deliver.Delivered{Key: "k", Where: strconv.Itoa(i)}, Reason: "r"})
	}
}

// confirm is `kubectl annotate` of the release's Secret.
func (c *cluster) confirm(value string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.secret.Annotations[confirmAnnotation] = value
}

// confirms returns how many entries are held, and the annotation.
func (c *cluster) confirms() (held int, annotation string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.held), c.secret.Annotations[confirmAnnotation]
}

// delivered returns the only entry of the Secret, "" where there is none.
func (c *cluster) delivered(t *testing.T) (key, login string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.secret == nil {
		return "", ""
	}
	var file struct {
		Auths map[string]struct{ Auth []byte }
	}
	if err := json.Unmarshal(c.secret.Data[v1.DockerConfigJsonKey], &file); err != nil || len(file.Auths) != 1 {
		t.Fatalf("the Secret has %s", c.secret.Data)
	}
	for key, entry := range file.Auths {
		return key, string(entry.Auth)
	}
	return "", ""
}

// writeFiles changes what is mounted.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	old, _ := os.ReadDir(dir)
	for _, f := range old {
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// stage is what a test of a Deis plays on.
type stage struct {
	*testing.T
	cluster *cluster
	aws     *fakeecr.Server
	dir     string
	log     *strings.Builder
	refresh time.Duration
}

func newStage(t *testing.T) *stage {
	s := &stage{T: t, cluster: new(cluster), dir: t.TempDir(), log: new(strings.Builder)}
	s.aws = fakeecr.New(fakeecr.Options{Users: map[string]fakeecr.User{
		accessKey:      {ARN: "arn:aws:iam::123456789012:user/deis", Secret: secretKey},
		otherAccessKey: {ARN: "arn:aws:iam::210987654321:user/deis", Secret: otherSecretKey},
	}})
	writeFiles(t, s.dir, keys(accessKey, secretKey))
	return s
}

func keys(access, secret string) map[string]string {
	return map[string]string{"accesskey": access, "secretkey": secret, "region": "us-west-2", "registryid": "", "hostname": ""}
}

// start runs a Deis until stop is called. It is a new process, as far as anything
// shows.
func (s *stage) start() (d *Deis, stop func()) {
	s.Helper()
	d = &Deis{
		o: DeisOptions{
			Config:      config.Deis{Location: "ecr", SecretPrefix: "private-registry", Namespace: releaseNamespace, TokenRefresh: s.refresh},
			Credentials: s.dir,
		},
		log: slog.New(slog.NewTextHandler(s.log, nil)), secrets: s.cluster, target: s.cluster,
		provider: deisProvider("ecr", regcredtest.HandlerTransport{ecrAPI: s.aws}),
	}
	s.cluster.annotate = d.annotate
	var err error
	if d.first, err = config.ReadDeisFiles(s.dir); err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := d.follow(ctx); err != nil {
			s.Errorf("it ended with %v", err)
		}
	}()
	pass(time.Second)
	return d, func() { cancel(); <-done }
}

// pass lets fake time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (s *stage) mints() int { return s.aws.Calls()[fakeecr.GetAuthorizationToken] }

// expect checks the key, and that the login is valid at AWS or not.
func (s *stage) expect(host string, valid bool) {
	s.Helper()
	key, login := s.cluster.delivered(s.T)
	if key != "https://"+host {
		s.Errorf("the Secret is for %q, want https://%s", key, host)
	}
	if _, ok := s.aws.Find(strings.TrimPrefix(login, "AWS:")); ok != valid {
		s.Errorf("the delivered login is valid: %v", ok)
	}
}

func TestDeisServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		d, stop := s.start()
		defer stop()
		s.expect(registryHost, true)
		if err := d.ready(time.Now()); err != nil {
			t.Error(err)
		}
		for range 8 { // four days
			pass(12 * time.Hour)
			s.expect(registryHost, true)
		}
		if n := s.mints(); n < 14 || n > 19 { // at 45 to 55% of 12 hours each
			t.Errorf("%d mints in four days", n)
		}
	})
}

// TestDeisTokenRefreshTime renews more often than the expiry asks for; a restart does
// not put that off.
// TestDeisConfirm: an annotation lets go so many held entries as it names, once.
func TestDeisConfirm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		_, stop := s.start()
		defer stop()
		s.cluster.hold(12)
		s.cluster.confirm("11")
		pass(10 * time.Minute) // a resync comes to it
		if held, annotation := s.cluster.confirms(); held != 12 || annotation != "11" {
			t.Errorf("%d are held after 11 were confirmed, and the annotation is %q", held, annotation)
		}
		if log := s.log.String(); !strings.Contains(log, "annotation=\"regcred.dev/confirm=12\"") || strings.Count(log, "another number of entries") != 1 {
			t.Errorf("the log does not say what to do, or says it again and again:\n%s", log)
		}
		s.cluster.confirm("12")
		s.cluster.setDown(true)
		pass(time.Minute)
		if held, _ := s.cluster.confirms(); held != 12 {
			t.Errorf("%d are held although nobody could be asked", held)
		}
		s.cluster.setDown(false)
		pass(time.Minute)
		if held, annotation := s.cluster.confirms(); held != 0 || annotation != "" {
			t.Errorf("%d are held after all were confirmed, and the annotation is %q", held, annotation)
		}
		// It was an answer to that hold, and is none to the next.
		s.cluster.hold(12)
		pass(10 * time.Minute)
		if held, _ := s.cluster.confirms(); held != 12 {
			t.Errorf("%d are held that nobody confirmed", held)
		}
	})
}

func TestDeisTokenRefreshTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.refresh = 25 * time.Minute
		_, stop := s.start()
		pass(10 * time.Hour)
		if n := s.mints(); n != 1+10*60/25 {
			t.Errorf("%d mints in ten hours", n)
		}
		pass(20 * time.Minute)
		stop()
		_, stop = s.start()
		defer stop()
		pass(6 * time.Minute)
		if n := s.mints(); n != 2+10*60/25 {
			t.Errorf("%d mints after a restart", n)
		}
		s.expect(registryHost, true)
	})
}

func TestDeisOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.aws.Set(fakeecr.Quirks{Throttle: -1})
		d, stop := s.start()
		defer stop()
		if err := d.ready(time.Now()); err == nil || !strings.Contains(err.Error(), "there is no valid login: ") {
			t.Errorf("without a login: %v", err)
		}
		if s.cluster.secret != nil {
			t.Error("something is delivered without a login")
		}
		s.aws.Set(fakeecr.Quirks{})
		pass(2 * time.Minute)
		s.expect(registryHost, true)
		s.aws.Set(fakeecr.Quirks{Garbage: fakeecr.HTML})
		pass(11 * time.Hour)
		s.expect(registryHost, true)
		pass(2 * time.Hour)
		s.expect(registryHost, false) // it stays until there is a better one
		if err := d.ready(time.Now()); err == nil {
			t.Error("it is ready with a login that has expired")
		}
		s.aws.Set(fakeecr.Quirks{})
		pass(2 * time.Minute)
		s.expect(registryHost, true)
	})
}

// TestDeisRestart restarts with a login that is still valid, and then with others.
func TestDeisRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		_, stop := s.start()
		stop()
		_, first := s.cluster.delivered(t)
		pass(time.Hour)
		restart := func(mints int, host string) {
			t.Helper()
			d, stop := s.start()
			defer stop()
			if s.mints() != mints {
				t.Errorf("%d mints, want %d", s.mints(), mints)
			}
			s.expect(host, true)
			if err := d.ready(time.Now()); err != nil {
				t.Error(err)
			}
		}
		restart(1, registryHost)
		pass(time.Hour)
		restart(1, registryHost) // also one that was read back
		if _, again := s.cluster.delivered(t); again != first || s.cluster.writes != 1 {
			t.Errorf("%d writes, the login is the same: %v", s.cluster.writes, again == first)
		}

		_, stop = s.start() // it is renewed when it would have been without a restart
		pass(6 * time.Hour)
		stop()
		if s.mints() != 2 {
			t.Errorf("%d mints after 8 hours", s.mints())
		}

		pass(13 * time.Hour) // expired
		restart(3, registryHost)

		writeFiles(t, s.dir, keys(otherAccessKey, otherSecretKey))
		restart(4, otherRegistryHost)

		// What somebody else put there is not taken for one's own.
		s.cluster.secret.Data[v1.DockerConfigJsonKey] = []byte(`{"auths":{"https://` + otherRegistryHost + `":{"auth":"QVdTOmV2aWw=","email":"none@none.com"}}}`)
		restart(5, otherRegistryHost)
	})
}

// TestDeisWaitsForKubernetes: nothing is minted before it is known what is there.
func TestDeisWaitsForKubernetes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		_, stop := s.start()
		stop()
		s.cluster.setDown(true)
		d, stop := s.start()
		defer stop()
		pass(10 * time.Minute)
		if err := d.ready(time.Now()); err == nil || s.mints() != 1 {
			t.Errorf("%d mints, ready: %v", s.mints(), err)
		}
		if n := strings.Count(s.log.String(), "cannot be read from Kubernetes yet"); n != 1 {
			t.Errorf("it is said %d times", n)
		}
		s.cluster.setDown(false)
		pass(2 * time.Minute)
		s.expect(registryHost, true)
		if err := d.ready(time.Now()); err != nil || s.mints() != 1 {
			t.Errorf("%d mints, ready: %v", s.mints(), err)
		}
	})
}

// TestDeisFilesChange changes what is mounted: to another account, to what cannot
// work, to what AWS refuses, and back.
func TestDeisFilesChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		_, stop := s.start()
		defer stop()
		_, first := s.cluster.delivered(t)
		change := func(files map[string]string, mints int, host string) {
			t.Helper()
			before := s.mints()
			writeFiles(t, s.dir, files)
			pass(filesInterval + time.Second)
			s.expect(host, true)
			if n := s.mints() - before; n < mints {
				t.Errorf("%d mints, want %d", n, mints)
			}
		}
		change(keys(otherAccessKey, otherSecretKey), 1, otherRegistryHost)
		change(keys(otherAccessKey, ""), 0, otherRegistryHost)
		change(keys(otherAccessKey, "refused/by/AWS"), 1, otherRegistryHost)
		change(keys(otherAccessKey, otherSecretKey+"\n"), 0, otherRegistryHost)
		before := s.mints()
		pass(13 * time.Hour)
		s.expect(otherRegistryHost, true)
		if n := s.mints() - before; n < 1 || n > 3 { // what was refused is asked about no more
			t.Errorf("%d mints in 13 hours", n)
		}
		change(keys(accessKey, secretKey), 1, registryHost)
		if _, again := s.cluster.delivered(t); again == first {
			t.Error("the first login is back")
		}
		for _, want := range []string{"of accesskey and secretkey only one is set", "registry-secret is as it was before"} {
			if !strings.Contains(s.log.String(), want) {
				t.Errorf("the log does not say %q", want)
			}
		}
		for _, secret := range []string{secretKey, otherSecretKey, "refused/by/AWS"} {
			if strings.Contains(s.log.String(), secret) {
				t.Error("the log has a secret")
			}
		}
	})
}

// TestDeisOldLoginServesMeanwhile: a change that does not work yet takes nothing away.
func TestDeisOldLoginServesMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		_, stop := s.start()
		defer stop()
		writeFiles(t, s.dir, keys(otherAccessKey, "not its secret"))
		for range 4 {
			pass(9 * time.Hour)
			s.expect(registryHost, true) // and it is renewed
		}
		writeFiles(t, s.dir, keys(otherAccessKey, otherSecretKey))
		pass(time.Minute)
		s.expect(otherRegistryHost, true)
	})
}

func TestDeisGoogle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := fakegoogle.New(fakegoogle.Options{})
		s := newStage(t)
		key := g.NewKey("deis@project.iam.gserviceaccount.com").JSON()
		d := &Deis{
			o:        DeisOptions{Config: config.Deis{Location: "gcr", SecretPrefix: "p", Namespace: releaseNamespace}},
			log:      slog.New(slog.DiscardHandler),
			provider: deisProvider("gcr", regcredtest.HandlerTransport{fakegoogle.TokenHost: g}), target: s.cluster,
		}
		s.cluster.annotate = d.annotate
		served, err := d.begin(t.Context(), config.DeisFiles{KeyJSON: regcred.NewSecret(key)}, previous{})
		if err != nil {
			t.Fatal(err)
		}
		defer served.end()
		<-served.hasLogin
		d.newest.Store(served)
		served.deliver()
		pass(time.Second)
		host, login := s.cluster.delivered(t)
		_, scopes := g.Principal(strings.TrimPrefix(login, "oauth2accesstoken:"))
		if host != "https://gcr.io" || len(scopes) != 1 || scopes[0] != fakegoogle.ScopeCloud {
			t.Errorf("a login for %s with the scopes %s, want one for gcr.io that may push", host, scopes)
		}
	})
}

func TestFirstRevision(t *testing.T) {
	now := time.UnixMilli(1_795_000_000_000)
	for _, test := range []struct {
		now    time.Time
		before uint64
		want   uint64
	}{
		{now, 0, 1_795_000_000_000},
		{now, 17, 1_795_000_000_000},
		{now, 1_795_000_000_999, 1_795_000_000_999}, // the clock was put back
		{time.Unix(-5, 0), 17, 17},
	} {
		if got := firstRevision(test.now, previous{revision: test.before}); got != test.want {
			t.Errorf("at %s after %d: %d, want %d", test.now, test.before, got, test.want)
		}
	}
}

// FuzzReadPrevious reads what anybody may have put into the Secret: nothing passes for
// a login that was minted from a key which is not known.
func FuzzReadPrevious(f *testing.F) {
	f.Add([]byte(`{"auths":{"https://r.example.com":{"auth":"QVdTOng=","email":"none@none.com"}}}`),
		`{"revision":17,"minted_at":"2026-01-01T00:00:00Z","expires_at":"2026-01-01T12:00:00Z","seal":"AAAA"}`)
	f.Add([]byte(`{"auths":{}}`), `{"seal":null}`)
	f.Add([]byte(`{"auths":{"a":{},"b":{}}}`), `{"expires_at":"9999-12-31T23:59:59-23:59"}`)
	f.Add([]byte(nil), "")
	c := regcred.Credential{Provider: "ecr", Secrets: map[string]regcred.Secret{"secret-access-key": regcred.NewSecret(secretKey)}}
	f.Fuzz(func(t *testing.T, file []byte, annotation string) {
		p := readPrevious(file, annotation)
		if p.revision > math.MaxInt64 {
			t.Errorf("revisions go on from %d", p.revision)
		}
		if p.of(c) {
			t.Errorf("%q beside %q passes for our own", annotation, file)
		}
		// What is sealed is known again, whatever is in it.
		p.seal = loginSeal(sourceKey(c), p.host, p.login)
		if !p.of(c) {
			t.Error("what was sealed is not known")
		}
		c := c.Clone()
		c.Secrets["secret-access-key"] = regcred.NewSecret(otherSecretKey)
		if p.of(c) {
			t.Error("it passes for a login of another key")
		}
	})
}
