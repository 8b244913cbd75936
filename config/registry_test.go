package config_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"regcred.dev"
	"regcred.dev/config"
	"regcred.dev/registry"
)

func TestRegistryComplete(t *testing.T) {
	cfg, err := config.Parse("regcred.yaml", []byte(`
tls:
  certificates:
    - {certificate: /etc/tls/a.crt, key: /etc/tls/a.key}
    - {certificate: /etc/tls/b.crt, key: /etc/tls/b.key}
  client_ca: /etc/tls/clients.crt
  require_client_certificate: true
registry:
  storage:
    s3:
      bucket: images
      prefix: /regcred/
      region: eu-central-1
      endpoint: https://s3.internal:9000/
      public_endpoint: https://s3.example.com
      path_style: true
      access_key_id: AKIAEXAMPLE
      secret_access_key: file:/run/secret
      ca: /etc/s3.crt
      sse: aws:kms
      kms_key_id: alias/images
      storage_class: STANDARD_IA
      spool_dir: /var/spool/regcred
  redirect: {enabled: true, lifetime: 2h}
  owners: [Registry.Example.com, other.example.com:5000]
  trusted_proxies: [10.1.0.0/16, 192.0.2.7]
  repositories:
    - match: acme/*
      organization: acme
      space: dev
      public: true
      push_from: [10.0.0.0/8, "fd00::/8"]
      immutable_tags: ["v*"]
      keep: {last: 10, within: 30d, tags: [latest], untagged: 36h, history: 5}
      quota: 50GB
      scope_quota: 1TiB
    - match: "*"
  collect: {every: 12h}
  uploads: {per_caller: 50, total: 5000}
  crane:
    metadata: /var/lib/crane
    endpoint: registry.example.com
    client_ca: /etc/entitlements.crt
    interval: 5m
    owners: [acme/base, acme/app]
    cdn: {from: origin.example.com, to: cdn.example.com, secret: env:PASSWORD, param: token, ttl: 10m}
`), sources)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Registry{
		LoginLifetime: config.DefaultLoginLifetime,
		Bucket: &config.Bucket{
			Name: "images", Prefix: "regcred", Region: "eu-central-1",
			Endpoint: "https://s3.internal:9000", PublicEndpoint: "https://s3.example.com", PathStyle: true,
			AccessKeyID: "AKIAEXAMPLE", CA: "/etc/s3.crt", SSE: "aws:kms", KMSKeyID: "alias/images",
			StorageClass: "STANDARD_IA", SpoolDir: "/var/spool/regcred",
		},
		Redirect: true, RedirectLifetime: 2 * time.Hour,
		Owners:         []string{"registry.example.com", "other.example.com:5000"},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("192.0.2.7/32")},
		Policy: registry.Policy{
			{
				Pattern: "acme/*", Scope: regcred.SpaceScope("acme", "dev"), Public: true,
				PushFrom:  []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
				Immutable: []string{"v*"},
				Keep:      &registry.Retention{Last: 10, Within: 30 * 24 * time.Hour, Tags: []string{"latest"}, Untagged: 36 * time.Hour, History: 5},
				Quota:     50e9, ScopeQuota: 1 << 40,
			},
			{Pattern: "*"},
		},
		CollectEvery: 12 * time.Hour, Uploads: registry.UploadLimits{PerCaller: 50, Total: 5000},
		Crane: &config.Crane{
			Metadata: "/var/lib/crane", Endpoint: "registry.example.com", ClientCA: "/etc/entitlements.crt",
			Interval: 5 * time.Minute, Owners: []string{"acme/base", "acme/app"},
			CDNFrom: "origin.example.com", CDNTo: "cdn.example.com", CDNParam: "token", CDNTTL: 10 * time.Minute,
		},
	}
	secrets := cmp.Transformer("secret", regcred.Secret.Reveal)
	ignore := cmp.Options{cmpopts.IgnoreFields(config.Bucket{}, "SecretAccessKey"), cmpopts.IgnoreFields(config.Crane{}, "CDNSecret"),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }), secrets}
	if diff := cmp.Diff(want, cfg.Registry, ignore); diff != "" {
		t.Errorf("registry (-want +got):\n%s", diff)
	}
	if cfg.Registry.Bucket.SecretAccessKey.Reveal() != "from-file" || cfg.Registry.Crane.CDNSecret.Reveal() != "from-env" {
		t.Error("secrets were not resolved")
	}
	if cfg.TLS == nil || len(cfg.TLS.Certificates) != 2 || cfg.TLS.ClientCA == "" || !cfg.TLS.RequireClientCertificate {
		t.Errorf("tls: %+v", cfg.TLS)
	}
}

