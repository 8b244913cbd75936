package config

import (
	"cmp"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"regcred.dev"
	"regcred.dev/registry"
	"regcred.dev/token"
)

// Registry configures the image service.
type Registry struct {
	// LoginLifetime is the longest and the default lifetime of the logins that
	// provider regcred mints.
	LoginLifetime time.Duration
	// Directory keeps the images; "" is one in the data directory.
	Directory string
	// Bucket keeps them instead, where it is set.
	Bucket *Bucket
	// Redirect sends clients to the bucket for blobs.
	Redirect bool
	// RedirectLifetime is how long such a URL is good for; 0 is the default of the
	// package registry.
	RedirectLifetime time.Duration
	// Policy says whose repositories are, and how they are kept.
	Policy registry.Policy
	// Owners are the hosts of registries that images may refer to for layers which
	// are not stored here.
	Owners []string
	// TrustedProxies may say whom they forward requests of.
	TrustedProxies []netip.Prefix
	// CollectEvery is how often unused content is collected; 0 is the default of the
	// server. NoCollect turns that off.
	CollectEvery time.Duration
	NoCollect    bool
	// Uploads bounds the uploads that are begun and not ended.
	Uploads registry.UploadLimits
	// Crane serves a directory of Crane's metadata too, where it is set.
	Crane *Crane
}

// Bucket is a bucket of an S3 server.
type Bucket struct {
	Name, Prefix, Region string
	// Endpoint is the server's URL, "" for AWS; PublicEndpoint is how clients reach
	// it, where that differs.
	Endpoint, PublicEndpoint string
	PathStyle                bool
	// AccessKeyID and SecretAccessKey are the key; without them the server's own AWS
	// identity is used.
	AccessKeyID     string
	SecretAccessKey regcred.Secret
	// CA is the path of certificates in PEM form which verify the server.
	CA string
	// SSE is AES256, aws:kms or ""; KMSKeyID names the key of aws:kms.
	SSE, KMSKeyID string
	StorageClass  string
	// SpoolDir is where uploads wait until they are complete.
	SpoolDir string
}

// Crane is a directory of metadata as Crane serves it.
type Crane struct {
	// Metadata is the directory.
	Metadata string
	// Endpoint is what the v1 protocol names as the registry's host; "" is the host of
	// the request.
	Endpoint string
	// Interval is how often the directory is looked at besides when its system reports a
	// change; 0 is the default of package crane.
	Interval time.Duration
	// Owners are repositories of v1 whose URLs serve the images that several list: the
	// first one here.
	Owners []string
	// CDNFrom in URLs is replaced by CDNTo, and a token is added that is signed with
	// CDNSecret (in hexadecimal digits): it is the parameter CDNParam, and good for
	// CDNTTL, or the defaults of package crane.
	CDNFrom, CDNTo string
	CDNSecret      regcred.Secret
	CDNParam       string
	CDNTTL         time.Duration
	// ClientCA is the path of certificates in PEM form, which those of clients of
	// protected repositories have to come from.
	ClientCA string
}

type fileRegistry struct {
	LoginLifetime  text             `yaml:"login_lifetime"`
	Storage        fileStorage      `yaml:"storage"`
	Redirect       fileRedirect     `yaml:"redirect"`
	Owners         []text           `yaml:"owners"`
	TrustedProxies []text           `yaml:"trusted_proxies"`
	Repositories   []fileRepository `yaml:"repositories"`
	Collect        fileCollect      `yaml:"collect"`
	Uploads        fileUploads      `yaml:"uploads"`
	Crane          *fileCrane       `yaml:"crane"`
}

type fileStorage struct {
	Directory text        `yaml:"directory"`
	S3        *fileBucket `yaml:"s3"`
}

type fileBucket struct {
	Bucket          text `yaml:"bucket"`
	Prefix          text `yaml:"prefix"`
	Region          text `yaml:"region"`
	Endpoint        text `yaml:"endpoint"`
	PublicEndpoint  text `yaml:"public_endpoint"`
	PathStyle       bool `yaml:"path_style"`
	AccessKeyID     text `yaml:"access_key_id"`
	SecretAccessKey text `yaml:"secret_access_key"`
	CA              text `yaml:"ca"`
	SSE             text `yaml:"sse"`
	KMSKeyID        text `yaml:"kms_key_id"`
	StorageClass    text `yaml:"storage_class"`
	SpoolDir        text `yaml:"spool_dir"`
}

