package kubernetes

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"regcred.dev"
)

// bringAccounts puts the Secret's name on the ServiceAccounts, or takes it away with
// the Secret. It goes first: a pod that names a Secret which is not there yet
// recovers, one that does not name it never does.
func (s *session) bringAccounts(ctx context.Context, p *place, pl *planner, plan *plan) error {
	ours := p.isOurs(s.o) || plan.action == write
	missing := p.secret == nil || plan.adopting
	if !ours && !missing || !pl.serves && plan.action != erase {
		return nil
	}
	var failed []error
	for _, name := range slices.Sorted(maps.Keys(p.accounts)) {
		a, err := s.bringAccount(ctx, p.name, name, p.accounts[name], pl.serves)
		if a != p.accounts[name] {
			s.table.setAccount(p.name, name, a)
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// bringAccount has one ServiceAccount name the Secret, or not. It returns the newest
// that is known of it, nil where it is gone.
func (s *session) bringAccount(ctx context.Context, namespace, name string, a *account, wanted bool) (*account, error) {
	for range attempts {
		if slices.Contains(a.secrets, s.o.SecretName) == wanted {
			return a, nil
		}
		names := slices.DeleteFunc(slices.Clone(a.secrets), func(n string) bool { return n == s.o.SecretName })
		if wanted {
			names = append(names, s.o.SecretName)
		}
		made, err := s.client.patchAccount(ctx, namespace, name, a.version, names)
		if apierrors.IsConflict(err) {
			made, err = s.client.account(ctx, namespace, name)
			if err == nil && made != nil && made.ResourceVersion == a.version {
				break
			}
		}
		switch {
		case apierrors.IsNotFound(err), err == nil && made == nil:
			return nil, nil //nolint:nilnil // it is gone
		case err != nil:
			return a, explain("the ServiceAccount "+namespace+"/"+name+" cannot be changed", err)
		}
		a = observeAccount(made)
	}
	return a, explain("the ServiceAccount "+namespace+"/"+name+" cannot be changed", errOutdated)
}

// dropAccounts takes the Secret's name off ServiceAccounts which are no longer those
// that are to have it, and plans to record which these are. What cannot be dropped
// stays recorded, and is said.
func (s *session) dropAccounts(ctx context.Context, p *place, pl *planner, plan *plan) {
	plan.accounts = s.o.accountList
	if !p.isOurs(s.o) || p.secret.accounts == plan.accounts {
		return
	}
	if !pl.serves && plan.action != erase {
		plan.accounts = p.secret.accounts
		return
	}
	if err := s.dropRecorded(ctx, p); err != nil {
		plan.accounts = p.secret.accounts
		plan.warn("the Secret's name cannot be taken off ServiceAccounts that service_accounts no longer names: %s", regcred.MessageOf(err))
		return
	}
	if plan.action == leave && plan.problem == "" {
		plan.action = write
	}
}

// dropRecorded takes the Secret's name off the ServiceAccounts that were recorded to
// have it, and are no longer to. A right that lacks is not tried again and again.
func (s *session) dropRecorded(ctx context.Context, p *place) error {
	if err := s.noAccounts.Load(); err != nil {
		return *err
	}
	stale, err := s.staleAccounts(ctx, p)
	if err == nil {
		var failed []error
		for name, a := range stale {
			_, err := s.bringAccount(ctx, p.name, name, a, false)
			failed = append(failed, err)
		}
		err = errors.Join(failed...)
	}
	if regcred.CodeOf(err) == regcred.Denied {
		s.noAccounts.Store(&err)
	}
	return err
}

// maxStale is how many ServiceAccounts of a namespace are read for what is recorded
// there: who may write the record could name any number.
const maxStale = 20

// staleAccounts returns the ServiceAccounts that were recorded to have the Secret's name
// and are no longer to, as they are now.
func (s *session) staleAccounts(ctx context.Context, p *place) (map[string]*account, error) {
	stale := map[string]*account{}
	names := strings.FieldsFunc(p.secret.accounts, func(c rune) bool { return c == ',' })
	for _, name := range names[:min(len(names), maxStale)] {
		found, err := s.client.accountsOf(ctx, p.name, name)
		if err != nil {
			return nil, explain("the ServiceAccounts of "+p.name+" cannot be read", err)
		}
		for i := range found {
			if !s.o.looksAfter(found[i].Name) {
				stale[found[i].Name] = observeAccount(&found[i])
			}
		}
	}
	return stale, nil
}

// looksAfter reports whether a ServiceAccount is to have the Secret's name.
func (o *Options) looksAfter(account string) bool {
	return slices.Contains(o.ServiceAccounts, account) || slices.Contains(o.ServiceAccounts, AllServiceAccounts)
}
