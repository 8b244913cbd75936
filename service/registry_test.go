package service_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/blob"
	"regcred.dev/registry/crane"
	"regcred.dev/service"
	"regcred.dev/store/memory"
)

// noCrane is Crane's directory that has what our own registry has.
type noCrane struct{ names []string }

func (noCrane) Status() crane.Status                         { return crane.Status{Path: "/var/lib/crane", V1: 2} }
func (c noCrane) Shadowed(context.Context) ([]string, error) { return c.names, nil }

// upkeep is a Service with a registry alone.
type upkeep struct {
	*service.Service
	t       *testing.T
	blobs   registry.Blobs
	storage *registry.Storage
	store   *brokenLog
}

func newUpkeep(t *testing.T, policy ...registry.Rule) upkeep {
	t.Helper()
	dir, err := blob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dir.Close(); err != nil {
			t.Error(err)
		}
	})
	u := upkeep{t: t, blobs: dir, storage: registry.NewStorage(dir, registry.StorageOptions{Policy: policy}), store: &brokenLog{Store: memory.New()}}
	u.Service = service.New(service.Options{
		Store: u.store, Images: service.Images{Storage: u.storage, Where: "memory", Crane: noCrane{[]string{"acme/app"}}},
	})
	return u
}

const indexType = "application/vnd.oci.image.index.v1+json"

// push points a tag at an image index that is empty but for a note.
func (u upkeep) push(repo, tag, note string) digest.Digest {
	u.t.Helper()
	data := []byte(`{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[],"annotations":{"note":"` + note + `"}}`)
	desc, err := u.storage.PushManifest(u.t.Context(), repo, tag, data, indexType)
	if err != nil {
		u.t.Fatal(err)
	}
	return desc.Digest
}

var auditor = regcred.Caller{Name: "auditor", Role: regcred.RoleAuditor}

// upkeepOperations are all operations on a registry with acme/app:1, which has a history.
func upkeepOperations(u upkeep, d digest.Digest) map[string]struct {
	write bool
	do    func(regcred.Caller) error
} {
	ctx := u.t.Context()
	type op = struct {
		write bool
		do    func(regcred.Caller) error
	}
	return map[string]op{
		"list repositories":        {false, func(c regcred.Caller) error { _, _, err := u.Repositories(ctx, c, 0, 10); return err }},
		"list tags":                {false, func(c regcred.Caller) error { _, err := u.Tags(ctx, c, "acme/app"); return err }},
		"read tag history":         {false, func(c regcred.Caller) error { _, err := u.TagHistory(ctx, c, "acme/app", "1"); return err }},
		"look for garbage":         {false, func(c regcred.Caller) error { _, err := u.Collect(ctx, c, true, false); return err }},
		"check registry":           {false, func(c regcred.Caller) error { _, err := u.CheckRegistry(ctx, c, true); return err }},
		"list registry operations": {false, func(c regcred.Caller) error { _, err := u.Operations(ctx, c); return err }},
		"read registry statistics": {false, func(c regcred.Caller) error {
			_, err := u.RegistryStatistics(ctx, c, time.Now(), time.Now())
			return err
		}},
		"roll back tag":   {true, func(c regcred.Caller) error { _, err := u.Rollback(ctx, c, "acme/app", "1", ""); return err }},
		"delete tag":      {true, func(c regcred.Caller) error { return u.DeleteTag(ctx, c, "acme/app", "2") }},
		"delete manifest": {true, func(c regcred.Caller) error { return u.DeleteManifest(ctx, c, "acme/app", d) }},
		"collect garbage": {true, func(c regcred.Caller) error { _, err := u.Collect(ctx, c, false, true); return err }},
	}
}

