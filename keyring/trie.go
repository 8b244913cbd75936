package keyring

import (
	"hash/maphash"
	"iter"
	"math/bits"
	"slices"
)

// trie is an immutable map: a hash array mapped trie (Bagwell, "Ideal Hash
// Trees", 2001). A changed copy shares all nodes with the original but those on
// the way to the change. The zero trie is empty.
//
// What a lookup reads lies together: each cache line that it has to fetch from
// memory counts in a book of a million credentials.
type trie[K comparable, V any] struct {
	root node[K, V]
	size int
}

// Each level of a trie consumes digitBits of a key's hash. Below the last level,
// where no bits are left, a node is a plain list.
const (
	digitBits = 6
	hashBits  = 64
)

// node has the slots that are in use, in the order of their digits.
type node[K comparable, V any] struct {
	used  uint64 // bit d is set where a slot for digit d is in use
	slots []slot[K, V]
	edit  *edit // what made the slots, and may change them in place
}

// slot holds either a deeper node or one key and its value.
type slot[K comparable, V any] struct {
	deeper *node[K, V]
	hash   uint64
	key    K
	value  V
}

// edit identifies a series of changes: nodes made in it are not shared yet, so
// that each node is copied once for the whole series.
type edit struct{ _ byte }

var hashSeed = maphash.MakeSeed()

func hashOf[K comparable](key K) uint64 { return maphash.Comparable(hashSeed, key) }

// get returns the key's value. It allocates nothing.
func (t *trie[K, V]) get(key K) (value V, ok bool) {
	if v := t.at(key); v != nil {
		return *v, true
	}
	return value, false
}

// at returns where the key's value is, nil where there is none. It must not be
// changed.
func (t *trie[K, V]) at(key K) *V { return t.find(hashOf(key), key) }

// with returns a trie that has the value at the key.
func (t trie[K, V]) with(e *edit, key K, value V) trie[K, V] {
	return t.insert(e, slot[K, V]{hash: hashOf(key), key: key, value: value})
}

// without returns a trie that does not have the key.
func (t trie[K, V]) without(e *edit, key K) trie[K, V] { return t.remove(e, hashOf(key), key) }

// all yields every key and value, in no particular order.
func (t trie[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { t.root.visit(yield) }
}

func (t *trie[K, V]) find(hash uint64, key K) *V {
	n := &t.root
	for shift := 0; ; shift += digitBits {
		i, found := n.locate(hash, shift, key)
		if !found {
			return nil
		}
		s := &n.slots[i]
		if s.deeper == nil {
			if s.hash != hash || s.key != key {
				return nil
			}
			return &s.value
		}
		n = s.deeper
	}
}

func (t trie[K, V]) insert(e *edit, s slot[K, V]) trie[K, V] {
	t.root.own(e)
	if t.root.insert(e, s, 0) {
		t.size++
	}
	return t
}

func (t trie[K, V]) remove(e *edit, hash uint64, key K) trie[K, V] {
	if t.find(hash, key) == nil {
		return t
	}
	t.root.own(e)
	t.root.remove(e, hash, key, 0)
	t.size--
	return t
}

// locate returns where the slot for a key is, or would have to be put in.
func (n *node[K, V]) locate(hash uint64, shift int, key K) (i int, found bool) {
	if shift >= hashBits {
		i = slices.IndexFunc(n.slots, func(s slot[K, V]) bool { return s.key == key })
		if i < 0 {
			return len(n.slots), false
		}
		return i, true
	}
	bit := digit(hash, shift)
	return bits.OnesCount64(n.used & (bit - 1)), n.used&bit != 0
}

// digit returns the bit that stands for a hash's digit at a level.
func digit(hash uint64, shift int) uint64 { return 1 << (hash >> shift & (1<<digitBits - 1)) }

// insert adds or replaces a key in a node that the edit owns.
func (n *node[K, V]) insert(e *edit, s slot[K, V], shift int) (added bool) {
	i, found := n.locate(s.hash, shift, s.key)
	switch {
	case !found:
		n.slots = slices.Insert(n.slots, i, s)
		if shift < hashBits {
			n.used |= digit(s.hash, shift)
		}
		return true
	case n.slots[i].deeper != nil:
		return n.below(e, i).insert(e, s, shift+digitBits)
	case n.slots[i].key == s.key:
		n.slots[i] = s
		return false
	}
	// Two keys share the digit: both move one level down.
	below := &node[K, V]{edit: e}
	below.insert(e, n.slots[i], shift+digitBits)
	below.insert(e, s, shift+digitBits)
	n.slots[i] = slot[K, V]{deeper: below}
	return true
}

// remove removes a key that is there from a node that the edit owns. A node that
// is left with one key gives it to the one above.
func (n *node[K, V]) remove(e *edit, hash uint64, key K, shift int) {
	i, _ := n.locate(hash, shift, key)
	if n.slots[i].deeper != nil {
		below := n.below(e, i)
		below.remove(e, hash, key, shift+digitBits)
		if len(below.slots) == 1 && below.slots[0].deeper == nil {
			n.slots[i] = below.slots[0]
		}
		return
	}
	n.slots = slices.Delete(n.slots, i, i+1)
	if shift < hashBits {
		n.used &^= digit(hash, shift)
	}
}

// below returns the node in slot i, which the edit then owns.
func (n *node[K, V]) below(e *edit, i int) *node[K, V] {
	below := *n.slots[i].deeper
	below.own(e)
	n.slots[i].deeper = &below
	return &below
}

// own copies the node's slots, unless the edit made them.
func (n *node[K, V]) own(e *edit) {
	if n.edit != e {
		n.edit, n.slots = e, slices.Clone(n.slots)
	}
}

func (n *node[K, V]) visit(yield func(K, V) bool) bool {
	for _, s := range n.slots {
		if s.deeper != nil && !s.deeper.visit(yield) || s.deeper == nil && !yield(s.key, s.value) {
			return false
		}
	}
	return true
}
