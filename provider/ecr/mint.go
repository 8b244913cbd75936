package ecr

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"regcred.dev"
	"regcred.dev/provider/internal/amazon"
)

// Mint asks the ECR API for a login. Its first host is the location's; without a
// location the registry of the first of registry-ids, or else of the identity's own
// account.
//
// Errors: as regcred.Provider's.
func (p *Provider) Mint(ctx context.Context, c regcred.Credential) (regcred.Login, error) {
	s, err := parse(p.Describe(), c)
	if err != nil {
		return regcred.Login{}, err
	}
	client := s.NewClient(p.transport)
	defer client.Close()
	where := amazon.Where{Region: s.region, FIPS: s.fips, DualStack: s.dualStack}
	cfg, err := s.Config(ctx, client, where)
	if err != nil {
		return regcred.Login{}, err
	}
	if err := s.checkKind(cfg.Region); err != nil {
		return regcred.Login{}, err
	}
	answer, err := s.ask(ctx, cfg, where)
	if err != nil {
		return regcred.Login{}, client.Explain(ctx, err, permission, cfg.Who)
	}
	return s.login(answer, cfg.Region, client.Skew())
}

// ask calls GetAuthorizationToken.
func (s *settings) ask(ctx context.Context, cfg amazon.Config, w amazon.Where) ([]types.AuthorizationData, error) {
	api := ecr.NewFromConfig(cfg.Config, func(o *ecr.Options) {
		w.Direct(s.Endpoint, &o.BaseEndpoint, &o.EndpointOptions.UseFIPSEndpoint, &o.EndpointOptions.UseDualStackEndpoint)
	})
	out, err := api.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{
		RegistryIds: s.registryIDs, //nolint:staticcheck // deprecated, but served: the answer has an entry for each
	})
	if err != nil {
		return nil, err
	}
	return out.AuthorizationData, nil
}

// login makes a login of the answer.
func (s *settings) login(answer []types.AuthorizationData, region string, skew time.Duration) (regcred.Login, error) {
	if len(answer) == 0 {
		return regcred.Login{}, regcred.Errorf(regcred.Unavailable, "AWS's answer to GetAuthorizationToken has no token")
	}
	chosen := s.choose(answer, region)
	l, err := amazon.Token{Value: chosen.AuthorizationToken, ExpiresAt: chosen.ExpiresAt}.Login(time.Now(), skew)
	if err != nil {
		return regcred.Login{}, err
	}
	l.Hosts = s.hosts(append([]types.AuthorizationData{chosen}, answer...), region)
	if len(l.Hosts) == 0 {
		return regcred.Login{}, regcred.Errorf(regcred.Unavailable, "AWS's answer names no registry host of ECR in %s: give the credential a location", region)
	}
	return l, nil
}

// choose returns the entry of the account that the login is for first: the
// location's, or else the first of registry-ids. Where there is none of that
// account, any will do: a token is good for all registries that its identity may
// use.
func (s *settings) choose(answer []types.AuthorizationData, region string) types.AuthorizationData {
	account := s.registry.account
	if account == "" && len(s.registryIDs) > 0 {
		account = s.registryIDs[0]
	}
	i := slices.IndexFunc(answer, func(entry types.AuthorizationData) bool {
		h, ok := proxyHost(entry, region)
		return ok && h.account == account
	})
	return answer[max(i, 0)]
}

// hosts lists what the login is for, the most important first: the location, the
// registries that the answer names and those of registry-ids, what an admin named.
func (s *settings) hosts(answer []types.AuthorizationData, region string) []string {
	lists := [][]string{{s.location}}
	for _, entry := range answer {
		if h, ok := proxyHost(entry, region); ok {
			lists = append(lists, s.names(h.account, region))
		}
	}
	for _, account := range s.registryIDs {
		lists = append(lists, s.names(account, region))
	}
	return amazon.UniqueHosts(append(lists, s.Hosts)...)
}

// names lists the hosts of an account's registry: that of the kind which is asked
// for, then the plain one.
func (s *settings) names(account, region string) []string {
	kind := registryHost{account: account, region: region, fips: s.fips, dualStack: s.dualStack}
	plain := registryHost{account: account, region: region}
	return []string{kind.name(), plain.name()}
}

// proxyHost reads the proxyEndpoint of an entry, "https://HOST", false where that is
// no host of ECR in the region: a login goes nowhere because an answer says so.
func proxyHost(entry types.AuthorizationData, region string) (registryHost, bool) {
	host, ok := strings.CutPrefix(strings.ToLower(aws.ToString(entry.ProxyEndpoint)), "https://")
	if !ok {
		return registryHost{}, false
	}
	h, ok := parseHost(host)
	return h, ok && h.region == region
}
