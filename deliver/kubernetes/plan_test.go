package kubernetes

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
)

func TestNamespacesMatch(t *testing.T) {
	for _, test := range []struct {
		namespaces Namespaces
		name       string
		labels     labels.Set
		want       bool
	}{
		{Namespaces{}, "shop", nil, true},
		{Namespaces{}, "kube-system", nil, false},
		{Namespaces{Exclude: []string{"*-test"}}, "kube-public", nil, false},
		{Namespaces{Exclude: []string{"*-test"}}, "shop-test", nil, false},
		{Namespaces{Exclude: []string{"*-test"}}, "shop", nil, true},
		{Namespaces{Include: []string{"kube-*"}}, "kube-system", nil, true},
		{Namespaces{Include: []string{"app-*", "shop"}}, "app-1", nil, true},
		{Namespaces{Include: []string{"app-*", "shop"}}, "shop", nil, true},
		{Namespaces{Include: []string{"app-*", "shop"}}, "shops", nil, false},
		{Namespaces{Include: []string{"app-*"}, Exclude: []string{"app-1"}}, "app-1", nil, false},
		{Namespaces{Selector: "team=a,env!=dev"}, "x", labels.Set{"team": "a"}, true},
		{Namespaces{Selector: "team=a,env!=dev"}, "x", labels.Set{"team": "a", "env": "dev"}, false},
		{Namespaces{Selector: "team=a"}, "kube-system", labels.Set{"team": "a"}, true},
		{Namespaces{Selector: "team=a", Include: []string{"app-*"}}, "shop", labels.Set{"team": "a"}, false},
		{Namespaces{Selector: "team=a", Also: []string{"deis"}}, "deis", nil, true},
		// The project of Rancher 2.x that a namespace is in (docs/rancher.md).
		{Namespaces{Selector: "field.cattle.io/projectId=p-ijklm"}, "x", labels.Set{"field.cattle.io/projectId": "p-ijklm"}, true},
		{Namespaces{Selector: "field.cattle.io/projectId=p-ijklm"}, "x", labels.Set{"field.cattle.io/projectId": "p-other"}, false},
	} {
		o := Options{Namespaces: test.namespaces}
		o.setDefaults()
		if err := o.check(); err != nil {
			t.Fatal(err)
		}
		if got := o.selected.matches(test.name, test.labels); got != test.want {
			t.Errorf("%+v, %s with %v: %v", test.namespaces, test.name, test.labels, got)
		}
	}
}

