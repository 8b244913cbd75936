package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"regcred.dev"
	"regcred.dev/api"
	"regcred.dev/catalog"
	"regcred.dev/client"
	"regcred.dev/cloudfoundry"
	"regcred.dev/keyring"
	"regcred.dev/refresh"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakecapi"
	"regcred.dev/regcredtest/fakeuaa"
	"regcred.dev/service"
	"regcred.dev/store/memory"
	"regcred.dev/test/figures"
)

// The API's limits. Requests come by 16 connections from the same machine, of users of a
// Cloud Foundry whose roles are known already; each token is verified each time.
const (
	resolveLimit = 5000.0 // a second, at least
	p99Limit     = 10.0   // ms
	listLimit    = 50.0   // ms for a page of 5,000, selected from 100,000
	growthLimit  = 1.5    // both, where there are ten times as many credentials

	apiUsers    = 100
	connections = 16
	appsPerOrg  = 100 // of 10,000 organizations: a million apps
	pageSize    = 5000
)

// benchAPI measures resolving and listing over HTTP.
func benchAPI(r *figures.Report, small bool) error {
	rounds, requests := 5, 40_000
	if small {
		rounds, requests = 2, 10_000
	}
	var rates, lists [2]float64
	for i, n := range []int{100_000, 1_000_000} {
		p, err := newPlatform(n)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("api-%dk", n/1000)
		rate, p99, err := p.resolveBest(rounds, requests)
		if err != nil {
			p.close()
			return err
		}
		rates[i] = rate
		r.NoisyAtMost(1/resolveLimit*1e6, name+"-resolve-interval", 1e6/rate, "us")
		r.Figure(name+"-resolve", rate, "requests/s")
		r.NoisyAtMost(p99Limit, name+"-resolve-p99", p99, "ms")
		lists[i], err = p.listTime(rounds * 2)
		p.close()
		if err != nil {
			return err
		}
		r.NoisyAtMost(listLimit, name+"-list", lists[i], "ms")
	}
	r.NoisyAtMost(growthLimit, "api-resolve-1000k-by-100k", rates[0]/rates[1], "ratio")
	r.NoisyAtMost(growthLimit, "api-list-1000k-by-100k", lists[1]/lists[0], "ratio")
	return nil
}

// platform is a server of n credentials.
type platform struct {
	server *httptest.Server
	http   *http.Client
	tokens []string // of users, each a developer in one space
	spaces []regcred.Scope
	admin  string
	n      int
	end    func()
}

// newPlatform starts a server. Its store is empty: all that is asked for is in memory.
func newPlatform(n int) (*platform, error) {
	store := memory.New()
	books, list := keyring.New(store.ID()), new(catalog.Catalog)
	books.Also = list.Apply
	ctx, cancel := context.WithCancel(context.Background())
	go func() { _ = books.Follow(ctx, changes{n}) }()
	p := &platform{n: n, end: cancel}
	if _, err := books.WaitCurrent(ctx); err != nil {
		return nil, err
	}
	svc := service.New(service.Options{
		Store: store, Books: books, Catalog: list, Refresher: refresh.New(refresh.Options{Store: store}),
	})
	foundation, err := p.foundation()
	if err != nil {
		return nil, err
	}
	public := &url.URL{Scheme: "https", Host: "regcred.example.com"}
	p.server = httptest.NewServer(api.New(api.Options{Service: svc, Authenticate: foundation.Authenticate, PublicURL: public}))
	p.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections, DialContext: new(net.Dialer).DialContext}}
	go func() { _ = svc.RunAudit(ctx, 0) }()
	return p, nil
}

func (p *platform) close() {
	p.server.Close()
	p.end()
}

// foundation is the Cloud Foundry of the platform's users.
func (p *platform) foundation() (*cloudfoundry.Foundation, error) {
	users := map[string]fakeuaa.User{"admin": {GUID: "admin", Scopes: append([]string{"cloud_controller.admin"}, fakeuaa.UserScopes...)}}
	for i := range apiUsers {
		users[fmt.Sprint("user", i)] = fakeuaa.User{GUID: fmt.Sprint("user", i)}
	}
	const uaaURL, capiURL = "https://uaa.example.com", "https://api.example.com"
	uaa := fakeuaa.New(fakeuaa.Options{URL: uaaURL, Users: users})
	capi := fakecapi.New(fakecapi.Options{URL: capiURL, UAA: uaaURL, Verify: uaa.Verify})
	for i := range apiUsers {
		// Odd numbers are credentials of a space.
		space, _ := place(2*i + 1)
		p.spaces = append(p.spaces, space)
		capi.AddOrg(space.Org, space.Org)
		capi.AddSpace(space.Space, space.Space, space.Org)
		capi.Grant(fmt.Sprint("user", i), "space_developer", space.Space)
		p.tokens = append(p.tokens, uaa.Token(fmt.Sprint("user", i)))
	}
	p.admin = uaa.Token("admin")
	return cloudfoundry.New(cloudfoundry.Options{API: capiURL, Transport: regcredtest.HandlerTransport(map[string]http.Handler{
		"uaa.example.com": uaa, "api.example.com": capi,
	})})
}

// changes is a watch of n credentials, in batches of 1,000.
type changes struct{ n int }

