package config

import (
	"net"
	"net/url"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
)

// file is the YAML document. Its keys are regcred's public configuration.
type file struct {
	DataDir   text      `yaml:"data_dir"`
	Listen    text      `yaml:"listen"`
	PublicURL text      `yaml:"public_url"`
	TLS       *fileTLS  `yaml:"tls"`
	Audit     fileAudit `yaml:"audit"`

	CloudFoundry *fileCloudFoundry `yaml:"cloudfoundry"`
	OIDC         []fileOIDC        `yaml:"oidc"`

	Registry    fileRegistry      `yaml:"registry"`
	Profiles    *[]fileProfile    `yaml:"profiles"`
	Credentials *[]fileCredential `yaml:"credentials"`
	Targets     []fileTarget      `yaml:"targets"`

	KubernetesTokens []fileKubernetesTokens `yaml:"kubernetes_tokens"`
}

type fileAudit struct {
	Keep text `yaml:"keep"`
}

// fileScope keeps the nodes: a key with nothing behind it must not read like one
// that is not there, which is a wider scope.
type fileScope struct {
	Organization yaml.Node `yaml:"organization"`
	Space        yaml.Node `yaml:"space"`
	App          yaml.Node `yaml:"app"`
}

type fileCredential struct {
	fileScope `yaml:",inline"`
	Location  text            `yaml:"location"`
	Username  text            `yaml:"username"`
	Password  text            `yaml:"password"`
	Provider  text            `yaml:"provider"`
	Settings  map[string]text `yaml:"settings"`
}

type fileTarget struct {
	fileScope    `yaml:",inline"`
	Name         text              `yaml:"name"`
	DockerConfig *fileDockerConfig `yaml:"dockerconfig"`
	Kubernetes   *fileKubernetes   `yaml:"kubernetes"`
	Rancher      *fileRancher      `yaml:"rancher"`
}

type fileDockerConfig struct {
	Path    text     `yaml:"path"`
	Paths   []string `yaml:"paths"`
	For     text     `yaml:"for"`
	Broaden bool     `yaml:"broaden"`
	Adopt   bool     `yaml:"adopt"`
}

// text is a string that knows its line.
type text struct {
	value string
	line  int
}

// UnmarshalYAML takes any scalar, as YAML itself would read "5000" or "yes".
func (t *text) UnmarshalYAML(n *yaml.Node) error {
	t.line = n.Line
	return n.Decode(&t.value)
}

func (f file) config(p *parser) Config {
	cfg := Default()
	if f.DataDir.value != "" {
		cfg.DataDir = f.DataDir.value
	}
	if f.Listen.value != "" {
		if _, _, err := net.SplitHostPort(f.Listen.value); err != nil {
			p.problem(f.Listen.line, "listen: write HOST:PORT, such as %s", DefaultListen)
		}
		cfg.Listen = f.Listen.value
	}
	cfg.PublicURL = f.publicURL(p)
	cfg.TLS = f.TLS.tls(p)
	switch keep := f.Audit.Keep; keep.value {
	case "":
	case "forever":
		cfg.AuditKeep = 0
	default:
		cfg.AuditKeep = p.duration("audit.keep", keep)
	}
	cfg.Registry = f.Registry.registry(p)
	if f.TLS == nil && f.Registry.Crane != nil && f.Registry.Crane.ClientCA.value != "" {
		p.problem(f.Registry.Crane.ClientCA.line, "registry.crane.client_ca: clients show their certificates to this server itself: set tls, and have no proxy in front end TLS")
	}
	cfg.CloudFoundry = f.CloudFoundry.cloudFoundry(p)
	cfg.OIDC = oidcIssuers(p, f.OIDC)
	cfg.Profiles = f.profiles(p)
	cfg.Credentials = f.credentials(p)
	cfg.Targets = f.targets(p)
	cfg.KubernetesTokens = f.kubernetesTokens(p)
	return cfg
}

