package kubernetes

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/keyring"
)

// A report names so many namespaces for each thing that it says, says so many things of
// one kind, and has so many entries of one namespace that are held.
const (
	maxNamed = 3
	maxSaid  = 50
	maxHeld  = 100
)

// report sums up how the namespaces stand, and makes one error of those that failed.
func (s *session) report(book *keyring.Book) (deliver.Report, error) {
	var r deliver.Report
	now := time.Now()
	warnings, failures := remarks{}, remarks{}
	omitted := omissions{}
	failed, total := 0, 0
	var first error
	s.table.each(func(p *place) {
		o := &p.outcome
		if p.matters(s.o) {
			total++
		}
		if o.err != nil {
			failed++
			if first == nil || p.name < firstName(failures) {
				first = o.err
			}
			failures.add(regcred.MessageOf(o.err), p.name)
		} else if p.namespace != nil && p.namespace.served {
			r.Partial = true
		}
		if o.problem != "" {
			warnings.add(o.problem, p.name)
		}
		for _, text := range o.warnings {
			warnings.add(text, p.name)
		}
		for _, out := range o.omitted {
			omitted.add(out, p.name)
		}
		hold(&r, warnings, p)
		if p.isOurs(s.o) {
			count(&r, warnings, p, book.StoreID(), now)
		}
	})
	r.Omitted = omitted.list()
	slices.SortFunc(r.Held, func(a, b deliver.Hold) int {
		return strings.Compare(a.Where+"\n"+a.Key, b.Where+"\n"+b.Key)
	})
	r.Warnings = append(warnings.sentences(s.o.SecretName), s.unwatched()...)
	if failed == 0 {
		r.Partial = false
		return r, nil
	}
	return r, regcred.Errorf(regcred.CodeOf(first), "%d of %d namespaces could not be synced: %s",
		failed, total, strings.Join(failures.sentences(s.o.SecretName), "; "))
}

// hold adds what a namespace holds, as far as it is listed.
func hold(r *deliver.Report, warnings remarks, p *place) {
	held := p.outcome.held
	r.Held = append(r.Held, held[:min(len(held), maxHeld)]...)
	if more := len(held) - maxHeld; more > 0 {
		warnings.add(fmt.Sprintf("%d more entries are held than are listed: they can be confirmed after those", more), p.name)
	}
}

// count counts what a store has in a namespace. Of logins that have expired it names
// one: whoever may edit the Secret can record as many as there is room for.
func count(r *deliver.Report, warnings remarks, p *place, storeID string, now time.Time) {
	said := false
	for _, e := range p.secret.recorded {
		if e.Store != storeID {
			continue
		}
		r.Delivered++
		if e.Expires.IsZero() {
			continue
		}
		if r.EarliestExpiry.IsZero() || e.Expires.Before(r.EarliestExpiry) {
			r.EarliestExpiry = e.Expires
		}
		if !said && !now.Before(e.Expires) {
			said = true
			warnings.add(fmt.Sprintf("the login for %s expired at %s, and stays until a better one comes", e.key, e.Expires.Format(time.RFC3339)), p.name)
		}
	}
}

// unwatched says which watches are broken now.
func (s *session) unwatched() []string {
	var all []string
	for _, f := range s.sources {
		if err := f.error(); err != nil {
			all = append(all, "the "+f.what+" are not watched now, and are tried again: "+err.Error())
		}
	}
	return slices.Compact(all)
}

// remarks are namespaces by what there is to say of them.
type remarks map[string][]string

// add adds one. Parts of it may be what somebody wrote into the namespace.
func (r remarks) add(text, namespace string) {
	text = deliver.Printable(text)
	r[text] = append(r[text], namespace)
}

// firstName returns the first namespace of all.
func firstName(r remarks) string {
	first := ""
	for _, names := range r {
		for _, name := range names {
			if first == "" || name < first {
				first = name
			}
		}
	}
	return first
}

// sentences returns each remark with the namespaces that it is about.
func (r remarks) sentences(secret string) []string {
	texts := slices.Sorted(maps.Keys(r))
	var all []string
	for i, text := range texts {
		if i == maxSaid {
			all = append(all, fmt.Sprintf("and %d more", len(texts)-maxSaid))
			break
		}
		where := named(r[text])
		if len(r[text]) == 1 {
			where = r[text][0] + "/" + secret
		}
		all = append(all, where+": "+text)
	}
	return all
}

// named returns a few of some namespaces.
func named(names []string) string {
	slices.Sort(names)
	text := "in " + strings.Join(names[:min(len(names), maxNamed)], ", ")
	if more := len(names) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// omissions are credentials that are not delivered, by why, with where.
type omissions map[omission][]string

type omission struct {
	keyring.Omission

	order string
}

func (o omissions) add(out keyring.Omission, namespace string) {
	key := omission{out, out.GUID + "\n" + out.Reason}
	o[key] = append(o[key], namespace)
}

// list returns the first of them. Each Reason names some of its namespaces.
func (o omissions) list() []keyring.Omission {
	keys := slices.SortedFunc(maps.Keys(o), func(a, b omission) int { return strings.Compare(a.order, b.order) })
	var all []keyring.Omission
	for _, key := range keys[:min(len(keys), maxSaid)] {
		out := key.Omission
		out.Reason += " (" + named(o[key]) + ")"
		all = append(all, out)
	}
	return all
}

// matters reports whether a namespace is served, or has something of ours.
func (p *place) matters(o *Options) bool {
	return p.namespace != nil && p.namespace.served || p.isOurs(o)
}

// isOurs reports whether the Secret of a namespace is the target's.
func (p *place) isOurs(o *Options) bool { return p.secret != nil && p.secret.target == o.Name }

// namespaces yields how each namespace stands that is served, or has something of
// ours.
func (s *session) namespaces() iter.Seq[NamespaceStatus] {
	now := time.Now()
	var all []NamespaceStatus
	s.table.each(func(p *place) {
		if p.matters(s.o) {
			all = append(all, p.status(now))
		}
	})
	return slices.Values(all)
}
