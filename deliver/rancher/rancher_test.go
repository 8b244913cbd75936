package rancher_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/deliver/rancher"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakecattle"
)

const (
	ecrHost = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
	token   = "canary-of-the-token-0815"
)

// book returns a book with an ECR credential for each host, whose guid is the host,
// and its login's password.
func book(revision uint64, hosts ...string) *keyring.Book {
	return bookOf(revision, func(*regcred.Login) {}, hosts...)
}

func bookOf(revision uint64, change func(*regcred.Login), hosts ...string) *keyring.Book {
	batch := regcred.Batch{Revision: revision, Current: true}
	for _, host := range hosts {
		location, err := imageref.ParseLocation(host)
		if err != nil {
			panic(err)
		}
		login := &regcred.Login{Username: "AWS", Password: regcred.NewSecret(token), ExpiresAt: time.Now().Add(12 * time.Hour)}
		change(login)
		batch.Changes = append(batch.Changes, regcred.Change{
			Revision: revision, Login: login,
			Credential: regcred.Credential{GUID: host, Scope: regcredtest.TargetScope, Location: location, Provider: "ecr"},
		})
	}
	return keyring.New("s1").Now().Apply(batch)
}

func mustSync(t *testing.T, tg *rancher.Target, b *keyring.Book) deliver.Report {
	t.Helper()
	report, err := tg.Sync(t.Context(), b, deliver.SyncOptions{})
	if err != nil {
		t.Fatalf("Sync: %v", err)
	}
	return report
}

// state says what the fake's credentials are, "ID REGISTRY USER:PASSWORD STATE".
func state(fake *fakecattle.Server) []string {
	var list []string
	for _, c := range fake.Credentials(environment) {
		list = append(list, fmt.Sprintf("%s %s %s:%s %s", c.ID, c.Registry, c.PublicValue, c.SecretValue, c.State))
	}
	return list
}

func wantState(t *testing.T, fake *fakecattle.Server, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, state(fake)); diff != "" {
		t.Errorf("the credentials (-want +got):\n%s", diff)
	}
}

// wantWarning checks that there is one warning with each of the texts, and no other.
func wantWarnings(t *testing.T, r deliver.Report, texts ...string) {
	t.Helper()
	if len(r.Warnings) != len(texts) {
		t.Errorf("%d warnings, want %d: %q", len(r.Warnings), len(texts), r.Warnings)
	}
	for _, text := range texts {
		if !slices.ContainsFunc(r.Warnings, func(w string) bool { return strings.Contains(w, text) }) {
			t.Errorf("no warning says %q: %q", text, r.Warnings)
		}
	}
}

// TestNames: a registry is found however its address is stored, and one that makes no
// sense hides none.
func TestNames(t *testing.T) {
	for _, test := range []struct {
		stored, host string
		found        bool
	}{
		{ecrHost, ecrHost, true},
		{strings.ToUpper(ecrHost), ecrHost, true},
		{"HTTPS://Host.example.com/", "host.example.com", true},
		{"https://host.example.com:443/v2/", "host.example.com", true},
		{"10.0.0.1:5000", "10.0.0.1:5000", true},
		{"http://10.0.0.1:5000", "10.0.0.1:5000", true},
		{"10.0.0.1:5000", "10.0.0.1", false},
		{" host.example.com ", "host.example.com", true},
		{"index.docker.io", "docker.io", true},
		{"https://index.docker.io/v1/", "docker.io", true},
		{"[2001:db8::1]:5000", "[2001:db8::1]:5000", true},
		{"host.example.com.evil.example", "host.example.com", false},
		{"://", "host.example.com", false},
	} {
		fake := newCattle(fakecattle.Options{})
		for _, bad := range []string{"10.0.0.2:5000", "%zz", "://", "https://", "not a host", "\x00"} {
			fake.AddRegistry(environment, bad)
		}
		fake.AddCredential(environment, fake.AddRegistry(environment, test.stored), "AWS", "old")
		report := mustSync(t, target(fake, "/v1", nil), book(1, test.host))
		if got := report.Changed == 1; got != test.found {
			t.Errorf("%q for %s: found %t, want %t; warnings %q", test.stored, test.host, got, test.found, report.Warnings)
		}
	}
}

