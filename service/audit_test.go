package service_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"regcred.dev"
	"regcred.dev/catalog"
	"regcred.dev/keyring"
	"regcred.dev/service"
)

// brokenLog is a store whose audit log fails while it is broken.
type brokenLog struct {
	regcred.Store
	broken atomic.Bool
}

func (s *brokenLog) Audit(ctx context.Context, entries ...regcred.AuditEntry) error {
	if s.broken.Load() {
		return errors.New("the disk is full")
	}
	return s.Store.Audit(ctx, entries...)
}

// acts returns what the log says, but for times and guids.
func (b bench) acts() []string {
	b.Helper()
	entries, _, err := b.store.AuditLog(b.Context(), regcred.AuditQuery{Limit: 1000})
	if err != nil {
		b.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		outcome := "allowed"
		if !e.Allowed {
			outcome = "refused"
		}
		list = append(list, e.Caller+" "+outcome+" "+e.Operation+" "+e.Scope.String())
	}
	return list
}

// TestAudited: each change and each release is in the log once its caller has an answer,
// and so is each refusal.
func TestAudited(t *testing.T) {
	bubble(t, nil, func(b bench) {
		node := regcred.Caller{Name: "node", Role: regcred.RoleTarget, Scope: regcred.OrgScope("acme"), From: "192.0.2.1"}
		c := b.create("acme", "first-key")
		b.Update(b.Context(), regcred.Local, c.GUID, service.CredentialUpdate{})                                          //nolint:errcheck // the log is looked at
		b.Refresh(b.Context(), regcred.Local, c.GUID, false)                                                              //nolint:errcheck // as above
		b.Check(b.Context(), regcred.Local, c.GUID, "")                                                                   //nolint:errcheck // as above
		b.DockerConfig(b.Context(), node, regcred.OrgScope("acme"), keyring.Docker, keyring.RenderOptions{})              //nolint:errcheck // as above
		b.DockerConfig(b.Context(), node, regcred.OrgScope("other"), keyring.Docker, keyring.RenderOptions{})             //nolint:errcheck // as above
		b.KubeletLogin(b.Context(), node, host+"/app")                                                                    //nolint:errcheck // as above
		b.Delete(b.Context(), node, c.GUID)                                                                               //nolint:errcheck // as above
		b.Delete(b.Context(), regcred.Local, c.GUID)                                                                      //nolint:errcheck // as above
		b.CreateToken(b.Context(), regcred.Local, regcred.APIToken{Name: "ci", Role: regcred.RoleReader})                 //nolint:errcheck // as above
		b.DeleteToken(b.Context(), node, "x")                                                                             //nolint:errcheck // as above
		b.ConfirmTarget(b.Context(), regcred.Local, "none")                                                               //nolint:errcheck // as above
		b.Get(b.Context(), regcred.Caller{Name: "stranger", Role: regcred.RoleReader, Scope: regcred.OrgScope("o")}, "x") //nolint:errcheck // as above
		want := []string{
			"local allowed create credential organization acme",
			"local allowed update credential organization acme",
			"local allowed refresh credential organization acme",
			"local allowed check credential organization acme",
			"node allowed release logins organization acme",
			"node refused release logins organization other",
			"node allowed release login organization acme",
			"node refused delete credential organization acme",
			"local allowed delete credential organization acme",
			"local allowed create token foundation",
			"node refused delete token foundation",
			"local allowed confirm removals foundation",
			"stranger refused get credential foundation", // one that does not exist
		}
		if diff := cmp.Diff(want, b.acts()); diff != "" {
			b.Errorf("the log (-want +got):\n%s", diff)
		}
		if entries, _, err := b.store.AuditLog(b.Context(), regcred.AuditQuery{Callers: []string{"node"}, Limit: 1}); err != nil || entries[0].From != "192.0.2.1" || entries[0].Role != regcred.RoleTarget {
			b.Errorf("the node's entries: %+v, %v", entries, err)
		}
	})
}

// TestNoSecretInTheLog: what is given as a location may be anything.
func TestNoSecretInTheLog(t *testing.T) {
	bubble(t, nil, func(b bench) {
		for _, caller := range []regcred.Caller{regcred.Local, {Name: "node", Role: regcred.RoleTarget}} {
			_, err := b.CreateCredential(b.Context(), caller, service.NewCredential{
				Location: "https://user:canary-4711@" + host, Username: "u", Password: regcred.NewSecret("p"),
			})
			if err == nil {
				b.Error("a URL is a location")
			}
		}
		entries, _, err := b.store.AuditLog(b.Context(), regcred.AuditQuery{Limit: 10})
		if text := fmt.Sprintf("%+v", entries); err != nil || len(entries) != 2 || strings.Contains(text, "canary") {
			b.Errorf("%v, %s", err, text)
		}
	})
}

