package regcredtest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"regcred.dev"
)

func testCreate(t *testing.T, s regcred.Store) {
	before := time.Now().Round(0)
	want := full()
	got := create(t, s, want)
	if got.GUID == "" || got.Version != 1 || got.Revision == 0 || !got.UpdatedAt.Equal(got.CreatedAt) ||
		got.CreatedAt.Before(before) || got.CreatedAt.After(time.Now()) || got.CreatedAt.Location() != time.UTC {
		t.Errorf("the store set %q, version %d, revision %d, %v, %v", got.GUID, got.Version, got.Revision, got.CreatedAt, got.UpdatedAt)
	}
	want.GUID, want.Version, want.Revision = got.GUID, got.Version, got.Revision
	want.CreatedAt, want.UpdatedAt = got.CreatedAt, got.UpdatedAt
	wantEqual(t, "Create", got, want)
	wantEqual(t, "Get", get(t, s, got.GUID), want)

	c := static(regcred.Foundation, "quay.io")
	c.GUID, c.Version, c.Revision, c.CreatedAt = "chosen", 77, 99, time.Unix(1, 0)
	c.Settings = map[string]string{}
	got = create(t, s, c)
	if got.GUID != "chosen" || got.Version != 1 || got.Revision == 99 || got.CreatedAt.Before(before) {
		t.Errorf("with a guid of its own: %q, version %d, revision %d, %v", got.GUID, got.Version, got.Revision, got.CreatedAt)
	}
	wantEqual(t, "Get", get(t, s, "chosen"), got)
	_, err := s.Get(t.Context(), "nobody")
	wantCode(t, "Get of none", err, regcred.NotFound, "nobody")
}

func testCreateInvalid(t *testing.T, s regcred.Store) {
	tests := []struct {
		name   string
		change func(*regcred.Credential)
	}{
		{"a space without its organization", func(c *regcred.Credential) { c.Scope = regcred.Scope{Space: "dev"} }},
		{"no provider", func(c *regcred.Credential) { c.Provider = "" }},
		{"static without a location", func(c *regcred.Credential) { c.Location = location("") }},
		{"a location of many owners", func(c *regcred.Credential) { c.Location = location("amazonaws.com") }},
		{"a guid that cannot be printed", func(c *regcred.Credential) { c.GUID = "a\nb" }},
		{"a username that is no text", func(c *regcred.Credential) { c.Username = "\xff" }},
		{"a setting that is no text", func(c *regcred.Credential) { c.Settings = map[string]string{"x": "\xff"} }},
		{"a label that is no text", func(c *regcred.Credential) { c.Labels = map[string]string{"\xff": ""} }},
	}
	for _, test := range tests {
		c := static(regcred.OrgScope("acme"), "quay.io")
		test.change(&c)
		_, err := s.Create(t.Context(), c)
		wantCode(t, test.name, err, regcred.Invalid)
	}
	if list, err := s.List(t.Context(), regcred.Filter{}); err != nil || len(list) != 0 {
		t.Errorf("a refused credential is there: %v, %v", list, err)
	}
}

func testCreateExists(t *testing.T, s regcred.Store) {
	scope := regcred.SpaceScope("acme", "dev")
	first := create(t, s, static(scope, "quay.io/acme"))
	_, err := s.Create(t.Context(), static(scope, "quay.io/acme"))
	wantCode(t, "the same scope and location", err, regcred.Exists, first.GUID, "quay.io/acme", "space acme/dev")

	again := static(scope, "quay.io")
	again.GUID = first.GUID
	_, err = s.Create(t.Context(), again)
	wantCode(t, "the same guid", err, regcred.Exists, first.GUID)
	wantEqual(t, "the first one", get(t, s, first.GUID), first)

	for _, elsewhere := range []regcred.Scope{regcred.Foundation, scope.Parent(), regcred.AppScope("acme", "dev", "web")} {
		create(t, s, static(elsewhere, "quay.io/acme"))
	}
	for range 2 {
		create(t, s, regcred.Credential{Scope: scope, Provider: "vendor"})
	}
}

