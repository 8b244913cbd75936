package ecr

import (
	"regexp"
	"strings"
)

// hostPattern is what Amazon's own credential helper and kubelet plugin take for a
// registry host, in canonical form and thus in lower case: account, FIPS, region
// and domain. Dual-stack hosts are those with "dkr-ecr" and a domain of on.*.
var hostPattern = regexp.MustCompile(`^([0-9]{12})\.dkr[.-]ecr(-fips)?\.([a-z0-9][a-z0-9_-]*)\.` +
	`(amazonaws\.(?:com(?:\.cn)?|eu)|on\.(?:aws|amazonwebservices\.com\.cn)|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)$`)

// registryHost is an account's registry in a region, by one of its names.
type registryHost struct {
	account   string
	region    string
	fips      bool
	dualStack bool
}

// parseHost reads a host in canonical form, false where it is none of ECR's.
func parseHost(host string) (registryHost, bool) {
	m := hostPattern.FindStringSubmatch(host)
	if m == nil {
		return registryHost{}, false
	}
	return registryHost{account: m[1], fips: m[2] != "", region: m[3], dualStack: strings.HasPrefix(m[4], "on.")}, true
}

// partition is a part of AWS with names of its own.
type partition struct {
	prefix    string // of its regions
	domain    string // of its registry hosts
	dualStack string // of those that have IPv6 too, "" where there are none
}

// partitions are those of the host pattern; the last has all other regions.
var partitions = []partition{
	{prefix: "cn-", domain: "amazonaws.com.cn", dualStack: "on.amazonwebservices.com.cn"},
	{prefix: "eusc-", domain: "amazonaws.eu"},
	{prefix: "us-iso-", domain: "c2s.ic.gov"},
	{prefix: "us-isob-", domain: "sc2s.sgov.gov"},
	{prefix: "eu-isoe-", domain: "cloud.adc-e.uk"},
	{prefix: "us-isof-", domain: "csp.hci.ic.gov"},
	{prefix: "eu-isof-", domain: "csp.hci.ic.gov"},
	{prefix: "", domain: "amazonaws.com", dualStack: "on.aws"},
}

func partitionOf(region string) partition {
	for _, p := range partitions {
		if strings.HasPrefix(region, p.prefix) {
			return p
		}
	}
	panic("ecr: the last partition has all regions")
}

// name returns the host's name.
func (h registryHost) name() string {
	p := partitionOf(h.region)
	service, domain := ".dkr.ecr", p.domain
	if h.dualStack {
		service, domain = ".dkr-ecr", p.dualStack
	}
	if h.fips {
		service += "-fips"
	}
	return h.account + service + "." + h.region + "." + domain
}