// TestPages: the right registry and the right credential are on the third page.
func TestPages(t *testing.T) {
	fake := newCattle(fakecattle.Options{})
	for i := range 249 {
		fake.AddCredential(environment, fake.AddRegistry(environment, fmt.Sprintf("r%03d.example.com", i)), "robot", "theirs")
	}
	fake.AddCredential(environment, fake.AddRegistry(environment, ecrHost), "AWS", "old")
	report := mustSync(t, target(fake, "/v1", nil), book(1, ecrHost))
	if report.Changed != 1 || report.Delivered != 1 || fake.Calls()[fakecattle.CallList] != 6 {
		t.Errorf("%+v, %v", report, fake.Calls())
	}
	wantWarnings(t, report)
	for i, c := range state(fake) {
		if want := strings.Contains(c, ecrHost); strings.Contains(c, token) != want {
			t.Errorf("credential %d is %s", i, c)
		}
	}
}

// TestPagesThatChange: registries go and come while the pages are read. What was
// missed for that is not created twice.
func TestPagesThatChange(t *testing.T) {
	var fake *fakecattle.Server
	var victims []string
	fake = newCattle(fakecattle.Options{BetweenPages: func() {
		if len(victims) > 0 { // all that follow move up by one
			fake.Change(victims[0], map[string]string{"state": "removed"})
			victims = victims[1:]
		}
	}})
	for i := range 100 {
		victims = append(victims, fake.AddRegistry(environment, fmt.Sprintf("r%03d.example.com", i)))
	}
	fake.AddCredential(environment, fake.AddRegistry(environment, ecrHost), "AWS", "old")
	fake.AddRegistry(environment, "later.example.com")
	victims = victims[:1]
	report := mustSync(t, target(fake, "/v1", func(o *rancher.Options) { o.AutoCreate = true }), book(1, ecrHost))
	if report.Changed != 1 {
		t.Errorf("%+v", report)
	}
	wantState(t, fake, "1c1 "+ecrHost+" AWS:"+token+" active")
}

// TestWhich: which of a registry's credentials get the login.
func TestWhich(t *testing.T) {
	publicValue := func(o *rancher.Options) { o.PublicValue = "puller" }
	for _, test := range []struct {
		name    string
		users   []string
		change  func(*rancher.Options)
		updated []string // ids
		warning string
	}{
		{"the only one", []string{"whoever"}, nil, []string{"1c1"}, ""},
		{"the one of two that is AWS", []string{"AWS", "bob"}, nil, []string{"1c1"}, ""},
		{"it is not the first", []string{"bob", "AWS"}, nil, []string{"1c2"}, "with the credential 1c1, its first active one"},
		{"both", []string{"AWS", "AWS"}, nil, []string{"1c1", "1c2"}, ""},
		{"none of two", []string{"bob", "eve"}, nil, nil, "has 2 credentials that regcred did not write"},
		{"none at all", nil, nil, nil, "has no credential"},
		{"by name", []string{"AWS", "puller"}, publicValue, []string{"1c2"}, "with the credential 1c1"},
		{"by name, the only one", []string{"AWS"}, publicValue, nil, "has a credential that regcred did not write"},
		{"none that was there", []string{"AWS"}, func(o *rancher.Options) { o.NoAdopt = true }, nil, "has a credential that"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fake := newCattle(fakecattle.Options{})
			registry := fake.AddRegistry(environment, ecrHost)
			for _, user := range test.users {
				fake.AddCredential(environment, registry, user, "old")
			}
			var logged bytes.Buffer
			tg := target(fake, "/v1", func(o *rancher.Options) {
				o.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
				if test.change != nil {
					test.change(o)
				}
			})
			report := mustSync(t, tg, book(1, ecrHost))
			var updated []string
			for _, c := range fake.Credentials(environment) {
				if c.SecretValue == token {
					updated = append(updated, c.ID)
				}
			}
			if !slices.Equal(updated, test.updated) || report.Changed != len(updated) || report.Delivered != len(updated) {
				t.Errorf("updated are %v, want %v; %+v", updated, test.updated, report)
			}
			if n := strings.Count(logged.String(), "is taken over"); n != len(updated) {
				t.Errorf("%d of %d are said in the log:\n%s", n, len(updated), logged.String())
			}
			if test.warning == "" {
				wantWarnings(t, report)
			} else {
				wantWarnings(t, report, test.warning)
			}
			if again := mustSync(t, tg, book(1, ecrHost)); again.Changed > 0 {
				t.Errorf("the same again: %+v", again)
			}
		})
	}
}