// testRoundTrip stores credentials and logins of any text and any secret bytes.
func testRoundTrip(t *testing.T, s regcred.Store) {
	fence := newFence(t, s)
	texts := rapid.MapOfN(rapid.String(), rapid.String(), 0, 3)
	secret := rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 40), func(b []byte) regcred.Secret { return regcred.NewSecret(string(b)) })
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "zero") {
			return time.Time{}
		}
		return time.Unix(rapid.Int64Range(-60e9, 250e9).Draw(t, "seconds"), rapid.Int64Range(0, 999999999).Draw(t, "nanoseconds"))
	})
	rapid.Check(t, func(rt *rapid.T) {
		c, err := s.Create(t.Context(), regcred.Credential{
			Provider: "vendor", Spelling: rapid.String().Draw(rt, "spelling"), Username: rapid.String().Draw(rt, "username"),
			Password: secret.Draw(rt, "password"), Origin: rapid.String().Draw(rt, "origin"),
			Settings: texts.Draw(rt, "settings"), Labels: texts.Draw(rt, "labels"), Annotations: texts.Draw(rt, "annotations"),
			Secrets: rapid.MapOfN(rapid.String(), secret, 0, 3).Draw(rt, "secrets"),
		})
		if err != nil {
			rt.Fatalf("Create: %v", err)
		}
		got, err := s.Get(t.Context(), c.GUID)
		if err != nil {
			rt.Fatalf("Get: %v", err)
		}
		wantEqual(t, "Get", got, c)

		l := regcred.Login{
			Username: string(rapid.SliceOf(rapid.Byte()).Draw(rt, "login")), Password: secret.Draw(rt, "token"),
			Hosts:    rapid.SliceOfN(rapid.String(), 0, 3).Draw(rt, "hosts"),
			MintedAt: moment.Draw(rt, "minted"), ExpiresAt: moment.Draw(rt, "expires"), RenewableAt: moment.Draw(rt, "renewable"), Version: 1,
		}
		if len(l.Hosts) == 0 {
			l.Hosts = nil
		}
		if _, err := s.PutLogin(t.Context(), c.GUID, l, fence); err != nil {
			rt.Fatalf("PutLogin: %v", err)
		}
		stored, err := s.Login(t.Context(), c.GUID)
		if err != nil {
			rt.Fatalf("Login: %v", err)
		}
		wantEqual(t, "Login", stored, l)
		if stored.ExpiresAt.IsZero() != l.ExpiresAt.IsZero() || stored.ExpiresAt.Location() != time.UTC {
			rt.Fatalf("%v was stored as %v", l.ExpiresAt, stored.ExpiresAt)
		}
	})
}

// testNothingShared changes maps and slices that went in and came out.
func testNothingShared(t *testing.T, s regcred.Store) {
	in := full()
	c := create(t, s, in)
	l := login(1)
	putLogin(t, s, c.GUID, l, newFence(t, s))
	want := get(t, s, c.GUID).Clone()
	watcher := watch(t, s, 0)
	seen := watcher.next()
	for _, other := range []regcred.Credential{in, c, get(t, s, c.GUID), seen.Changes[0].Credential} {
		other.Settings["region"], other.Labels["team"], other.Annotations["note"] = "changed", "changed", "changed"
		if other.Secrets != nil {
			other.Secrets["key"] = regcred.NewSecret("changed")
		}
	}
	l.Hosts[0], seen.Changes[0].Login.Hosts[1] = "changed", "changed"
	wantEqual(t, "the credential after a copy changed", get(t, s, c.GUID), want)
	stored, err := s.Login(t.Context(), c.GUID)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "the login after a copy changed", stored, login(1))
}

