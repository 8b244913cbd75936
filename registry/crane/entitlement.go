package crane

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// entitled is what the certificate that came with a request entitles its client to.
// It is looked at when it is first asked for.
type entitled struct{ paths func() *paths }

// may reports whether the client may have a repository.
func (e entitled) may(r *repository) bool {
	return !r.protected || e.paths().cover(r.path)
}

func (d *Directory) newEntitled(r *http.Request) entitled {
	return entitled{sync.OnceValue(func() *paths {
		if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
			return &paths{}
		}
		certificate := r.TLS.PeerCertificates[0]
		err := d.verify(time.Now(), r.TLS.PeerCertificates)
		var p *paths
		if err == nil {
			p, err = entitlement(certificate)
		}
		if err != nil {
			d.log.Debug("a client's certificate entitles it to nothing", "subject", certificate.Subject, "err", err)
			return &paths{}
		}
		return p
	})}
}

// verify checks the chain of a client's certificate, which comes first, and its
// time. Crane left both to the web server before it.
func (d *Directory) verify(now time.Time, certificates []*x509.Certificate) error {
	if d.cas == nil {
		return errors.New("there are no authorities that it could come from")
	}
	between := x509.NewCertPool()
	for _, c := range certificates[1:] {
		between.AddCert(c)
	}
	_, err := certificates[0].Verify(x509.VerifyOptions{
		Roots: d.cas, Intermediates: between, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

// redHat is the arc of Red Hat's entitlements. Below it are: 6, the version of the
// certificate, without which it is 1.0; 7, in version 3 its paths; 4.1, the name of
// an order, which every entitlement of version 1 has; and 2.ID.1.6, in version 1 the
// path of a content.
var redHat = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 2312, 9}

// entitlement reads the paths that a certificate is for.
func entitlement(c *x509.Certificate) (*paths, error) {
	version, payload, ordered, urls := "1.0", []byte(nil), false, &paths{}
	for _, ext := range c.Extensions {
		if len(ext.Id) <= len(redHat) || !ext.Id[:len(redHat)].Equal(redHat) {
			continue
		}
		id := ext.Id[len(redHat):]
		var err error
		switch {
		case slices.Equal(id, []int{6}):
			var v []byte
			v, err = content(ext.Value)
			version = string(v)
		case slices.Equal(id, []int{7}):
			payload, err = content(ext.Value)
		case slices.Equal(id, []int{4, 1}):
			ordered = true
		case len(id) > 3 && id[0] == 2 && slices.Equal(id[len(id)-2:], []int{1, 6}):
			var v []byte
			v, err = content(ext.Value)
			urls.add(string(v))
		}
		if err != nil {
			return nil, fmt.Errorf("extension %v: %w", ext.Id, err)
		}
	}
	major, _, _ := strings.Cut(version, ".")
	switch {
	case major == "3":
		return parsePaths(payload)
	case major == "1" && ordered:
		return urls, nil
	case major == "1":
		return nil, errors.New("it is no entitlement: it names no order")
	}
	return nil, fmt.Errorf("entitlements of version %.20q are not known", version)
}

// content returns the string within an extension.
func content(der []byte) ([]byte, error) {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(der, &v)
	if err != nil {
		return nil, err
	}
	tags := []int{asn1.TagOctetString, asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String}
	if len(rest) > 0 || v.Class != asn1.ClassUniversal || v.IsCompound || !slices.Contains(tags, v.Tag) {
		return nil, errors.New("it holds no string")
	}
	return v.Bytes, nil
}
