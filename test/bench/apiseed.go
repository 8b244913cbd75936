package main

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"

	"regcred.dev"
	"regcred.dev/seal"
	"regcred.dev/store/sqlite"
)

// seed makes the database of a data directory, with n credentials and their logins. It
// takes about half a millisecond for each.
func seed(ctx context.Context, dir string, n int) error {
	key, err := seal.OpenKeyFile(filepath.Join(dir, "seal.key"), true)
	if err != nil {
		return err
	}
	store, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(dir, "regcred.db"), Keys: seal.Keys{key}})
	if err != nil {
		return err
	}
	fence, err := store.Fence(ctx)
	if err != nil {
		_ = store.Close()
		return err
	}
	// Writes that wait together share a commit.
	const writers = 256
	var (
		next   atomic.Int64
		wg     sync.WaitGroup
		failed error
		once   sync.Once
	)
	for range writers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := plant(ctx, store, i, fence); err != nil {
					once.Do(func() { failed = err })
					return
				}
			}
		})
	}
	wg.Wait()
	if err := store.Close(); failed == nil {
		failed = err
	}
	return failed
}

// plant stores credential i with its login.
func plant(ctx context.Context, store *sqlite.Store, i int, fence uint64) error {
	change, err := newChange(i, 0)
	if err != nil {
		return err
	}
	c := change.Credential
	c.Spelling, c.Origin = c.Location.String(), regcred.OriginAPI
	c.Username, c.Password = change.Login.Username, change.Login.Password
	if _, err := store.Create(ctx, c); err != nil {
		return err
	}
	_, err = store.PutLogin(ctx, c.GUID, *change.Login, fence)
	return err
}
