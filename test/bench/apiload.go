package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"regcred.dev/client"
)

// load asks a server of n credentials, which is a process of its own.
type load struct {
	n    int
	of   *foundation
	url  string
	http *http.Client
	end  func()
}

// startLoad starts a server of n credentials, and waits until it has them. The arguments
// say where it has them from.
func startLoad(ctx context.Context, n int, f *foundation, args ...string) (*load, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, append(args, "-capi", f.capi)...) //nolint:gosec // this very program
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	end := func() {
		_ = stdin.Close()
		_ = cmd.Wait() // what went wrong, it has said
	}
	said, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		end()
		return nil, fmt.Errorf("the server of %d credentials: %w", n, err)
	}
	l := &load{n: n, of: f, url: strings.TrimSpace(said), end: end, http: &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections, DialContext: new(net.Dialer).DialContext,
	}}}
	if err := l.wait(); err != nil {
		end()
		return nil, err
	}
	return l, nil
}

// patience bounds how long a server may take to read its credentials.
const patience = 2 * time.Minute

// wait waits until the server is ready.
func (l *load) wait() error {
	var ready json.RawMessage
	for deadline := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		err := l.get("/readyz", "", &ready)
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// resolve has images resolved by all connections at once, and returns how long each
// took, sorted: as fast as it goes, or so many a second. Then the time counts from when the
// request was due, so that one which keeps others waiting is not forgiven.
func (l *load) resolve(requests int, perSecond float64) ([]time.Duration, error) {
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
				if errs[c] = l.resolveOne(random); errs[c] != nil {
					return
				}
				took[c] = append(took[c], time.Since(began))
			}
		})
	}
	wg.Wait()
	return slices.Sorted(slices.Values(slices.Concat(took...))), errors.Join(errs...)
}

// resolveOne asks, as a random user, for an image that a credential of their space is for.
func (l *load) resolveOne(random *rand.Rand) error {
	user := random.IntN(apiUsers)
	space, location := place(2*user + 1)
	q := url.Values{
		"image": {location + "/image:tag"}, "organization": {space.Org}, "space": {space.Space},
		"app": {fmt.Sprintf("%08d-3333-4333-8333-333333333333", random.IntN(appsPerOrg))},
	}
	var answer client.Resolution
	if err := l.get("/regcred/v1/resolve?"+q.Encode(), l.of.tokens[user], &answer); err != nil {
		return err
	}
	if answer.Match == nil || answer.Match.Scope != space.String() {
		return fmt.Errorf("%s at %s resolves to %+v", q.Get("image"), space, answer.Match)
	}
	return nil
}

// list asks for one page some times, and returns how long each took, sorted: a twentieth
// of all credentials, or maxPage, selected by their organizations and scopes. They are
// those of 500 organizations that have ten each in 100,000.
func (l *load) list(times int) ([]time.Duration, error) {
	size, perOrg := min(l.n/20, maxPage), l.n/orgs
	var ids []string
	for i := 0; len(ids) < size/perOrg; i++ {
		scope, _ := place(2*i + 1)
		ids = append(ids, scope.Org)
	}
	q := url.Values{"organization_guids": {strings.Join(ids, ",")}, "scopes": {"space,organization"}, "per_page": {fmt.Sprint(size)}}
	var took []time.Duration
	var page client.Page[client.Credential]
	for range times {
		var raw json.RawMessage // decoding is the client's own time
		start := time.Now()
		if err := l.get("/v3/registry_credentials?"+q.Encode(), l.of.admin, &raw); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
		if err := json.Unmarshal(raw, &page); err != nil {
			return nil, err
		}
		if len(page.Resources) != size {
			return nil, fmt.Errorf("a page has %d credentials of %d in place of %d", len(page.Resources), page.Pagination.TotalResults, size)
		}
	}
	slices.Sort(took)
	return took, nil
}

// processorTime returns what the server's process has used of it so far.
func (l *load) processorTime() (used time.Duration, err error) {
	err = l.get(processorTimePath, "", &used)
	return used, err
}

// using returns how much processor time the server uses while f runs.
func (l *load) using(f func() error) (time.Duration, error) {
	before, err := l.processorTime()
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := l.processorTime()
	return after - before, err
}

// get asks for a document. A json.RawMessage gets the body unread.
func (l *load) get(path, token string, out any) error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, l.url+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := l.http.Do(req)
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