// Watch implements keyring.Watcher.
func (c changes) Watch(ctx context.Context, _ uint64) iter.Seq2[regcred.Batch, error] {
	return func(yield func(regcred.Batch, error) bool) {
		created := time.Now()
		var batch regcred.Batch
		for i := range c.n {
			change, err := newChange(i, uint64(i+1))
			if err != nil {
				yield(batch, err)
				return
			}
			change.Credential.Spelling, change.Credential.Origin = change.Credential.Location.String(), regcred.OriginAPI
			change.Credential.CreatedAt = created.Add(time.Duration(i) * time.Millisecond)
			change.Credential.UpdatedAt = change.Credential.CreatedAt
			batch.Changes, batch.Revision = append(batch.Changes, change), change.Revision
			batch.Current = i == c.n-1
			if len(batch.Changes) == 1000 || batch.Current {
				if !yield(batch, nil) {
					return
				}
				batch.Changes = nil
			}
		}
		<-ctx.Done()
		yield(regcred.Batch{}, ctx.Err())
	}
}

// resolveBest returns how many images a second are resolved at most, and the 99th
// percentile of the time that one takes where they come at the rate of resolveLimit, in
// ms: the best of some rounds each.
func (p *platform) resolveBest(rounds, requests int) (rate, p99 float64, err error) {
	if _, err := p.resolve(requests/10, 0); err != nil { // roles and keys are known from now on
		return 0, 0, err
	}
	for round := range rounds {
		start := time.Now()
		all, err := p.resolve(requests, 0)
		if err != nil {
			return 0, 0, err
		}
		rate = max(rate, float64(len(all))/time.Since(start).Seconds())
		if all, err = p.resolve(requests, resolveLimit); err != nil {
			return 0, 0, err
		}
		slices.Sort(all)
		ms := float64(all[len(all)*99/100]) / 1e6
		if round == 0 || ms < p99 {
			p99 = ms
		}
	}
	return rate, p99, nil
}

// resolve has images resolved by all connections at once, and returns how long each
// took: as fast as it goes, or so many a second. Then the time counts from when the
// request was due, so that one which keeps others waiting is not forgiven.
func (p *platform) resolve(requests int, perSecond float64) ([]time.Duration, error) {
	took := make([][]time.Duration, connections)
	errs := make([]error, connections)
	start := time.Now()
	var wg sync.WaitGroup
	for c := range connections {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(c), 1))
			for i := range requests / connections {
				began := time.Now()
				if perSecond > 0 {
					began = start.Add(time.Duration(float64(i*connections+c) / perSecond * 1e9))
					<-time.After(time.Until(began))
				}
				if errs[c] = p.resolveOne(random); errs[c] != nil {
					return
				}
				took[c] = append(took[c], time.Since(began))
			}
		})
	}
	wg.Wait()
	return slices.Concat(took...), errors.Join(errs...)
}

// resolveOne asks, as a random user, for an image that a credential of their space is for.
func (p *platform) resolveOne(random *rand.Rand) error {
	user := random.IntN(apiUsers)
	_, location := place(2*user + 1)
	space := p.spaces[user]
	q := url.Values{
		"image": {location + "/image:tag"}, "organization": {space.Org}, "space": {space.Space},
		"app": {fmt.Sprintf("%08d-3333-4333-8333-333333333333", random.IntN(appsPerOrg))},
	}
	var answer client.Resolution
	if err := p.get("/regcred/v1/resolve?"+q.Encode(), p.tokens[user], &answer); err != nil {
		return err
	}
	if answer.Match == nil || answer.Match.Scope != space.String() {
		return fmt.Errorf("%s at %s resolves to %+v", q.Get("image"), space, answer.Match)
	}
	return nil
}

// listTime returns the time of one page of 5,000 credentials, of 500 organizations that
// have ten each in 100,000, in ms: the best of some rounds.
func (p *platform) listTime(rounds int) (float64, error) {
	perOrg := p.n / orgs
	var ids []string
	for i := 0; len(ids) < pageSize/perOrg; i++ {
		scope, _ := place(2*i + 1)
		ids = append(ids, scope.Org)
	}
	q := url.Values{"organization_guids": {strings.Join(ids, ",")}, "scopes": {"space,organization"}, "per_page": {fmt.Sprint(pageSize)}}
	path := "/v3/registry_credentials?" + q.Encode()
	var failed error
	best := bestOf(rounds, func() {
		var raw json.RawMessage // decoding is the client's own time
		if err := p.get(path, p.admin, &raw); err != nil {
			failed = err
		}
	})
	if failed != nil {
		return 0, failed
	}
	var page client.Page[client.Credential]
	if err := p.get(path, p.admin, &page); err != nil {
		return 0, err
	}
	if len(page.Resources) != pageSize {
		return 0, fmt.Errorf("a page has %d credentials of %d", len(page.Resources), page.Pagination.TotalResults)
	}
	return best / 1e6, nil
}

// get asks for a document. A json.RawMessage gets the body unread.
func (p *platform) get(path, token string, out any) error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, p.server.URL+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %.100s: %s: %.500s", path, resp.Status, data)
	}
	if raw, ok := out.(*json.RawMessage); ok {
		*raw = data
		return nil
	}
	return json.Unmarshal(data, out)
}
