package ecr_test

import (
	"strings"
	"testing"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/provider/ecr"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakeecr"
)

func TestProvider(t *testing.T) {
	setting := func(name, value string) regcredtest.InvalidChange {
		return regcredtest.InvalidChange{Names: name, Change: func(c *regcred.Credential) { c.Settings[name] = value }}
	}
	secret := func(name, value string) regcredtest.InvalidChange {
		return regcredtest.InvalidChange{Names: name, Change: func(c *regcred.Credential) { c.Secrets[name] = regcred.NewSecret(value) }}
	}
	without := func(names string, change func(*regcred.Credential)) regcredtest.InvalidChange {
		return regcredtest.InvalidChange{Names: names, Change: change}
	}
	at := func(location, names string) regcredtest.InvalidChange {
		return regcredtest.InvalidChange{Names: names, Change: func(c *regcred.Credential) { c.Location, _ = imageref.ParseLocation(location) }}
	}
	invalid := map[string]regcredtest.InvalidChange{
		"an empty region":              setting("region", ""),
		"a region with a host":         setting("region", "us-east-1.evil.example"),
		"a region with a path":         setting("region", "us-east-1/evil"),
		"a region in upper case":       setting("region", "US-EAST-1"),
		"the region of another place":  setting("region", "eu-west-1"),
		"an empty account":             setting("registry-ids", "123456789012,"),
		"a short account":              setting("registry-ids", "12345678901"),
		"an account of letters":        setting("registry-ids", "12345678901x"),
		"too many accounts":            setting("registry-ids", strings.Repeat("123456789012,", 10)+"123456789012"),
		"10 MiB of accounts":           setting("registry-ids", strings.Repeat("123456789012,", 10<<20/13)),
		"an empty access key id":       setting("access-key-id", ""),
		"an access key id with space":  setting("access-key-id", "AKIA EXAMPLE"),
		"no access key id":             without("secret-access-key", func(c *regcred.Credential) { delete(c.Settings, "access-key-id") }),
		"no secret access key":         without("secret-access-key", func(c *regcred.Credential) { delete(c.Secrets, "secret-access-key") }),
		"a secret with a line break":   secret("secret-access-key", "canary-secret-with-break\n"),
		"an empty secret":              secret("secret-access-key", ""),
		"an empty session token":       secret("session-token", ""),
		"a session token with spaces":  secret("session-token", "canary session token"),
		"two identities":               setting("profile", "registry"),
		"two identities more":          setting("web-identity-token-file", "/var/run/token"),
		"a user as role":               setting("role-arn", userARN),
		"a role with a line break":     setting("role-arn", pullRole+"\n"+innerRole),
		"an empty role":                setting("role-arn", pullRole+",,"+innerRole),
		"too many roles":               setting("role-arn", strings.Repeat(pullRole+",", 5)+pullRole),
		"an external id without role":  setting("external-id", "acme-7f3a"),
		"a session name without role":  setting("role-session-name", "regcred"),
		"neither yes nor no":           setting("fips", "maybe"),
		"dual-stack of no kind":        setting("dual-stack", ""),
		"an endpoint without TLS":      setting("endpoint", "http://ecr.corp.example"),
		"an endpoint with a password":  setting("endpoint", "https://user:canary-4711@ecr.corp.example"),
		"an STS endpoint without host": setting("sts-endpoint", "https:///"),
		"a CA that is none":            setting("ca", "-----BEGIN CERTIFICATE-----"),
		"a proxy with a path":          setting("host", "registry.corp.example/path"),
		"all of Amazon as host":        setting("host", "amazonaws.com"),
		"a username":                   without("username", func(c *regcred.Credential) { c.Username = "AWS" }),
		"a password":                   without("password", func(c *regcred.Credential) { c.Password = regcred.NewSecret("canary-4711") }),
		"another registry":             at("registry.example.com", "host=registry.example.com"),
		"no region for a proxy": without("region", func(c *regcred.Credential) {
			c.Location, _ = imageref.ParseLocation("registry.corp.example")
			c.Settings["host"] = "registry.corp.example"
		}),
		"an external id that is too long": without("external-id", func(c *regcred.Credential) {
			c.Settings["role-arn"], c.Settings["external-id"] = pullRole, strings.Repeat("x", 1225)
		}),
		"an external id for a web identity": without("external-id", func(c *regcred.Credential) {
			*c = ambient(*c)
			c.Settings["role-arn"], c.Settings["external-id"], c.Settings["web-identity-token-file"] = podRole, "acme", "/var/run/token"
		}),
		"a web identity without role": without("web-identity-token-file", func(c *regcred.Credential) {
			*c = ambient(*c)
			c.Settings["web-identity-token-file"] = "/var/run/token"
		}),
		"a relative path": without("web-identity-token-file", func(c *regcred.Credential) {
			*c = ambient(*c)
			c.Settings["role-arn"], c.Settings["web-identity-token-file"] = podRole, "token"
		}),
		"a session name of one letter": without("role-session-name", func(c *regcred.Credential) {
			c.Settings["role-arn"], c.Settings["role-session-name"] = pullRole, "x"
		}),
		"dual-stack in a partition without": without("dual-stack", func(c *regcred.Credential) {
			c.Location, _ = imageref.ParseLocation(account + ".dkr.ecr.us-iso-east-1.c2s.ic.gov")
			c.Settings["dual-stack"] = "true"
		}),
	}
	for _, look := range lookalikes {
		invalid["a look-alike: "+look] = at(look, "no ECR registry")
	}
	regcredtest.TestProvider(t, regcredtest.ProviderSetup{
		New:        func(*testing.T) regcred.Provider { return newWorld(nil).provider },
		Credential: credential(host + "/team/app"),
		Invalid:    invalid,
		Examples:   map[string]string{"secret-access-key": secretKey},
		Unique:     true,
		Lifetime:   fakeecr.Lifetime,
	})
}

