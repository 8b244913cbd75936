package api

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"regcred.dev/client"
	"regcred.dev/registry"
	"regcred.dev/service"
)

// Upkeep of the registry that takes long goes on in the server: who asks for it is
// answered where to look.

const operationsPath = "/regcred/v1/registry/operations/"

// maxWait is how long an answer about an operation is held back at most: proxies in
// front commonly cut after a minute.
const maxWait = 30 * time.Second

func (h *handler) collectGarbage(r call) (answer, error) {
	q := r.URL.Query()
	if err := knownQuery(q, "dry_run", "force"); err != nil {
		return answer{}, err
	}
	dryRun, err := boolean(q, "dry_run")
	if err != nil {
		return answer{}, err
	}
	force, err := boolean(q, "force")
	if err != nil {
		return answer{}, err
	}
	return h.started(h.Service.Collect(r.Context(), r.caller, dryRun, force))
}

func (h *handler) checkRegistry(r call) (answer, error) {
	q := r.URL.Query()
	if err := knownQuery(q, "deep"); err != nil {
		return answer{}, err
	}
	deep, err := boolean(q, "deep")
	if err != nil {
		return answer{}, err
	}
	return h.started(h.Service.CheckRegistry(r.Context(), r.caller, deep))
}

// started answers who asked for an operation.
func (h *handler) started(op service.Operation, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusAccepted, location: h.base + operationsPath + op.ID, body: operationResource(op)}, nil
}

func (h *handler) getOperation(r call) (answer, error) {
	wait, err := waiting(r.URL.Query())
	if err != nil {
		return answer{}, err
	}
	op, err := h.Service.FindOperation(r.Context(), r.caller, r.PathValue("id"), wait)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: operationResource(op)}, nil
}

// waiting reads how long to wait for the end of an operation.
func waiting(q url.Values) (time.Duration, error) {
	if err := knownQuery(q, "wait"); err != nil || !q.Has("wait") {
		return 0, err
	}
	wait, err := time.ParseDuration(q.Get("wait"))
	if err != nil || wait < 0 {
		return 0, badQuery("wait must be a duration, such as 10s")
	}
	return min(wait, maxWait), nil
}

func (h *handler) listOperations(r call) (answer, error) {
	page, perPage, err := onlyPaging(r.URL.Query())
	if err != nil {
		return answer{}, err
	}
	list, err := h.Service.Operations(r.Context(), r.caller)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: paged(h, r.URL, list, operationResource, page, perPage)}, nil
}

func operationResource(op service.Operation) client.RegistryOperation {
	out := client.RegistryOperation{
		ID: op.ID, Kind: string(op.Kind), DryRun: op.DryRun, Force: op.Force, Deep: op.Deep, State: client.Running,
		StartedBy: op.StartedBy, StartedAt: seconds(op.StartedAt), EndedAt: optional(op.EndedAt),
		Progress: client.OperationProgress{
			Step: op.Progress.Step, Number: op.Progress.Number, Steps: op.Progress.Steps,
			Objects: op.Progress.Objects, Bytes: op.Progress.Bytes, TotalBytes: op.Progress.Total,
		},
	}
	switch {
	case op.Err != nil:
		item, _ := errorItem(op.Err)
		out.State, out.Error = client.Failed, &item
	case !op.EndedAt.IsZero():
		out.State = client.Done
	}
	if op.Collection != nil {
		out.Collection = collection(op.DryRun, *op.Collection)
	}
	if op.Report != nil {
		out.Check = check(op.Deep, *op.Report)
	}
	return out
}

func collection(dryRun bool, done registry.Collection) *client.Collection {
	out := &client.Collection{
		DryRun: dryRun, Content: client.Amount(done.Content), Links: done.Links,
		Dropped: done.Dropped, Tags: append([]string{}, done.Tags...),
		Manifests: client.Amount(done.Manifests), Blobs: client.Amount(done.Blobs), Condemned: client.Amount(done.Condemned),
		Waiting: done.Waiting, Spared: done.Spared, Deleted: client.Amount(done.Deleted), Skipped: []client.SkippedRepository{},
	}
	for _, name := range slices.Sorted(maps.Keys(done.Skipped)) {
		out.Skipped = append(out.Skipped, client.SkippedRepository{Repository: name, Reason: done.Skipped[name]})
	}
	return out
}

func check(deep bool, found service.RegistryReport) *client.RegistryCheck {
	out := &client.RegistryCheck{
		Deep: deep, Lost: found.Lost, Harmless: found.Harmless,
		Problems: []client.RegistryProblem{}, Shadowed: append([]string{}, found.Shadowed...),
	}
	for _, p := range found.Problems {
		out.Problems = append(out.Problems, client.RegistryProblem{
			Kind: string(p.Kind), Harmless: p.Kind.Harmless(), Repository: p.Repository, Digest: p.Digest.String(),
			Bytes: p.Bytes, Key: p.Key, Message: p.Message,
		})
	}
	return out
}
