package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
	"regcred.dev/test/figures"
)

// The keyring's limits, and the size of the platform that they are for.
const (
	lookupLimit = 2000.0 // ns in a book of 1,000,000 credentials
	ratioLimit  = 2.5    // that, by the time in a book of 100,000
	memoryLimit = 256.0  // MiB for 100,000 credentials
	applyLimit  = 1000.0 // us to apply one change to a book of 1,000,000

	orgs         = 10_000
	spacesPerOrg = 10
)

// benchKeyring measures lookups, memory and changes of the book.
func benchKeyring(r *figures.Report, small bool) error {
	rounds := 15
	if small {
		rounds = 5
	}
	if err := benchMemory(r, 100_000); err != nil {
		return err
	}
	var best [2]float64
	for i, n := range []int{100_000, 1_000_000} {
		start := time.Now()
		book, err := newBook(n)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("keyring-%dk", n/1000)
		r.Figure(name+"-build", time.Since(start).Seconds(), "s")
		queries, err := newQueries(n, 1<<16)
		if err != nil {
			return err
		}
		best[i] = lookupTime(book, queries, rounds)
		r.NoisyAtMost(lookupLimit, name+"-lookup", best[i], "ns")
		r.AtMost(0, name+"-lookup-allocations", lookupAllocations(book, queries), "allocs")
		r.NoisyAtMost(applyLimit, name+"-apply-one", applyTime(book, n, rounds), "us")
	}
	r.NoisyAtMost(ratioLimit, "keyring-lookup-1000k-by-100k", best[1]/best[0], "ratio")
	return nil
}

// place returns the scope and location of credential i: one of a hundred is the
// foundation's, half of the others are an organization's, half a space's.
func place(i int) (regcred.Scope, string) {
	org, k := i%orgs, i/orgs
	name := fmt.Sprintf("%08d-0000-4000-8000-000000000000", org)
	switch {
	case i%100 == 0:
		return regcred.Foundation, fmt.Sprintf("registry-%d.example.net", i)
	case i%2 == 0:
		return regcred.OrgScope(name), fmt.Sprintf("registry.org-%d.example.com/team-%d", org, k)
	}
	space := fmt.Sprintf("%08d-1111-4111-8111-%012d", org, k%spacesPerOrg)
	return regcred.SpaceScope(name, space), fmt.Sprintf("registry.org-%d.example.com/team-%d", org, k)
}

// newChange returns the change that stores credential i. Its strings are its own,
// as those of rows from a database are, and its password is one of 100 bytes.
func newChange(i int, revision uint64) (regcred.Change, error) {
	scope, where := place(i)
	location, err := imageref.ParseLocation(where)
	if err != nil {
		return regcred.Change{}, err
	}
	return regcred.Change{
		Revision: revision,
		Credential: regcred.Credential{
			GUID: fmt.Sprintf("%08d-2222-4222-8222-222222222222", i), Scope: scope, Location: location,
			Provider: strings.Clone(regcred.ProviderStatic), Version: 1,
		},
		Login: &regcred.Login{
			Username: fmt.Sprint("robot-", i),
			Password: regcred.NewSecret(strings.Repeat("p", 92) + fmt.Sprintf("%08d", i)),
			MintedAt: time.Now(), Version: 1,
		},
	}, nil
}

// newBook returns a book of n credentials, made as a store's watch makes it: by
// batches of 1,000.
func newBook(n int) (*keyring.Book, error) {
	book := new(keyring.Book)
	var batch regcred.Batch
	for i := range n {
		change, err := newChange(i, uint64(i+1))
		if err != nil {
			return nil, err
		}
		batch.Changes, batch.Revision = append(batch.Changes, change), change.Revision
		if len(batch.Changes) == 1000 {
			book = book.Apply(batch)
			batch.Changes = batch.Changes[:0]
		}
	}
	return book.Apply(batch), nil
}

// query is an image that an app asks for.
type query struct {
	scope regcred.Scope
	image imageref.Image
}

// newQueries returns queries by random apps: three of four for an image that one
// of their organization's, their space's or the foundation's credentials is for,
// one for an image that nothing matches.
func newQueries(n, count int) ([]query, error) {
	random := rand.New(rand.NewPCG(1, 2))
	list := make([]query, 0, count)
	for len(list) < count {
		i := random.IntN(n)
		scope, location := place(i)
		if len(list)%4 == 0 {
			location = "quay.io/acme"
		}
		if scope.Org == "" {
			scope.Org = "an-organization"
		}
		if scope.Space == "" {
			scope.Space = "a-space"
		}
		scope.App = "an-app"
		image, err := imageref.ParseImage(location + "/image:tag")
		if err != nil {
			return nil, err
		}
		list = append(list, query{scope, image})
	}
	return list, nil
}

// lookupTime returns the time of one lookup in ns, as the best of several rounds
// over all queries.
func lookupTime(book *keyring.Book, queries []query, rounds int) float64 {
	runtime.GC()
	return bestOf(rounds, func() {
		for _, q := range queries {
			book.Lookup(q.scope, q.image)
		}
	}) / float64(len(queries))
}

func lookupAllocations(book *keyring.Book, queries []query) float64 {
	i := 0
	return testing.AllocsPerRun(len(queries)-1, func() {
		book.Lookup(queries[i].scope, queries[i].image)
		i++
	})
}

// applyTime returns the time to apply one renewed login, in us.
func applyTime(book *keyring.Book, n, rounds int) float64 {
	const changes = 1000
	random := rand.New(rand.NewPCG(3, 4))
	batches := make([]regcred.Batch, changes)
	for i := range batches {
		change, err := newChange(random.IntN(n), uint64(n+i+1))
		if err != nil {
			panic(err)
		}
		batches[i] = regcred.Batch{Changes: []regcred.Change{change}, Revision: change.Revision}
	}
	runtime.GC()
	return bestOf(rounds, func() {
		next := book
		for _, b := range batches {
			next = next.Apply(b)
		}
	}) / changes / 1000
}

// bestOf returns the shortest time that f took, in ns.
func bestOf(rounds int, f func()) float64 {
	var best time.Duration
	for i := range rounds {
		start := time.Now()
		f()
		if took := time.Since(start); i == 0 || took < best {
			best = took
		}
	}
	return float64(best)
}

// benchMemory measures the heap that a book keeps.
func benchMemory(r *figures.Report, n int) error {
	const mib = 1 << 20
	empty := heap()
	changes := make([]regcred.Change, n)
	for i := range changes {
		var err error
		if changes[i], err = newChange(i, uint64(i+1)); err != nil {
			return err
		}
	}
	withChanges := heap()
	book := new(keyring.Book).Apply(regcred.Batch{Changes: changes, Revision: uint64(n)})
	index := heap() - withChanges
	runtime.KeepAlive(changes)
	changes = nil //nolint:ineffassign,wastedassign // what it held is free in what follows
	total := heap() - empty
	runtime.KeepAlive(book)

	r.AtMost(memoryLimit, fmt.Sprintf("keyring-%dk-memory", n/1000), total/mib, "MiB")
	r.Figure("keyring-entry", total/float64(n), "bytes")
	r.Figure("keyring-entry-index", index/float64(n), "bytes")
	return nil
}

// heap returns the bytes of the live heap.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