type fileRedirect struct {
	Enabled  bool `yaml:"enabled"`
	Lifetime text `yaml:"lifetime"`
}

type fileRepository struct {
	Match        text      `yaml:"match"`
	Organization yaml.Node `yaml:"organization"`
	Space        yaml.Node `yaml:"space"`
	Public       bool      `yaml:"public"`
	PushFrom     []text    `yaml:"push_from"`
	Immutable    []text    `yaml:"immutable_tags"`
	Keep         *fileKeep `yaml:"keep"`
	Quota        text      `yaml:"quota"`
	ScopeQuota   text      `yaml:"scope_quota"`
}

type fileKeep struct {
	Last     int    `yaml:"last"`
	Within   text   `yaml:"within"`
	Tags     []text `yaml:"tags"`
	Untagged text   `yaml:"untagged"`
	History  int    `yaml:"history"`
}

type fileCollect struct {
	Every    text `yaml:"every"`
	Disabled bool `yaml:"disabled"`
}

type fileUploads struct {
	PerCaller text `yaml:"per_caller"`
	Total     text `yaml:"total"`
}

type fileCrane struct {
	Metadata text    `yaml:"metadata"`
	Interval text    `yaml:"interval"`
	Endpoint text    `yaml:"endpoint"`
	Owners   []text  `yaml:"owners"`
	ClientCA text    `yaml:"client_ca"`
	CDN      fileCDN `yaml:"cdn"`
}

type fileCDN struct {
	From   text `yaml:"from"`
	To     text `yaml:"to"`
	Secret text `yaml:"secret"`
	Param  text `yaml:"param"`
	TTL    text `yaml:"ttl"`
}

// minLoginLifetime keeps clocks and slow pulls from outlasting a login.
const minLoginLifetime = 10 * time.Second

// minUntagged is the shortest time that content without a tag stays.
const minUntagged = 24 * time.Hour

// minCollect is the least time between two collections of unused content.
const minCollect = time.Minute

// maxLocated is how long S3 lets a signed URL live.
const maxLocated = 7 * 24 * time.Hour

func (f fileRegistry) registry(p *parser) Registry {
	r := Registry{
		LoginLifetime: DefaultLoginLifetime, Directory: f.Storage.Directory.value,
		Redirect: f.Redirect.Enabled, RedirectLifetime: p.duration("registry.redirect.lifetime", f.Redirect.Lifetime),
		CollectEvery: p.duration("registry.collect.every", f.Collect.Every), NoCollect: f.Collect.Disabled,
	}
	if t := f.LoginLifetime; t.value != "" {
		if r.LoginLifetime = p.duration("registry.login_lifetime", t); r.LoginLifetime != 0 && r.LoginLifetime < minLoginLifetime {
			p.problem(t.line, "registry.login_lifetime: write a duration of at least %s, such as 12h or 30m", minLoginLifetime)
		}
	}
	if r.RedirectLifetime > maxLocated {
		p.problem(f.Redirect.Lifetime.line, "registry.redirect.lifetime: S3 allows 7d at most")
	}
	if f.Storage.S3 != nil {
		r.Bucket = f.Storage.S3.bucket(p)
		if r.Directory != "" {
			p.problem(f.Storage.Directory.line, "registry.storage: images are kept in a directory or in a bucket: leave out one")
		}
	} else if r.Redirect {
		p.problem(max(f.Redirect.Lifetime.line, 1), "registry.redirect: clients can only be sent to a bucket: set registry.storage.s3")
	}
	for _, t := range f.Owners {
		if t.value == "" || strings.ContainsAny(t.value, "/@?#* ") {
			p.problem(t.line, "registry.owners: write hosts, HOST[:PORT], such as registry.example.com")
		}
		r.Owners = append(r.Owners, strings.ToLower(t.value))
	}
	r.TrustedProxies = p.networks("registry.trusted_proxies", f.TrustedProxies)
	for _, n := range r.TrustedProxies {
		if n.Bits() == 0 {
			p.problem(f.TrustedProxies[0].line, "registry.trusted_proxies: %s is everybody, who could then say that they are anybody: name the proxies", n)
		}
	}
	if r.CollectEvery != 0 && r.CollectEvery < minCollect {
		p.problem(f.Collect.Every.line, "registry.collect.every: write %s at least, such as 6h", minCollect)
	}
	r.Uploads = f.Uploads.limits(p)
	for i, rule := range f.Repositories {
		rule.checkReached(p, f.Repositories[:i])
		r.Policy = append(r.Policy, rule.rule(p))
	}
	if f.Crane != nil {
		r.Crane = f.Crane.crane(p)
	}
	return r
}

