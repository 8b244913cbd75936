// Package catalog holds what there is to know of every credential but its secrets, in
// memory and indexed, for lists.
package catalog

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"regcred.dev"
)

// Catalog is the newest state of all credentials of a store. The zero Catalog is
// empty. Its methods may be called concurrently.
type Catalog struct {
	mu       sync.Mutex
	byGUID   map[string]*regcred.Credential
	all      shelf
	indexes  [indexes]map[string]*shelf
	revision uint64
}

// index is a property that credentials are found by.
type index int

const (
	byOrg index = iota
	bySpace
	byApp
	byLocation
	byLevel
	indexes
)

// key returns what a credential is found by, false where an index does not have it.
func (i index) key(c *regcred.Credential) (string, bool) {
	key := ""
	switch i {
	case byOrg:
		key = c.Scope.Org
	case bySpace:
		key = c.Scope.Space
	case byApp:
		key = c.Scope.App
	case byLocation:
		key = c.Location.String()
	case byLevel:
		key = c.Scope.Level().String()
	}
	return key, key != ""
}

// Query selects credentials and a page of them. Fields are combined by "and", the
// values of one by "or"; nil selects all.
type Query struct {
	GUIDs, Orgs, Spaces, Apps []string
	Locations                 []string // canonical
	Levels                    []string // as Level.String has them
	// May says whose credentials are selected at all.
	May func(regcred.Scope) bool
	// Match selects by more than the indexes know.
	Match func(*regcred.Credential) bool
	// Updated orders by the time of the last change, in place of the creation's.
	Updated bool
	// Newest puts the newest first, in place of the oldest.
	Newest bool
	// Offset and Limit cut out the page.
	Offset, Limit int
}

// Select returns the page of a query, and how many credentials the query selects.
// The time that it takes goes with those which the most selective index yields.
func (c *Catalog) Select(q Query) (page []regcred.Credential, total int) {
	for _, values := range []*[]string{&q.GUIDs, &q.Orgs, &q.Spaces, &q.Apps, &q.Locations, &q.Levels} {
		*values = unique(*values)
	}
	var selected []*regcred.Credential
	candidates := c.candidates(q)
	// Without an order of its own, only the page is kept.
	keep := q.Updated || q.Newest
	for _, item := range candidates {
		if !q.selects(item) {
			continue
		}
		if keep || total >= q.Offset && total < q.Offset+q.Limit {
			selected = append(selected, item)
		}
		total++
	}
	if keep {
		slices.SortFunc(selected, q.compare)
		from := min(q.Offset, len(selected))
		selected = selected[from:min(from+q.Limit, len(selected))]
	}
	page = make([]regcred.Credential, len(selected))
	for i, item := range selected {
		page[i] = *item
	}
	return page, total
}

func (q Query) compare(a, b *regcred.Credential) int {
	order := byCreation(a, b)
	if q.Updated {
		order = cmp.Or(a.UpdatedAt.Compare(b.UpdatedAt), order)
	}
	if q.Newest {
		return -order
	}
	return order
}

func byCreation(a, b *regcred.Credential) int {
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.GUID, b.GUID))
}

func (q Query) values() [indexes][]string {
	return [indexes][]string{byOrg: q.Orgs, bySpace: q.Spaces, byApp: q.Apps, byLocation: q.Locations, byLevel: q.Levels}
}

// selects reports whether a query, of which all values are sorted, selects a credential.
func (q Query) selects(c *regcred.Credential) bool {
	if q.GUIDs != nil && !has(q.GUIDs, c.GUID) {
		return false
	}
	for i, values := range q.values() {
		if values == nil {
			continue
		}
		if key, ok := index(i).key(c); !ok || !has(values, key) {
			return false
		}
	}
	return (q.May == nil || q.May(c.Scope)) && (q.Match == nil || q.Match(c))
}

