package registry

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"

	"regcred.dev"
)

// How quotas are kept.
//
// A repository holds the content that it links, each once however many tags need it,
// and what other repositories link too; blobs that their owner hosts are nothing.
// Where a rule has a quota, two objects count what is held, in bytes:
//
//	usage/repositories/REPO   {"bytes":n,"write":".."}
//	usage/scopes/HASH         the same, of all repositories of a scope
//
// Who puts a link adds its size before, by compare-and-swap, and is refused where that
// is too much; who removes one subtracts it after. So pushes at the same time never
// exceed a quota together, and a process that is killed between the two leaves the
// count too high, never too low. Collect counts anew; that can miss what is being
// linked at that very moment, until the next run; so can two who delete the same at
// once, where an object store tells each that it was them. By that much a quota can be
// exceeded. Where nothing was counted yet, the first push does.

const (
	usagePrefix           = "usage/"
	repositoryUsagePrefix = usagePrefix + "repositories/"
	scopeUsagePrefix      = usagePrefix + "scopes/"

	// usageTries bounds how often a count is written again that others change.
	usageTries = 200
)

// usage is what a repository or scope holds.
type usage struct {
	Bytes int64 `json:"bytes"`
	// Write is another one in every write, as in a pointer.
	Write string `json:"write"`
}

// account is something that a quota is for.
type account struct {
	key     string
	name    string // of the quota, for people
	setting string // where it is configured
	quota   int64
	// count adds up what it holds.
	count func(context.Context) (int64, error)
}

// accounts returns what a repository's content counts for.
func (s *Storage) accounts(repo string) []account {
	rule := s.policy.For(repo)
	var list []account
	if rule.Quota > 0 {
		list = append(list, account{
			key: repositoryUsagePrefix + escapeRepository(repo), name: "the quota of repository " + repo, setting: "registry.repositories, quota", quota: rule.Quota,
			count: func(ctx context.Context) (int64, error) { return s.countRepository(ctx, repo) },
		})
	}
	if quota := s.policy.scopeQuota(rule.Scope); quota > 0 {
		list = append(list, account{
			key: scopeUsagePrefix + scopeHash(rule.Scope), name: "the quota that all repositories of " + rule.Scope.String() + " share", setting: "registry.repositories, scope_quota", quota: quota,
			count: func(ctx context.Context) (int64, error) { return s.countScope(ctx, rule.Scope) },
		})
	}
	return list
}

// scopeHash names a scope in one segment of a key.
func scopeHash(scope regcred.Scope) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", scope.Org, scope.Space, scope.App))
	return hex.EncodeToString(sum[:])
}

// scopeQuota returns the bound of what all repositories of a scope hold together: the
// least that any rule of the scope names, whichever rule holds for a repository; 0 where
// none does.
func (p Policy) scopeQuota(scope regcred.Scope) int64 {
	var least int64
	for i := range p {
		if q := p[i].ScopeQuota; q > 0 && p[i].Scope == scope && (least == 0 || q < least) {
			least = q
		}
	}
	return least
}

// most returns how large content can be at all by a repository's quotas, in bytes.
func (s *Storage) most(repo string) int64 {
	most := int64(math.MaxInt64)
	for _, a := range s.accounts(repo) {
		most = min(most, a.quota)
	}
	return most
}

// overMost is the error where an upload alone is larger than most allows.
func (s *Storage) overMost(repo string) error {
	accounts := s.accounts(repo)
	least := slices.MinFunc(accounts, func(a, b account) int { return cmp.Compare(a.quota, b.quota) })
	return regcred.Errorf(regcred.Denied, "%s is %d bytes, and the upload alone has more: have it raised (%s)", least.name, least.quota, least.setting)
}

// charge returns what a link counts, in bytes.
func (l link) charge() int64 {
	if l.URL != "" {
		return 0
	}
	return l.Size
}

// admit returns Denied where a repository may not hold so many bytes more. It sets
// nothing aside: it is for refusing content before it is stored.
func (s *Storage) admit(ctx context.Context, repo string, size int64) error {
	for _, a := range s.accounts(repo) {
		u, _, err := s.findUsage(ctx, a)
		if err != nil {
			return err
		}
		if err := a.check(u.Bytes, size); err != nil {
			return err
		}
	}
	return nil
}

// admitLink is admit for a link that is about to be put: one that is there already
// needs no more than it has.
func (s *Storage) admitLink(ctx context.Context, repo, key string, l link) error {
	if len(s.accounts(repo)) == 0 {
		return nil
	}
	found, _, err := s.findLink(ctx, key)
	if err != nil {
		return err
	}
	return s.admit(ctx, repo, l.charge()-found.charge())
}

// check returns Denied where size bytes do not fit beside those that are held.
func (a account) check(held, size int64) error {
	if size <= 0 || held+size <= a.quota {
		return nil
	}
	return regcred.Errorf(regcred.Denied, "%s is %d bytes, of which %d are used, and %d more do not fit: delete images that nobody needs, or have it raised (%s)",
		a.name, a.quota, max(held, 0), size, a.setting)
}

