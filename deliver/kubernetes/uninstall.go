package kubernetes

import (
	"context"
	"maps"
	"slices"
	"time"

	"regcred.dev/keyring"
)

// What fails and may go away by itself is tried so often, with a pause in between.
const (
	uninstallRounds = 5
	uninstallPause  = time.Second
)

// uninstall takes away all that a store delivered.
func (s *session) uninstall(ctx context.Context, storeID string) error {
	book := keyring.New(storeID).Now() // an empty one: it says whose things go
	t := task{book: book, renderings: newRenderings(book, s.o.Dialect), uninstalls: true}
	for round := 1; ; round++ {
		_, err := s.run(ctx, t, nil, func(p *place) bool { return p.isOurs(s.o) })
		if err != nil {
			return err
		}
		_, err = s.report(book)
		if err == nil {
			return s.unlisted // nobody knows what is left there
		}
		if !passing(err) || round == uninstallRounds {
			return err
		}
		select {
		case <-time.After(uninstallPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stores returns the ids of the stores that something is from.
func (s *session) stores() []string {
	ids := map[string]bool{}
	s.table.each(func(p *place) {
		if !p.isOurs(s.o) {
			return
		}
		if p.secret.store != "" {
			ids[p.secret.store] = true
		}
		for _, e := range p.secret.recorded {
			ids[e.Store] = true
		}
	})
	return slices.Sorted(maps.Keys(ids))
}