// lookalikes are hosts that are nearly ECR's.
var lookalikes = []string{
	host + ".evil.example",
	host + ":5000",
	"x" + host,
	"evil-" + host,
	"evil." + host,
	"12345678901.dkr.ecr.us-east-1.amazonaws.com",
	"1234567890123.dkr.ecr.us-east-1.amazonaws.com",
	account + ".dkr.ecr.us-east-1.amazonaws.com.evil",
	account + ".dkr.ecr.us-east-1.evilamazonaws.com",
	account + ".dkr.ecr.us-east-1.amazonaws.com.de",
	account + ".dkr.ecr.us-east-1.evil.amazonaws.com",
	account + ".dkr.ecr.us.east.1.amazonaws.com",
	account + ".dkrxecr.us-east-1.amazonaws.com",
	account + ".dkr.ecr-evil.us-east-1.amazonaws.com",
	account + ".dkr.s3.us-east-1.amazonaws.com",
	account + ".dkr.ecr.us-east-1.on.aws.evil.example",
	account + ".dkr-ecr.us-east-1.onxaws",
	"public.ecr.aws",
}

// TestPartitions: each domain of the host pattern is known.
func TestPartitions(t *testing.T) {
	p := ecr.New(ecr.Options{})
	for _, location := range []string{
		account + ".dkr.ecr.us-east-1.amazonaws.com",
		account + ".dkr.ecr-fips.us-gov-west-1.amazonaws.com",
		account + ".dkr.ecr.cn-northwest-1.amazonaws.com.cn",
		account + ".dkr.ecr.eusc-de-east-1.amazonaws.eu",
		account + ".dkr-ecr.eu-central-1.on.aws",
		account + ".dkr-ecr-fips.us-west-2.on.aws",
		account + ".dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
		account + ".dkr.ecr.us-isob-east-1.sc2s.sgov.gov",
		account + ".dkr.ecr.us-iso-east-1.c2s.ic.gov",
		account + ".dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk",
		account + ".dkr.ecr.us-isof-south-1.csp.hci.ic.gov",
	} {
		if err := p.Check(credential(location)); err != nil {
			t.Errorf("%s: %v", location, err)
		}
	}
}
