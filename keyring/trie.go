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
type trie[K comparable, V any] struct {
	root *node[K, V]
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
	edit  *edit  // made by this edit, which may change it in place
	used  uint64 // bit d is set where a slot for digit d is in use
	slots []slot[K, V]
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
func (t trie[K, V]) get(key K) (V, bool) { return t.find(hashOf(key), key) }

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

func (t trie[K, V]) find(hash uint64, key K) (value V, ok bool) {
	for n, shift := t.root, 0; n != nil; shift += digitBits {
		i, found := n.locate(hash, shift, key)
		if !found {
			return value, false
		}
		s := &n.slots[i]
		if s.deeper == nil {
			if s.hash != hash || s.key != key {
				return value, false
			}
			return s.value, true
		}
		n = s.deeper
	}
	return value, false
}

func (t trie[K, V]) insert(e *edit, s slot[K, V]) trie[K, V] {
	root, added := t.root.insert(e, s, 0)
	if added {
		t.size++
	}
	t.root = root
	return t
}

func (t trie[K, V]) remove(e *edit, hash uint64, key K) trie[K, V] {
	if _, ok := t.find(hash, key); !ok {
		return t
	}
	t.root = t.root.remove(e, hash, key, 0)
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

func (n *node[K, V]) insert(e *edit, s slot[K, V], shift int) (_ *node[K, V], added bool) {
	n = n.editable(e)
	i, found := n.locate(s.hash, shift, s.key)
	switch {
	case !found:
		n.slots = slices.Insert(n.slots, i, s)
		if shift < hashBits {
			n.used |= digit(s.hash, shift)
		}
		return n, true
	case n.slots[i].deeper != nil:
		n.slots[i].deeper, added = n.slots[i].deeper.insert(e, s, shift+digitBits)
		return n, added
	case n.slots[i].key == s.key:
		n.slots[i] = s
		return n, false
	}
	// Two keys share the digit: both move one level down.
	var below *node[K, V]
	below, _ = below.insert(e, n.slots[i], shift+digitBits)
	below, _ = below.insert(e, s, shift+digitBits)
	n.slots[i] = slot[K, V]{deeper: below}
	return n, true
}

// remove removes a key that is there, and returns nil where nothing is left.
func (n *node[K, V]) remove(e *edit, hash uint64, key K, shift int) *node[K, V] {
	n = n.editable(e)
	i, _ := n.locate(hash, shift, key)
	if below := n.slots[i].deeper; below != nil {
		below = below.remove(e, hash, key, shift+digitBits)
		switch {
		case below != nil && len(below.slots) == 1 && below.slots[0].deeper == nil:
			n.slots[i] = below.slots[0]
			return n
		case below != nil:
			n.slots[i].deeper = below
			return n
		}
	}
	n.slots = slices.Delete(n.slots, i, i+1)
	if shift < hashBits {
		n.used &^= digit(hash, shift)
	}
	if len(n.slots) == 0 {
		return nil
	}
	return n
}

// editable returns the node itself where the edit made it, else a copy.
func (n *node[K, V]) editable(e *edit) *node[K, V] {
	switch {
	case n == nil:
		return &node[K, V]{edit: e}
	case n.edit == e:
		return n
	}
	return &node[K, V]{edit: e, used: n.used, slots: slices.Clone(n.slots)}
}

func (n *node[K, V]) visit(yield func(K, V) bool) bool {
	if n == nil {
		return true
	}
	for _, s := range n.slots {
		if s.deeper != nil && !s.deeper.visit(yield) || s.deeper == nil && !yield(s.key, s.value) {
			return false
		}
	}
	return true
}
