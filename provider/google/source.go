package google

import (
	"os"
	"path/filepath"
	"runtime"

	"regcred.dev"
	"regcred.dev/internal/web"
	"regcred.dev/provider/internal/file"
)

// identity returns whom tokens are obtained for. It reads files.
func (s *settings) identity(client *web.Client) (identity, error) {
	id, universe, err := s.source(client)
	if err != nil || len(s.impersonate) == 0 {
		return id, err
	}
	last := len(s.impersonate) - 1
	return impersonated{
		client:    client,
		source:    id,
		url:       impersonationURL(universe, s.impersonate[last]),
		delegates: s.impersonate[:last],
	}, nil
}

// source returns the identity that the settings or the server's environment
// bring, and the domain of its universe.
//
// The environment is searched in the order of Google's "Application Default
// Credentials": the file that GOOGLE_APPLICATION_CREDENTIALS names, gcloud's file,
// the metadata server.
func (s *settings) source(client *web.Client) (identity, string, error) {
	switch {
	case s.doc != nil:
		return s.doc.identity(client, s.endpoint), s.doc.universe(), nil
	case s.file != "":
		return s.fileIdentity(client, s.file)
	}
	if name := os.Getenv("GOOGLE_APPLICATION_CREDENTIALS"); name != "" {
		return s.fileIdentity(client, name)
	}
	if name := gcloudFile(); fileExists(name) {
		return s.fileIdentity(client, name)
	}
	return metadata{client: client}, defaultUniverse, nil
}

func (s *settings) fileIdentity(client *web.Client, name string) (identity, string, error) {
	text, err := file.Read(name, maxDocument)
	if err != nil {
		return nil, "", regcred.Errorf(regcred.Unavailable, "the credentials file %s cannot be read by the server: %w", name, err)
	}
	d, err := readDocument("the file "+name, text)
	if err == nil {
		err = d.check("the file "+name, s.endpoint)
	}
	if err != nil {
		return nil, "", err
	}
	return d.identity(client, s.endpoint), d.universe(), nil
}

// gcloudFile is where gcloud auth application-default login writes, "" where
// there can be none.
func gcloudFile() string {
	const name = "application_default_credentials.json"
	if dir := os.Getenv("CLOUDSDK_CONFIG"); dir != "" {
		return filepath.Join(dir, name)
	}
	dir := os.Getenv("APPDATA")
	if runtime.GOOS != "windows" {
		if dir, _ = os.UserHomeDir(); dir != "" {
			dir = filepath.Join(dir, ".config")
		}
	}
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "gcloud", name)
}

func fileExists(name string) bool {
	if name == "" {
		return false
	}
	_, err := os.Stat(name)
	return err == nil
}
