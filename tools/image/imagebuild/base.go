package imagebuild

import (
	"bytes"
	"encoding/pem"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// userID is the user and group that the image runs as; the number is that which
// other images without a system use too, such as distroless's nonroot.
const userID = 65532

// dataDir is the data directory, and a volume.
const dataDir = "/data"

// baseFiles are what programs expect of a system. The certificates are where Go looks
// first, so that an operator may mount others over them.
func baseFiles() []file {
	return []file{
		{name: "data/", mode: 0o700, owner: userID},
		{name: "etc/", mode: 0o755},
		{name: "etc/group", mode: 0o644, body: []byte("root:x:0:\nregcred:x:65532:\n")},
		{name: "etc/passwd", mode: 0o644, body: []byte("root:x:0:0:root:/nonexistent:/sbin/nologin\n" +
			"regcred:x:65532:65532:regcred:/nonexistent:/sbin/nologin\n")},
		{name: "etc/ssl/", mode: 0o755},
		{name: "etc/ssl/certs/", mode: 0o755},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, body: roots()},
		{name: "tmp/", mode: 0o1777},
	}
}

// roots returns the root certificates that Mozilla trusts without a condition, as PEM.
// Those whose newer certificates it distrusts are left out: a file cannot say so.
func roots() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return out.Bytes()
}