// TestUpkeepAllowed: admins may do all, auditors read, nobody else anything; each
// operation is in the audit log, and a change that cannot be there is not made.
func TestUpkeepAllowed(t *testing.T) {
	u := newUpkeep(t)
	u.push("acme/app", "1", "a")
	u.push("acme/app", "1", "b")
	u.push("acme/app", "2", "b")
	d := u.push("acme/app", "3", "c")
	others := []regcred.Caller{
		{}, {Name: "pusher", Role: regcred.RolePusher}, {Name: "user", Role: regcred.RoleUser}, {Name: "reader", Role: regcred.RoleReader},
		{Name: "admin of acme", Role: regcred.RoleAdmin, Scope: regcred.OrgScope("acme")},
		{Name: "who reads as an admin", Role: regcred.RoleAdmin, ReadOnly: true},
	}
	var want []string
	for name, op := range upkeepOperations(u, d) {
		for _, c := range others {
			code := "denied"
			if c.Role == "" {
				code = "unauthenticated"
			}
			if got := codeOf(op.do(c)); got != code {
				t.Errorf("%s by %q: %s", name, c.Name, got)
			}
			want = append(want, "refused "+c.Name+" "+name)
		}
		code, outcome := "done", "allowed"
		if op.write {
			code, outcome = "denied", "refused"
		}
		if got := codeOf(op.do(auditor)); got != code {
			t.Errorf("%s by an auditor: %s", name, got)
		}
		want = append(want, outcome+" auditor "+name)
		if op.write {
			u.store.broken.Store(true)
			if got := codeOf(op.do(regcred.Local)); got != "unavailable" {
				t.Errorf("%s without the audit log: %s", name, got)
			}
			u.store.broken.Store(false)
		}
		if err := op.do(regcred.Local); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		want = append(want, "allowed local "+name)
	}
	entries, _, err := u.AuditLog(t.Context(), regcred.Local, regcred.AuditQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	logged := map[string]bool{}
	for _, e := range entries {
		outcome := "refused "
		if e.Allowed {
			outcome = "allowed "
		}
		logged[outcome+e.Caller+" "+e.Operation] = true
	}
	for _, entry := range want {
		if !logged[entry] {
			t.Errorf("not in the audit log: %s", entry)
		}
	}
}

// TestUpkeep follows a tag through its changes.
func TestUpkeep(t *testing.T) {
	u := newUpkeep(t, registry.Rule{Pattern: "acme/fixed", Immutable: []string{"v*"}})
	ctx, admin := t.Context(), regcred.Local
	a := u.push("acme/app", "1", "a")
	b := u.push("acme/app", "1", "b")
	u.push("acme/fixed", "v1", "c")
	u.push("other", "1", "d")
	var names []string
	for offset := range 4 {
		list, total, err := u.Repositories(ctx, admin, offset, 1)
		if err != nil || total != 3 {
			t.Errorf("%d, %v", total, err)
		}
		for _, r := range list {
			names = append(names, r.Name)
		}
	}
	if diff := cmp.Diff([]string{"acme/app", "acme/fixed", "other"}, names); diff != "" {
		t.Error(diff)
	}
	if d, err := u.Rollback(ctx, admin, "acme/app", "1", ""); d != a || err != nil {
		t.Errorf("rolled back to %s, %v", d, err)
	}
	if d, err := u.Rollback(ctx, admin, "acme/app", "1", b); d != b || err != nil {
		t.Errorf("rolled back to %s, %v", d, err)
	}
	history, err := u.TagHistory(ctx, admin, "acme/app", "1")
	if err != nil || len(history) != 4 || history[0].Digest != b {
		t.Errorf("%+v, %v", history, err)
	}
	for what, test := range map[string]struct {
		err  error
		code regcred.Code
		want string
	}{
		"no tag":           {u.DeleteTag(ctx, admin, "acme/app", "9"), regcred.NotFound, "acme/app:9: the repository has no such tag"},
		"no repository":    {u.DeleteTag(ctx, admin, "acme/none", "9"), regcred.NotFound, "acme/none:9: the registry has no such repository"},
		"a host":           {u.DeleteTag(ctx, admin, "r.example.com:5000/app", "9"), regcred.Invalid, "without a registry's host"},
		"no digest":        {u.DeleteManifest(ctx, admin, "acme/app", "x"), regcred.Invalid, "this is no digest"},
		"immutable":        {u.DeleteTag(ctx, admin, "acme/fixed", "v1"), regcred.Denied, "immutable"},
		"no such digest":   {second(u.Rollback(ctx, admin, "acme/app", "1", digest.FromString("x"))), regcred.NotFound, "can be rolled back to"},
		"nothing to go to": {second(u.Rollback(ctx, admin, "other", "1", "")), regcred.NotFound, "can be rolled back to"},
		"no history":       {second(u.TagHistory(ctx, admin, "other", "2")), regcred.NotFound, "other:2"},
		"no tags":          {second(u.Tags(ctx, admin, "none")), regcred.NotFound, "none: "},
	} {
		if regcred.CodeOf(test.err) != test.code || !strings.Contains(regcred.MessageOf(test.err), test.want) {
			t.Errorf("%s: %v", what, test.err)
		}
	}
	if err := u.DeleteManifest(ctx, admin, "acme/app", b); err != nil {
		t.Error(err)
	}
	if tags, err := u.Tags(ctx, admin, "acme/app"); err != nil || len(tags) != 0 {
		t.Errorf("%+v, %v", tags, err)
	}
}

func second[T any](_ T, err error) error { return err }

// TestCheckRegistry finds what is lost, and what nobody needs.
func TestCheckRegistry(t *testing.T) {
	u := newUpkeep(t)
	ctx := t.Context()
	lost := u.push("acme/app", "1", "a")
	garbage := u.push("acme/app", "2", "b")
	if err := u.storage.DeleteManifest(ctx, "acme/app", garbage); err != nil {
		t.Fatal(err)
	}
	for info, err := range u.blobs.List(ctx, "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(info.Key, "blobs/") && strings.HasSuffix(info.Key, lost.Encoded()) {
			if err := u.blobs.Delete(ctx, info.Key, registry.Condition{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	op, err := u.CheckRegistry(ctx, regcred.Local, false)
	if err != nil {
		t.Fatal(err)
	}
	r := u.outcome(regcred.Local, op).Report
	var found []string
	for _, p := range r.Problems {
		found = append(found, string(p.Kind)+" "+p.Digest.String())
	}
	if diff := cmp.Diff([]string{"content-missing " + lost.String(), "garbage " + garbage.String()}, found); diff != "" || r.Lost != 1 || r.Harmless != 1 {
		t.Errorf("%d lost, %d harmless: %s", r.Lost, r.Harmless, diff)
	}
	if diff := cmp.Diff([]string{"acme/app"}, r.Shadowed); diff != "" {
		t.Error(diff)
	}
}

// TestDetailsAreBounded: while reads wait for the log, no more of a name is kept than the
// log has of it.
func TestDetailsAreBounded(t *testing.T) {
	u := newUpkeep(t)
	for _, end := range []string{"a", "b"} {
		if _, err := u.Tags(t.Context(), auditor, strings.Repeat("x", regcred.MaxAuditText)+end); err == nil {
			t.Error("a name of a thousand characters has tags")
		}
	}
	log, _, err := u.AuditLog(t.Context(), auditor, regcred.AuditQuery{Operations: []string{"list tags"}, Limit: 10})
	if err != nil || len(log) != 1 || log[0].Count != 2 {
		t.Errorf("%d entries, %v", len(log), err)
	}
}