// reserve counts bytes that a repository is about to hold. Errors: Denied where that
// is too much.
func (s *Storage) reserve(ctx context.Context, repo string, size int64) error {
	accounts := s.accounts(repo)
	for i, a := range accounts {
		if err := s.charge(ctx, a, size); err != nil {
			for _, done := range accounts[:i] {
				_ = s.charge(context.WithoutCancel(ctx), done, -size) // too high a count is corrected later
			}
			return err
		}
	}
	return nil
}

// release counts bytes that a repository no longer holds. On a full disk that waits for
// the next collection.
func (s *Storage) release(ctx context.Context, repo string, size int64) error {
	if size == 0 {
		return nil
	}
	err := s.reserve(context.WithoutCancel(ctx), repo, -size)
	if errors.Is(err, ErrNoSpace) {
		return nil
	}
	return err
}

// charge adds bytes to what an account holds.
func (s *Storage) charge(ctx context.Context, a account, size int64) error {
	for range usageTries {
		u, condition, err := s.findUsage(ctx, a)
		if err != nil {
			return err
		}
		if err := a.check(u.Bytes, size); err != nil {
			return err
		}
		if err = s.putUsage(ctx, a, u.Bytes+size, condition); !raced(err) {
			return err
		}
	}
	return regcred.Errorf(regcred.Unavailable, "too many pushes count for %s at once: try again", a.name)
}

// findUsage reads what an account holds, or counts it where that was never done, and
// returns the condition under which it is still that.
func (s *Storage) findUsage(ctx context.Context, a account) (u usage, c Condition, err error) {
	version, err := s.readJSON(ctx, a.key, &u)
	if err == nil {
		return u, IfVersion(version), nil
	}
	switch regcred.CodeOf(err) {
	case regcred.NotFound:
		c = IfAbsent
	case regcred.Corrupt:
		c = Condition{}
	default:
		return usage{}, Condition{}, err
	}
	held, err := a.count(ctx)
	return usage{Bytes: held}, c, err
}

func (s *Storage) putUsage(ctx context.Context, a account, held int64, c Condition) error {
	data, err := encodeJSON(usage{Bytes: max(held, 0), Write: rand.Text()})
	if err != nil {
		return err
	}
	return s.blobs.Put(ctx, a.key, data, c)
}

// countRepository adds up what a repository links.
func (s *Storage) countRepository(ctx context.Context, repo string) (int64, error) {
	var sum atomic.Int64
	for _, kind := range []string{"blobs/", "manifests/"} {
		err := forEach(ctx, s.blobs.List(ctx, repositoryPrefix(repo)+kind, ""), func(ctx context.Context, info Info) error {
			l, _, err := s.findLink(ctx, info.Key)
			sum.Add(l.charge())
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	return sum.Load(), nil
}

// countScope adds up what the repositories of a scope link.
func (s *Storage) countScope(ctx context.Context, scope regcred.Scope) (int64, error) {
	var sum int64
	for repo, err := range s.Repositories(ctx, "") {
		if err != nil {
			return 0, err
		}
		if s.policy.For(repo).Scope != scope {
			continue
		}
		held, err := s.countRepository(ctx, repo)
		if err != nil {
			return 0, err
		}
		sum += held
	}
	return sum, nil
}

// recount counts anew what every account holds, and forgets those without a quota.
func (c *collector) recount(ctx context.Context) error {
	if c.DryRun {
		return nil
	}
	counted := map[string]bool{}
	for repo, err := range metered(c.Meter, c.s.Repositories(ctx, "")) {
		if err != nil {
			return err
		}
		for _, a := range c.s.accounts(repo) {
			if counted[a.key] {
				continue
			}
			counted[a.key] = true
			if err := c.s.recount(ctx, a); err != nil {
				return err
			}
		}
	}
	return forEach(ctx, c.s.blobs.List(ctx, usagePrefix, ""), func(ctx context.Context, info Info) error {
		if counted[info.Key] {
			return nil
		}
		return c.s.blobs.Delete(ctx, info.Key, Condition{})
	})
}

// recount counts anew what an account holds. What was added meanwhile is added to
// that, though some of it may be in it: too much is corrected by the next run. Where
// the account does not come to rest, that does it too.
func (s *Storage) recount(ctx context.Context, a account) error {
	before, _, err := s.findUsage(ctx, a)
	if err != nil {
		return err
	}
	held, err := a.count(ctx)
	if err != nil {
		return err
	}
	for range linkTries {
		now, condition, err := s.findUsage(ctx, a)
		if err != nil {
			return err
		}
		if err = s.putUsage(ctx, a, held+max(now.Bytes-before.Bytes, 0), condition); !raced(err) {
			return err
		}
	}
	return nil
}
