package crane

import (
	"cmp"
	"slices"
)

// set is all metadata at one moment. It is never changed, but replaced as a whole.
type set struct {
	v1, v2 map[string]*repository // by name
	// images are the v1 repositories that list an image, by its id: the one whose URL
	// serves it comes first.
	images map[string][]*repository
}

// newSet puts repositories together. Of several of the same name and protocol the
// first counts; the others are returned.
func newSet(list []*repository, owners []string) (s *set, duplicates []*repository) {
	s = &set{v1: map[string]*repository{}, v2: map[string]*repository{}, images: map[string][]*repository{}}
	for _, r := range list {
		byName := s.v2
		if r.version == 1 {
			byName = s.v1
		}
		if byName[r.name] != nil {
			duplicates = append(duplicates, r)
			continue
		}
		byName[r.name] = r
		if r.version == 1 {
			for _, id := range slices.Compact(slices.Sorted(slices.Values(r.images))) {
				s.images[id] = append(s.images[id], r)
			}
		}
	}
	for _, repos := range s.images {
		slices.SortFunc(repos, func(a, b *repository) int { return compareOwners(a, b, owners) })
	}
	return s, duplicates
}

// compareOwners orders v1 repositories that list the same image: those that the
// operator named, in his order, then what is not protected, then by name.
func compareOwners(a, b *repository, owners []string) int {
	rank := func(r *repository) int {
		if i := slices.Index(owners, r.name); i >= 0 {
			return i
		}
		return len(owners)
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), compareBool(a.protected, b.protected), cmp.Compare(a.name, b.name))
}

// compareBool puts false first.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