func (f fileUploads) limits(p *parser) registry.UploadLimits {
	l := registry.UploadLimits{
		PerCaller: p.count("registry.uploads.per_caller", f.PerCaller), Total: p.count("registry.uploads.total", f.Total),
	}
	if l.PerCaller > cmp.Or(l.Total, registry.DefaultUploads) {
		p.problem(f.PerCaller.line, "registry.uploads: per_caller is more than total, which then is what bounds one caller: raise total")
	}
	return l
}

func (f *fileBucket) bucket(p *parser) *Bucket {
	b := &Bucket{
		Name: f.Bucket.value, Prefix: strings.Trim(f.Prefix.value, "/"), Region: f.Region.value,
		Endpoint: p.httpURL("endpoint", f.Endpoint), PublicEndpoint: p.httpURL("public_endpoint", f.PublicEndpoint), PathStyle: f.PathStyle,
		AccessKeyID: f.AccessKeyID.value, CA: f.CA.value, SSE: f.SSE.value, KMSKeyID: f.KMSKeyID.value,
		StorageClass: f.StorageClass.value, SpoolDir: f.SpoolDir.value,
	}
	line := max(f.Bucket.line, f.Endpoint.line, f.Region.line, 1)
	if b.Name == "" {
		p.problem(line, "registry.storage.s3: name the bucket")
	}
	if isReference(f.AccessKeyID.value) {
		b.AccessKeyID = p.secret("access_key_id", f.AccessKeyID).Reveal()
	}
	if f.SecretAccessKey.value != "" {
		b.SecretAccessKey = p.secret("secret_access_key", f.SecretAccessKey)
	}
	if (f.AccessKeyID.value == "") != (f.SecretAccessKey.value == "") {
		p.problem(line, "registry.storage.s3: access_key_id and secret_access_key belong together; without both the server's own AWS identity is used")
	}
	switch {
	case b.SSE != "" && b.SSE != "AES256" && b.SSE != "aws:kms":
		p.problem(f.SSE.line, "sse: write AES256 or aws:kms")
	case b.KMSKeyID != "" && b.SSE != "aws:kms":
		p.problem(f.KMSKeyID.line, "kms_key_id: it is for sse: aws:kms")
	}
	return b
}

// httpURL reads http[s]://HOST[:PORT][/PATH], or nothing.
func (p *parser) httpURL(key string, t text) string {
	if t.value == "" {
		return ""
	}
	u, err := url.Parse(t.value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		p.problem(t.line, "%s: write https://HOST[:PORT], or http://", key)
		return ""
	}
	return strings.TrimSuffix(t.value, "/")
}

// networks reads addresses and networks: 10.0.0.0/8, or one address.
func (p *parser) networks(key string, list []text) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range list {
		n, err := netip.ParsePrefix(t.value)
		if addr, addrErr := netip.ParseAddr(t.value); err != nil && addrErr == nil {
			n, err = addr.Prefix(addr.BitLen())
		}
		switch {
		case err != nil:
			p.problem(t.line, "%s: write networks such as 10.0.0.0/8, or addresses", key)
		case n != n.Masked():
			p.problem(t.line, "%s: %s is an address within a network: write %s, or the address alone", key, n, n.Masked())
		default:
			out = append(out, n)
		}
	}
	return out
}

