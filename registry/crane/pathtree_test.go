package crane

import (
	"bytes"
	"compress/zlib"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// writePaths writes paths as Candlepin does, but that it merges no nodes except the
// ends.
func writePaths(list ...string) []byte {
	type edge struct {
		word string
		to   int
	}
	nodes := [][]edge{nil, nil} // the root, and the end of all paths
	var words []string
	for _, p := range list {
		at := 0
		segments := strings.Split(strings.Trim(p, "/"), "/")
		for i, s := range segments {
			if !slices.Contains(words, s) {
				words = append(words, s)
			}
			to := 1
			if i < len(segments)-1 {
				nodes = append(nodes, nil)
				to = len(nodes) - 1
			}
			nodes[at] = append(nodes[at], edge{s, to})
			at = to
		}
	}
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	for _, w := range words {
		_, _ = z.Write([]byte(w + "\x00"))
	}
	_ = z.Close()
	if n := len(nodes); n > 127 {
		b.Write([]byte{130, byte(n >> 8), byte(n)})
	} else {
		b.WriteByte(byte(n))
	}
	wordCodes, nodeCodes := codes(newHuffman(len(words)+1)), codes(newHuffman(len(nodes)-1))
	var bits strings.Builder
	for _, edges := range nodes {
		for _, e := range edges {
			bits.WriteString(wordCodes[slices.Index(words, e.word)] + nodeCodes[e.to-1])
		}
		bits.WriteString(wordCodes[len(words)])
	}
	for chunk := range slices.Chunk([]byte(bits.String()), 8) {
		var v byte
		for i := range 8 {
			v <<= 1
			if i < len(chunk) && chunk[i] == '1' {
				v |= 1
			}
		}
		b.WriteByte(v)
	}
	return b.Bytes()
}

// codes returns the code of each symbol.
func codes(h *huffman) map[int]string {
	m := map[int]string{}
	var walk func(h *huffman, code string)
	walk = func(h *huffman, code string) {
		if h.left == nil {
			m[h.symbol] = code
			return
		}
		walk(h.left, code+"0")
		walk(h.right, code+"1")
	}
	walk(h, "")
	return m
}

// goldenPaths is what writePaths gives for /content/dist/$releasever/os,
// /content/acme and /content/dist/extras. rhsm's own reader (rhsm.pathtree) reads
// these three from it.
const goldenPaths = "789c04c0510ac0300803d01c661713978fc1aa6042e9f1fbb2cb2ce3fd643cc39f216e0e5a885c048f27841b0000ffff28c10e1108676ec53a96b35da7a1a0"

func TestGoldenPaths(t *testing.T) {
	list := []string{"/content/dist/$releasever/os", "/content/acme", "/content/dist/extras"}
	data, err := hex.DecodeString(goldenPaths)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(writePaths(list...)); got != goldenPaths {
		t.Errorf("the paths are written as %s", got)
	}
	p, err := parsePaths(data)
	if err != nil {
		t.Fatal(err)
	}
	checkCover(t, p)
}

func TestAddedPaths(t *testing.T) {
	p := &paths{}
	for _, s := range []string{"/content/dist/$releasever/os", "content/acme/", "/content/dist/extras", "", "/", "//"} {
		p.add(s)
	}
	checkCover(t, p)
}

func checkCover(t *testing.T, p *paths) {
	t.Helper()
	for path, want := range map[string]bool{
		"/content/acme":                  true,
		"/content/acme/":                 true,
		"/content/acme/app/sub":          true,
		"/content/acme/../other":         false,
		"/content/acmeapp":               false,
		"/content/Acme":                  false,
		"/content":                       false,
		"/":                              false,
		"":                               false,
		"/content/dist/7/os":             true,
		"/content/dist/7Server/os/deep":  true,
		"/content/dist/7":                false,
		"/content/dist/7/8/os":           false,
		"/content/dist/extras":           true,
		"/content/dist/$releasever/os":   true,
		"/content/dist/7/listing":        false, // which rhsm lets everybody have
		"/other/content/acme":            false,
		"//content//acme":                true,
		"/content/dist/extras/../secret": false,
	} {
		if got := p.cover(path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
}

// TestLonePath is the shortest that there is: its one node but the root has a code of
// no bits.
func TestLonePath(t *testing.T) {
	p, err := parsePaths(writePaths("/owner"))
	if err != nil {
		t.Fatal(err)
	}
	if !p.cover("/owner/content") || p.cover("/other") {
		t.Errorf("the path is %v", p)
	}
}

// TestVariableAlone stands for any one segment, but not for none.
func TestVariableAlone(t *testing.T) {
	p := &paths{}
	p.add("/$owner")
	if !p.cover("/acme") || p.cover("/") || p.cover("") {
		t.Error("$owner is for", p.cover("/acme"), p.cover("/"), p.cover(""))
	}
}

func TestManyPaths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.StringMatching(`(/[a-e]{1,2}){1,4}`), 1, 90).Draw(t, "paths")
		asked := rapid.StringMatching(`(/[a-e]{1,2}){1,5}`).Draw(t, "asked")
		p, err := parsePaths(writePaths(list...))
		if err != nil {
			t.Fatal(err)
		}
		want := slices.ContainsFunc(list, func(s string) bool { return asked == s || strings.HasPrefix(asked, s+"/") })
		if got := p.cover(asked); got != want {
			t.Errorf("%q: %v", asked, got)
		}
	})
}

