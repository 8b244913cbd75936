package kubernetes

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"regcred.dev"
	"regcred.dev/deliver"
	"regcred.dev/keyring"
)

// attempts bounds how often a write is tried at once that comes too late: what is
// there was read anew before each.
const attempts = 4

// errOutdated says that what is there is not what was remembered.
var errOutdated = errors.New("it was changed meanwhile")

// namespace returns what is to be remembered of a namespace.
func (o *Options) namespace(name string, uid types.UID, of labels.Set) *namespace {
	n := &namespace{uid: uid, served: o.selected.matches(name, of)}
	if !n.served {
		return n
	}
	o.selects.Store(true)
	var err error
	if n.scope, err = o.Scopes.Of(name, of); err != nil {
		n.problem = err.Error()
	}
	return n
}

// reconcile makes a namespace match the task's book. p is brought up to date.
func (s *session) reconcile(ctx context.Context, p *place, t task) outcome {
	var o outcome
	for range attempts {
		o = s.attempt(ctx, p, t)
		if !errors.Is(o.err, errOutdated) {
			break
		}
		*p = s.table.get(p.name)
	}
	if errors.Is(o.err, errOutdated) {
		o.err = explain("the Secret "+s.place(p)+" cannot be written", o.err)
	}
	return o
}

// attempt makes one attempt at it.
func (s *session) attempt(ctx context.Context, p *place, t task) outcome {
	blind := s.lookAgain(ctx, p)
	n := p.namespace
	if n == nil || n.ending {
		return outcome{} // the cluster takes it away
	}
	pl := s.planner(p, t)
	if pl == nil {
		return outcome{problem: n.problem, err: blind}
	}
	if blind != nil && pl.serves {
		pl.wanted = &wanted{err: blind} // what is to go in any case goes
	}
	plan := pl.plan(p.secret)
	if blind != nil {
		plan.problem = "" // it goes away by itself
	}
	accounts := s.bringAccounts(ctx, p, pl, &plan)
	if plan.action == erase && accounts != nil {
		plan.err = accounts // while it is there, what names it is ours
		return plan.outcome
	}
	s.dropAccounts(ctx, p, pl, &plan)
	err := s.carryOut(ctx, p, pl, &plan)
	if vanishing(err) && !s.o.Namespaced {
		return outcome{}
	}
	if plan.wrote = err == nil && plan.action != leave; !plan.wrote {
		plan.changed = 0
	}
	plan.err = errors.Join(err, accounts, blind)
	if errors.Is(plan.err, errOutdated) {
		plan.err = errOutdated
	}
	return plan.outcome
}

// planner returns who plans for a namespace, nil where it has no scope and nothing was
// delivered. What was then stays, but for what is to go in any case.
func (s *session) planner(p *place, t task) *planner {
	pl := &planner{
		Options: s.o, namespace: p.name, book: t.book, now: time.Now(),
		serves: p.namespace.served && !t.uninstalls, wanted: &wanted{},
	}
	pl.rule = func(d deliver.Delivered) ruling { return t.rulings[s.o.removalOf(t.book, p, d)] }
	switch {
	case t.uninstalls:
		pl.decide = func(all []deliver.Delivered) deliver.Decision { return uninstalling(t.book, all) }
		pl.rule = func(deliver.Delivered) ruling { return ruling{verdict: verdictRemove} }
	case !pl.serves:
		pl.decide = func(all []deliver.Delivered) deliver.Decision {
			return deliver.End(t.book, all, t.confirmed[s.place(p)])
		}
	case p.namespace.problem != "" && !p.isOurs(s.o):
		return nil
	default:
		pl.wanted = t.wanted(p.namespace)
		pl.decide = func(all []deliver.Delivered) deliver.Decision {
			return deliver.Decide(pl.now, t.book, pl.wanted.auths, all, t.confirmed[s.place(p)])
		}
	}
	return pl
}

// uninstalling decides to remove all that the book's store delivered.
func uninstalling(book *keyring.Book, all []deliver.Delivered) deliver.Decision {
	var d deliver.Decision
	for _, e := range all {
		if e.StoreID == book.StoreID() {
			d.Remove = append(d.Remove, e)
		}
	}
	return d
}

