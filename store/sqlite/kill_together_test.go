package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"regcred.dev"
)

// togetherArg makes the test binary a writer with several callers at a time.
const togetherArg = "together"

// togetherCallers is how many callers such a writer has.
const togetherCallers = 8

// writeTogether has callers create credentials at the same time until the process is
// killed. Every other creation is refused, since its place is taken. Each prints its
// guids as they are acknowledged.
func writeTogether(path string) error {
	ctx := context.Background()
	s, err := openWriter(ctx, path)
	if err != nil {
		return err
	}
	run := rand.Uint64()
	errs := make([]error, togetherCallers)
	var callers sync.WaitGroup
	for caller := range togetherCallers {
		callers.Go(func() {
			for i := 0; errs[caller] == nil; i++ {
				c := credential(fmt.Sprintf("%x-%d-%d", run, caller, i), "quay.io")
				c.GUID = c.Scope.Org
				if _, errs[caller] = s.Create(ctx, c); errs[caller] != nil {
					return
				}
				fmt.Println(c.GUID)
				c.GUID += "-again"
				if _, err := s.Create(ctx, c); regcred.CodeOf(err) != regcred.Exists {
					errs[caller] = fmt.Errorf("created twice: %w", err)
				}
			}
		})
	}
	callers.Wait()
	return errors.Join(errs...)
}

// TestKillTogether kills writers whose callers share transactions: all that was
// acknowledged to any of them is there, and of the rest at most what was under way.
func TestKillTogether(t *testing.T) {
	path, acknowledged := newPath(t), map[string]bool{}
	written := 0
	for point := range killPoints(t) {
		random := rand.New(rand.NewPCG(uint64(point), 5))
		killWriter(t, path, togetherArg, 1+random.IntN(60), time.Duration(random.IntN(3000))*time.Microsecond, func(line string) {
			if n := len(line); n > 0 && line[n-1] == '\n' {
				acknowledged[line[:n-1]] = true
			}
		})
		s := open(t, path)
		list, err := s.List(t.Context(), regcred.Filter{})
		if err != nil {
			t.Fatalf("kill %d: %v", point, err)
		}
		found := map[string]bool{}
		for _, c := range list {
			found[c.GUID] = true
		}
		for guid := range acknowledged {
			if !found[guid] {
				t.Fatalf("kill %d: %s was acknowledged, and is not there", point, guid)
			}
		}
		if most := written + togetherCallers; len(found)-len(acknowledged) > most {
			t.Fatalf("kill %d: %d credentials are there, %d were acknowledged", point, len(found), len(acknowledged))
		}
		written = len(found) - len(acknowledged)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d credentials were acknowledged, %d more were written", len(acknowledged), written)
}
