package chart_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"regcred.dev/config"
)

// serverConfig is the configuration that the server reads.
func serverConfig(t *testing.T, r rendered) config.Config {
	t.Helper()
	text := as[corev1.ConfigMap](t, r, "ConfigMap").Data["regcred.yaml"]
	cfg, err := config.Parse("regcred.yaml", []byte(text), config.Sources{
		ReadFile: func(path string) ([]byte, error) { return []byte("of " + path + "\n"), nil },
	})
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return cfg
}

// mountedFiles lists what is mounted from Secrets, as PATH: SECRET.
func mountedFiles(t *testing.T, r rendered) map[string]string {
	t.Helper()
	pod := as[appsv1.Deployment](t, r, "Deployment").Spec.Template.Spec
	files := map[string]string{}
	for _, m := range pod.Containers[0].VolumeMounts {
		i := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if i < 0 {
			t.Fatalf("%s is mounted, and is no volume", m.Name)
		}
		if secret := pod.Volumes[i].Secret; secret != nil {
			for _, item := range secret.Items {
				files[m.MountPath+"/"+item.Path] = secret.SecretName
			}
		}
	}
	return files
}

const (
	accessKeyFile = "/run/secrets/object-storage/accesskey"
	secretKeyFile = "/run/secrets/object-storage/secretkey"
	caFile        = "/run/secrets/object-storage-ca/ca.crt"
)

// TestObjectStorage: images are kept in the platform's bucket, or one of the operator's.
func TestObjectStorage(t *testing.T) {
	const onS3 = "global: {registry_location: on-cluster, storage: s3}\n"
	keys := func(secret string) map[string]string {
		return map[string]string{accessKeyFile: secret, secretKeyFile: secret}
	}
	for name, c := range map[string]struct {
		values string
		want   config.Bucket
		keys   bool
		files  map[string]string
		made   map[string]string // the chart's own Secret
	}{
		"Workflow's": {
			values: onS3 + "s3: {accesskey: AK, secretkey: SK, region: us-west-2, registry_bucket: images, builder_bucket: slugs, database_bucket: db}",
			want:   config.Bucket{Name: "images", Region: "us-west-2"},
			keys:   true, files: keys("regcred-object-storage"), made: map[string]string{"accesskey": "AK", "secretkey": "SK"},
		},
		"Workflow's Secret": {
			values: onS3 + "s3: {existingSecret: objectstorage-keyfile, registry_bucket: images}",
			want:   config.Bucket{Name: "images"}, keys: true, files: keys("objectstorage-keyfile"),
		},
		"the pod's identity": {
			values: onS3 + "s3: {region: us-west-2, registry_bucket: images}",
			want:   config.Bucket{Name: "images", Region: "us-west-2"}, files: map[string]string{},
		},
		"Workflow's, at another server": {
			values: onS3 + "s3: {existingSecret: keys, registry_bucket: images}\nregistry: {storage: {s3: {endpoint: 'https://s3.example.com', path_style: true, prefix: v2}}}",
			want:   config.Bucket{Name: "images", Prefix: "v2", Endpoint: "https://s3.example.com", PathStyle: true}, keys: true, files: keys("keys"),
		},
		"ours": {
			values: "persistence: {enabled: false}\nregistry: {storage: {s3: {bucket: b, region: r, endpoint: 'https://s3.example.com:9000', public_endpoint: 'https://cdn.example.com', sse: 'aws:kms', kms_key_id: k, storage_class: STANDARD_IA, existingSecret: mine, caSecret: authority}}}",
			want: config.Bucket{
				Name: "b", Region: "r", Endpoint: "https://s3.example.com:9000", PublicEndpoint: "https://cdn.example.com",
				SSE: "aws:kms", KMSKeyID: "k", StorageClass: "STANDARD_IA", CA: caFile,
			},
			keys: true, files: map[string]string{accessKeyFile: "mine", secretKeyFile: "mine", caFile: "authority"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := render(t, c.values)
			got := serverConfig(t, r).Registry.Bucket
			if got == nil {
				t.Fatal("images are not kept in a bucket")
			}
			if c.keys {
				c.want.AccessKeyID = "of " + accessKeyFile
				if secret := got.SecretAccessKey.Reveal(); secret != "of "+secretKeyFile {
					t.Errorf("the secret key is read from %q", secret)
				}
			}
			got.SecretAccessKey = c.want.SecretAccessKey
			if diff := cmp.Diff(c.want, *got, cmp.Comparer(func(a, b config.Bucket) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.files, mountedFiles(t, r)); diff != "" {
				t.Errorf("mounted are: %s", diff)
			}
			made := map[string]string{}
			if slices.Contains(r.names(), "Secret/regcred-object-storage") {
				for key, value := range as[corev1.Secret](t, r, "Secret").Data {
					made[key] = string(value)
				}
			}
			if diff := cmp.Diff(len(c.made), len(made)); diff != "" || c.made != nil && cmp.Diff(c.made, made) != "" {
				t.Errorf("the chart's Secret has %d keys", len(made))
			}
			if text := as[corev1.ConfigMap](t, r, "ConfigMap").Data["regcred.yaml"]; strings.Contains(text, "SK") {
				t.Error("the secret key is in the ConfigMap")
			}
		})
	}
}

// TestNoObjectStorage: other locations have nothing to do with Workflow's storage.
func TestNoObjectStorage(t *testing.T) {
	for _, vals := range []string{
		"", "global: {storage: s3}", "global: {registry_location: on-cluster, storage: minio}", "global: {registry_location: on-cluster}",
	} {
		r := render(t, vals)
		if b := serverConfig(t, r).Registry.Bucket; b != nil || len(mountedFiles(t, r)) > 0 {
			t.Errorf("values %q: the bucket is %v", vals, b)
		}
	}
	r := render(t, "s3: {accesskey: AK, secretkey: SK, registry_bucket: b}\n"+strings.Replace(example(t, "ecr"), "global:", "global:\n  storage: s3", 1))
	if slices.Contains(r.names(), "Secret/regcred-object-storage") {
		t.Error("regcred deis gets the keys of the object storage")
	}
}

// A change of the keys starts the pod anew, for it reads them once.
func TestObjectStorageKeysChange(t *testing.T) {
	sum := func(key string) string {
		return as[appsv1.Deployment](t, render(t, "global: {registry_location: on-cluster, storage: s3}\ns3: {registry_bucket: b, accesskey: AK, secretkey: "+key+"}"),
			"Deployment").Spec.Template.Annotations["checksum/object-storage"]
	}
	if a, b := sum("one"), sum("two"); a == b || a == "" {
		t.Errorf("the checksums are %q and %q", a, b)
	}
}

// TestPushFrom: the networks that may push as Deis's builder does, which sends no login.
func TestPushFrom(t *testing.T) {
	const networks = "registry: {pushFrom: [10.244.0.0/16, 'fd00::/48']}"
	rules := serverConfig(t, render(t, "global: {registry_location: on-cluster}\n"+networks)).Registry.Policy
	if len(rules) != 1 || rules[0].Pattern != "*" || !rules[0].Public || len(rules[0].PushFrom) != 2 || rules[0].PushFrom[0].String() != "10.244.0.0/16" {
		t.Errorf("the rules are %+v", rules)
	}
	if rules := serverConfig(t, render(t, networks)).Registry.Policy; len(rules) != 0 {
		t.Errorf("without Deis they are %+v", rules)
	}
}