func testList(t *testing.T, s regcred.Store) {
	acme, other := regcred.OrgScope("acme"), regcred.OrgScope("other")
	config := static(acme, "c.example.com")
	config.Origin = regcred.OriginConfig
	var all []regcred.Credential
	for _, c := range []regcred.Credential{
		static(acme, "z.example.com"), static(other, "z.example.com"), config, static(regcred.Foundation, "a.example.com"), full(),
	} {
		all = append(all, create(t, s, c))
	}
	gone := create(t, s, static(other, "gone.example.com"))
	remove(t, s, gone.GUID)
	// A change must not move a credential in the order of age.
	all[0] = update(t, s, all[0].GUID, func(c *regcred.Credential) { c.Labels = map[string]string{"a": "b"} })

	tests := []struct {
		name   string
		filter regcred.Filter
		want   []int
	}{
		{"all", regcred.Filter{}, []int{0, 1, 2, 3, 4}},
		{"empty slices", regcred.Filter{GUIDs: []string{}, Scopes: []regcred.Scope{}}, []int{0, 1, 2, 3, 4}},
		{"guids", regcred.Filter{GUIDs: []string{all[3].GUID, all[1].GUID, "nobody", gone.GUID}}, []int{1, 3}},
		{"scopes", regcred.Filter{Scopes: []regcred.Scope{other, regcred.Foundation}}, []int{1, 3}},
		{"a scope does not hold those within", regcred.Filter{Scopes: []regcred.Scope{regcred.SpaceScope("acme", "dev")}}, nil},
		{"locations", regcred.Filter{Locations: []string{"z.example.com", "registry.example.com:5000/team/app"}}, []int{0, 1, 4}},
		{"origin", regcred.Filter{Origin: regcred.OriginConfig}, []int{2}},
		{"and", regcred.Filter{Scopes: []regcred.Scope{acme}, Locations: []string{"z.example.com"}, Origin: regcred.OriginAPI}, []int{0}},
		{"none", regcred.Filter{GUIDs: []string{"'; DROP TABLE credentials; --"}}, nil},
	}
	for _, test := range tests {
		got, err := s.List(t.Context(), test.filter)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		want := make([]regcred.Credential, len(test.want))
		for i, n := range test.want {
			want[i] = all[n].Public()
		}
		wantEqual(t, test.name, append([]regcred.Credential{}, got...), want)
	}
}

func testUpdate(t *testing.T, s regcred.Store) {
	tests := []struct {
		name    string
		change  func(*regcred.Credential)
		version uint64 // by how much it grows
	}{
		{"label", func(c *regcred.Credential) { c.Labels = map[string]string{"x": "y"} }, 0},
		{"annotation", func(c *regcred.Credential) { c.Annotations["note"] = "" }, 0},
		{"spelling", func(c *regcred.Credential) { c.Spelling = "other" }, 0},
		{"origin", func(c *regcred.Credential) { c.Origin = regcred.OriginConfig }, 0},
		{"username", func(c *regcred.Credential) { c.Username = "other" }, 1},
		{"password", func(c *regcred.Credential) { c.Password = regcred.NewSecret("other") }, 1},
		{"provider", func(c *regcred.Credential) { c.Provider = "other" }, 1},
		{"setting", func(c *regcred.Credential) { c.Settings["region"] = "other" }, 1},
		{"no settings", func(c *regcred.Credential) { c.Settings = nil }, 1},
		{"secret", func(c *regcred.Credential) { c.Secrets["key"] = regcred.NewSecret("other") }, 1},
	}
	c := create(t, s, full())
	for _, test := range tests {
		before := get(t, s, c.GUID)
		want := before.Clone()
		test.change(&want)
		got := update(t, s, c.GUID, test.change)
		if got.UpdatedAt.Before(before.UpdatedAt) {
			t.Errorf("%s: updated at %v, before %v", test.name, got.UpdatedAt, before.UpdatedAt)
		}
		want.Version, want.Revision, want.UpdatedAt = before.Version+test.version, before.Revision+1, got.UpdatedAt
		wantEqual(t, test.name, got, want)
		wantEqual(t, test.name+", read again", get(t, s, c.GUID), want)
	}
	before := get(t, s, c.GUID)
	for name, change := range map[string]func(*regcred.Credential){
		"nothing": func(*regcred.Credential) {},
		"what the store sets": func(c *regcred.Credential) {
			c.Version, c.Revision, c.UpdatedAt = 99, 99, time.Time{}
		},
		"an empty map": func(c *regcred.Credential) { c.Settings = map[string]string{} },
	} {
		wantEqual(t, name, update(t, s, c.GUID, change), before)
		wantEqual(t, name+", read again", get(t, s, c.GUID), before)
	}
}

func testUpdateRefused(t *testing.T, s regcred.Store) {
	c := create(t, s, full())
	for name, change := range map[string]func(*regcred.Credential){
		"guid":     func(c *regcred.Credential) { c.GUID = "other" },
		"scope":    func(c *regcred.Credential) { c.Scope = regcred.Foundation },
		"location": func(c *regcred.Credential) { c.Location = location("other.example.com") },
		"creation": func(c *regcred.Credential) { c.CreatedAt = c.CreatedAt.Add(1) },
	} {
		_, err := s.Update(t.Context(), c.GUID, func(c *regcred.Credential) error {
			c.Username = "half"
			change(c)
			return nil
		})
		wantCode(t, name, err, regcred.Invalid, c.GUID, name)
	}
	_, err := s.Update(t.Context(), c.GUID, func(c *regcred.Credential) error { c.Provider = ""; return nil })
	wantCode(t, "no provider", err, regcred.Invalid)

	mine := errors.New("mine")
	if _, err := s.Update(t.Context(), c.GUID, func(c *regcred.Credential) error { c.Username = "half"; return mine }); !errors.Is(err, mine) {
		t.Errorf("an error of change came back as %v", err)
	}
	wantEqual(t, "after refused updates", get(t, s, c.GUID), c)

	_, err = s.Update(t.Context(), "nobody", func(*regcred.Credential) error { t.Error("called for none"); return nil })
	wantCode(t, "Update of none", err, regcred.NotFound, "nobody")
}

