package crane

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// Bounds of what a certificate says: those of Red Hat have some thousand paths.
const (
	maxWords = 1 << 20 // bytes, inflated
	maxNodes = 1 << 16
)

// paths is a node of a graph of paths, whose edges are segments. One without edges is
// the end of a path, except where it is the first.
type paths struct {
	next map[string][]*paths
}

// add adds a path. One without segments is none.
func (p *paths) add(s string) {
	for segment := range strings.SplitSeq(strings.Trim(path.Clean("/"+s), "/"), "/") {
		if segment == "" {
			return
		}
		end := &paths{}
		p.link(segment, end)
		p = end
	}
}

func (p *paths) link(segment string, to *paths) {
	if p.next == nil {
		p.next = map[string][]*paths{}
	}
	p.next[segment] = append(p.next[segment], to)
}

// cover reports whether one of the paths is a path s or above it. A segment such as
// $releasever stands for any one.
func (p *paths) cover(s string) bool {
	at := map[*paths]bool{p: true}
	for segment := range strings.SplitSeq(strings.Trim(path.Clean("/"+s), "/"), "/") {
		after := map[*paths]bool{}
		for node := range at {
			for _, n := range node.step(segment) {
				if len(n.next) == 0 {
					return true
				}
				after[n] = true
			}
		}
		at = after
	}
	return false
}

// step returns the nodes to which a segment leads. An empty one, which is that of the
// path "/", leads nowhere.
func (p *paths) step(segment string) []*paths {
	if segment == "" {
		return nil
	}
	nodes := slices.Clone(p.next[segment])
	for word, to := range p.next {
		if strings.HasPrefix(word, "$") && word != segment {
			nodes = append(nodes, to...)
		}
	}
	return nodes
}

// parsePaths reads the paths of a certificate of version 3, as Candlepin writes them:
//
//   - the words, each ended by a zero byte, compressed by zlib; the last of all is the
//     empty one, which is what follows the last zero;
//   - how many nodes there are: one byte, or where that is above 128 as many bytes as
//     it is above that, the highest first;
//   - in a stream of bits, for each node, the first being the root: pairs of a word and
//     the node to which it leads, and then the empty word.
//
// Words and nodes are written by the codes of two Huffman trees, in which the first
// weighs 1, the second 2, and so on. The root has no code, and weighs nothing.
//
// Unlike rhsm, which reads a stream that ends too early as if all its nodes had ended,
// and so as paths that end early, it returns an error then.
func parsePaths(data []byte) (*paths, error) {
	words, rest, err := inflate(data)
	if err != nil {
		return nil, err
	}
	n, rest, err := nodeCount(rest)
	if err != nil {
		return nil, err
	}
	nodes := make([]*paths, n)
	for i := range nodes {
		nodes[i] = &paths{}
	}
	return nodes[0], link(nodes, words, &bitReader{data: rest})
}

// inflate returns the words and what follows them.
func inflate(data []byte) (words []string, rest []byte, err error) {
	source := bytes.NewReader(data) // no byte more is read of it than was compressed
	z, err := zlib.NewReader(source)
	if err != nil {
		return nil, nil, fmt.Errorf("its words: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(z, maxWords+1))
	if err != nil {
		return nil, nil, fmt.Errorf("its words: %w", err)
	}
	words = strings.Split(string(text), "\x00")
	if len(text) > maxWords || len(words) < 2 || words[len(words)-1] != "" {
		return nil, nil, errors.New("its words are none, too many, or not ended by a zero")
	}
	return words, data[len(data)-source.Len():], nil
}

// nodeCount returns how many nodes there are, and what follows.
func nodeCount(data []byte) (n int, rest []byte, err error) {
	if len(data) == 0 {
		return 0, nil, errTruncated
	}
	n, rest = int(data[0]), data[1:]
	if n >= 128 {
		size := n - 128
		if size > len(rest) {
			return 0, nil, errTruncated
		}
		n = 0
		for _, b := range rest[:size] {
			n = min(n<<8|int(b), maxNodes+1)
		}
		rest = rest[size:]
	}
	if n < 2 || n > maxNodes {
		return 0, nil, fmt.Errorf("it has %d nodes; 2 to %d are possible", n, maxNodes)
	}
	return n, rest, nil
}

// link reads the edges of the nodes. Each takes a bit at least, and the end of each
// node too.
func link(nodes []*paths, words []string, b *bitReader) error {
	wordCodes, nodeCodes := newHuffman(len(words)), newHuffman(len(nodes)-1)
	for _, node := range nodes {
		for {
			w, err := wordCodes.read(b)
			if err != nil {
				return err
			}
			if words[w] == "" {
				break
			}
			to, err := nodeCodes.read(b)
			if err != nil {
				return err
			}
			node.link(words[w], nodes[to+1])
		}
	}
	return nil
}
