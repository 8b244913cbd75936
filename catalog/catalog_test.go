package catalog_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"regcred.dev"
	"regcred.dev/catalog"
	"regcred.dev/imageref"
)

// genCredential draws one of few of everything, so that there are collisions.
func genCredential(t *rapid.T) regcred.Credential {
	scope := rapid.SampledFrom([]regcred.Scope{
		regcred.Foundation, regcred.OrgScope("a"), regcred.OrgScope("b"), regcred.SpaceScope("a", "x"),
		regcred.SpaceScope("b", "y"), regcred.AppScope("a", "x", "app"),
	}).Draw(t, "scope")
	location, err := imageref.ParseLocation(rapid.SampledFrom([]string{"one.example.com", "two.example.com/path"}).Draw(t, "location"))
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) time.Time {
		return time.Date(2026, 1, 1, 0, 0, rapid.IntRange(0, 5).Draw(t, name), 0, time.UTC)
	}
	return regcred.Credential{
		GUID: fmt.Sprint("guid-", rapid.IntRange(0, 12).Draw(t, "guid")), Scope: scope, Location: location, Provider: "static",
		Password: regcred.NewSecret("canary"), CreatedAt: at("created"), UpdatedAt: at("updated"),
		Labels: map[string]string{"n": fmt.Sprint(rapid.IntRange(0, 1).Draw(t, "label"))},
	}
}

func genQuery(t *rapid.T) catalog.Query {
	some := func(name string, values ...string) []string {
		if rapid.IntRange(0, 2).Draw(t, name+"?") > 0 {
			return nil
		}
		return rapid.SliceOfN(rapid.SampledFrom(values), 0, 3).Draw(t, name)
	}
	return catalog.Query{
		GUIDs: some("guids", "guid-0", "guid-1", "guid-2"), Orgs: some("orgs", "a", "b", "c"), Spaces: some("spaces", "x", "y"),
		Apps: some("apps", "app", "none"), Locations: some("locations", "one.example.com", "three.example.com"),
		Levels:  some("levels", "foundation", "organization", "space", "app"),
		Updated: rapid.Bool().Draw(t, "updated"), Newest: rapid.Bool().Draw(t, "newest"),
		Offset: rapid.IntRange(0, 4).Draw(t, "offset"), Limit: rapid.IntRange(1, 5).Draw(t, "limit"),
	}
}

// selectAll is what Select should say, found without an index.
func selectAll(state map[string]regcred.Credential, q catalog.Query) ([]string, int) {
	in := func(values []string, v string) bool { return values == nil || v != "" && slices.Contains(values, v) }
	var list []regcred.Credential
	for _, c := range state {
		if in(q.GUIDs, c.GUID) && in(q.Orgs, c.Scope.Org) && in(q.Spaces, c.Scope.Space) && in(q.Apps, c.Scope.App) &&
			in(q.Locations, c.Location.String()) && in(q.Levels, c.Scope.Level().String()) &&
			(q.May == nil || q.May(c.Scope)) && (q.Match == nil || q.Match(&c)) {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b regcred.Credential) int {
		order := a.CreatedAt.Compare(b.CreatedAt)
		if q.Updated && !a.UpdatedAt.Equal(b.UpdatedAt) {
			order = a.UpdatedAt.Compare(b.UpdatedAt)
		}
		if order == 0 {
			order = strings.Compare(a.GUID, b.GUID)
		}
		if q.Newest {
			return -order
		}
		return order
	})
	var page []string
	for i := q.Offset; i < min(q.Offset+q.Limit, len(list)); i++ {
		page = append(page, list[i].GUID)
	}
	return page, len(list)
}

// TestModel changes credentials at random, and compares lists with those of a plain
// map.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c catalog.Catalog
		state := map[string]regcred.Credential{}
		revision := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) {
				var batch regcred.Batch
				for range rapid.IntRange(0, 4).Draw(t, "changes") {
					change := regcred.Change{Credential: genCredential(t)}
					switch rapid.IntRange(0, 4).Draw(t, "kind") {
					case 0:
						change.Deleted = true
					case 1:
						change.Err = regcred.Errorf(regcred.Corrupt, "damaged")
					}
					if change.Deleted || change.Err != nil {
						delete(state, change.Credential.GUID)
					} else {
						state[change.Credential.GUID] = change.Credential
					}
					batch.Changes = append(batch.Changes, change)
				}
				revision++
				batch.Revision = revision
				c.Apply(batch)
			},
			"": func(t *rapid.T) {
				q := genQuery(t)
				if rapid.Bool().Draw(t, "may") {
					q.May = func(s regcred.Scope) bool { return s.Org != "b" }
				}
				if rapid.Bool().Draw(t, "match") {
					q.Match = func(c *regcred.Credential) bool { return c.Labels["n"] == "1" }
				}
				page, total := c.Select(q)
				var got []string
				for _, found := range page {
					got = append(got, found.GUID)
					if found.Password != (regcred.Secret{}) {
						t.Fatalf("%s has its password", found.GUID)
					}
					if diff := cmp.Diff(state[found.GUID].Labels, found.Labels); diff != "" {
						t.Fatalf("%s is an older one: %s", found.GUID, diff)
					}
				}
				want, wantTotal := selectAll(state, q)
				if diff := cmp.Diff(want, got); diff != "" || total != wantTotal {
					t.Fatalf("%+v: total %d, want %d (-want +got):\n%s", q, total, wantTotal, diff)
				}
				if c.Revision() != revision {
					t.Fatalf("revision %d, want %d", c.Revision(), revision)
				}
			},
		})
	})
}

// TestWhileChanging reads while credentials come and go: what a reader was handed does
// not change under it.
func TestWhileChanging(t *testing.T) {
	var c catalog.Catalog
	batch := func(revision uint64, deleted bool) regcred.Batch {
		b := regcred.Batch{Revision: revision}
		for i := range 50 {
			b.Changes = append(b.Changes, regcred.Change{Deleted: deleted, Credential: regcred.Credential{
				GUID: fmt.Sprint(i), Scope: regcred.OrgScope("a"), CreatedAt: time.Unix(int64(100-i)*int64(revision), 0), UpdatedAt: time.Unix(int64(revision), 0),
			}})
		}
		return b
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 500 {
				page, total := c.Select(catalog.Query{Orgs: []string{"a"}, Limit: 50})
				if len(page) != total || total != 0 && total != 50 {
					t.Errorf("%d of %d credentials", len(page), total)
				}
				if !slices.IsSortedFunc(page, func(a, b regcred.Credential) int { return a.CreatedAt.Compare(b.CreatedAt) }) {
					t.Error("not in order")
				}
			}
		})
	}
	for revision := range uint64(200) {
		c.Apply(batch(revision+1, revision%3 == 2))
	}
	wg.Wait()
}
