package keyring

import (
	"regcred.dev"
	"regcred.dev/imageref"
)

// shelf has the entries of one scope, and the shelves of the scopes right below.
// A lookup thus walks from the foundation to an app through tries that are small
// but for that of the organizations.
type shelf struct {
	placed  trie[imageref.Location, *Entry]
	pending trie[string, *Entry] // by guid: those whose location is not yet found
	below   trie[string, shelf]  // by id
}

// levels is the number of scopes that an app sees: its own and the wider ones.
const levels = int(regcred.LevelApp) + 1

// path returns the shelves of a scope and the wider ones, by level; nil where a
// scope has none. It allocates nothing.
func (s *shelf) path(scope regcred.Scope) (list [levels]*shelf) {
	list[0] = s
	ids := [...]string{scope.Org, scope.Space, scope.App}
	for i, id := range ids[:scope.Level()] {
		if list[i+1] = list[i].below.at(id); list[i+1] == nil {
			break
		}
	}
	return list
}

// put puts an entry on the shelf of its scope; s is the foundation's.
func (s *shelf) put(e *edit, entry *Entry) {
	s.change(e, entry.Scope, func(s *shelf) {
		if entry.Location.IsZero() {
			s.pending = s.pending.with(e, entry.GUID, entry)
		} else {
			s.placed = s.placed.with(e, entry.Location, entry)
		}
	})
}

// remove takes an entry off the shelf of its scope, unless another one has its
// place; s is the foundation's.
func (s *shelf) remove(e *edit, entry *Entry) {
	s.change(e, entry.Scope, func(s *shelf) {
		s.pending = s.pending.without(e, entry.GUID)
		if holder, ok := s.placed.get(entry.Location); ok && holder == entry {
			s.placed = s.placed.without(e, entry.Location)
		}
	})
}

// change changes copies of the shelf of a scope and of those above it, down from
// s, which is changed itself. A shelf that gets empty goes.
func (s *shelf) change(e *edit, scope regcred.Scope, f func(*shelf)) {
	ids := [...]string{scope.Org, scope.Space, scope.App}
	s.changeBelow(e, ids[:scope.Level()], f)
}

func (s *shelf) changeBelow(e *edit, ids []string, f func(*shelf)) {
	if len(ids) == 0 {
		f(s)
		return
	}
	next, _ := s.below.get(ids[0])
	next.changeBelow(e, ids[1:], f)
	if next.placed.size+next.pending.size+next.below.size == 0 {
		s.below = s.below.without(e, ids[0])
		return
	}
	s.below = s.below.with(e, ids[0], next)
}
