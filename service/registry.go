package service

import (
	"context"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/crane"
)

// Images are the registry, as a Service has it.
type Images struct {
	Storage *registry.Storage
	// Where says in words where the images are kept.
	Where string
	// Crane is a directory of Crane's metadata that is served beside them, nil for none.
	Crane Crane
}

// Crane is what a Service needs of package crane.
type Crane interface {
	Status() crane.Status
	Shadowed(ctx context.Context) ([]string, error)
}

// ImagesStatus says where images come from.
type ImagesStatus struct {
	Where string
	Crane *crane.Status // nil: there is none
}

func (im Images) status() ImagesStatus {
	st := ImagesStatus{Where: im.Where}
	if im.Crane != nil {
		c := im.Crane.Status()
		st.Crane = &c
	}
	return st
}

// Who may do what with the registry's upkeep: admins all of it, auditors read.

// Repositories describes a page of the registry's repositories, in the order of their
// names, and returns how many there are. Errors: Denied; those of the storage.
func (s *Service) Repositories(ctx context.Context, caller regcred.Caller, offset, limit int) ([]registry.RepositoryInfo, int, error) {
	if err := s.requireRead(ctx, caller, act{operation: "list repositories", read: true}); err != nil {
		return nil, 0, err
	}
	var names []string
	for name, err := range s.o.Images.Storage.Repositories(ctx, "") {
		if err != nil {
			return nil, 0, err
		}
		names = append(names, name)
	}
	from := min(offset, len(names))
	var list []registry.RepositoryInfo
	for _, name := range names[from:min(from+limit, len(names))] {
		info, err := s.o.Images.Storage.DescribeRepository(ctx, name)
		switch err := registry.Plain(err, name); {
		case err != nil && regcred.CodeOf(err) == regcred.NotFound: // deleted meanwhile
		case err != nil:
			return nil, 0, err
		default:
			list = append(list, info)
		}
	}
	return list, len(names), nil
}

// Tags describes the tags of a repository, in the order of their names.
// Errors: Denied, NotFound, Invalid; those of the storage.
func (s *Service) Tags(ctx context.Context, caller regcred.Caller, repo string) ([]registry.TagInfo, error) {
	if err := s.requireRead(ctx, caller, act{operation: "list tags", repository: repo, detail: repo, read: true}); err != nil {
		return nil, err
	}
	var list []registry.TagInfo
	for info, err := range s.o.Images.Storage.DescribeTags(ctx, repo) {
		if err != nil {
			return nil, registry.Plain(err, repo)
		}
		list = append(list, info)
	}
	return list, nil
}

// TagHistory returns what a tag points at and pointed at before, the last first.
// Errors: Denied, NotFound, Invalid; those of the storage.
func (s *Service) TagHistory(ctx context.Context, caller regcred.Caller, repo, tag string) ([]registry.TagVersion, error) {
	name := repo + ":" + tag
	if err := s.requireRead(ctx, caller, act{operation: "read tag history", repository: repo, detail: name, read: true}); err != nil {
		return nil, err
	}
	list, err := s.o.Images.Storage.TagHistory(ctx, repo, tag)
	return list, registry.Plain(err, name)
}

// Rollback points a tag at a manifest that it pointed at before, or where d is "" at the
// last one, and returns which. Errors: Denied, also where the tag is immutable;
// NotFound, Invalid; those of the storage.
func (s *Service) Rollback(ctx context.Context, caller regcred.Caller, repo, tag string, d digest.Digest) (digest.Digest, error) {
	name := repo + ":" + tag
	if err := s.requireAdmin(ctx, caller, act{operation: "roll back tag", repository: repo, detail: to(name, d)}); err != nil {
		return "", err
	}
	desc, err := s.o.Images.Storage.Rollback(ctx, repo, tag, d)
	if err != nil {
		return "", registry.Plain(err, name)
	}
	s.o.Log.InfoContext(ctx, "tag rolled back", "tag", name, "digest", desc.Digest, "caller", caller)
	return desc.Digest, nil
}

func to(name string, d digest.Digest) string {
	if d == "" {
		return name
	}
	return name + " to " + d.String()
}

// DeleteTag removes a tag; what it points at stays, for a time that retention says.
// Errors: Denied, also where the tag is immutable; NotFound, Invalid; those of the
// storage.
func (s *Service) DeleteTag(ctx context.Context, caller regcred.Caller, repo, tag string) error {
	name := repo + ":" + tag
	if err := s.requireAdmin(ctx, caller, act{operation: "delete tag", repository: repo, detail: name}); err != nil {
		return err
	}
	if err := s.o.Images.Storage.DeleteTag(ctx, repo, tag); err != nil {
		return registry.Plain(err, name)
	}
	s.o.Log.InfoContext(ctx, "tag deleted", "tag", name, "caller", caller)
	return nil
}

// DeleteManifest removes a manifest, and the tags that point at it. Errors: Denied, also
// where an immutable tag needs it; NotFound, Invalid; those of the storage.
func (s *Service) DeleteManifest(ctx context.Context, caller regcred.Caller, repo string, d digest.Digest) error {
	name := repo + "@" + d.String()
	if err := s.requireAdmin(ctx, caller, act{operation: "delete manifest", repository: repo, detail: name}); err != nil {
		return err
	}
	if err := s.o.Images.Storage.DeleteManifest(ctx, repo, d); err != nil {
		return registry.Plain(err, name)
	}
	s.o.Log.InfoContext(ctx, "manifest deleted", "manifest", name, "caller", caller)
	return nil
}

// MaxProblems is how many problems a check of the registry names.
const MaxProblems = 1000

// RegistryReport is what a check of the registry found.
type RegistryReport struct {
	// Problems are the first MaxProblems, those that are not harmless before the others.
	Problems []registry.Problem
	// Lost and Harmless count all of them.
	Lost, Harmless int
	// Shadowed are repositories of Crane's metadata of which our own registry has
	// images too, and which it answers for.
	Shadowed []string
}

func (r *RegistryReport) add(p registry.Problem) {
	harmless := p.Kind.Harmless()
	at := len(r.Problems)
	if harmless {
		r.Harmless++
	} else {
		at = min(r.Lost, at) // before those that are harmless
		r.Lost++
	}
	if at >= MaxProblems {
		return
	}
	r.Problems = slices.Insert(r.Problems, at, p)
	r.Problems = r.Problems[:min(len(r.Problems), MaxProblems)]
}

// checkRegistry is what CheckRegistry starts.
func (s *Service) checkRegistry(ctx context.Context, o registry.CheckOptions) (RegistryReport, error) {
	var r RegistryReport
	for p, err := range s.o.Images.Storage.Check(ctx, o) {
		if err != nil {
			return r, err
		}
		r.add(p)
	}
	if s.o.Images.Crane == nil {
		return r, nil
	}
	var err error
	r.Shadowed, err = s.o.Images.Crane.Shadowed(ctx)
	return r, err
}

// RegistryStatistics returns what was pulled and pushed on the days from one time to
// another, both included, in UTC. Errors: Denied; those of the storage.
func (s *Service) RegistryStatistics(ctx context.Context, caller regcred.Caller, from, to time.Time) ([]registry.Statistic, error) {
	if err := s.requireRead(ctx, caller, act{operation: "read registry statistics", read: true}); err != nil {
		return nil, err
	}
	return s.o.Images.Storage.Statistics(ctx, from, to)
}
