package config

import (
	"net"
	"net/url"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"regcred.dev"
	"regcred.dev/imageref"
	"regcred.dev/keyring"
)

// file is the YAML document. Its keys are regcred's public configuration.
type file struct {
	DataDir     text             `yaml:"data_dir"`
	Listen      text             `yaml:"listen"`
	PublicURL   text             `yaml:"public_url"`
	Registry    fileRegistry     `yaml:"registry"`
	Credentials []fileCredential `yaml:"credentials"`
	Targets     []fileTarget     `yaml:"targets"`
}

type fileRegistry struct {
	LoginLifetime text `yaml:"login_lifetime"`
}

type fileScope struct {
	Organization string `yaml:"organization"`
	Space        string `yaml:"space"`
	App          string `yaml:"app"`
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
	if t := f.Registry.LoginLifetime; t.value != "" {
		d, err := time.ParseDuration(t.value)
		if err != nil || d < minLoginLifetime {
			p.problem(t.line, "registry.login_lifetime: write a duration of at least %s, such as 12h or 30m", minLoginLifetime)
		}
		cfg.Registry.LoginLifetime = d
	}
	seen := map[[2]string]int{}
	for _, c := range f.Credentials {
		cred := c.credential(p)
		key := [2]string{cred.Scope.String(), cred.Location.String()}
		if first, ok := seen[key]; ok {
			p.problem(cred.Line, "credential for %s at scope %s: line %d declares one already", key[1], key[0], first)
		}
		seen[key] = cred.Line
		cfg.Credentials = append(cfg.Credentials, cred)
	}
	names := map[string]int{}
	for _, t := range f.Targets {
		target, line := t.target(p)
		if first, ok := names[target.Name]; ok {
			p.problem(line, "target %q: line %d has one of that name already; set another name", target.Name, first)
		}
		names[target.Name] = line
		cfg.Targets = append(cfg.Targets, target)
	}
	return cfg
}

// minLoginLifetime keeps clocks and slow pulls from outlasting a login.
const minLoginLifetime = 10 * time.Second

func (f file) publicURL(p *parser) *url.URL {
	if f.PublicURL.value == "" {
		return nil
	}
	u, err := url.Parse(f.PublicURL.value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		p.problem(f.PublicURL.line, "public_url: write https://HOST[:PORT] with nothing behind it")
		return nil
	}
	u.Path = ""
	return u
}

func (s fileScope) scope(p *parser, line int) regcred.Scope {
	scope := regcred.Scope{Org: s.Organization, Space: s.Space, App: s.App}
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
		Line:     f.line(),
		Scope:    f.scope(p, f.line()),
		Spelling: f.Location.value,
		Provider: f.Provider.value,
		Username: f.Username.value,
	}
	c.Location = f.location(p)
	static := c.Provider == "" || c.Provider == regcred.ProviderStatic
	switch {
	case static && (c.Username == "" || f.Password.value == ""):
		p.problem(c.Line, "a credential needs a username and password, or a provider with its settings")
	case !static && (c.Username != "" || f.Password.value != ""):
		p.problem(c.Line, "provider %s takes settings, not a username and password", c.Provider)
	}
	if static {
		c.Provider = regcred.ProviderStatic
	}
	if f.Password.value != "" {
		c.Password = p.secret("password", f.Password)
	}
	f.settings(p, &c)
	return c
}

func (f fileCredential) location(p *parser) imageref.Location {
	if f.Location.value == "" {
		p.problem(f.line(), "a credential in the configuration needs a location: with its scope it is what identifies it")
		return imageref.Location{}
	}
	loc, err := imageref.ParseLocation(f.Location.value)
	if err == nil {
		err = loc.Assignable()
	}
	if err != nil {
		p.problem(f.Location.line, "%v", err)
	}
	return loc
}

func (f fileCredential) settings(p *parser, c *Credential) {
	for name, t := range f.Settings {
		if !isReference(t.value) {
			if c.Settings == nil {
				c.Settings = map[string]string{}
			}
			c.Settings[name] = t.value
			continue
		}
		if c.References == nil {
			c.References = map[string]regcred.Secret{}
		}
		c.References[name] = p.secret("settings."+name, t)
	}
}

func (f fileTarget) target(p *parser) (t Target, line int) {
	line = max(f.Name.line, 1)
	if f.DockerConfig == nil {
		p.problem(line, "target %q: say what it is: dockerconfig", f.Name.value)
		return Target{Name: f.Name.value}, line
	}
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