// carryOut does with the Secret what is planned.
func (s *session) carryOut(ctx context.Context, p *place, pl *planner, plan *plan) error {
	switch plan.action {
	case leave:
		return nil
	case erase:
		err := s.client.deleteSecret(ctx, p.name, s.o.SecretName, p.secret)
		if outdated(err) {
			return s.reread(ctx, p, err)
		}
		if err != nil {
			return explain("the Secret "+s.place(p)+" cannot be deleted", err)
		}
		s.table.wrote(p, p.secret.version, nil)
		if pl.serves {
			return errOutdated // it is to be made anew
		}
		return nil
	}
	if p.secret == nil {
		return s.create(ctx, p, pl, plan)
	}
	return s.update(ctx, p, pl, plan)
}

func (s *session) create(ctx context.Context, p *place, pl *planner, plan *plan) error {
	secret, err := plan.compose(newSecret(p.name, s.o.SecretName, s.o.kind(), nil), s.o.Name, pl.book)
	if err != nil {
		return err
	}
	made, err := s.client.createSecret(ctx, secret)
	if outdated(err) {
		return s.reread(ctx, p, err)
	}
	return s.keep(p, made, "created", err)
}

// update brings the Secret up to date. Where it cannot take all, what it has already is
// renewed and taken away none the less; the error is the first one then.
func (s *session) update(ctx context.Context, p *place, pl *planner, plan *plan) error {
	err := s.replace(ctx, p, pl, plan)
	if regcred.CodeOf(err) != regcred.TooLarge || !plan.lean(p.secret) {
		return err
	}
	if failed := s.replace(ctx, p, pl, plan); failed != nil {
		return failed
	}
	return err
}

// replace replaces the Secret. Where others wrote to it, it is read before.
func (s *session) replace(ctx context.Context, p *place, pl *planner, plan *plan) error {
	base := newSecret(p.name, s.o.SecretName, "", p.secret)
	if plan.action == disown || !plan.blind(p.secret) {
		read, err := s.client.secret(ctx, p.name, s.o.SecretName)
		if err != nil {
			return explain("the Secret "+s.place(p)+" cannot be read", err)
		}
		if read == nil || read.ResourceVersion != p.secret.version {
			s.remember(p, read)
			return errOutdated
		}
		base = read
	}
	secret := disowned(base)
	if plan.action != disown {
		var err error
		if secret, err = plan.compose(base, s.o.Name, pl.book); err != nil {
			return err
		}
	}
	made, err := s.client.updateSecret(ctx, secret)
	if outdated(err) || apierrors.IsNotFound(err) {
		return s.reread(ctx, p, err)
	}
	return s.keep(p, made, "updated", err)
}

// keep remembers what a write has made.
func (s *session) keep(p *place, made *corev1.Secret, how string, err error) error {
	if err != nil {
		return explain("the Secret "+s.place(p)+" cannot be "+how, err)
	}
	s.table.wrote(p, made.ResourceVersion, observe(made))
	s.o.Log.Debug("delivered", "target", s.o.Name, "namespace", p.name, "secret", s.o.SecretName, "how", how)
	return nil
}

// reread reads the Secret that a write came too late for. It returns errOutdated, or
// why it could not; a write that failed although nothing has changed keeps its error.
func (s *session) reread(ctx context.Context, p *place, failed error) error {
	read, err := s.client.secret(ctx, p.name, s.o.SecretName)
	if err != nil {
		return explain("the Secret "+s.place(p)+" cannot be read", err)
	}
	if read != nil && p.secret != nil && read.ResourceVersion == p.secret.version {
		return explain("the Secret "+s.place(p)+" cannot be written", failed)
	}
	s.remember(p, read)
	return errOutdated
}

// remember puts what was read into the table.
func (s *session) remember(p *place, read *corev1.Secret) {
	if read != nil {
		s.table.setSecret(p.name, read.ResourceVersion, observe(read))
	} else if p.secret != nil {
		s.table.forgetSecret(p.name, p.secret)
	}
}

// place names the Secret for people.
func (s *session) place(p *place) string { return p.name + "/" + s.o.SecretName }
