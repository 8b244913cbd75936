package crane

import "errors"

// errTruncated is the end of a bit stream where there should be more.
var errTruncated = errors.New("it ends in the middle")

// bitReader reads bits, the highest of each byte first.
type bitReader struct {
	data []byte
	n    int // bits read of data
}

func (b *bitReader) next() (byte, error) {
	if b.n == 8*len(b.data) {
		return 0, errTruncated
	}
	bit := b.data[b.n/8] >> (7 - b.n%8) & 1
	b.n++
	return bit, nil
}

// huffman is a node of a Huffman tree: a leaf is one of n symbols.
type huffman struct {
	weight      int
	symbol      int
	left, right *huffman // nil in a leaf
}

// newHuffman returns the tree of n symbols, at least one, which weigh 1, 2, up to n.
// Of nodes that weigh the same, the one that was there first is taken first, which is
// a leaf.
func newHuffman(n int) *huffman {
	leaves, merged := make([]*huffman, n), []*huffman(nil)
	for i := range leaves {
		leaves[i] = &huffman{weight: i + 1, symbol: i}
	}
	lightest := func() *huffman { // both lists are in the order of weight
		from := &leaves
		if len(leaves) == 0 || len(merged) > 0 && merged[0].weight < leaves[0].weight {
			from = &merged
		}
		node := (*from)[0]
		*from = (*from)[1:]
		return node
	}
	for len(leaves)+len(merged) > 1 {
		left, right := lightest(), lightest()
		merged = append(merged, &huffman{weight: left.weight + right.weight, left: left, right: right})
	}
	return lightest()
}

// read returns the symbol whose code comes next. The code of a lone symbol is empty.
func (h *huffman) read(b *bitReader) (int, error) {
	for h.left != nil {
		bit, err := b.next()
		if err != nil {
			return 0, err
		}
		if bit == 0 {
			h = h.left
		} else {
			h = h.right
		}
	}
	return h.symbol, nil
}