// TestAutoCreate creates the registry, the credential, or what of them is missing.
func TestAutoCreate(t *testing.T) {
	for _, path := range []string{"/v1", "/v2-beta"} {
		fake := newCattle(fakecattle.Options{})
		fake.AddRegistry(environment, "there.example.com")
		b := book(1, ecrHost, "there.example.com")
		wantWarnings(t, mustSync(t, target(fake, path, nil), b),
			"there is no registry "+ecrHost, "there.example.com has no credential")
		wantState(t, fake)

		tg := target(fake, path, func(o *rancher.Options) { o.AutoCreate = true })
		if report := mustSync(t, tg, b); report.Changed != 2 || report.Delivered != 2 || len(report.Warnings) > 0 {
			t.Errorf("%s: %+v", path, report)
		}
		wantState(t, fake,
			"1c1 "+ecrHost+" AWS:"+token+" active",
			"1c2 there.example.com AWS:"+token+" active")
		for _, c := range fake.Credentials(environment) {
			if want := map[string]string{"/v1": "none@none.com", "/v2-beta": ""}[path]; c.Email != want {
				t.Errorf("%s: the email is %q, want %q", path, c.Email, want)
			}
		}
	}
}

// TestLostRace: somebody else creates the registry at the same moment.
func TestLostRace(t *testing.T) {
	fake := newCattle(fakecattle.Options{})
	raced := false
	racing := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/registries") && !raced {
			raced = true
			fake.AddCredential(environment, fake.AddRegistry(environment, strings.ToUpper(ecrHost)), "AWS", "theirs")
		}
		fake.ServeHTTP(w, r)
	})
	report := mustSync(t, target(racing, "/v1", func(o *rancher.Options) { o.AutoCreate = true }), book(1, ecrHost))
	if !raced || report.Changed != 1 {
		t.Errorf("raced %t, %+v", raced, report)
	}
	wantState(t, fake, "1c1 "+strings.ToUpper(ecrHost)+" AWS:"+token+" active")
}

// TestInactive: a credential that somebody deactivated is used again, where the API
// key may do that.
func TestInactive(t *testing.T) {
	fake := newCattle(fakecattle.Options{Settle: 20 * time.Millisecond})
	id := fake.AddCredential(environment, fake.AddRegistry(environment, ecrHost), "AWS", "old")
	fake.Change(id, map[string]string{"state": "inactive"})
	tg, b := target(fake, "/v1", nil), book(1, ecrHost)
	for round := range 2 { // with a new login, and with the one that is there
		if report := mustSync(t, tg, b); report.Changed != 1 {
			t.Errorf("round %d: %+v", round, report)
		}
		if user, password, _ := fake.Login(environment, ecrHost); user != "AWS" || password != token {
			t.Errorf("round %d: Rancher pulls with %s:%s", round, user, password)
		}
		fake.Change(id, map[string]string{"state": "inactive"})
	}
	mustSync(t, tg, b)
	fake.Change(id, map[string]string{"state": "active"})
	if report := mustSync(t, tg, b); report.Changed != 0 {
		t.Errorf("%+v", report)
	}
}