func TestRegistryProblems(t *testing.T) {
	for _, test := range []struct{ name, file, want string }{
		{"directory and bucket", "registry: {storage: {directory: /d, s3: {bucket: b}}}", "regcred.yaml:1: registry.storage: images are kept in a directory or in a bucket"},
		{"no bucket", "registry: {storage: {s3: {region: x}}}", "name the bucket"},
		{"half a key", "registry: {storage: {s3: {bucket: b, access_key_id: x}}}", "belong together"},
		{"secret in the file", "registry: {storage: {s3: {bucket: b, access_key_id: x, secret_access_key: " + canary + "}}}", "secrets do not stand in this file"},
		{"sse", "registry: {storage: {s3: {bucket: b, sse: best}}}", "AES256 or aws:kms"},
		{"kms", "registry: {storage: {s3: {bucket: b, kms_key_id: k}}}", "sse: aws:kms"},
		{"endpoint", "registry: {storage: {s3: {bucket: b, endpoint: s3.example.com}}}", "endpoint: write https://"},
		{"redirect without a bucket", "registry: {redirect: {enabled: true}}", "registry.storage.s3"},
		{"redirect for too long", "registry: {storage: {s3: {bucket: b}}, redirect: {enabled: true, lifetime: 8d}}", "7d at most"},
		{"owner", "registry: {owners: [https://x]}", "registry.owners"},
		{"match", "registry: {repositories: [{match: \"acme*\"}]}", "acme/* for all below acme"},
		{"no match", "registry: {repositories: [{public: true}]}", "acme/* for all below acme"},
		{"space alone", "registry: {repositories: [{match: a, space: dev}]}", "organization"},
		{"everybody", "registry: {repositories: [{match: a, push_from: [0.0.0.0/0]}]}", "is everybody"},
		{"everybody a proxy", "registry: {trusted_proxies: [\"::/0\"]}", "name the proxies"},
		{"collecting all the time", "registry: {collect: {every: 1ms}}", "registry.collect.every: write 1m0s at least"},
		{"no uploads", "registry: {uploads: {total: 0}}", "registry.uploads.total: write a number above 0"},
		{"uploads of one caller", "registry: {uploads: {per_caller: 20001}}", "raise total"},
		{"a rule that is never reached", "registry: {repositories: [{match: \"*\", public: true}, {match: \"acme/*\"}]}", "the rule for acme/* never holds, since that for *"},
		{"below another", "registry: {repositories: [{match: \"acme/*\"}, {match: acme/app}]}", "put it first"},
		{"twice", "registry: {repositories: [{match: acme/app}, {match: acme/app}]}", "put it first"},
		{"network", "registry: {repositories: [{match: a, push_from: [10.0.0.1/8]}]}", "10.0.0.0/8"},
		{"network in words", "registry: {repositories: [{match: a, push_from: [builders]}]}", "write networks"},
		{"pattern", "registry: {repositories: [{match: a, immutable_tags: [\"[\"]}]}", "is no pattern"},
		{"quota", "registry: {repositories: [{match: a, quota: lots}]}", "quota: write a size"},
		{"overflow", "registry: {repositories: [{match: a, quota: 9000000000TB}]}", "quota: write a size"},
		{"duration", "registry: {repositories: [{match: a, keep: {within: 99999999d}}]}", "keep.within: write a duration"},
		{"negative", "registry: {repositories: [{match: a, keep: {last: -1}}]}", "keep.last"},
		{"untagged", "registry: {repositories: [{match: a, keep: {untagged: 1h}}]}", "write 1d at least"},
		{"crane", "registry: {crane: {endpoint: x}}", "name the directory"},
		{"cdn", "registry: {crane: {metadata: /d, cdn: {from: a}}}", "set both"},
		{"cdn's tokens without a secret", "registry: {crane: {metadata: /d, cdn: {ttl: 5m}}}", "that secret signs"},
		{"cdn's tokens for no time", "registry: {crane: {metadata: /d, cdn: {ttl: 1ms, secret: env:PASSWORD}}}", "cdn.ttl: write 1s at least"},
		{"interval", "registry: {crane: {metadata: /d, interval: 1ms}}", "crane.interval: write 1s at least"},
		{"entitlements without TLS", "registry: {crane: {metadata: /d, client_ca: /c}}", "have no proxy in front end TLS"},
		{"cloudfoundry", "cloudfoundry: {skip_tls_verify: true}", "write the URL of its API"},
		{"cloudfoundry's URL", "cloudfoundry: {api: api.example.com}", "cloudfoundry.api: write https://"},
		{"cloudfoundry, verified and not", "cloudfoundry: {api: https://a, ca: file:/run/secret, skip_tls_verify: true}", "leave out one of the two"},
		{"oidc", "oidc: [{issuer: https://a}]", "and the audience"},
		{"oidc twice", "oidc:\n- {issuer: https://a, audience: b, roles: [{claim: c}]}\n- {issuer: https://a, audience: d, roles: [{claim: c}]}", "https://a is there already"},
		{"oidc without roles", "oidc: [{issuer: https://a, audience: b}]", "map claims to roles"},
		{"tls", "tls: {client_ca: /c}", "name the server's certificates"},
		{"key", "tls: {certificates: [{certificate: /c}]}", "certificate and key"},
		{"client certificates of nobody", "tls: {certificates: [{certificate: /c, key: /k}], require_client_certificate: true}", "needs client_ca"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := config.Parse("regcred.yaml", []byte(test.file), sources)
			if regcred.CodeOf(err) != regcred.Invalid || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}