// TestBrokenPaths: what is damaged entitles to nothing, above all not to what lies
// above the paths.
func TestBrokenPaths(t *testing.T) {
	whole := writePaths("/content/dist/$releasever/os", "/content/acme", "/content/dist/extras")
	for n := range whole {
		if p, err := parsePaths(whole[:n]); err == nil {
			t.Errorf("cut to %d bytes of %d: %v", n, len(whole), p)
		}
	}
	words := func(s string) []byte {
		var b bytes.Buffer
		z := zlib.NewWriter(&b)
		_, _ = z.Write([]byte(s))
		_ = z.Close()
		return b.Bytes()
	}
	for name, data := range map[string][]byte{
		"no words":       append(words(""), 2, 0),
		"no last word":   append(words("a"), 2, 0),
		"no nodes":       append(words("a\x00"), 0, 0xff),
		"a root alone":   append(words("a\x00"), 1, 0xff),
		"count of none":  append(words("a\x00"), 128, 0xff),
		"too many nodes": append(words("a\x00"), 132, 0xff, 0xff, 0xff, 0xff, 0xff),
		"huge count":     append(append(words("a\x00"), 255), bytes.Repeat([]byte{0xff}, 130)...),
		"bomb":           append(words(strings.Repeat("a\x00", maxWords)), 2, 0xff),
	} {
		if p, err := parsePaths(data); err == nil {
			t.Errorf("%s: %v", name, p)
		}
	}
}

func FuzzPaths(f *testing.F) {
	f.Add(writePaths("/owner"), "/owner/content")
	f.Add(writePaths("/$owner"), "/")
	f.Add(writePaths("/content/dist/$releasever/os", "/content/acme", "/content/dist/extras"), "/content/dist/7/os")
	f.Fuzz(func(t *testing.T, data []byte, path string) {
		p, err := parsePaths(data)
		if err != nil {
			return
		}
		p.cover(path)
		if p.cover("/") || p.cover("") {
			t.Error("it is for everything")
		}
	})
}

// FuzzEntitlement gives a certificate any extensions of Red Hat's.
func FuzzEntitlement(f *testing.F) {
	payload, err := asn1.Marshal(writePaths("/owner"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("\x0c\x033.4"), payload, []byte(nil))
	f.Add([]byte(nil), []byte(nil), []byte("\x0c\x0d/content/acme"))
	f.Add([]byte("\x0c\x031.0"), []byte(nil), []byte("\x0c\x01/"))
	f.Fuzz(func(t *testing.T, version, payload, url []byte) {
		c := &x509.Certificate{}
		for id, value := range map[string][]byte{"6": version, "7": payload, "4.1": {0x0c, 0}, "2.5.1.6": url} {
			if value == nil {
				continue
			}
			oid := slices.Clone(redHat)
			for n := range strings.SplitSeq(id, ".") {
				oid = append(oid, int(n[0]-'0'))
			}
			c.Extensions = append(c.Extensions, pkix.Extension{Id: oid, Value: value})
		}
		p, err := entitlement(c)
		if err == nil && (p.cover("/") || p.cover("")) {
			t.Error("it is for everything")
		}
	})
}