func (f file) credentials(p *parser) []Credential {
	if f.Credentials == nil {
		return nil
	}
	type place struct {
		scope    regcred.Scope
		location imageref.Location
	}
	list, first := []Credential{}, map[place]int{}
	for _, c := range *f.Credentials {
		cred, line := c.credential(p), c.line()
		at := place{cred.Scope, cred.Location}
		if other, ok := first[at]; ok {
			p.problem(line, "credential for %s at scope %s: line %d declares one already", at.location, at.scope, other)
		}
		first[at] = line
		list = append(list, cred)
	}
	return list
}

func (f file) targets(p *parser) []Target {
	var list []Target
	names, paths, environments := map[string]int{}, map[string]int{}, map[string]int{}
	for _, t := range f.Targets {
		target, line := t.target(p)
		if other, ok := names[target.Name]; ok {
			p.problem(line, "target %q: line %d has one of that name already; set another name", target.Name, other)
		}
		names[target.Name] = line
		if target.DockerConfig != nil {
			p.unshared(target.DockerConfig.Paths, line, paths)
		}
		if target.Rancher != nil {
			environment := target.Rancher.environment()
			if other, ok := environments[environment]; ok && environment != "" {
				p.problem(line, "target %q: line %d delivers into the same place of Rancher already: each would take away what the other delivers", target.Name, other)
			}
			environments[environment] = line
		}
		list = append(list, target)
	}
	return list
}

// unshared reports files that are delivered into twice: each target would undo the
// other's work for ever.
func (p *parser) unshared(files []string, line int, seen map[string]int) {
	for _, file := range files {
		if strings.HasPrefix(file, "~") || strings.Contains(file, "$") {
			p.problem(line, "path %q: neither ~ nor variables are expanded here: write the whole path", file)
		}
		real := resolved(file)
		if other, ok := seen[real]; ok {
			p.problem(line, "path %q: line %d delivers into the same file already", file, other)
		}
		seen[real] = line
	}
}

// resolved returns the absolute path behind symbolic links, as far as it exists.
func resolved(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if target, err := filepath.EvalSymlinks(abs); err == nil {
		return target
	}
	if dir := filepath.Dir(abs); dir != abs {
		return filepath.Join(resolved(dir), filepath.Base(abs))
	}
	return abs
}

func (f file) publicURL(p *parser) *url.URL {
	if f.PublicURL.value == "" {
		return nil
	}
	u, err := ParsePublicURL(f.PublicURL.value)
	if err != nil {
		p.problem(f.PublicURL.line, "public_url: %v", err)
	}
	return u
}

// ParsePublicURL reads how clients reach a server: http[s]://HOST[:PORT]. Errors:
// Invalid.
func ParsePublicURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, regcred.Errorf(regcred.Invalid, "write https://HOST[:PORT], or http://, with nothing behind it")
	}
	if _, err := imageref.ParseLocation(u.Host); err != nil {
		return nil, regcred.Errorf(regcred.Invalid, "it is the host of image names too: %w", err)
	}
	u.Path = ""
	return u, nil
}

func (s fileScope) scope(p *parser, line int) regcred.Scope {
	id := func(key string, n yaml.Node) string {
		switch {
		case n.IsZero():
			return ""
		case n.Kind != yaml.ScalarNode:
			p.problem(n.Line, "%s: write one id", key)
		case n.Value == "" || n.ShortTag() == "!!null":
			p.problem(n.Line, "%s: it is empty; leave the key out where the scope is wider", key)
		}
		return n.Value
	}
	scope := regcred.Scope{Org: id("organization", s.Organization), Space: id("space", s.Space), App: id("app", s.App)}
	if err := scope.Validate(); err != nil {
		p.problem(line, "%v", err)
	}
	return scope
}

// line is where the credential stands: its first key that is known to have a
// line.
func (f fileCredential) line() int {
	for _, t := range []text{f.Location, f.Provider, f.Username, f.Password} {
		if t.line > 0 {
			return t.line
		}
	}
	return 1
}

