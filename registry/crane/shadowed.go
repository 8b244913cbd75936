package crane

import "context"

// Shadowed returns the names that our own registry has images of and the directory
// has too, sorted: there the directory's metadata is of no effect, and can be removed.
// Errors: those of the storage.
func (h *Handler) Shadowed(ctx context.Context) ([]string, error) {
	if h.storage == nil {
		return nil, nil
	}
	set := h.directory.set.Load()
	var names []string
	for name, err := range h.storage.Repositories(ctx, "") {
		if err != nil {
			return nil, err
		}
		if set.v1[name] == nil && set.v2[name] == nil {
			continue
		}
		own, err := h.storage.HasManifests(ctx, name)
		if err != nil {
			return nil, err
		}
		if own {
			names = append(names, name)
		}
	}
	return names, nil
}