// TestForeignIsAsMissing: by answer and by log nobody tells a credential that he may not
// know of from one that does not exist.
func TestForeignIsAsMissing(t *testing.T) {
	bubble(t, nil, func(b bench) {
		stranger := regcred.Caller{Name: "stranger", Role: regcred.RoleReader, Scope: regcred.OrgScope("other")}
		foreign := b.create("acme", "first-key").GUID
		const missing = "00000000-0000-4000-8000-000000000000"
		answer := func(guid string) (texts [2]string) {
			_, getErr := b.Get(b.Context(), stranger, guid)
			for i, err := range []error{getErr, b.Delete(b.Context(), stranger, guid)} {
				texts[i] = string(regcred.CodeOf(err)) + strings.ReplaceAll(fmt.Sprint(err), guid, missing)
			}
			return texts
		}
		if diff := cmp.Diff(answer(missing), answer(foreign)); diff != "" {
			b.Errorf("answers (-missing +foreign):\n%s", diff)
		}
		if acts := b.acts(); len(acts) != 5 {
			b.Errorf("the log, of a creation and four refusals: %q", acts)
		}
	})
}

// TestRefusedAtLast: what shows to be for admins only once the settings are looked at is
// in the log as refused.
func TestRefusedAtLast(t *testing.T) {
	bubble(t, nil, func(b bench) {
		manager := regcred.Caller{Name: "manager", Role: regcred.RoleOrgManager, Scope: regcred.OrgScope("acme")}
		in := service.NewCredential{Scope: manager.Scope, Location: host, Provider: "issuer", Settings: map[string]regcred.Secret{"key": regcred.NewSecret("k")}}
		b.issuer.usesOf = func(c regcred.Credential) []string {
			if c.Secrets["key"].Reveal() == "servers-own" {
				return []string{"the server's own identity"}
			}
			return nil
		}
		c, err := b.CreateCredential(b.Context(), manager, in)
		if err != nil {
			b.Fatal(err)
		}
		own := regcred.NewSecret("servers-own")
		in.Location, in.Settings = "other.example.com", map[string]regcred.Secret{"key": own}
		_, createErr := b.CreateCredential(b.Context(), manager, in)
		up := service.CredentialUpdate{Settings: map[string]*regcred.Secret{"key": &own}}
		_, updateErr := b.Update(b.Context(), manager, c.GUID, up)
		up.Check = true
		_, checkedErr := b.Update(b.Context(), manager, c.GUID, up)
		for what, err := range map[string]error{"create": createErr, "update": updateErr, "checked update": checkedErr} {
			if regcred.CodeOf(err) != regcred.Denied {
				b.Errorf("%s: %v", what, err)
			}
		}
		const create, update = " create credential organization acme", " update credential organization acme"
		want := []string{
			"manager allowed" + create, "manager allowed" + create, "manager refused" + create,
			"manager allowed" + update, "manager refused" + update, "manager allowed" + update, "manager refused" + update,
		}
		if diff := cmp.Diff(want, b.acts()); diff != "" {
			b.Errorf("the log (-want +got):\n%s", diff)
		}
	})
}

// TestNothingWithoutTheLog: what cannot be recorded is not done.
func TestNothingWithoutTheLog(t *testing.T) {
	var log *brokenLog
	wrap := func(s regcred.Store) regcred.Store {
		log = &brokenLog{Store: s}
		return log
	}
	bubble(t, wrap, func(b bench) {
		c := b.create("acme", "first-key")
		log.broken.Store(true)
		_, createErr := b.CreateCredential(b.Context(), regcred.Local, service.NewCredential{Scope: regcred.OrgScope("x"), Location: host, Username: "u", Password: regcred.NewSecret("p")})
		_, _, tokenErr := b.CreateToken(b.Context(), regcred.Local, regcred.APIToken{Name: "ci", Role: regcred.RoleReader})
		rendered, configErr := b.DockerConfig(b.Context(), regcred.Local, regcred.OrgScope("acme"), keyring.Docker, keyring.RenderOptions{})
		login, loginErr := b.KubeletLogin(b.Context(), regcred.Caller{Role: regcred.RoleTarget, Scope: regcred.OrgScope("acme")}, host+"/app")
		for name, err := range map[string]error{"create": createErr, "token": tokenErr, "config": configErr, "login": loginErr, "delete": b.Delete(b.Context(), regcred.Local, c.GUID)} {
			if regcred.CodeOf(err) != regcred.Unavailable {
				b.Errorf("%s: %v", name, err)
			}
		}
		if len(rendered.Auths) > 0 || login.Login != nil {
			b.Error("a login was released")
		}
		log.broken.Store(false)
		if list, _, err := b.List(b.Context(), regcred.Local, catalog.Query{Limit: 10}); err != nil || len(list) != 1 || list[0].GUID != c.GUID {
			b.Errorf("credentials: %+v, %v", list, err)
		}
		if tokens, err := b.store.Tokens(b.Context()); err != nil || len(tokens) != 0 {
			b.Errorf("tokens: %+v, %v", tokens, err)
		}
	})
}

