package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"regcred.dev"
)

// RegistryOperation is upkeep of the registry that goes on in the server, whoever waits
// for it.
type RegistryOperation struct {
	ID string `json:"id"`
	// Kind is collect or check; DryRun and Force are a collection's options, Deep is a
	// check's.
	Kind   string `json:"kind"`
	DryRun bool   `json:"dry_run"`
	Force  bool   `json:"force"`
	Deep   bool   `json:"deep"`
	// State is running, done or failed.
	State string `json:"state"`
	// StartedBy is who asked for it, or server where nobody did.
	StartedBy string     `json:"started_by"`
	StartedAt time.Time  `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at"`
	// Progress is how far it is, or how far it came.
	Progress OperationProgress `json:"progress"`
	// Error says why it failed, null unless it did.
	Error *ErrorItem `json:"error"`
	// Collection is what a collection of garbage did, also before it failed; null while it
	// is running, and for others.
	Collection *Collection `json:"collection"`
	// Check is what a check found, likewise.
	Check *RegistryCheck `json:"check"`
}

// OperationProgress is how far an operation is.
type OperationProgress struct {
	// Step says in words what goes on; it is the Number-th of Steps, from 1.
	Step   string `json:"step"`
	Number int    `json:"number"`
	Steps  int    `json:"steps"`
	// Objects are those that the step has come to.
	Objects int64 `json:"objects"`
	// Bytes of content were read, of TotalBytes; both are 0 in steps that read none.
	Bytes      int64 `json:"bytes"`
	TotalBytes int64 `json:"total_bytes"`
}

// States of operations.
const (
	Running = "running"
	Done    = "done"
	Failed  = "failed"
)

// Err returns the error of an operation that failed, else nil. Its code is that of the
// API's errors.
func (o RegistryOperation) Err() error {
	if o.Error == nil {
		return nil
	}
	code, ok := errorCodes[o.Error.Code]
	if !ok {
		code = regcred.Internal
	}
	return regcred.Errorf(code, "%s", o.Error.Detail)
}

// StartCollection has the server remove what the registry no longer needs, or joins in
// where it does; a dry run says what would go. With force it goes on where more than half
// of all content would.
func (c *Client) StartCollection(ctx context.Context, dryRun, force bool) (RegistryOperation, error) {
	q := url.Values{}
	setFlag(q, "dry_run", dryRun)
	setFlag(q, "force", force)
	return call[RegistryOperation](ctx, c, http.MethodPost, registryPath+"actions/collect", q, nil)
}

// StartCheck has the server compare the registry's metadata with its storage, or joins in
// where it does; deep reads all content.
func (c *Client) StartCheck(ctx context.Context, deep bool) (RegistryOperation, error) {
	q := url.Values{}
	setFlag(q, "deep", deep)
	return call[RegistryOperation](ctx, c, http.MethodPost, registryPath+"actions/check", q, nil)
}

// RegistryOperation returns an operation as soon as it has ended, or after a time, of
// which the server allows 30 seconds: at once where wait is 0. Errors: NotFound where the
// server has forgotten it.
func (c *Client) RegistryOperation(ctx context.Context, id string, wait time.Duration) (RegistryOperation, error) {
	q := url.Values{}
	if wait > 0 {
		q.Set("wait", wait.String())
	}
	return call[RegistryOperation](ctx, c, http.MethodGet, registryPath+"operations/"+url.PathEscape(id), q, nil)
}

// RegistryOperations returns the operations that go on and the last ones that have ended,
// the last one to be started first.
func (c *Client) RegistryOperations(ctx context.Context) ([]RegistryOperation, error) {
	return list[RegistryOperation](ctx, c, registryPath+"operations", nil)
}

// A server that cannot be reached, such as behind a proxy that is started anew, is asked
// again for a time.
const (
	operationPatience = time.Minute
	operationRetry    = time.Second
)

// WaitForOperation returns an operation once it has ended, and hands how it stands to
// report in between, which may be nil, after every so long. Errors: those of
// RegistryOperation; the operation goes on in any case.
func (c *Client) WaitForOperation(ctx context.Context, o RegistryOperation, every time.Duration, report func(RegistryOperation)) (RegistryOperation, error) {
	for reached := time.Now(); o.State == Running; {
		next, err := c.RegistryOperation(ctx, o.ID, every)
		switch {
		case err == nil:
			o, reached = next, time.Now()
			if report != nil {
				report(o)
			}
			continue
		case regcred.CodeOf(err) != regcred.Unavailable || time.Since(reached) > operationPatience:
			return o, err
		}
		select {
		case <-ctx.Done():
			return o, ctx.Err()
		case <-time.After(operationRetry):
		}
	}
	return o, nil
}

// pollInterval is how long those wait for one answer who show nothing meanwhile.
const pollInterval = 10 * time.Second

// CollectGarbage is StartCollection, and waits until that has ended.
func (c *Client) CollectGarbage(ctx context.Context, dryRun, force bool) (Collection, error) {
	o, err := c.StartCollection(ctx, dryRun, force)
	if err == nil {
		o, err = c.WaitForOperation(ctx, o, pollInterval, nil)
	}
	if err == nil {
		err = o.Err()
	}
	if o.Collection == nil {
		return Collection{}, err
	}
	return *o.Collection, err
}

// CheckRegistry is StartCheck, and waits until that has ended.
func (c *Client) CheckRegistry(ctx context.Context, deep bool) (RegistryCheck, error) {
	o, err := c.StartCheck(ctx, deep)
	if err == nil {
		o, err = c.WaitForOperation(ctx, o, pollInterval, nil)
	}
	if err == nil {
		err = o.Err()
	}
	if o.Check == nil {
		return RegistryCheck{}, err
	}
	return *o.Check, err
}
