package imageref_test

import (
	"strings"
	"testing"
)

// registries are hosts as each provider documents them, one for every pattern,
// and hosts that look like one. A credential may be stored at each.
var registries = []string{
	// Amazon ECR: all partitions, FIPS, dual stack, public.
	"123456789012.dkr.ecr.us-east-1.amazonaws.com",
	"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
	"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
	"123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu",
	"123456789012.dkr.ecr.us-isob-east-1.sc2s.sgov.gov",
	"123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov",
	"123456789012.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk",
	"123456789012.dkr.ecr.us-isof-south-1.csp.hci.ic.gov",
	"123456789012.dkr-ecr.us-east-1.on.aws",
	"123456789012.dkr-ecr-fips.us-east-1.on.aws",
	"123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
	"public.ecr.aws", "ecr-public.aws.com",
	// Google.
	"gcr.io", "us.gcr.io", "eu.gcr.io", "asia.gcr.io",
	"us-east1-docker.pkg.dev", "europe-docker.pkg.dev", "docker.us-east1.rep.pkg.dev",
	// Azure.
	"acme.azurecr.io", "acme.azurecr.cn", "acme.azurecr.us", "acme.azurecr.de",
	"acme.eastus.data.azurecr.io", "acme.eastus.geo.azurecr.io",
	// Others.
	"docker.io", "registry-1.docker.io", "ghcr.io", "quay.io", "registry.gitlab.com", "lscr.io", "nvcr.io",
	"acme.jfrog.io", "docker.acme.jfrog.io", "docker.cloudsmith.io", "containers.acme.ghe.com",
	"registry.acme.gitlab-dedicated.com", "acme-team.registry.snowflakecomputing.com", "abc12345.live.dynatrace.com",
	"fra.ocir.io", "ocir.us-ashburn-1.oci.oraclecloud.com", "icr.io", "us.icr.io", "private.us.icr.io",
	"registry.cn-hangzhou.aliyuncs.com", "acme-registry.cn-hangzhou.cr.aliyuncs.com",
	"crpi-abc.cn-hangzhou.personal.cr.aliyuncs.com",
	"ccr.ccs.tencentyun.com", "acme.tencentcloudcr.com", "swr.cn-north-4.myhuaweicloud.com",
	"acme-cn-beijing.cr.volces.com", "registry.baidubce.com", "swr.eu-de.otc.t-systems.com",
	"rg.fr-par.scw.cloud", "abc.gra7.container-registry.ovh.net", "abc.c1.gra9.container-registry.ovh.net",
	"registry.digitalocean.com", "sjc.vultrcr.com", "acme.cr.de-fra.ionos.com",
	"acme.kr.ncr.ntruss.com", "acme.kr-central-2.kcr.dev", "abc-kr1-registry.container.nhncloud.com",
	"default-route-openshift-image-registry.apps.acme.abcd.p1.openshiftapps.com",
	"registry.team.svc.cluster.local", "registry.10.0.0.1.nip.io", "registry.10-0-0-1.sslip.io",
	// Of one owner, however they look.
	"x.azurecr.io.evil", "evilgcr.io", "gcr.io.evil.com", "evilazurecr.io", "registry.example.com.evil",
	"amazonaws.com.evil.com", "localhost", "registry:5000", "10.0.0.1:5000", "[fd00::1]:5000",
}

// strangers are domains whose hosts belong to many owners. No credential may be
// stored there, with or without a port or path.
var strangers = []string{
	"amazonaws.com", "us-east-1.amazonaws.com", "ecr.us-east-1.amazonaws.com", "dkr.ecr.us-east-1.amazonaws.com",
	"ecr-fips.us-gov-west-1.amazonaws.com", "dkr.ecr-fips.us-gov-west-1.amazonaws.com",
	"amazonaws.com.cn", "dkr.ecr.cn-north-1.amazonaws.com.cn", "amazonaws.eu", "dkr.ecr.eusc-de-east-1.amazonaws.eu",
	"sc2s.sgov.gov", "c2s.ic.gov", "cloud.adc-e.uk", "csp.hci.ic.gov",
	"on.aws", "us-east-1.on.aws", "dkr-ecr.us-east-1.on.aws", "dkr-ecr-fips.us-east-1.on.aws",
	"on.amazonwebservices.com.cn", "dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", "ecr.aws",
	"pkg.dev", "rep.pkg.dev", "us-east1.rep.pkg.dev",
	"azurecr.io", "azurecr.cn", "azurecr.us", "azurecr.de",
	"data.azurecr.io", "eastus.data.azurecr.io", "geo.azurecr.io", "eastus.geo.azurecr.io",
	"jfrog.io", "cloudsmith.io", "ghe.com", "gitlab-dedicated.com", "registry.snowflakecomputing.com", "live.dynatrace.com",
	"ocir.io", "oci.oraclecloud.com", "us-ashburn-1.oci.oraclecloud.com",
	"aliyuncs.com", "cn-hangzhou.aliyuncs.com", "cr.aliyuncs.com", "cn-hangzhou.cr.aliyuncs.com",
	"personal.cr.aliyuncs.com", "cn-hangzhou.personal.cr.aliyuncs.com",
	"ccs.tencentyun.com", "tencentcloudcr.com", "cn-north-4.myhuaweicloud.com", "cr.volces.com", "baidubce.com",
	"eu-de.otc.t-systems.com", "fr-par.scw.cloud", "gra7.container-registry.ovh.net", "vultrcr.com",
	"cr.de-fra.ionos.com", "kr.ncr.ntruss.com", "kr-central-2.kcr.dev", "container.nhncloud.com", "openshiftapps.com",
	"svc.cluster.local", "cluster.local", "nip.io", "sslip.io",
	// Public suffixes, of both kinds.
	"co.uk", "com.cn", "github.io", "gitlab.io", "herokuapp.com",
}