// candidates returns the credentials that the most selective index yields for a query,
// of which all values are sorted and there once, in the order of their creation.
func (c *Catalog) candidates(q Query) []*regcred.Credential {
	c.mu.Lock()
	defer c.mu.Unlock()
	if q.GUIDs != nil {
		var found []*regcred.Credential
		for _, guid := range q.GUIDs {
			if item := c.byGUID[guid]; item != nil {
				found = append(found, item)
			}
		}
		slices.SortFunc(found, byCreation)
		return found
	}
	best, shelves := len(c.byGUID), []*shelf{&c.all}
	for i, values := range q.values() {
		if values == nil {
			continue
		}
		var some []*shelf
		size := 0
		for _, value := range values {
			if s := c.indexes[i][value]; s != nil {
				some, size = append(some, s), size+len(s.items)
			}
		}
		if size <= best {
			best, shelves = size, some
		}
	}
	if len(shelves) == 1 {
		return shelves[0].sorted()
	}
	var found []*regcred.Credential
	for _, s := range shelves {
		found = append(found, s.items...)
	}
	slices.SortFunc(found, byCreation)
	return found
}

// unique returns the values sorted, each once; nil for nil.
func unique(values []string) []string {
	values = slices.Clone(values)
	slices.Sort(values)
	return slices.Compact(values)
}

// has reports whether a value is among those that unique returned.
func has(values []string, value string) bool {
	_, found := slices.BinarySearch(values, value)
	return found
}

// Revision returns the store's revision up to which the catalog knows all.
func (c *Catalog) Revision() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.revision
}

// Apply takes in a batch of changes of the store. A credential that does not pass its
// integrity check is left out: nothing of it is to be trusted.
func (c *Catalog) Apply(batch regcred.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byGUID == nil {
		c.byGUID = map[string]*regcred.Credential{}
		for i := range c.indexes {
			c.indexes[i] = map[string]*shelf{}
		}
	}
	removed := map[*regcred.Credential]bool{}
	for _, change := range batch.Changes {
		guid := change.Credential.GUID
		old := c.byGUID[guid]
		gone := change.Deleted || change.Err != nil
		if old != nil && !gone && same(*old, change.Credential) {
			continue // its login alone changed
		}
		if old != nil {
			removed[old] = true
			delete(c.byGUID, guid)
		}
		if !gone {
			item := change.Credential.Public()
			c.byGUID[guid] = &item
			c.put(&item)
		}
	}
	c.remove(removed)
	c.revision = max(c.revision, batch.Revision)
}

func (c *Catalog) put(item *regcred.Credential) {
	c.all.put(item)
	for i, shelves := range c.indexes {
		key, ok := index(i).key(item)
		if !ok {
			continue
		}
		if shelves[key] == nil {
			shelves[key] = new(shelf)
		}
		shelves[key].put(item)
	}
}

// remove takes items from the shelves that they are on.
func (c *Catalog) remove(items map[*regcred.Credential]bool) {
	if len(items) == 0 {
		return
	}
	c.all.remove(items)
	for i, shelves := range c.indexes {
		keys := map[string]bool{}
		for item := range items {
			if key, ok := index(i).key(item); ok {
				keys[key] = true
			}
		}
		for key := range keys {
			if shelves[key].remove(items); len(shelves[key].items) == 0 {
				delete(shelves, key)
			}
		}
	}
}

// same reports whether two states of a credential show the same in a list.
func same(a, b regcred.Credential) bool {
	return a.CreatedAt.Equal(b.CreatedAt) && a.UpdatedAt.Equal(b.UpdatedAt) && a.Version == b.Version && a.Scope == b.Scope && a.Location == b.Location &&
		a.Spelling == b.Spelling && a.Provider == b.Provider && a.Username == b.Username && a.Origin == b.Origin &&
		maps.Equal(a.Settings, b.Settings) && maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations)
}

// shelf is a list of credentials. Whoever was handed its items may go on reading
// them: they are only appended to, or replaced as a whole.
type shelf struct {
	items    []*regcred.Credential
	unsorted bool
}

func (s *shelf) put(item *regcred.Credential) {
	if n := len(s.items); n > 0 && byCreation(s.items[n-1], item) > 0 {
		s.unsorted = true
	}
	s.items = append(s.items, item)
}

func (s *shelf) remove(items map[*regcred.Credential]bool) {
	left := make([]*regcred.Credential, 0, len(s.items))
	for _, item := range s.items {
		if !items[item] {
			left = append(left, item)
		}
	}
	s.items = left
}

// sorted returns the items in the order of their creation.
func (s *shelf) sorted() []*regcred.Credential {
	if s.unsorted {
		s.items = slices.SortedFunc(slices.Values(s.items), byCreation)
		s.unsorted = false
	}
	return s.items
}
