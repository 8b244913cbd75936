package registry_test

import (
	"context"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/registry/blob"
)

// putter is a directory that takes content directly, and counts.
type putter struct {
	*blob.Dir
	streams int
	// room is how many streams there is memory for, one after the other.
	room int
}

func (p *putter) PutStream(ctx context.Context, key string, d digest.Digest, size int64, r io.Reader, c registry.Condition) error {
	if p.room == 0 {
		return registry.ErrNoRoom
	}
	p.room--
	p.streams++
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if int64(len(data)) != size || d.Algorithm().FromBytes(data) != d {
		return regcred.Errorf(regcred.Invalid, "other content")
	}
	return p.Put(ctx, key, data, c)
}

// TestStreamRepeated sends content that is there already: it is stored no more, linked
// for who has it alone, and stored anew where it is damaged.
func TestStreamRepeated(t *testing.T) {
	u, p := newStreaming(t)
	const content = "content"
	d := digest.FromString(content)
	post := func(repo, content string) answer {
		return u.h.do(t, u.admin, call{method: "POST", path: "/v2/" + repo + "/blobs/uploads/?digest=" + d.String(), body: content})
	}
	u.want("content", post("a", content), 201, "")
	has := func(repo string) bool {
		_, err := u.h.storage.ResolveBlob(t.Context(), repo, d)
		return err == nil
	}
	for name, other := range map[string]string{"other": "another", "longer": content + "!", "shorter": "conten"} {
		if a := post("b", other); a.status != 400 || has("b") {
			t.Errorf("%s: %d %s, and a link: %v", name, a.status, a.body, has("b"))
		}
	}
	before := p.streams
	u.want("the same", post("b", content), 201, "")
	if p.streams != before || !has("b") {
		t.Errorf("%d streams for what is there", p.streams-before)
	}
	if err := u.h.blobs.Put(t.Context(), "blobs/sha256/"+d.Encoded()[:2]+"/"+d.Encoded(), []byte("cont"), registry.Condition{}); err != nil {
		t.Fatal(err)
	}
	u.want("damaged", post("c", content), 201, "")
	if p.streams != before+1 {
		t.Errorf("%d streams for what is damaged", p.streams-before)
	}
	if a := u.h.do(t, u.admin, call{method: "GET", path: "/v2/c/blobs/" + d.String()}); a.body != content {
		t.Errorf("it reads %q", a.body)
	}
}