func TestOrder(t *testing.T) {
	q := newQueue()
	defer q.ShutDown()
	for _, name := range []string{"a", "b", "c", "d"} {
		q.Add(name)
	}
	q.hurry("new")
	q.hurry("c") // it waits already
	q.hurry("c")
	q.Add("b")
	if diff := cmp.Diff([]string{"new", "c", "a", "b", "d"}, drain(q)); diff != "" {
		t.Error(diff)
	}
	q.Add("a")
	q.hurry("a")
	if name, _ := q.Get(); name != "a" || q.Len() != 0 {
		t.Errorf("got %s, and %d are left", name, q.Len())
	}
	q.hurry("a") // it is being seen to
	q.add("late", rank{classPass, 2})
	q.add("revoked", rank{})
	q.add("early", rank{classPass, 1})
	q.add("late", rank{classPass, 3}) // which is no reason to come later
	q.add("later", rank{classPass, 3})
	q.add("d", rank{classPass, 4})
	q.add("d", rank{}) // it waits already
	q.Done("a")
	if diff := cmp.Diff([]string{"revoked", "d", "a", "early", "late", "later"}, drain(q)); diff != "" {
		t.Error(diff)
	}
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		defer q.ShutDown()
		q.Add("a")
		q.addAfter("revoked", rank{}, time.Minute)
		q.addAfter("b", rank{class: classPass}, 0)
		time.Sleep(time.Hour)
		synctest.Wait()
		if diff := cmp.Diff([]string{"revoked", "a", "b"}, drain(q)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestNewsStarveNobody: where something happens all the time, others come too; what must
// not be used any more goes before them.
func TestNewsStarveNobody(t *testing.T) {
	q := newQueue()
	defer q.ShutDown()
	q.add("first", rank{classPass, 1})
	q.add("second", rank{classPass, 2})
	for i := range 5 {
		q.add(fmt.Sprint("revoked-", i), rank{})
	}
	var got []string
	for i := range 13 {
		q.hurry(fmt.Sprint("news-", i%7)) // seven namespaces in which somebody is at work
		name, _ := q.Get()
		got = append(got, name)
		q.Done(name)
	}
	want := []string{
		"revoked-0", "revoked-1", "revoked-2", "revoked-3", "revoked-4",
		"news-0", "news-1", "news-2", "first", "news-3", "news-4", "news-5", "second",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// drain returns what waits, in order.
func drain(q *queue) []string {
	var names []string
	for q.Len() > 0 {
		name, _ := q.Get()
		names = append(names, name)
		q.Done(name)
	}
	return names
}

// TestQuarrel: a few repairs are free, more wait longer and longer, for one book, and
// all is forgotten after a while.
func TestQuarrel(t *testing.T) {
	b, now := book(nil), time.Now()
	var q quarrel
	for n := range freeRepairs + 1 {
		if wait := q.wait(now, b); wait != 0 {
			t.Fatalf("repair %d waits %s", n, wait)
		}
		q = q.repaired(now, b)
	}
	for _, want := range []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond} {
		if wait := q.wait(now, b); wait != want {
			t.Errorf("after %d repairs it waits %s, want %s", q.repairs, wait, want)
		}
		if wait := q.wait(now.Add(want), b); wait != 0 {
			t.Errorf("after %d repairs and that time it waits %s", q.repairs, wait)
		}
		q = q.repaired(now, b)
	}
	for range 100 {
		q = q.repaired(now, b)
	}
	if wait := q.wait(now, b); wait != lastQuarrel {
		t.Errorf("at last it waits %s", wait)
	}
	if q.wait(now, book(nil)) != 0 || q.wait(now.Add(peace+1), b) != 0 {
		t.Error("another book, or one after a while, waits")
	}
	if q = q.repaired(now.Add(peace+1), b); q.repairs != 1 {
		t.Errorf("after a while %d repairs are remembered", q.repairs)
	}
}

func TestRemarks(t *testing.T) {
	r := remarks{}
	r.add("x", "b")
	r.add("x", "a")
	r.add("y", "c")
	for i := range 5 {
		r.add("z", fmt.Sprint(i))
	}
	want := []string{"in a, b: x", "c/regcred: y", "in 0, 1, 2 and 2 more: z"}
	if diff := cmp.Diff(want, r.sentences("regcred")); diff != "" {
		t.Error(diff)
	}
	for i := range 100 {
		r.add(fmt.Sprint("more ", i), "n")
	}
	if all := r.sentences("regcred"); len(all) != maxSaid+1 || all[maxSaid] != "and 53 more" {
		t.Errorf("%d sentences, the last is %q", len(all), all[len(all)-1])
	}
}

// book returns one of store "s1" with credentials, by host, and passwords.
func book(passwords map[string]string) *keyring.Book {
	batch := regcred.Batch{Current: true}
	for _, host := range slices.Sorted(maps.Keys(passwords)) {
		location, err := imageref.ParseLocation(host)
		if err != nil {
			panic(err)
		}
		batch.Revision++
		batch.Changes = append(batch.Changes, regcred.Change{
			Revision:   batch.Revision,
			Credential: regcred.Credential{GUID: host, Location: location, Revision: batch.Revision},
			Login:      &regcred.Login{Username: "u", Password: regcred.NewSecret(passwords[host])},
		})
	}
	return keyring.New("s1").Now().Apply(batch)
}

// newPlanner returns one for a namespace "ns", all of whose removals are carried out.
func newPlanner(o *Options, b *keyring.Book, serves bool) *planner {
	p := &planner{
		Options: o, namespace: "ns", book: b, now: time.Now(), serves: serves, wanted: &wanted{},
		rule: func(deliver.Delivered) ruling { return ruling{verdict: verdictRemove} },
	}
	p.decide = func(all []deliver.Delivered) deliver.Decision { return deliver.End(b, all, nil) }
	if serves {
		p.wanted = want(b, regcred.Foundation, o.Dialect)
		p.decide = func(all []deliver.Delivered) deliver.Decision {
			return deliver.Decide(p.now, b, p.wanted.auths, all, nil)
		}
	}
	return p
}

// apply carries out a plan as the API server would.
func apply(t *rapid.T, p *planner, before *corev1.Secret) *corev1.Secret {
	var o *object
	if before != nil {
		o = observe(before)
	}
	pl := p.plan(o)
	switch pl.action {
	case leave:
		return before
	case erase:
		return nil
	case disown:
		return disowned(before)
	}
	base := newSecret("ns", p.SecretName, p.kind(), o)
	if !pl.blind(o) {
		base = before
	}
	after, err := pl.compose(base, p.Name, p.book)
	if err != nil {
		t.Fatal(err)
	}
	return after
}

// TestPlanProperties: whatever is there, one step makes it right, a second one does
// nothing, no stranger's entry, label or other member is lost, and the end of the
// namespace leaves nothing of ours.
func TestPlanProperties(t *testing.T) {
	hosts := []string{"a.example.com", "b.example.com", "c.example.com"}
	passwords := rapid.MapOfN(rapid.SampledFrom(hosts), rapid.SampledFrom([]string{"1", "2"}), 0, 3)
	rapid.Check(t, func(t *rapid.T) {
		o := &Options{Adopt: rapid.SampledFrom([]Adoption{AdoptNone, AdoptAny}).Draw(t, "adopt")}
		o.setDefaults()
		var s *corev1.Secret
		for step := range rapid.IntRange(1, 4).Draw(t, "steps") {
			s = disturb(t, step, s)
			p := newPlanner(o, book(passwords.Draw(t, "book")), true)
			before := strangersOf(s)
			s = apply(t, p, s)
			for key, value := range before {
				if _, ok := p.wanted.values[key]; !ok && entriesOf(s)[key] != value {
					t.Fatalf("a stranger's entry for %s was changed, or is gone", key)
				}
			}
			if again := apply(t, p, s); again != s {
				t.Fatalf("a second step changes %v to %v", s, again)
			}
		}
		if s == nil || s.Labels[targetLabel] != o.Name {
			return
		}
		adopted := s.Annotations[adoptedAnnotation] == "true"
		ours := observe(s).record().Entries
		end := newPlanner(o, book(nil), false)
		// The book of the end is as new as what was delivered.
		end.book = book(map[string]string{"x.example.com": "", "y.example.com": "", "z.example.com": ""})
		end.decide = func(all []deliver.Delivered) deliver.Decision { return deliver.End(end.book, all, nil) }
		left := apply(t, end, s)
		switch {
		case adopted && (left == nil || string(left.Data[dataKey(left.Type)]) != string(s.Data[dataKey(s.Type)]) || left.Labels[targetLabel] != ""):
			t.Fatalf("of an adopted one there is left %v", left)
		case !adopted && left != nil && len(observe(left).recorded) > 0:
			t.Fatalf("what is left has a record of %v", ours)
		}
	})
}

// disturb has somebody make a Secret, or edit one.
func disturb(t *rapid.T, step int, s *corev1.Secret) *corev1.Secret {
	switch rapid.SampledFrom([]string{"nothing", "make", "add", "edit", "remove", "label", "forget"}).Draw(t, fmt.Sprint("disturbance ", step)) {
	case "make":
		if s == nil {
			s = newSecret("ns", DefaultSecretName, corev1.SecretTypeDockerConfigJson, nil)
			s.Data = map[string][]byte{corev1.DockerConfigJsonKey: []byte(`{"auths":{"z.example.com":{"auth":"eDp5"}},"other":[1]}`)}
		}
	case "add":
		edit(s, func(auths map[string]json.RawMessage) { auths["y.example.com"] = json.RawMessage(`{"auth": "eDp5"}`) })
	case "edit":
		edit(s, func(auths map[string]json.RawMessage) {
			for key := range auths {
				auths[key] = json.RawMessage(`{"auth":"ZWRpdGVkOnA="}`)
			}
		})
	case "remove":
		edit(s, func(auths map[string]json.RawMessage) { clear(auths) })
	case "label":
		if s != nil {
			put(&s.Labels, "theirs", "x")
		}
	case "forget":
		if s != nil {
			s.Annotations = nil
		}
	}
	return s
}

func edit(s *corev1.Secret, change func(map[string]json.RawMessage)) {
	if s == nil {
		return
	}
	c := parseContent(s.Type, s.Data[dataKey(s.Type)])
	change(c.auths)
	s.Data[dataKey(s.Type)], _ = c.text(s.Type)
}

// entriesOf returns the entries of a Secret, by key.
func entriesOf(s *corev1.Secret) map[string]string {
	all := map[string]string{}
	if s != nil {
		for key, value := range parseContent(s.Type, s.Data[dataKey(s.Type)]).auths {
			all[key] = string(canonical(value))
		}
	}
	return all
}

// strangersOf returns the entries that no record has.
func strangersOf(s *corev1.Secret) map[string]string {
	all := entriesOf(s)
	if s != nil {
		for _, e := range observe(s).recorded {
			delete(all, e.key)
		}
	}
	return all
}

// FuzzObserve reads whatever may be in a Secret, and writes it again: nothing that a
// kubelet could read is lost.
func FuzzObserve(f *testing.F) {
	f.Add(`{"auths":{"a.example.com":{"auth":"dTpw"}}}`, `{"format":1,"entries":{"a.example.com":{"guid":"g","store":"s","revision":1,"digest":"00"}}}`, false)
	f.Add(`{"a.example.com":{"auth":"dTpw"}}`, `{"format":2}`, true)
	f.Add(`{"auths":{"a":1,"a":{}},"auths":null,"x":[]}`, `{"format":1,"entries":{"a":{"expires":"0001-01-01T00:00:00Z"}}}`, false)
	f.Add(`[]`, `null`, true)
	f.Fuzz(func(t *testing.T, file, record string, older bool) {
		kind := corev1.SecretTypeDockerConfigJson
		if older {
			kind = corev1.SecretTypeDockercfg
		}
		s := newSecret("ns", DefaultSecretName, kind, nil)
		s.Data = map[string][]byte{dataKey(kind): []byte(file)}
		s.Labels = map[string]string{managedByLabel: managedBy, targetLabel: DefaultName}
		s.Annotations = map[string]string{recordAnnotation: record}
		before := entriesOf(s)
		text, err := parseContent(kind, []byte(file)).text(kind)
		if err != nil {
			t.Fatal(err)
		}
		s.Data[dataKey(kind)] = text
		if diff := cmp.Diff(before, entriesOf(s)); diff != "" {
			t.Errorf("written again (-before +after):\n%s", diff)
		}
		o := observe(s)
		if len(o.present) != len(before) {
			t.Errorf("of %d entries %d are remembered", len(before), len(o.present))
		}
		if again, known := parseRecord(mustText(t, o.record())); !known || !maps.Equal(again.Entries, o.record().Entries) {
			t.Errorf("the record is read back as %v", again)
		}
	})
}

func mustText(t *testing.T, r record) string {
	t.Helper()
	text, err := r.text()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestStrangersWays: what is said to help does help.
func TestStrangersWays(t *testing.T) {
	pull, opaque := corev1.SecretTypeDockerConfigJson, corev1.SecretTypeOpaque
	for _, test := range []struct {
		adopt  Adoption
		object object
		want   string
	}{
		{AdoptNone, object{kind: pull}, "delete or rename it, or choose another secret_name, or let regcred take it over by adopt"},
		{AdoptNone, object{kind: opaque}, "delete or rename it, or choose another secret_name"},
		{AdoptNone, object{kind: pull, target: "other"}, "choose another secret_name, or where there is no such target any more, delete it"},
		{AdoptAny, object{kind: opaque}, "delete or rename it, or choose another secret_name"},
		{AdoptDeis, object{kind: opaque}, "delete or rename it"},
	} {
		p := &planner{Options: &Options{Adopt: test.adopt}}
		if got := p.strangers(&test.object); !strings.HasSuffix(got, ", and is left alone: "+test.want) {
			t.Errorf("%q, %s: %s", test.adopt, test.object.kind, got)
		}
	}
}