// TestReadsAreCounted: reads of one second are one entry, written within a second, also
// where the log fails for a while; the last ones when the server ends.
func TestReadsAreCounted(t *testing.T) {
	var log *brokenLog
	wrap := func(s regcred.Store) regcred.Store {
		log = &brokenLog{Store: s}
		return log
	}
	bubble(t, wrap, func(b bench) {
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.RunAudit(ctx, 24*time.Hour) }()
		reads := func() (counts []int) {
			entries, _, err := b.store.AuditLog(b.Context(), regcred.AuditQuery{Operations: []string{"resolve"}, Limit: 100})
			if err != nil {
				b.Fatal(err)
			}
			for _, e := range entries {
				counts = append(counts, e.Count)
			}
			return counts
		}
		resolve := func(n int) {
			for range n {
				if _, err := b.Resolve(b.Context(), regcred.Local, host+"/app", regcred.OrgScope("acme")); err != nil {
					b.Error(err)
				}
			}
		}
		resolve(3)
		if got := reads(); len(got) > 0 {
			b.Errorf("at once: %v", got)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		log.broken.Store(true)
		resolve(2)
		time.Sleep(3 * time.Second)
		resolve(1)
		synctest.Wait()
		if diff := cmp.Diff([]int{3}, reads()); diff != "" {
			b.Errorf("while the log fails: %s", diff)
		}
		log.broken.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		resolve(4)
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
		if diff := cmp.Diff([]int{3, 3, 4}, reads()); diff != "" {
			b.Errorf("in the end: %s", diff)
		}
	})
}

func TestOldEntriesGo(t *testing.T) {
	bubble(t, nil, func(b bench) {
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.RunAudit(ctx, 24*time.Hour) }()
		b.create("acme", "first-key")
		time.Sleep(23 * time.Hour)
		if n := len(b.acts()); n != 1 {
			b.Errorf("after 23 hours: %d entries", n)
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if n := len(b.acts()); n != 0 {
			b.Errorf("after 26 hours: %d entries", n)
		}
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
}

// TestOldEntriesGoAtStart: also where no server runs for an hour.
func TestOldEntriesGoAtStart(t *testing.T) {
	bubble(t, nil, func(b bench) {
		b.create("acme", "first-key")
		time.Sleep(25 * time.Hour)
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.RunAudit(ctx, 24*time.Hour) }()
		synctest.Wait()
		if acts := b.acts(); len(acts) != 0 {
			b.Errorf("after 25 hours: %q", acts)
		}
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
}

// TestNobodyFloodsTheLog: what one caller reads, or is refused, in a second is some
// entries and a number; others have theirs.
func TestNobodyFloodsTheLog(t *testing.T) {
	bubble(t, nil, func(b bench) {
		loop := regcred.Caller{Name: "loop", Role: regcred.RoleReader, Scope: regcred.OrgScope("acme")}
		for i := range 1000 {
			space := regcred.SpaceScope("acme", fmt.Sprint("space-", i))
			if _, err := b.Resolve(b.Context(), loop, host+"/app", space); err != nil {
				b.Fatal(err)
			}
			if _, err := b.Resolve(b.Context(), loop, host+"/app", regcred.OrgScope(fmt.Sprint("other-", i))); regcred.CodeOf(err) != regcred.Denied {
				b.Fatal(err)
			}
		}
		if _, err := b.Resolve(b.Context(), regcred.Local, host+"/app", regcred.OrgScope("acme")); err != nil {
			b.Fatal(err)
		}
		entries, _, err := b.AuditLog(b.Context(), regcred.Local, regcred.AuditQuery{Operations: []string{"resolve"}, Limit: 5000})
		if err != nil {
			b.Fatal(err)
		}
		counts := map[string]int{}
		for _, e := range entries {
			counts[e.Caller] += e.Count
		}
		if len(entries) > 300 || counts["loop"] != 2000 || counts["local"] != 1 {
			b.Errorf("%d entries, which count %v", len(entries), counts)
		}
	})
}