func (f fileCredential) credential(p *parser) Credential {
	c := Credential{
		Where:    p.at(f.line()),
		Scope:    f.scope(p, f.line()),
		Spelling: f.Location.value,
		Provider: f.Provider.value,
		Username: f.Username.value,
	}
	c.Location = f.location(p)
	static := c.Provider == "" || c.Provider == regcred.ProviderStatic
	switch {
	case static && (c.Username == "" || f.Password.value == ""):
		p.problem(f.line(), "a credential needs a username and password, or a provider with its settings")
	case !static && (c.Username != "" || f.Password.value != ""):
		p.problem(f.line(), "provider %s takes settings, not a username and password", c.Provider)
	}
	if static {
		c.Provider = regcred.ProviderStatic
	}
	if f.Password.value != "" {
		c.Password = p.secret("password", f.Password)
	}
	c.Settings, c.References = p.settings(f.Settings)
	return c
}

func (f fileCredential) location(p *parser) imageref.Location {
	if f.Location.value == "" {
		p.problem(f.line(), "a credential in the configuration needs a location: with its scope it is what identifies it")
		return imageref.Location{}
	}
	return p.location(f.Location)
}

// location reads a location that credentials may have.
func (p *parser) location(t text) imageref.Location {
	loc, err := imageref.ParseLocation(t.value)
	if err == nil {
		err = loc.Assignable()
	}
	if err != nil {
		p.problem(t.line, "%v", err)
	}
	return loc
}

// settings returns a provider's settings: those that stand in the file, and what
// references resolve to.
func (p *parser) settings(all map[string]text) (plain map[string]string, references map[string]regcred.Secret) {
	for name, t := range all {
		if !isReference(t.value) {
			if plain == nil {
				plain = map[string]string{}
			}
			plain[name] = t.value
			continue
		}
		if references == nil {
			references = map[string]regcred.Secret{}
		}
		references[name] = p.secret("settings."+name, t)
	}
	return plain, references
}

func (f fileTarget) target(p *parser) (t Target, line int) {
	line = max(f.Name.line, 1)
	kinds := 0
	for _, is := range []bool{f.DockerConfig != nil, f.Kubernetes != nil, f.Rancher != nil} {
		if is {
			kinds++
		}
	}
	switch {
	case kinds > 1:
		p.problem(line, "target %q: it is either dockerconfig, kubernetes or rancher: make several targets of it", f.Name.value)
	case f.Rancher != nil:
		return f.rancher(p)
	case f.DockerConfig != nil:
		return f.dockerConfig(p)
	case f.Kubernetes != nil:
		return f.kubernetes(p)
	default:
		p.problem(line, "target %q: say what it is: it needs the key dockerconfig, rancher, or kubernetes ({} where the defaults hold)", f.Name.value)
	}
	return Target{Name: f.Name.value}, line
}

func (f fileTarget) kubernetes(p *parser) (t Target, line int) {
	k := f.Kubernetes
	line = max(f.Name.line, k.SecretName.line, k.Kubeconfig.line, k.Dialect.line, f.Organization.Line, f.Space.Line, f.App.Line, 1)
	if !f.Organization.IsZero() || !f.Space.IsZero() || !f.App.IsZero() {
		p.problem(line, "target %q: each namespace has a scope of its own: the key scope below kubernetes says which", f.Name.value)
	}
	t = Target{Name: f.Name.value, Kubernetes: k.kubernetes(p, line)}
	if t.Name == "" {
		t.Name = DefaultKubernetesTarget
	}
	return t, line
}

func (f fileTarget) dockerConfig(p *parser) (t Target, line int) {
	dc := f.DockerConfig
	line = max(f.Name.line, dc.Path.line, dc.For.line, 1)
	paths := dc.Paths
	if dc.Path.value != "" {
		paths = append([]string{dc.Path.value}, paths...)
	}
	if len(paths) == 0 {
		p.problem(line, "target %q: dockerconfig needs a path, such as /root/.docker/config.json", f.Name.value)
		return Target{Name: f.Name.value}, line
	}
	dialect := keyring.Docker
	if dc.For.value != "" {
		var err error
		if dialect, err = keyring.ParseDialect(dc.For.value); err != nil {
			p.problem(dc.For.line, "%v", err)
		}
	}
	t = Target{
		Name:         f.Name.value,
		Scope:        f.scope(p, line),
		DockerConfig: &DockerConfig{Paths: paths, For: dialect, Broaden: dc.Broaden, Adopt: dc.Adopt},
	}
	if t.Name == "" {
		t.Name = paths[0]
	}
	return t, line
}
