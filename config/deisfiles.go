package config

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"regcred.dev"
	"regcred.dev/imageref"
)

// DeisFiles are the values of the Secret registry-secret, as its files have them
// where it is mounted. Space around a value does not count, and an empty one is not
// set.
type DeisFiles struct {
	// Of ECR: a key pair, and the account and region whose registry it is.
	AccessKey  string
	SecretKey  regcred.Secret
	Region     string
	RegistryID string
	// Of GCR: the key file of a service account.
	KeyJSON regcred.Secret
	// Hostname takes the place of the registry's usual host.
	Hostname string
}

// Equal reports whether two have the same values.
func (f DeisFiles) Equal(g DeisFiles) bool {
	return f.AccessKey == g.AccessKey && f.SecretKey.Equal(g.SecretKey) && f.Region == g.Region &&
		f.RegistryID == g.RegistryID && f.KeyJSON.Equal(g.KeyJSON) && f.Hostname == g.Hostname
}

// ReadDeisFiles reads the files of a mounted Secret. All are of one version of it,
// whenever Kubernetes changes them. Errors: Invalid, naming the file.
func ReadDeisFiles(dir string) (DeisFiles, error) {
	for {
		before, err := mountedVersion(dir)
		if err != nil {
			return DeisFiles{}, err
		}
		f, err := readDeisFiles(before)
		if after, _ := mountedVersion(dir); after == before {
			return f, err
		}
	}
}

// mountedVersion returns the directory with the files of the Secret's present
// version, which the link ..data leads to (the kubelet's AtomicWriter).
func mountedVersion(dir string) (string, error) {
	version, err := filepath.EvalSymlinks(filepath.Join(dir, "..data"))
	if errors.Is(err, fs.ErrNotExist) {
		version, err = filepath.EvalSymlinks(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", regcred.Errorf(regcred.Invalid, "there is no directory %s: mount the Secret registry-secret there", dir)
	}
	if err != nil {
		return "", regcred.Errorf(regcred.Invalid, "registry-secret: %w", err)
	}
	return version, nil
}

func readDeisFiles(dir string) (f DeisFiles, err error) {
	for name, set := range map[string]func(string){
		"accesskey":  func(v string) { f.AccessKey = v },
		"secretkey":  func(v string) { f.SecretKey = regcred.NewSecret(v) },
		"region":     func(v string) { f.Region = v },
		"registryid": func(v string) { f.RegistryID = v },
		"key.json":   func(v string) { f.KeyJSON = regcred.NewSecret(v) },
		"hostname":   func(v string) { f.Hostname = v },
	} {
		value, err := readDeisFile(filepath.Join(dir, name))
		if err != nil {
			return DeisFiles{}, err
		}
		if value != "" {
			set(value)
		}
	}
	return f, nil
}

func readDeisFile(path string) (string, error) {
	data, err := readFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", regcred.Errorf(regcred.Invalid, "registry-secret: %w", err)
	case len(data) > maxReference:
		return "", regcred.Errorf(regcred.Invalid, "registry-secret: %s is larger than %d bytes", path, maxReference)
	case !utf8.Valid(data):
		return "", regcred.Errorf(regcred.Invalid, "registry-secret: %s is not UTF-8 text", path)
	}
	return strings.TrimSpace(string(data)), nil
}

// deisWhere names the files in errors.
const deisWhere = "registry-secret"

// Credential returns the credential that the files hold. Where they name no host,
// that of ECR is found at the first mint.
//
// Errors: Invalid, naming the file.
func (d Deis) Credential(f DeisFiles) (Credential, error) {
	c := Credential{Where: deisWhere, Settings: map[string]string{}, References: map[string]regcred.Secret{}}
	if f.Hostname != "" {
		host, err := deisHost(f.Hostname)
		if err != nil {
			return Credential{}, err
		}
		c.Location, c.Spelling = host, host.String()
		c.Settings["host"] = host.String() // any host, as the chart has always taken
	}
	if d.Location == DeisGCR {
		return c.gcr(f)
	}
	return c.ecr(f)
}

// deisHost reads a hostname, which may be written as a URL: it was used as the key of
// the docker config file.
func deisHost(text string) (imageref.Location, error) {
	host, err := imageref.ParseLocation(strings.TrimSuffix(strings.TrimPrefix(text, "https://"), "/"))
	if err == nil {
		err = host.Assignable()
	}
	if err == nil && host.Path() != "" {
		err = errors.New("leave out the path")
	}
	if err != nil {
		return imageref.Location{}, regcred.Errorf(regcred.Invalid, "%s: hostname is %q: write a registry's host, or leave it empty: %w", deisWhere, text, err)
	}
	return host, nil
}

// ecr adds the settings of provider ecr. Without keys that is the pod's own identity.
func (c Credential) ecr(f DeisFiles) (Credential, error) {
	c.Provider = "ecr"
	keys := f.AccessKey != ""
	switch {
	case keys && f.SecretKey.IsZero(), !keys && !f.SecretKey.IsZero():
		return Credential{}, regcred.Errorf(regcred.Invalid, "%s: of accesskey and secretkey only one is set: set both, or leave both empty for the pod's own IAM role", deisWhere)
	case keys && f.Region == "" && f.Hostname == "":
		return Credential{}, regcred.Errorf(regcred.Invalid, "%s: region is empty: write the region of the registry, such as us-west-2", deisWhere)
	case keys:
		c.Settings["access-key-id"] = f.AccessKey
		c.References["secret-access-key"] = f.SecretKey
	}
	if f.Region != "" {
		c.Settings["region"] = f.Region
	}
	if f.RegistryID != "" {
		c.Settings["registry-ids"] = f.RegistryID
	}
	return c, nil
}

// gcr adds the settings of provider google. Without a key that is the pod's own
// identity. Deis's builder pushes with the login too.
func (c Credential) gcr(f DeisFiles) (Credential, error) {
	c.Provider = "google"
	c.Settings["push"] = "true"
	if !f.KeyJSON.IsZero() {
		c.References["key"] = f.KeyJSON
	}
	if !c.Location.IsZero() {
		return c, nil
	}
	var err error
	c.Spelling = "gcr.io"
	c.Location, err = imageref.ParseLocation(c.Spelling)
	return c, err
}