func testUpdateLocation(t *testing.T, s regcred.Store) {
	scope := regcred.OrgScope("acme")
	taken := create(t, s, static(scope, "taken.example.com"))
	c := create(t, s, regcred.Credential{Scope: scope, Provider: "vendor"})
	_, err := s.Update(t.Context(), c.GUID, func(c *regcred.Credential) error { c.Location = taken.Location; return nil })
	wantCode(t, "a location that is taken", err, regcred.Exists, taken.GUID, "taken.example.com", "organization acme")
	wantEqual(t, "after that", get(t, s, c.GUID), c)

	got := update(t, s, c.GUID, func(c *regcred.Credential) { c.Location = location("found.example.com") })
	if got.Version != 1 || got.Revision != c.Revision+1 || got.Location != location("found.example.com") {
		t.Errorf("the location was found: %v, version %d, revision %d", got.Location, got.Version, got.Revision)
	}
	_, err = s.Create(t.Context(), static(scope, "found.example.com"))
	wantCode(t, "a location that was found", err, regcred.Exists, c.GUID)
}

// testUpdateConcurrently loses none of many small changes.
func testUpdateConcurrently(t *testing.T, s regcred.Store) {
	c := create(t, s, static(regcred.Foundation, "quay.io"))
	const writers, each = 4, 10
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				_, err := s.Update(t.Context(), c.GUID, func(c *regcred.Credential) error { c.Username += "x"; return nil })
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got := get(t, s, c.GUID)
	if len(got.Username) != len(c.Username)+writers*each || got.Version != 1+writers*each || got.Revision != c.Revision+writers*each {
		t.Errorf("%d updates gave %q, version %d, revision %d", writers*each, got.Username, got.Version, got.Revision)
	}
}

func testDelete(t *testing.T, s regcred.Store) {
	c := create(t, s, full())
	put := putLogin(t, s, c.GUID, login(1), newFence(t, s))
	if revision := remove(t, s, c.GUID); revision != put+1 {
		t.Errorf("deleted at revision %d, after %d", revision, put)
	}
	_, err := s.Get(t.Context(), c.GUID)
	wantCode(t, "Get", err, regcred.NotFound, c.GUID)
	_, err = s.Delete(t.Context(), c.GUID)
	wantCode(t, "Delete again", err, regcred.NotFound, c.GUID)
	_, err = s.Login(t.Context(), c.GUID)
	wantCode(t, "Login", err, regcred.NotFound, c.GUID)
	_, err = s.DropLogin(t.Context(), c.GUID)
	wantCode(t, "DropLogin", err, regcred.NotFound, c.GUID)
	_, err = s.Update(t.Context(), c.GUID, func(*regcred.Credential) error { return nil })
	wantCode(t, "Update", err, regcred.NotFound, c.GUID)
	if next := create(t, s, full()); next.GUID == c.GUID {
		t.Error("a guid was used again")
	}
}

// testCreateAgain gives a deleted credential's guid to a new one. Its versions go
// on, so that a login minted from the deleted one is of no use.
func testCreateAgain(t *testing.T, s regcred.Store) {
	declared := static(regcred.Foundation, "quay.io")
	declared.GUID = "declared"
	old := create(t, s, declared)
	remove(t, s, old.GUID)
	again := create(t, s, declared)
	if again.Version != old.Version+1 || again.Revision != old.Revision+2 {
		t.Errorf("created again with version %d, revision %d", again.Version, again.Revision)
	}
	_, err := s.PutLogin(t.Context(), old.GUID, login(old.Version), newFence(t, s))
	wantCode(t, "a login of the deleted one", err, regcred.Stale)
	batch := watch(t, s, 0).next()
	want := []regcred.Change{{Revision: again.Revision, Credential: again.Public()}}
	wantEqual(t, "Watch", batch.Changes, want)
}
