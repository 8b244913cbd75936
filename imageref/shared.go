package imageref

import (
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Kinds of domains whose hosts belong to many owners, in words.
const (
	kindShared = "a shared registry domain"
	kindSuffix = "a public suffix"
)

// tenantDomains are domains under which a provider gives each owner a label of
// its own, and which the public suffix list does not have. What lies below such a
// label is that owner's too. From the providers' documented host names.
var tenantDomains = []string{
	"azurecr.io", "azurecr.cn", "azurecr.us", "azurecr.de",
	"jfrog.io", "jfrog.com", "jfrog.team",
	"cloudsmith.io", "cloudsmith.com", "mycloudrepo.io", "sonatype.app", "packages.cloud", "nexus.cloud",
	"gitea.cloud", "visualstudio.com", "pkgs.dev.azure.com",
	"tencentcloudcr.com", "container-registry.ovh.net", "container-registry.ovh.us", "container-registry.ovh.ca",
}

// providerDomains are domains below which only whole registry hosts belong to one
// owner, if at all: no name below them is ever a parent. Each is followed by the
// names below it that a user may take for a registry: "*" is one label.
var providerDomains = map[string][]string{
	// Amazon ECR in every partition: ACCOUNT.dkr.ecr.REGION.amazonaws.com.
	"amazonaws.com":    ecrParents("dkr.ecr", "dkr.ecr-fips"),
	"amazonaws.com.cn": ecrParents("dkr.ecr", "dkr.ecr-fips"),
	"amazonaws.eu":     ecrParents("dkr.ecr", "dkr.ecr-fips"),
	"sc2s.sgov.gov":    ecrParents("dkr.ecr", "dkr.ecr-fips"),
	"c2s.ic.gov":       ecrParents("dkr.ecr", "dkr.ecr-fips"),
	"cloud.adc-e.uk":   ecrParents("dkr.ecr", "dkr.ecr-fips"),
	"csp.hci.ic.gov":   ecrParents("dkr.ecr", "dkr.ecr-fips"),
	// Its dual-stack form: ACCOUNT.dkr-ecr.REGION.on.aws.
	"on.aws":                      ecrParents("dkr-ecr", "dkr-ecr-fips"),
	"on.amazonwebservices.com.cn": ecrParents("dkr-ecr", "dkr-ecr-fips"),
	"ecr.aws":                     nil,
	"ecr-public.aws.com":          nil,
	// Google Container Registry and Artifact Registry.
	"gcr.io":  nil,
	"pkg.dev": {"rep", "*.rep"},
	// Azure's data endpoints: REGISTRY.REGION.data.azurecr.io.
	"data.azurecr.io": nil, "data.azurecr.cn": nil, "data.azurecr.us": nil, "data.azurecr.de": nil,
	// One host for all owners of a region.
	"ocir.io": nil, "oci.oraclecloud.com": nil, "icr.io": nil, "vultrcr.com": nil, "scw.cloud": {"*"},
	"aliyuncs.com":   {"*", "*.cr"},
	"tencentyun.com": {"*"}, "myhuaweicloud.com": {"*"}, "myhuaweicloud.eu": {"*"},
}

// ecrParents lists what stands above a registry host of Amazon ECR.
func ecrParents(services ...string) []string {
	list := []string{"*"}
	for _, s := range services {
		list = append(list, s+".*")
		if _, ecr, ok := strings.Cut(s, "."); ok {
			list = append(list, ecr+".*")
		}
	}
	return list
}

// registryHosts are shared domains that are registries themselves: a credential
// may be stored there, though no host below looks for it.
var registryHosts = []string{"gcr.io", "icr.io", "ecr-public.aws.com"}

// sharedAsParent says in words why a domain, in lower case and without a port,
// can be no parent domain, "" where it can.
func sharedAsParent(domain string) string {
	for d := domain; ; {
		if _, ok := providerDomains[d]; ok {
			return kindShared
		}
		_, rest, ok := strings.Cut(d, ".")
		if !ok {
			break
		}
		d = rest
	}
	if slices.Contains(tenantDomains, domain) {
		return kindShared
	}
	if suffix, _ := publicsuffix.PublicSuffix(domain); suffix == domain {
		return kindSuffix
	}
	return ""
}

// sharedAsLocation says in words why no credential may be stored at a host, ""
// where one may.
func sharedAsLocation(host string) string {
	if isAddress(host) || !strings.Contains(host, ".") || slices.Contains(registryHosts, host) {
		return ""
	}
	for domain, below := range providerDomains {
		if host == domain {
			return kindShared
		}
		rest, ok := strings.CutSuffix(host, "."+domain)
		if !ok {
			continue
		}
		for _, pattern := range below {
			if matchLabels(pattern, rest) {
				return kindShared
			}
		}
		return ""
	}
	return sharedAsParent(host)
}

// matchLabels reports whether name has the labels of pattern, where "*" is any
// one label.
func matchLabels(pattern, name string) bool {
	p, n := strings.Split(pattern, "."), strings.Split(name, ".")
	return len(p) == len(n) && slices.EqualFunc(p, n, func(a, b string) bool { return a == "*" || a == b })
}
