package kubernetes

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"regcred.dev/deliver"
	"regcred.dev/keyring"
)

// planner says what is to become of one namespace's Secret. It does no I/O.
type planner struct {
	*Options

	namespace string
	book      *keyring.Book
	wanted    *wanted
	now       time.Time
	// serves is false where the namespace is to lose what is ours.
	serves bool
	// decide says what becomes of what was delivered.
	decide func([]deliver.Delivered) deliver.Decision
	// rule says whether a removal that nobody asked for by itself is carried out.
	rule func(deliver.Delivered) ruling
}

// ruling is what becomes of a removal.
type ruling struct {
	verdict verdict
	reason  string // why it is held
}

type verdict int

const (
	verdictWait   verdict = iota // until it is known how many there are
	verdictRemove                // it is carried out
	verdictHold                  // an operator has to confirm it
)

// action is what has to be done with a Secret.
type action int

const (
	leave  action = iota // nothing is done
	write                // it is created, or its content replaced
	erase                // it is deleted
	disown               // it stays, without regcred's marks
)

// plan is what is to become of a Secret.
type plan struct {
	outcome

	action action
	record record
	// known are the entries that are to have these values; of them set are those
	// that have others now. gone are the keys to take away.
	known map[string]json.RawMessage
	set   map[string]bool
	gone  map[string]bool
	// adopted says that the Secret was somebody else's; adopting, that it is taken
	// over now.
	adopted, adopting bool
	// serves is the planner's.
	serves bool
	// accounts are the ServiceAccounts that are to be recorded to have the Secret's name.
	accounts string
	// annotations are those of Options.Annotate.
	annotations map[string]string
}

// plan says what is to become of a Secret, nil where there is none.
func (p *planner) plan(o *object) plan {
	exists := o != nil
	if !exists {
		o = &object{}
	}
	out := plan{
		record: o.record(), adopted: o.adopted, serves: p.serves,
		known: map[string]json.RawMessage{}, set: map[string]bool{}, gone: map[string]bool{},
	}
	if exists {
		if out.adopting = o.target != p.Name && p.serves && p.adopts(o); out.adopting {
			out.adopted = true
		} else if out.problem = p.obstacle(o); out.problem != "" || o.target != p.Name {
			return out
		}
	}
	if p.wanted.err != nil {
		out.problem = "nothing new is delivered: " + p.wanted.err.Error()
	}
	if p.wanted.warning != "" {
		out.warn("%s", p.wanted.warning)
	}
	out.omitted = p.wanted.omitted
	p.entries(&out, o)
	p.act(&out, o, exists)
	return out
}

// obstacle says why a Secret cannot be written to, "" where it can.
func (p *planner) obstacle(o *object) string {
	switch {
	case o.target != p.Name:
		if p.serves {
			return p.strangers(o)
		}
	case o.newer:
		return fmt.Sprintf("its annotation %s is of a newer format than this regcred knows: use the newer one", recordAnnotation)
	case dataKey(o.kind) == "":
		return fmt.Sprintf("it is of type %s, which is no pull secret, and a Secret's type cannot be changed: delete it, and it is made anew at once", o.kind)
	}
	return ""
}

// strangers says whose Secret has the target's name.
func (p *planner) strangers(o *object) string {
	whose := "it is not regcred's"
	switch {
	case o.target != "":
		whose = "it is that of regcred's target " + o.target
	case o.owner != "":
		whose = "it belongs to " + o.owner
	case dataKey(o.kind) == "":
		whose += fmt.Sprintf(", and of type %s, which is no pull secret", o.kind)
	}
	return whose + ", and is left alone: " + p.ways(o)
}

// ways says what helps where a stranger's Secret has the target's name.
func (p *planner) ways(o *object) string {
	ways := "delete or rename it"
	switch {
	case p.Adopt == AdoptDeis: // its settings are no configuration of targets
		return ways
	case o.target != "":
		return "choose another secret_name, or where there is no such target any more, delete it"
	}
	ways += ", or choose another secret_name"
	if p.Adopt == AdoptNone && dataKey(o.kind) != "" {
		ways += ", or let regcred take it over by adopt"
	}
	return ways
}

// adopts reports whether a stranger's Secret may be taken over, and there is
// something to put into it.
func (p *planner) adopts(o *object) bool {
	if !p.wanted.logins() || o.target != "" {
		return false
	}
	switch p.Adopt {
	case AdoptAny:
		return dataKey(o.kind) != ""
	case AdoptDeis:
		return o.kind == corev1.SecretTypeDockerConfigJson && o.deis
	}
	return false
}

