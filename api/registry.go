package api

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"regcred.dev/client"
	"regcred.dev/registry"
	"regcred.dev/service"
)

// The upkeep of the registry. Names of repositories have slashes, and so are in the
// query.

// required reads parameters of a query that must be there; those of optional may be.
func required(q url.Values, optional []string, keys ...string) ([]string, error) {
	if err := knownQuery(q, slices.Concat(optional, keys)...); err != nil {
		return nil, err
	}
	var values []string
	for _, key := range keys {
		if q.Get(key) == "" {
			return nil, badQuery(key + " is missing")
		}
		values = append(values, q.Get(key))
	}
	return values, nil
}

var pagingKeys = []string{"page", "per_page"}

func (h *handler) listRepositories(r call) (answer, error) {
	page, perPage, err := onlyPaging(r.URL.Query())
	if err != nil {
		return answer{}, err
	}
	found, total, err := h.Service.Repositories(r.Context(), r.caller, (page-1)*perPage, perPage)
	if err != nil {
		return answer{}, err
	}
	out := client.Page[client.Repository]{Resources: []client.Repository{}, Pagination: h.pagination(r.URL, total, page, perPage)}
	for _, i := range found {
		out.Resources = append(out.Resources, client.Repository{
			Name: i.Name, Tags: i.Tags, Manifests: i.Manifests, Blobs: i.Blobs, Bytes: i.Bytes, Quota: i.Quota, PushedAt: optional(i.PushedAt),
		})
	}
	return answer{status: http.StatusOK, body: out}, nil
}

func (h *handler) listTags(r call) (answer, error) {
	q := r.URL.Query()
	names, err := required(q, pagingKeys, "repository")
	if err != nil {
		return answer{}, err
	}
	page, perPage, err := paging(q)
	if err != nil {
		return answer{}, err
	}
	list, err := h.Service.Tags(r.Context(), r.caller, names[0])
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: paged(h, r.URL, list, tagResource, page, perPage)}, nil
}

func tagResource(t registry.TagInfo) client.Tag {
	return client.Tag{
		Name: t.Name, Digest: t.Digest.String(), MediaType: t.MediaType, Bytes: t.Bytes, Platforms: append([]string{}, t.Platforms...),
		WrittenAt: optional(t.WrittenAt), Pulls: t.Pulls, PulledAt: optional(t.PulledAt), Immutable: t.Immutable, Problem: t.Problem,
	}
}

func (h *handler) tagHistory(r call) (answer, error) {
	q := r.URL.Query()
	names, err := required(q, pagingKeys, "repository", "tag")
	if err != nil {
		return answer{}, err
	}
	page, perPage, err := paging(q)
	if err != nil {
		return answer{}, err
	}
	list, err := h.Service.TagHistory(r.Context(), r.caller, names[0], names[1])
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: paged(h, r.URL, list, tagVersion, page, perPage)}, nil
}

func tagVersion(v registry.TagVersion) client.TagVersion {
	return client.TagVersion{
		Digest: v.Digest.String(), MediaType: v.MediaType, Bytes: v.Size,
		WrittenAt: optional(v.WrittenAt), ReplacedAt: optional(v.ReplacedAt), Available: v.Available,
	}
}

func (h *handler) rollbackTag(r call) (answer, error) {
	q := r.URL.Query()
	names, err := required(q, []string{"digest"}, "repository", "tag")
	if err != nil {
		return answer{}, err
	}
	d, err := h.Service.Rollback(r.Context(), r.caller, names[0], names[1], digest.Digest(q.Get("digest")))
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: client.TagRollback{Repository: names[0], Tag: names[1], Digest: d.String()}}, nil
}

func (h *handler) deleteTag(r call) (answer, error) {
	names, err := required(r.URL.Query(), nil, "repository", "tag")
	if err != nil {
		return answer{}, err
	}
	if err := h.Service.DeleteTag(r.Context(), r.caller, names[0], names[1]); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, nil
}

func (h *handler) deleteManifest(r call) (answer, error) {
	names, err := required(r.URL.Query(), nil, "repository", "digest")
	if err != nil {
		return answer{}, err
	}
	if err := h.Service.DeleteManifest(r.Context(), r.caller, names[0], digest.Digest(names[1])); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, nil
}

// defaultSpan is how far back statistics go unless it is said.
const defaultSpan = 30 * 24 * time.Hour

func (h *handler) registryStatistics(r call) (answer, error) {
	q := r.URL.Query()
	if err := knownQuery(q, slices.Concat(pagingKeys, []string{"from", "to"})...); err != nil {
		return answer{}, err
	}
	page, perPage, err := paging(q)
	if err != nil {
		return answer{}, err
	}
	to, err := day(q, "to", time.Now())
	if err != nil {
		return answer{}, err
	}
	from, err := day(q, "from", to.Add(-defaultSpan))
	if err != nil {
		return answer{}, err
	}
	list, err := h.Service.RegistryStatistics(r.Context(), r.caller, from, to)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: paged(h, r.URL, list, statistic, page, perPage)}, nil
}

// day reads a day, or returns the one that is meant where there is none.
func day(q url.Values, key string, missing time.Time) (time.Time, error) {
	if !q.Has(key) {
		return missing, nil
	}
	t, err := time.Parse(time.DateOnly, q.Get(key))
	if err != nil {
		return t, badQuery(key + " must be a day, such as 2026-01-31")
	}
	return t, nil
}

func statistic(s registry.Statistic) client.RegistryStatistic {
	return client.RegistryStatistic{
		Repository: s.Repository, Tag: s.Tag, Pulls: s.Pulls, Checks: s.Checks, PulledBytes: s.PulledBytes, Pushes: s.Pushes,
		PushedBytes: s.PushedBytes, LastPulledAt: optional(s.LastPulledAt), LastPushedAt: optional(s.LastPushedAt),
	}
}

// images says where images come from.
func images(st service.ImagesStatus) client.Images {
	out := client.Images{Storage: st.Where}
	if c := st.Crane; c != nil {
		out.Crane = &client.Crane{
			Path: c.Path, V1: c.V1, V2: c.V2, Protected: c.Protected, ReadAt: optional(c.ReadAt), Bad: []client.BadFile{},
		}
		for _, b := range c.Bad {
			out.Crane.Bad = append(out.Crane.Bad, client.BadFile(b))
		}
	}
	return out
}
