package registry

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"sort"

	"github.com/opencontainers/go-digest"
)

// digestSet is a sorted set of digests, each of which can be marked. A SHA-256 takes
// 32 bytes and a bit, a SHA-512 64: a million of them take as many MB. The zero
// digestSet is empty.
type digestSet struct {
	lists [2]digestList // of SHA-256 and SHA-512, in this order
}

// digestList is a sorted list of hashes of one algorithm.
type digestList struct {
	chunks [][]byte // of listChunk hashes, but for the last: growing copies nothing
	n      int
	marks  []uint64 // a bit for each
}

const listChunk = 4096

// listed are the algorithms of a set's lists.
var listed = [2]digest.Algorithm{digest.SHA256, digest.SHA512}

// list returns the list of an algorithm and the size of its hashes, nil for one that
// the registry does not know.
func (s *digestSet) list(a digest.Algorithm) (*digestList, int) {
	i := slices.Index(listed[:], a)
	if i < 0 {
		return nil, 0
	}
	return &s.lists[i], a.Size()
}

// add appends a digest, which has to be greater than those of its algorithm that are
// there: Blobs.List has them in this order.
func (s *digestSet) add(d digest.Digest) error {
	l, size := s.list(d.Algorithm())
	if l == nil {
		return fmt.Errorf("%s is of no known algorithm", d)
	}
	hash, err := hex.DecodeString(d.Encoded())
	if err != nil || len(hash) != size {
		return fmt.Errorf("%s is no digest", d)
	}
	if l.n > 0 && bytes.Compare(l.at(l.n-1, size), hash) >= 0 {
		return fmt.Errorf("the storage lists %s out of order", d)
	}
	if l.n%listChunk == 0 {
		l.chunks = append(l.chunks, make([]byte, 0, listChunk*size))
	}
	last := &l.chunks[len(l.chunks)-1]
	*last = append(*last, hash...)
	if l.n%64 == 0 {
		l.marks = append(l.marks, 0)
	}
	l.n++
	return nil
}

// len returns how many digests there are.
func (s *digestSet) len() int { return s.lists[0].n + s.lists[1].n }

// has reports whether a digest is there.
func (s *digestSet) has(d digest.Digest) bool {
	_, _, ok := s.find(d)
	return ok
}

// mark marks a digest, and reports whether it is there and was not yet marked.
func (s *digestSet) mark(d digest.Digest) bool {
	l, i, ok := s.find(d)
	if !ok || l.marked(i) {
		return false
	}
	l.marks[i/64] |= 1 << (i % 64)
	return true
}

// marked reports whether a digest is there and marked.
func (s *digestSet) marked(d digest.Digest) bool {
	l, i, ok := s.find(d)
	return ok && l.marked(i)
}

// unmarked yields the digests that are not marked, in their order.
func (s *digestSet) unmarked() iter.Seq[digest.Digest] {
	return func(yield func(digest.Digest) bool) {
		for k := range s.lists {
			l := &s.lists[k]
			for i := range l.n {
				if !l.marked(i) && !yield(digest.NewDigestFromBytes(listed[k], l.at(i, listed[k].Size()))) {
					return
				}
			}
		}
	}
}

func (s *digestSet) find(d digest.Digest) (*digestList, int, bool) {
	l, size := s.list(d.Algorithm())
	if l == nil || len(d.Encoded()) != 2*size {
		return nil, 0, false
	}
	hash, err := hex.DecodeString(d.Encoded())
	if err != nil {
		return nil, 0, false
	}
	i := sort.Search(l.n, func(i int) bool { return bytes.Compare(l.at(i, size), hash) >= 0 })
	return l, i, i < l.n && bytes.Equal(l.at(i, size), hash)
}

func (l *digestList) at(i, size int) []byte {
	chunk, i := l.chunks[i/listChunk], i%listChunk
	return chunk[i*size : (i+1)*size]
}

func (l *digestList) marked(i int) bool { return l.marks[i/64]&(1<<(i%64)) != 0 }