// entries plans what becomes of each entry.
func (p *planner) entries(out *plan, o *object) {
	place := p.namespace + "/" + p.SecretName
	there := o.entries()
	right := func(key string) bool { // what is there is what is wanted there
		value, ok := p.wanted.values[key]
		d, has := there[key]
		return ok && has && d == newDigest(place, value)
	}
	ours := func(key string) bool { // it has not been changed since it was delivered
		d, has := there[key]
		return has && d == out.record.Entries[key].Digest
	}
	for _, a := range p.wanted.auths { // recognise what somebody wrote just so
		if _, recorded := out.record.Entries[a.Key]; !recorded && right(a.Key) {
			out.record.Entries[a.Key] = p.entry(a, nil)
		}
	}
	decision := p.decide(p.delivered(out, there, place, ours))
	asked := map[string]bool{}
	for _, d := range decision.Asked {
		asked[d.Key] = true
	}
	for _, d := range decision.Remove {
		p.remove(out, d, asked[d.Key] || d.Blocks || p.dropped(out.record.Entries[d.Key]), ours(d.Key))
	}
	for _, a := range decision.Deliver {
		_, has := there[a.Key]
		p.deliver(out, a, has && !right(a.Key) && !ours(a.Key), right(a.Key))
	}
	for _, h := range decision.Held {
		if ours(h.Key) {
			out.held = append(out.held, h)
		} else {
			delete(out.record.Entries, h.Key) // somebody changed it: it is theirs
		}
	}
	for _, k := range decision.Keep {
		out.warn("%s: %s", k.Key, k.Reason)
	}
	p.onlyOurs(out, there)
}

// delivered returns what of the record is in the Secret and to be decided on, and
// forgets what is not there. An entry that somebody changed since is this store's
// still, but no other's. Where nothing is known to be wanted, only what is to go in any
// case is decided on.
func (p *planner) delivered(out *plan, there map[string]digest, place string, ours func(string) bool) []deliver.Delivered {
	var all []deliver.Delivered
	known := !p.serves || p.wanted.err == nil
	for _, key := range out.record.keys() {
		e := out.record.Entries[key]
		own := e.Store == p.book.StoreID()
		_, has := there[key]
		if !has && own {
			delete(out.record.Entries, key)
		}
		if has && (own || ours(key)) && (known || p.ordered(e)) {
			all = append(all, deliver.Delivered{
				Where: place, Key: key, GUID: e.GUID, Blocks: e.Blocks,
				StoreID: e.Store, Revision: e.Revision, ExpiresAt: e.Expires,
			})
		}
	}
	return all
}

// remove plans a removal; asked says that somebody asked for this very one, ours
// that the entry is what was delivered.
func (p *planner) remove(out *plan, d deliver.Delivered, asked, ours bool) {
	if !asked {
		switch r := p.rule(d); r.verdict {
		case verdictWait:
			out.pending = append(out.pending, d)
			return
		case verdictHold:
			out.held = append(out.held, deliver.Hold{Delivered: d, Reason: r.reason})
			return
		case verdictRemove:
		}
	}
	if ours {
		out.gone[d.Key] = true
		out.changed++
	}
	delete(out.record.Entries, d.Key)
}

// ordered reports whether an entry is to go whatever is wanted: its credential was
// deleted, or its login dropped.
func (p *planner) ordered(e delivered) bool {
	_, exists := p.book.Get(e.GUID)
	return !exists || p.dropped(e)
}

// dropped reports whether a login was dropped since it was delivered: it must not be
// used, so its removal waits for nobody.
func (p *planner) dropped(e delivered) bool {
	c, ok := p.book.Get(e.GUID)
	return ok && e.Revision < c.DropRevision
}

// deliver plans an entry, unless somebody else's is in its place. other says that
// there is one which is neither what was delivered nor what is wanted, right that it
// is what is wanted.
func (p *planner) deliver(out *plan, a keyring.Auth, other, right bool) {
	old, recorded := out.record.Entries[a.Key]
	if other && (!recorded || old.Store != p.book.StoreID()) && !out.adopting {
		out.warn("it has an entry for %s that regcred did not write, which is left alone: remove it", a.Key)
		return
	}
	out.known[a.Key] = p.wanted.values[a.Key]
	if !right {
		out.set[a.Key] = true
		out.changed++
	}
	delete(out.gone, a.Key)
	if recorded {
		out.record.Entries[a.Key] = p.entry(a, &old)
	} else {
		out.record.Entries[a.Key] = p.entry(a, nil)
	}
}

