package chart_test

import (
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/v2/lint"
)

func TestLint(t *testing.T) {
	all := map[string]string{"defaults": ""}
	for _, name := range examples {
		all[name] = example(t, name)
	}
	for name, vals := range all {
		result := lint.RunAll(directory, values(t, vals), namespace)
		for _, m := range result.Messages {
			if m.Err.Error() != "icon is recommended" {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

// Values that make no sense are refused, in words and without showing a secret.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct{ values, want string }{
		"no organization": {
			`{global: {registry_location: off-cluster}, registry-token-refresher: {off_cluster_registry: {hostname: quay.io, username: me, password: hunter2}}}`,
			"off_cluster_registry.organization is mandatory",
		},
		"unknown location": {
			`{global: {registry_location: acr}}`,
			"at '/global/registry_location': value must be one of 'none', 'on-cluster', 'off-cluster', 'ecr', 'gcr'",
		},
		"prefix that is no name": {`{global: {secret_prefix: My_Registry}}`, "at '/global/secret_prefix'"},
		"half a key pair": {
			`{global: {registry_location: ecr}, registry-token-refresher: {ecr: {secretkey: hunter2}}}`,
			"of accesskey and secretkey only one is set",
		},
		"the page's placeholder": {
			`{global: {registry_location: gcr}, registry-token-refresher: {gcr: {key_json: <base64-encoded JSON data>}}}`,
			"this is no service account's key",
		},
		"JSON that is no key": {
			`{global: {registry_location: gcr}, registry-token-refresher: {gcr: {key_json: '{"secret": "hunter2"}'}}}`,
			"this is no service account's key",
		},
		"no minutes":                {`{registry-token-refresher: {token_refresh_time: 12h}}`, "at '/registry-token-refresher/token_refresh_time'"},
		"unknown key of Deis":       {`{registry-token-refresher: {ecr: {secret_key: hunter2}}}`, "additional properties 'secret_key' not allowed"},
		"unknown key of ours":       {`{volumes: {enabled: false}}`, "additional properties 'volumes' not allowed"},
		"unknown key below":         {`{service: {ports: 80}}`, "additional properties 'ports' not allowed"},
		"digest":                    {`{image: {digest: latest}}`, "at '/image/digest'"},
		"mount that is no path":     {`{extraSecretMounts: [{secretName: robot, mountPath: robot}]}`, "at '/extraSecretMounts/0/mountPath'"},
		"listen":                    {`{config: {listen: ":80"}}`, "config.listen: leave it out"},
		"data directory":            {`{config: {data_dir: /data}}`, "config.data_dir: leave it out"},
		"password":                  {`{config: {credentials: [{location: quay.io, username: me, password: hunter2}]}}`, "config.credentials[0].password: secrets do not stand in values"},
		"bucket without a name":     {`{global: {registry_location: on-cluster, storage: s3}}`, "s3.registry_bucket: name the bucket"},
		"our bucket without a name": {`{registry: {storage: {s3: {region: r}}}}`, "registry.storage.s3.bucket: name the bucket"},
		"half a storage key":        {`{global: {registry_location: on-cluster, storage: s3}, s3: {registry_bucket: b, secretkey: hunter2}}`, "s3: of accesskey and secretkey only one is set"},
		"two buckets":               {`{registry: {storage: {s3: {bucket: b}}}, config: {registry: {storage: {s3: {bucket: c}}}}}`, "config.registry.storage: leave it out"},
		"Ingress without a host":    {`{ingress: {enabled: true}}`, "ingress.host: name the host"},
		"Route of a URL":            {`{openshift: {enabled: true, route: {host: "https://a.example.com"}}}`, "at '/openshift/route/host'"},
		"push from no network":      {`{registry: {pushFrom: [pods]}}`, "at '/registry/pushFrom/0'"},
		"registry without a volume": {`{global: {registry_location: on-cluster}, persistence: {enabled: false}}`, "persistence.enabled is false"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tryRender(load(t), values(t, c.values))
			if err == nil {
				t.Fatal("it was accepted")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is\n%v\nwhich does not say %q", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a secret:\n%v", err)
			}
		})
	}
}

// What is unusual is done, with a warning in the notes.
func TestWarnings(t *testing.T) {
	const ecr = "global: {registry_location: ecr}\nregistry-token-refresher: "
	for name, c := range map[string]struct{ values, want string }{
		"registryid":   {ecr + `{ecr: {registryid: "123456789012"}}`, "registry-token-refresher.ecr.registryid should be empty"},
		"hostname":     {ecr + `{ecr: {hostname: ecr.example.com}}`, "registry-token-refresher.ecr.hostname should be empty"},
		"GCR hostname": {"global: {registry_location: gcr}\nregistry-token-refresher: {gcr: {hostname: eu.gcr.io}}", "registry-token-refresher.gcr.hostname should be empty"},
		"GCR identity": {"global: {registry_location: gcr}", "the pod's own identity is used"},
		"two logins":   {"existingSecret: registry-secret\n" + ecr + `{ecr: {accesskey: a, secretkey: b}}`, "have no effect: they are read from the Secret registry-secret"},
		"old image":    {ecr + `{docker_tag: v1.1.7, pull_policy: Always}`, "registry-token-refresher.docker_tag has no effect"},
		"storage":      {"global: {registry_location: on-cluster, storage: minio}", "global.storage minio is not used"},
		"no TLS":       {"ingress: {enabled: true, host: a.example.com, tls: {enabled: false}}", "logins travel in clear"},
		"bucket alone": {"{persistence: {enabled: false}, registry: {storage: {s3: {bucket: b}}}}", "credentials are gone with the pod"},
		"no volume":    {`persistence: {enabled: false}`, "credentials and images are gone with the pod"},
	} {
		t.Run(name, func(t *testing.T) {
			if notes := render(t, c.values).notes; !strings.Contains(notes, "WARNING: ") || !strings.Contains(notes, c.want) {
				t.Errorf("the notes are\n%s\nwithout a warning that says %q", notes, c.want)
			}
		})
	}
	for _, name := range examples {
		if notes := render(t, example(t, name)).notes; strings.Contains(notes, "WARNING") {
			t.Errorf("example %s: the notes warn of something:\n%s", name, notes)
		}
	}
}

// The notes pass on those of Deis's page.
func TestNotes(t *testing.T) {
	const port = "deis config:set PORT=<port>"
	for _, name := range examples {
		notes := render(t, example(t, name)).notes
		if !strings.Contains(notes, port) {
			t.Errorf("example %s: the notes do not say %q:\n%s", name, port, notes)
		}
		if want := "private-registry-" + location(name); !strings.Contains(notes, want) {
			t.Errorf("example %s: the notes do not name %s:\n%s", name, want, notes)
		}
	}
	for _, vals := range []string{"", "global: {registry_location: on-cluster}"} {
		notes := render(t, vals).notes
		if strings.Contains(notes, port) || !strings.Contains(notes, "http://regcred.deis.svc:8440") || strings.Contains(notes, "WARNING") {
			t.Errorf("values %q: the notes are\n%s", vals, notes)
		}
	}
}

// The golden files are all that is applied, for a reader too.
func TestGolden(t *testing.T) {
	for name, vals := range map[string]string{"defaults": "", "ecr": example(t, "ecr")} {
		compareGolden(t, filepath.Join("testdata", "golden", name+".yaml"), render(t, vals))
	}
}