func (f fileRepository) rule(p *parser) registry.Rule {
	line := max(f.Match.line, 1)
	r := registry.Rule{
		Pattern: f.Match.value, Public: f.Public,
		Scope:    fileScope{Organization: f.Organization, Space: f.Space}.scope(p, line),
		PushFrom: p.networks("push_from", f.PushFrom), Immutable: p.patterns("immutable_tags", f.Immutable),
		Quota: p.size("quota", f.Quota), ScopeQuota: p.size("scope_quota", f.ScopeQuota),
	}
	if err := (token.Grant{Repository: r.Pattern, Actions: []string{token.Pull}}).Validate(); err != nil {
		p.problem(line, "registry.repositories: match: write a repository such as acme/app, acme/* for all below acme, or * for all")
	}
	for _, n := range r.PushFrom {
		if n.Bits() == 0 {
			p.problem(line, "push_from: %s is everybody: name the networks that may push without a login", n)
		}
	}
	if f.Keep != nil {
		r.Keep = f.Keep.retention(p, line)
	}
	return r
}

// checkReached reports a rule that never holds, since one before it matches all that it
// matches: what it keeps to somebody might be public.
func (f fileRepository) checkReached(p *parser, before []fileRepository) {
	for _, earlier := range before {
		match := earlier.Match.value
		prefix, isPrefix := strings.CutSuffix(match, "*")
		if match == f.Match.value || isPrefix && strings.HasPrefix(f.Match.value, prefix) {
			p.problem(f.Match.line, "registry.repositories: the rule for %s never holds, since that for %s comes before it: put it first", f.Match.value, match)
			return
		}
	}
}

func (f *fileKeep) retention(p *parser, line int) *registry.Retention {
	k := &registry.Retention{
		Last: f.Last, Within: p.duration("keep.within", f.Within), Tags: p.patterns("keep.tags", f.Tags),
		Untagged: p.duration("keep.untagged", f.Untagged), History: f.History,
	}
	if k.Untagged != 0 && k.Untagged < minUntagged {
		p.problem(f.Untagged.line, "keep.untagged: write 1d at least: what is being pushed has no tag yet")
	}
	if k.Last < 0 {
		p.problem(line, "keep.last: write a number above 0")
	}
	return k
}

// patterns reads patterns as path.Match has them.
func (p *parser) patterns(key string, list []text) []string {
	var out []string
	for _, t := range list {
		if _, err := path.Match(t.value, ""); err != nil || t.value == "" {
			p.problem(t.line, "%s: %q is no pattern: write tags with * for any characters, such as v*", key, t.value)
		}
		out = append(out, t.value)
	}
	return out
}

func (f *fileCrane) crane(p *parser) *Crane {
	c := &Crane{
		Metadata: f.Metadata.value, Endpoint: f.Endpoint.value, ClientCA: f.ClientCA.value,
		Interval: p.duration("crane.interval", f.Interval),
		CDNFrom:  f.CDN.From.value, CDNTo: f.CDN.To.value, CDNParam: f.CDN.Param.value, CDNTTL: p.duration("cdn.ttl", f.CDN.TTL),
	}
	for _, t := range f.Owners {
		c.Owners = append(c.Owners, t.value)
	}
	if c.Metadata == "" {
		p.problem(max(f.Endpoint.line, f.ClientCA.line, 1), "registry.crane: name the directory of its metadata")
	}
	if f.CDN.Secret.value != "" {
		c.CDNSecret = p.secret("cdn.secret", f.CDN.Secret)
	}
	if (c.CDNFrom == "") != (c.CDNTo == "") {
		p.problem(max(f.CDN.From.line, f.CDN.To.line), "cdn: from is replaced by to: set both")
	}
	if signs := max(f.CDN.Param.line, f.CDN.TTL.line); signs > 0 && f.CDN.Secret.value == "" {
		p.problem(signs, "cdn: ttl and param are of the tokens that secret signs: set it, or leave them out")
	}
	if c.CDNTTL != 0 && c.CDNTTL < time.Second {
		p.problem(f.CDN.TTL.line, "cdn.ttl: write 1s at least")
	}
	if c.Interval != 0 && c.Interval < time.Second {
		p.problem(f.Interval.line, "crane.interval: write 1s at least")
	}
	return c
}
