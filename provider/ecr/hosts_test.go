package ecr

import (
	"strings"
	"testing"

	"regcred.dev/imageref"
)

// TestNames: what a host's name is made of is read from it.
func TestNames(t *testing.T) {
	for _, name := range []string{
		"123456789012.dkr.ecr.us-east-1.amazonaws.com",
		"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
		"123456789012.dkr-ecr.us-gov-east-1.on.aws",
		"123456789012.dkr-ecr-fips.us-west-2.on.aws",
		"123456789012.dkr.ecr.cn-northwest-1.amazonaws.com.cn",
		"123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
		"123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu",
		"123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov",
		"123456789012.dkr.ecr.us-isob-east-1.sc2s.sgov.gov",
		"123456789012.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk",
		"123456789012.dkr.ecr.us-isof-south-1.csp.hci.ic.gov",
		"123456789012.dkr.ecr.eu-isof-north-1.csp.hci.ic.gov",
	} {
		h, ok := parseHost(name)
		if !ok || h.name() != name {
			t.Errorf("%s is read as %+v, which is %s", name, h, h.name())
		}
	}
}

// FuzzParseHost: a host that is taken for one of ECR's ends in a domain of Amazon's,
// begins with an account, and is in canonical form.
func FuzzParseHost(f *testing.F) {
	domains := []string{
		".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".on.aws", ".on.amazonwebservices.com.cn",
		".sc2s.sgov.gov", ".c2s.ic.gov", ".cloud.adc-e.uk", ".csp.hci.ic.gov",
	}
	f.Fuzz(func(t *testing.T, host string) {
		h, ok := parseHost(host)
		if !ok {
			return
		}
		known := false
		for _, domain := range domains {
			known = known || strings.HasSuffix(host, "."+h.region+domain)
		}
		if !known || !strings.HasPrefix(host, h.account+".dkr") || len(h.account) != 12 || strings.Contains(h.region, ".") {
			t.Errorf("%q is read as %+v", host, h)
		}
		if loc, err := imageref.ParseLocation(host); err == nil && loc.Host() != host {
			t.Errorf("%q is not in canonical form: %s", host, loc.Host())
		}
	})
}
