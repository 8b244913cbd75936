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

// The two tables below are what the public suffix list does not have, from the
// providers' documented host names. A domain too many costs a convenience, the
// credential at a parent domain; a missing one costs a secret.

// tenantDomains are domains under which each owner has a label of its own. What
// lies below such a label is that owner's too.
var tenantDomains = []string{
	// Azure Container Registry: REGISTRY.azurecr.io. Azure DevOps.
	"azurecr.io", "azurecr.cn", "azurecr.us", "azurecr.de",
	"visualstudio.com", "pkgs.dev.azure.com",
	// Registries as a service.
	"jfrog.io", "jfrog.com", "jfrog.team",
	"cloudsmith.io", "cloudsmith.com", "mycloudrepo.io", "sonatype.app", "packages.cloud", "nexus.cloud",
	"container-registry.com", "c8n.io",
	// Code hosts with a registry for each customer: containers.CUSTOMER.ghe.com.
	"ghe.com", "gitlab-dedicated.com", "gitlab-dedicated.us", "gitea.cloud",
	"jetbrains.space", "registry.jetbrains.space", "pkg.coding.net",
	// Clouds whose registry hosts are NAME.DOMAIN.
	"tencentcloudcr.com", "cr.volces.com", "container.nhncloud.com", "container.gov-nhncloud.com",
	// Products that serve images to their customers.
	"registry.snowflakecomputing.com", "live.dynatrace.com",
	// Services in a Kubernetes cluster: SERVICE.NAMESPACE.svc.cluster.local.
	"cluster.local", "svc.cluster.local", "pod.cluster.local",
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
	// Google Container Registry and Artifact Registry: docker.REGION.rep.pkg.dev.
	"gcr.io":  nil,
	"pkg.dev": {"rep", "*.rep"},
	// Azure's data and regional endpoints: REGISTRY.REGION.data.azurecr.io.
	"data.azurecr.io": {"*"}, "data.azurecr.cn": {"*"}, "data.azurecr.us": {"*"}, "data.azurecr.de": {"*"},
	"geo.azurecr.io": {"*"}, "geo.azurecr.cn": {"*"}, "geo.azurecr.us": {"*"}, "geo.azurecr.de": {"*"},
	// Clouds with one host for all owners of a region.
	"ocir.io": nil, "oci.oraclecloud.com": {"*"}, "icr.io": nil, "vultrcr.com": nil, "scw.cloud": {"*"},
	"tencentyun.com": {"*"}, "myhuaweicloud.com": {"*"}, "myhuaweicloud.eu": {"*"}, "baidubce.com": nil,
	"otc.t-systems.com": {"*"},
	// Clouds whose registry hosts are NAME.REGION below the domain.
	"aliyuncs.com":               {"*", "*.cr", "personal.cr", "*.personal.cr"},
	"container-registry.ovh.net": {"*"}, "container-registry.ovh.us": {"*"}, "container-registry.ovh.ca": {"*"},
	"ncr.ntruss.com": {"*"}, "private-ncr.ntruss.com": {"*"}, "kcr.dev": {"*"}, "ionos.com": {"cr.*"},
	"openshiftapps.com": nil,
	// Names that hold an address, of whoever has it: 10.0.0.1.nip.io.
	"nip.io": nil, "sslip.io": nil, "xip.io": nil, "traefik.me": nil,
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

// providerDomain returns the one of providerDomains that a domain is or lies
// below.
func providerDomain(domain string) (string, bool) {
	for d, more := domain, true; more; _, d, more = strings.Cut(d, ".") {
		if _, ok := providerDomains[d]; ok {
			return d, true
		}
	}
	return "", false
}

// sharedAsParent says in words why a domain, in lower case and without a port,
// can be no parent domain, "" where it can.
func sharedAsParent(domain string) string {
	if _, ok := providerDomain(domain); ok || slices.Contains(tenantDomains, domain) {
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
	provider, ok := providerDomain(host)
	if !ok {
		return sharedAsParent(host)
	}
	below := strings.TrimSuffix(strings.TrimSuffix(host, provider), ".")
	if below == "" || slices.ContainsFunc(providerDomains[provider], func(p string) bool { return matchLabels(p, below) }) {
		return kindShared
	}
	return ""
}

// matchLabels reports whether name has the labels of pattern, where "*" is any
// one label.
func matchLabels(pattern, name string) bool {
	p, n := strings.Split(pattern, "."), strings.Split(name, ".")
	return len(p) == len(n) && slices.EqualFunc(p, n, func(a, b string) bool { return a == "*" || a == b })
}