// TestTakenOver: a credential of others that was taken over keeps its description, is
// deactivated when the login is to go, and taken up again with the next login.
func TestTakenOver(t *testing.T) {
	fake := newCattle(fakecattle.Options{Settle: 20 * time.Millisecond})
	id := fake.AddCredential(environment, fake.AddRegistry(environment, ecrHost), "AWS", "old")
	fake.Change(id, map[string]string{"description": "for production\n[do not touch]"})
	tg, b := target(fake, "/v1", nil), book(1, ecrHost)
	mustSync(t, tg, b)
	description := func() string { return fake.Credentials(environment)[0].Description }
	if d := description(); !strings.HasPrefix(d, "for production\n[do not touch] [regcred store=s1 guid="+ecrHost+" revision=1 expires=") {
		t.Errorf("the description is %q", d)
	}
	b = b.Apply(regcred.Batch{Revision: 2, Changes: []regcred.Change{{Revision: 2, Deleted: true, Credential: regcred.Credential{GUID: ecrHost}}}})
	if report := mustSync(t, tg, b); report.Changed != 1 || report.Delivered != 0 {
		t.Errorf("%+v", report)
	}
	if d := description(); d != "for production\n[do not touch]" || !strings.HasSuffix(state(fake)[0], "inactive") {
		t.Errorf("the description is %q, the state %s", d, state(fake)[0])
	}
	mustSync(t, tg, book(3, ecrHost))
	if user, password, _ := fake.Login(environment, ecrHost); user != "AWS" || password != token {
		t.Errorf("Rancher pulls with %s:%s", user, password)
	}
}

// TestLongDescription: there is no room for the record, and no text of others is cut.
func TestLongDescription(t *testing.T) {
	fake := newCattle(fakecattle.Options{})
	id := fake.AddCredential(environment, fake.AddRegistry(environment, ecrHost), "AWS", "old")
	fake.Change(id, map[string]string{"description": strings.Repeat("ü", 1000)})
	fake.AddCredential(environment, fake.AddRegistry(environment, "b.example.com"), "AWS", "old")
	report, err := target(fake, "/v1", nil).Sync(t.Context(), book(1, ecrHost, "b.example.com"), deliver.SyncOptions{})
	if regcred.CodeOf(err) != regcred.TooLarge || !strings.Contains(err.Error(), "shorten it by") || report.Changed != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestStoredAsURL: Rancher does not find such a registry itself.
func TestStoredAsURL(t *testing.T) {
	fake := newCattle(fakecattle.Options{})
	fake.AddCredential(environment, fake.AddRegistry(environment, "https://"+ecrHost), "AWS", "old")
	wantWarnings(t, mustSync(t, target(fake, "/v1", nil), book(1, ecrHost)), `is stored as "https://`+ecrHost+`", where Rancher does not find it`)
}

// TestRenewal: each renewal is one write, with the right body, and none is repeated.
func TestRenewal(t *testing.T) {
	fake := newCattle(fakecattle.Options{})
	fake.AddCredential(environment, fake.AddRegistry(environment, ecrHost), "AWS", "old")
	tg := target(fake, "/v1", nil)
	for revision := range uint64(3) {
		b := bookOf(revision+1, func(l *regcred.Login) { l.Password = regcred.NewSecret(fmt.Sprint("token-", revision)) }, ecrHost)
		for range 3 {
			mustSync(t, tg, b)
		}
		mustSync(t, target(fake, "/v1", nil), b) // a restart
		wantState(t, fake, fmt.Sprintf("1c1 %s AWS:token-%d active", ecrHost, revision))
	}
	if n := fake.Calls()[fakecattle.CallUpdate]; n != 3 {
		t.Errorf("%d writes, want 3", n)
	}
}

// TestUnseenEdit: a password that somebody changes without a trace is found out by
// nobody; the next login puts it right.
func TestUnseenEdit(t *testing.T) {
	fake := newCattle(fakecattle.Options{})
	id := fake.AddCredential(environment, fake.AddRegistry(environment, ecrHost), "AWS", "old")
	tg := target(fake, "/v1", nil)
	mustSync(t, tg, book(1, ecrHost))
	fake.Change(id, map[string]string{"secretValue": "edited"})
	if report := mustSync(t, tg, book(1, ecrHost)); report.Changed != 0 {
		t.Errorf("%+v", report)
	}
	mustSync(t, tg, bookOf(2, func(l *regcred.Login) { l.Password = regcred.NewSecret("next") }, ecrHost))
	wantState(t, fake, "1c1 "+ecrHost+" AWS:next active")
}