// entry returns what is to be recorded of an entry. Where it was delivered already
// it stays as it was recorded, unless a login was dropped since: the new one may be
// the very same, and is not dropped.
func (p *planner) entry(a keyring.Auth, old *delivered) delivered {
	e := delivered{
		GUID: a.GUID, Store: p.book.StoreID(), Blocks: a.Blocks(), Expires: a.ExpiresAt.Round(0).UTC(),
		Digest: newDigest(p.namespace+"/"+p.SecretName, p.wanted.values[a.Key]),
	}
	var dropped uint64
	if c, ok := p.book.Get(a.GUID); ok {
		e.Revision, dropped = c.Revision, c.DropRevision
	}
	if old != nil && old.Revision >= dropped {
		same := *old
		same.Revision = e.Revision
		if same == e {
			return *old
		}
	}
	return e
}

// onlyOurs takes strangers' entries away where clients can bear just one.
func (p *planner) onlyOurs(out *plan, there map[string]digest) {
	if p.Dialect != keyring.Deis || !p.serves || len(out.known) == 0 {
		return
	}
	for key := range there {
		if _, ok := out.record.Entries[key]; !ok {
			out.gone[key] = true
		}
	}
}

// act chooses the action.
func (p *planner) act(out *plan, o *object, exists bool) {
	if p.serves {
		p.actServing(out, o, exists)
	} else if exists {
		p.actEnding(out, o)
	}
	if o.immutable && out.action == write && len(out.set)+len(out.gone) > 0 {
		if p.mustGo(out, o) {
			out.action = erase // there is no other way
			return
		}
		out.action, out.changed = leave, 0
		out.record = o.record()
		out.problem = "it is immutable, and so cannot be renewed: delete it, and it is made anew at once"
	}
}

// mustGo reports whether something that is taken away, or replaced, is to go whatever is
// wanted.
func (p *planner) mustGo(out *plan, o *object) bool {
	return slices.ContainsFunc(o.recorded, func(e recorded) bool {
		return (out.set[e.key] || out.gone[e.key]) && e.Store == p.book.StoreID() && p.ordered(e.delivered)
	})
}

func (p *planner) actServing(out *plan, o *object, exists bool) {
	same := exists && !out.adopting && len(out.set) == 0 && len(out.gone) == 0 &&
		maps.Equal(out.record.Entries, o.record().Entries) && o.expires.Equal(out.record.expires().Truncate(time.Second))
	if !same && (exists || p.Dialect != keyring.Deis || len(out.known) > 0) {
		out.action = write
		if p.Annotate != nil {
			out.annotations = p.Annotate(p.namespace, p.wanted.auths)
		}
	}
	if kind := p.kind(); exists && o.kind != kind {
		out.warn("it is of type %s, and a Secret's type cannot be changed: it is renewed as it is; delete it, and it is made anew as %s", o.kind, kind)
	}
}

// actEnding takes away what is ours. A Secret goes where nothing else is in it; an
// adopted one stays as it is, and is no longer ours.
func (p *planner) actEnding(out *plan, o *object) {
	if o.adopted {
		clear(out.gone)
		out.changed = 0
	}
	forgotten := len(out.record.Entries) < len(o.recorded)
	switch empty := len(out.record.Entries) == 0; {
	case empty && o.adopted:
		out.action = disown
	case empty && len(o.present) == len(out.gone) && (forgotten || o.store == p.book.StoreID()):
		out.action = erase
	case forgotten:
		out.action = write
	}
}

// lean leaves out of a plan what was not delivered before, and reports whether there is
// anything left to write.
func (p *plan) lean(o *object) bool {
	before := o.record().Entries
	for key := range p.record.Entries {
		if _, ok := before[key]; !ok {
			delete(p.record.Entries, key)
			delete(p.known, key)
			delete(p.set, key)
		}
	}
	return len(p.set)+len(p.gone) > 0
}

// kind is the type of new Secrets.
func (o *Options) kind() corev1.SecretType {
	if o.DockerCfg {
		return corev1.SecretTypeDockercfg
	}
	return corev1.SecretTypeDockerConfigJson
}

// blind reports whether the Secret can be replaced without reading it: nobody else
// wrote to it, and the values of all entries that stay are known.
func (p *plan) blind(o *object) bool {
	if o == nil {
		return true
	}
	if !o.plain {
		return false
	}
	for _, e := range o.present {
		if _, known := p.known[e.key]; !known && !p.gone[e.key] {
			return false
		}
	}
	return true
}
