package registry_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"regcred.dev/token"
)

// BenchmarkGet measures requests by a Bearer token over loopback.
func BenchmarkGet(b *testing.B) {
	h := newHarness(b)
	pushImage(b, h.storage, "a", "v1")
	blob := h.pushBlob(b, "a", strings.Repeat("x", 1<<20))
	bearer := "Bearer " + sign(b, h.tokens, token.UseAccess, time.Hour, grant("a", token.Pull)).Reveal()
	for name, path := range map[string]string{"manifest": "/v2/a/manifests/v1", "blob1MiB": "/v2/a/blobs/" + blob.String()} {
		b.Run(name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r, err := http.NewRequest(http.MethodGet, h.URL+path, nil)
					if err != nil {
						b.Fatal(err)
					}
					r.Header.Set("Authorization", bearer)
					resp, err := http.DefaultTransport.RoundTrip(r)
					if err != nil {
						b.Error(err)
						return
					}
					n, err := io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					if err != nil || resp.StatusCode != http.StatusOK || n == 0 {
						b.Errorf("%d, %d bytes, %v", resp.StatusCode, n, err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkPush measures pushes of a blob the way docker does it: POST, PATCH
// with all of it, PUT.
func BenchmarkPush(b *testing.B) {
	h := newHarness(b)
	admin := h.admin(b)
	for _, size := range []int{64 << 10, 64 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			content := bytes.Repeat([]byte("x"), size)
			for i := 0; b.Loop(); i++ {
				copy(content, fmt.Sprintf("%020d", i))
				b.StopTimer()
				d := digest.FromBytes(content)
				b.StartTimer()
				body := string(content)
				location := h.do(b, admin, call{method: "POST", path: "/v2/a/blobs/uploads/"}).header.Get("Location")
				if a := h.do(b, admin, call{method: "PATCH", path: location, body: body}); a.status != 202 {
					b.Fatal(a)
				}
				if a := h.do(b, admin, call{method: "PUT", path: location + "?digest=" + d.String()}); a.status != 201 {
					b.Fatal(a)
				}
			}
		})
	}
}