func TestAssignable(t *testing.T) {
	for _, host := range registries {
		if err := location(t, host).Assignable(); err != nil {
			t.Error(err)
		}
	}
	for _, host := range strangers {
		for _, suffix := range []string{"", ":5000", "/path"} {
			err := location(t, host+suffix).Assignable()
			if err == nil || !strings.Contains(err.Error(), "name the registry's own host") {
				t.Errorf("%s%s: got %v", host, suffix, err)
			}
		}
	}
}

// TestNoCredentialOfStrangers: an image at a registry finds no credential at a
// domain that it shares with strangers, nor at anything above one.
func TestNoCredentialOfStrangers(t *testing.T) {
	shared := map[string]bool{}
	for _, host := range strangers {
		shared[host] = true
	}
	for _, host := range registries {
		img := image(t, host+"/repo")
		for _, c := range img.Candidates() {
			if c.Host() == img.Host() {
				continue
			}
			if err := c.Assignable(); err != nil {
				t.Errorf("%s: %v", img, err)
			}
			for s := range shared {
				if s == c.Host() || strings.HasSuffix(s, "."+c.Host()) && strings.HasSuffix(img.Host(), "."+s) {
					t.Errorf("%s looks at %s, which %s shares", img, c, s)
				}
			}
		}
	}
}

// TestLookAlikes: a name that begins or ends like another host finds none of its
// credentials.
func TestLookAlikes(t *testing.T) {
	for _, test := range []struct {
		image, location string
	}{
		{"x.azurecr.io.evil/a", "x.azurecr.io"},
		{"x.azurecr.io.evil/a", "azurecr.io"},
		{"evilgcr.io/a", "gcr.io"},
		{"gcr.io.evil.com/a", "gcr.io"},
		{"registry.example.com.evil/a", "registry.example.com"},
		{"registry.example.com.evil/a", "example.com"},
		{"badexample.com/a", "example.com"},
		{"registry.example.com/repository/a", "registry.example.com/repo"},
		{"registry.example.com:5000/a", "registry.example.com"},
		{"registry.example.com/a", "registry.example.com:5000"},
		{"registry.example.com:80/a", "registry.example.com"},
		{"us.gcr.io/a", "gcr.io"},
		{"docker.io.evil.com/a", "docker.io"},
		{"docker.io/acme/app", "docker.io/library"},
		{"evil/registry.example.com/a", "registry.example.com"},
		{"10.0.0.1/a", "0.0.1:443"},
		{"a.0x7f.0x1/a", "0x7f.0x1"},
		{"registry.0x1f/a", "0x1f:443"},
	} {
		img, l := image(t, test.image), location(t, test.location)
		for _, c := range img.Candidates() {
			if c == l {
				t.Errorf("%s looks at %s", img, l)
			}
		}
	}
}

// TestAddressesHaveNoParents has names that some client reads as an address, and
// names that none does.
func TestAddressesHaveNoParents(t *testing.T) {
	for _, test := range []struct {
		host    string
		parents int
	}{
		{"10.0.0.1", 0},
		{"a.b.0.1", 0},
		{"registry.example.1", 0},
		{"registry.example.08", 0},
		{"registry.example.0x7F", 0},
		{"registry.example.0x", 0},
		{"registry.127.0.0.0x1", 0},
		{"2130706433:5000", 0},
		{"[fd00::1]", 0},
		{"registry.example.x1", 1},
		{"registry.example.0xg", 1},
		{"registry.example.1a", 1},
		{"10.0.0.1.example.com", 4},
	} {
		if got := len(image(t, test.host+"/a").Candidates()) - 2; got != test.parents {
			t.Errorf("%s has %d parents, want %d: %v", test.host, got, test.parents, image(t, test.host+"/a").Candidates())
		}
	}
}
