//go:build integration

package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"regcred.dev/cmd/regcred/server"
	"regcred.dev/config"
	"regcred.dev/regcredtest"
	"regcred.dev/regcredtest/fakeecr"
	"regcred.dev/regcredtest/fakegoogle"
	"regcred.dev/regcredtest/kubetest"
)

// Two accounts of AWS, each with a user's key.
var (
	deisKeys = map[string]string{
		"accesskey": "AKIAIOSFODNN7EXAMPLE", "secretkey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		"region": "us-west-2", "registryid": "", "hostname": "",
	}
	otherDeisKeys = map[string]string{
		"accesskey": "AKIAI44QH8DHBEXAMPLE", "secretkey": "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY",
		"region": "us-west-2", "registryid": "", "hostname": "",
	}
)

const (
	deisRegistry      = "https://123456789012.dkr.ecr.us-west-2.amazonaws.com"
	otherDeisRegistry = "https://210987654321.dkr.ecr.us-west-2.amazonaws.com"
)

// workflow is a release of Deis Workflow in a cluster, with regcred in place of its
// refresher.
type workflow struct {
	*testing.T
	cluster   *kubetest.Cluster
	client    *kubernetes.Clientset
	aws       *fakeecr.Server
	google    *fakegoogle.Server
	namespace string
	location  string
	prefix    string
	creds     string // the directory where registry-secret is mounted
	log       *lockedBuffer
}

func newWorkflow(t *testing.T, c *kubetest.Cluster) *workflow {
	w := &workflow{
		T: t, cluster: c, client: c.Client(t), location: "ecr", creds: t.TempDir(), log: new(lockedBuffer),
		namespace: c.Namespace(t, "deis", nil), google: fakegoogle.New(fakegoogle.Options{}),
	}
	w.prefix = w.namespace + "-pull"
	w.aws = fakeecr.New(fakeecr.Options{Users: map[string]fakeecr.User{
		deisKeys["accesskey"]:      {ARN: "arn:aws:iam::123456789012:user/deis", Secret: deisKeys["secretkey"]},
		otherDeisKeys["accesskey"]: {ARN: "arn:aws:iam::210987654321:user/deis", Secret: otherDeisKeys["secretkey"]},
	}})
	w.mount(deisKeys)
	return w
}

// app creates an app's namespace, as Deis's controller does.
func (w *workflow) app() string {
	w.Helper()
	return w.cluster.Namespace(w.T, "app", map[string]string{"heritage": "deis"})
}

func (w *workflow) secretName() string { return w.prefix + "-" + w.location }

// mount writes the files of registry-secret, all at once as the kubelet does.
func (w *workflow) mount(files map[string]string) {
	w.Helper()
	version := filepath.Join(w.creds, "..2016_"+rand.Text())
	if err := os.Mkdir(version, 0o700); err != nil {
		w.Fatal(err)
	}
	for name, value := range files {
		if err := os.WriteFile(filepath.Join(version, name), []byte(value), 0o600); err != nil {
			w.Fatal(err)
		}
	}
	next := filepath.Join(w.creds, "..data_tmp")
	if err := os.Symlink(filepath.Base(version), next); err != nil {
		w.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(w.creds, "..data")); err != nil {
		w.Fatal(err)
	}
}

// account gives a user of the cluster the rights that docs/deis.md gives the pod, and
// returns how it reaches the API server.
func (w *workflow) account() *rest.Config {
	w.Helper()
	user := "system:serviceaccount:" + w.namespace + ":regcred"
	role := w.documentedRole()
	role.Name = w.namespace
	for i := range role.Rules {
		if role.Rules[i].ResourceNames != nil {
			role.Rules[i].ResourceNames = []string{w.secretName()}
		}
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: w.namespace},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
	}
	rbac := w.client.RbacV1()
	if _, err := rbac.ClusterRoles().Create(w.Context(), role, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		w.Fatal(err)
	}
	if _, err := rbac.ClusterRoleBindings().Create(w.Context(), binding, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		w.Fatal(err)
	}
	return w.cluster.As(user)
}

// documentedRole reads the ClusterRole of docs/deis.md.
func (w *workflow) documentedRole() *rbacv1.ClusterRole {
	w.Helper()
	doc, err := os.ReadFile("../../../docs/deis.md")
	if err != nil {
		w.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), "```yaml\n")
	text, _, _ = strings.Cut(text, "```")
	role := new(rbacv1.ClusterRole)
	if err := yaml.Unmarshal([]byte(text), role); err != nil || role.Kind != "ClusterRole" || len(role.Rules) != 4 {
		w.Fatalf("docs/deis.md has no ClusterRole: %v\n%s", err, text)
	}
	return role
}

// start runs the pod until stop is called, or the test ends.
func (w *workflow) start() (url string, stop func()) {
	w.Helper()
	return w.startOn(w.account())
}

func (w *workflow) startOn(kube *rest.Config) (url string, stop func()) {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d, err := server.OpenDeis(ctx, server.DeisOptions{
		Config:      config.Deis{Location: w.location, SecretPrefix: w.prefix, Namespace: w.namespace, Listen: "127.0.0.1:0"},
		Credentials: w.creds, Kubernetes: kube,
		Transport: regcredtest.HandlerTransport{"api.ecr.us-west-2.amazonaws.com": w.aws, fakegoogle.TokenHost: w.google},
		Log:       slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		cancel()
		w.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			w.Errorf("it ended with: %v", err)
		}
		ended <- nil
	}
	w.Cleanup(stop)
	return "http://" + d.Addr(), stop
}

// eventually polls until f returns nil.
func (w *workflow) eventually(f func() error) {
	w.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.Fatalf("not within a minute: %v\n%s", err, w.log)
		}
		time.Sleep(50 * time.Millisecond) //nolint:forbidigo // polling over real sockets
	}
}

// get returns the pull secret of a namespace.
func (w *workflow) get(namespace string) (*corev1.Secret, error) {
	return w.client.CoreV1().Secrets(namespace).Get(w.Context(), w.secretName(), metav1.GetOptions{})
}

// pulls returns why nobody can pull from a registry with a namespace's secret, nil
// where somebody can: where it is what Deis reads, with a login that is valid now.
func (w *workflow) pulls(namespace, registry string) error {
	s, err := w.get(namespace)
	if err != nil {
		return err
	}
	if s.Type != corev1.SecretTypeDockerConfigJson {
		return fmt.Errorf("it is of type %s", s.Type)
	}
	var file struct {
		Auths map[string]struct {
			Auth  []byte
			Email string
		}
	}
	if err := json.Unmarshal(s.Data[corev1.DockerConfigJsonKey], &file); err != nil {
		return err
	}
	entry, ok := file.Auths[registry]
	if len(file.Auths) != 1 || !ok || entry.Email != "none@none.com" {
		return fmt.Errorf("%s: its entries are for %s", namespace, slices.Sorted(maps.Keys(file.Auths)))
	}
	username, password, _ := strings.Cut(string(entry.Auth), ":")
	_, aws := w.aws.Find(password)
	_, google := w.google.Find(password)
	if username != "AWS" && username != "oauth2accesstoken" || !aws && !google {
		return fmt.Errorf("%s: the login of %s is not valid", namespace, username)
	}
	return nil
}

func (w *workflow) pull(registry string, namespaces ...string) {
	w.Helper()
	for _, n := range namespaces {
		w.eventually(func() error { return w.pulls(n, registry) })
	}
}

func (w *workflow) mints() int { return w.aws.Calls()[fakeecr.GetAuthorizationToken] }

func (w *workflow) answers(url string, want int) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		return fmt.Errorf("%s answered %d", url, resp.StatusCode)
	}
	return nil
}

func TestDeisOnKubernetes(t *testing.T) {
	c := kubetest.Start(t, kubetest.Options{})
	for name, test := range map[string]func(*workflow){
		"install": deisInstall, "restart": deisRestart, "renewal": deisRenewal, "adoption": deisAdoption,
		"changed files": deisChangedFiles, "outage of ECR": deisIssuerOutage, "outage of Kubernetes": deisAPIOutage,
		"GCR": deisGoogle, "failing Kubernetes": deisFaults, "another release": deisMoves,
		"many leave at once": deisHeld,
	} {
		t.Run(name, func(t *testing.T) { test(newWorkflow(t, c)) })
	}
}

// deisInstall installs into a cluster with apps, and then does to it what happens in
// a day. Nothing but the login is anywhere.
func deisInstall(w *workflow) {
	apps := []string{w.app(), w.app()}
	stranger := w.cluster.Namespace(w.T, "other", nil)
	url, stop := w.start()
	w.pull(deisRegistry, append(apps, w.namespace)...)
	w.eventually(func() error { return w.answers(url+"/readyz", http.StatusOK) })
	for _, page := range []string{"/healthz", "/metrics"} {
		if err := w.answers(url+page, http.StatusOK); err != nil {
			w.Error(err)
		}
	}
	if err := w.answers(url+"/v3/registry_credentials", http.StatusNotFound); err != nil {
		w.Error(err)
	}

	w.pull(deisRegistry, w.app()) // a new app

	if err := w.client.CoreV1().Secrets(apps[0]).Delete(w.Context(), w.secretName(), metav1.DeleteOptions{}); err != nil {
		w.Fatal(err)
	}
	w.pull(deisRegistry, apps[0])

	s, err := w.get(apps[1])
	if err != nil {
		w.Fatal(err)
	}
	s.Data[corev1.DockerConfigJsonKey] = []byte(`{"auths":{}}`)
	if _, err := w.client.CoreV1().Secrets(apps[1]).Update(w.Context(), s, metav1.UpdateOptions{}); err != nil {
		w.Fatal(err)
	}
	w.pull(deisRegistry, apps[1])

	ns, err := w.client.CoreV1().Namespaces().Get(w.Context(), apps[1], metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	delete(ns.Labels, "heritage")
	if _, err := w.client.CoreV1().Namespaces().Update(w.Context(), ns, metav1.UpdateOptions{}); err != nil {
		w.Fatal(err)
	}
	w.eventually(func() error {
		if _, err := w.get(apps[1]); !apierrors.IsNotFound(err) {
			return fmt.Errorf("a namespace that is no longer Deis's has a secret: %w", err)
		}
		return nil
	})
	if _, err := w.get(stranger); !apierrors.IsNotFound(err) {
		w.Errorf("a namespace that is not Deis's has a secret: %v", err)
	}
	if w.mints() != 1 {
		w.Errorf("%d mints for all of it", w.mints())
	}
	stop()
	w.noKeys()
}

// noKeys looks for the long-lived keys in every object of the cluster, and in the log.
func (w *workflow) noKeys() {
	w.Helper()
	core := w.client.CoreV1()
	seen := map[string]any{"log": w.log.String()}
	var err error
	list := func(name string, objects any, failed error) {
		seen[name] = objects
		if failed != nil {
			err = failed
		}
	}
	all := metav1.ListOptions{}
	secrets, failed := core.Secrets("").List(w.Context(), all)
	list("secrets", secrets, failed)
	events, failed := core.Events("").List(w.Context(), all)
	list("events", events, failed)
	configMaps, failed := core.ConfigMaps("").List(w.Context(), all)
	list("config maps", configMaps, failed)
	namespaces, failed := core.Namespaces().List(w.Context(), all)
	list("namespaces", namespaces, failed)
	accounts, failed := core.ServiceAccounts("").List(w.Context(), all)
	list("service accounts", accounts, failed)
	leases, failed := w.client.CoordinationV1().Leases("").List(w.Context(), all)
	list("leases", leases, failed)
	if err != nil {
		w.Fatal(err)
	}
	if len(secrets.Items) == 0 {
		w.Error("there are no secrets to look at")
	}
	for name, objects := range seen {
		text, err := json.Marshal(objects)
		if err != nil {
			w.Fatal(err)
		}
		if name == "secrets" { // what is in base64 there may hold more base64
			for _, s := range secrets.Items {
				text = slices.Concat(text, s.Data[corev1.DockerConfigJsonKey], decoded(s.Data[corev1.DockerConfigJsonKey]))
			}
		}
		for _, key := range []string{deisKeys["secretkey"], otherDeisKeys["secretkey"]} {
			if found := regcredtest.Leaks(text, key); len(found) > 0 {
				w.Errorf("the %s have a secret key in %s", name, found)
			}
		}
	}
}

// decoded returns the logins of a docker config file.
func decoded(file []byte) []byte {
	var f struct {
		Auths map[string]struct{ Auth string }
	}
	_ = json.Unmarshal(file, &f)
	var all []byte
	for _, entry := range f.Auths {
		login, _ := base64.StdEncoding.DecodeString(entry.Auth)
		all = slices.Concat(all, login, []byte("\n"))
	}
	return all
}

// deisRestart restarts the pod: the login that is delivered is not minted again, nor
// written.
func deisRestart(w *workflow) {
	app := w.app()
	_, stop := w.start()
	w.pull(deisRegistry, app, w.namespace)
	stop()
	before, err := w.get(app)
	if err != nil {
		w.Fatal(err)
	}
	if own, err := w.get(w.namespace); err != nil || own.Annotations["regcred.dev/login"] == "" {
		w.Fatalf("the release's own secret: %v, %v", own, err)
	}
	if before.Annotations["regcred.dev/login"] != "" {
		w.Error("what a restart needs stands in an app's namespace")
	}
	url, _ := w.start()
	w.eventually(func() error { return w.answers(url+"/readyz", http.StatusOK) })
	w.pull(deisRegistry, w.app()) // it works
	after, err := w.get(app)
	if err != nil || after.ResourceVersion != before.ResourceVersion {
		w.Errorf("the secret was written again: %v", err)
	}
	if w.mints() != 1 {
		w.Errorf("%d mints", w.mints())
	}
}

// deisRenewal has logins of three seconds, and a pod that is gone while one expires.
func deisRenewal(w *workflow) {
	app := w.app()
	w.aws.Set(fakeecr.Quirks{Lifetime: 3 * time.Second})
	_, stop := w.start()
	w.eventually(func() error {
		if w.mints() < 4 {
			return fmt.Errorf("%d mints", w.mints())
		}
		return w.pulls(app, deisRegistry)
	})
	stop()
	w.eventually(func() error {
		if w.pulls(app, deisRegistry) == nil {
			return fmt.Errorf("the login has not expired yet")
		}
		return nil
	})
	w.aws.Set(fakeecr.Quirks{})
	w.start()
	w.pull(deisRegistry, app, w.namespace)
}

// put stores a Secret under the name of the pull secrets.
func (w *workflow) put(namespace string, kind corev1.SecretType, key, content string) *corev1.Secret {
	w.Helper()
	s, err := w.client.CoreV1().Secrets(namespace).Create(w.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: w.secretName()}, Type: kind, Data: map[string][]byte{key: []byte(content)},
	}, metav1.CreateOptions{})
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// deisAdoption takes over what the refresher wrote, in place, and nothing else.
func deisAdoption(w *workflow) {
	const old = `{"auths":{"` + otherDeisRegistry + `":{"auth":"QVdTOm9sZA==","email":"none@none.com"}}}`
	app, theirs, opaque := w.app(), w.app(), w.app()
	adopted := []*corev1.Secret{
		w.put(app, corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey, old),
		w.put(w.namespace, corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey, old),
	}
	left := []*corev1.Secret{
		w.put(theirs, corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey, strings.Replace(old, "none@none.com", "ops@example.com", 1)),
		w.put(opaque, corev1.SecretTypeOpaque, "token", "theirs"),
	}
	w.start()
	for _, s := range adopted {
		w.pull(deisRegistry, s.Namespace)
		if now, err := w.get(s.Namespace); err != nil || now.UID != s.UID {
			w.Errorf("%s: the secret is another one: %v", s.Namespace, err)
		}
	}
	for _, s := range left {
		if now, err := w.get(s.Namespace); err != nil || now.ResourceVersion != s.ResourceVersion {
			w.Errorf("%s: a stranger's secret was written to: %v", s.Namespace, err)
		}
	}
	w.eventually(func() error {
		for _, s := range left {
			if !strings.Contains(w.log.String(), s.Namespace) {
				return fmt.Errorf("the log does not name %s", s.Namespace)
			}
		}
		return nil
	})
}

// deisChangedFiles changes registry-secret under the running pod, and then while it
// is down: to another account, whose registry has another host.
func deisChangedFiles(w *workflow) {
	namespaces := []string{w.namespace}
	for range 12 { // more than may lose something at once without an order
		namespaces = append(namespaces, w.app())
	}
	_, stop := w.start()
	w.pull(deisRegistry, namespaces...)
	w.mount(otherDeisKeys)
	w.pull(otherDeisRegistry, namespaces...)
	stop()
	w.mount(deisKeys)
	w.start()
	w.pull(deisRegistry, namespaces...)
	w.noKeys()
}

// deisMoves installs the release anew in another namespace, without uninstalling: apps
// have the logins of the new one.
func deisMoves(w *workflow) {
	app := w.app()
	_, stop := w.start()
	w.pull(deisRegistry, app, w.namespace)
	stop()
	before, err := w.get(app)
	if err != nil {
		w.Fatal(err)
	}
	w.namespace = w.cluster.Namespace(w.T, "hephy", nil)
	w.start()
	w.pull(deisRegistry, w.namespace)
	w.eventually(func() error {
		after, err := w.get(app)
		if err == nil && bytes.Equal(after.Data[corev1.DockerConfigJsonKey], before.Data[corev1.DockerConfigJsonKey]) {
			err = fmt.Errorf("the app still has the login of the release before")
		}
		return err
	})
	w.pull(deisRegistry, app)
}

// deisIssuerOutage: what is delivered stays while ECR does not answer, also over a
// restart with other keys.
func deisIssuerOutage(w *workflow) {
	app := w.app()
	_, stop := w.start()
	w.pull(deisRegistry, app, w.namespace)
	stop()
	w.aws.Set(fakeecr.Quirks{Throttle: -1})
	w.mount(otherDeisKeys)
	url, _ := w.start()
	w.eventually(func() error {
		if w.mints() < 3 {
			return fmt.Errorf("%d mints", w.mints())
		}
		return w.answers(url+"/readyz", http.StatusServiceUnavailable)
	})
	if err := w.answers(url+"/healthz", http.StatusOK); err != nil {
		w.Error(err)
	}
	for _, n := range []string{app, w.namespace} {
		if err := w.pulls(n, deisRegistry); err != nil {
			w.Errorf("during the outage: %v", err)
		}
	}
	w.aws.Set(fakeecr.Quirks{})
	w.pull(otherDeisRegistry, app, w.namespace)
}

// deisAPIOutage starts while the API server does not answer: it waits, and mints
// nothing twice.
func deisAPIOutage(w *workflow) {
	app := w.app()
	_, stop := w.start()
	w.pull(deisRegistry, app, w.namespace)
	stop()
	proxy := w.cluster.Proxy(w.T, kubetest.Faults{Rate: 1, Statuses: []int{http.StatusServiceUnavailable}})
	url, _ := w.startOn(proxy.Config())
	w.eventually(func() error {
		if !strings.Contains(w.log.String(), "cannot be read from Kubernetes yet") {
			return fmt.Errorf("nothing is said of it")
		}
		return w.answers(url+"/readyz", http.StatusServiceUnavailable)
	})
	proxy.Set(kubetest.Faults{})
	w.eventually(func() error { return w.answers(url+"/readyz", http.StatusOK) })
	w.pull(deisRegistry, w.app())
	if w.mints() != 1 {
		w.Errorf("%d mints", w.mints())
	}
}

// deisFaults: a third of all requests fail, watches break, and logins last for
// seconds.
func deisFaults(w *workflow) {
	w.aws.Set(fakeecr.Quirks{Lifetime: 20 * time.Second})
	apps := []string{w.namespace}
	for range 5 {
		apps = append(apps, w.app())
	}
	proxy := w.cluster.Proxy(w.T, kubetest.Faults{Rate: 0.3, Seed: 1})
	w.startOn(proxy.Config())
	w.pull(deisRegistry, apps...)
	proxy.DropWatches()
	w.pull(deisRegistry, w.app())
	w.eventually(func() error {
		if w.mints() < 2 {
			return fmt.Errorf("not renewed yet")
		}
		return nil
	})
	w.pull(deisRegistry, apps...)
}

// deisHeld takes the label from many apps at once: that is no order, until an operator
// says so in the way that docs/deis.md shows.
func deisHeld(w *workflow) {
	const n = 12
	var apps []string
	for range n {
		apps = append(apps, w.app())
	}
	_, stop := w.start()
	w.pull(deisRegistry, apps...)
	stop()
	for _, ns := range apps {
		w.patch("namespaces", "", ns, `{"metadata":{"labels":{"heritage":null}}}`)
	}
	w.start()
	w.eventually(func() error {
		if !strings.Contains(w.log.String(), "regcred.dev/confirm=12") {
			return fmt.Errorf("the log does not say what to do")
		}
		return nil
	})
	for _, ns := range apps {
		if err := w.pulls(ns, deisRegistry); err != nil {
			w.Error(err)
		}
	}
	w.patch("secrets", w.namespace, w.secretName(), `{"metadata":{"annotations":{"regcred.dev/confirm":"12"}}}`)
	for _, ns := range apps {
		w.eventually(func() error {
			_, err := w.get(ns)
			if err == nil {
				return fmt.Errorf("%s still has its secret", ns)
			}
			if apierrors.IsNotFound(err) {
				return nil
			}
			return err
		})
	}
	w.pull(deisRegistry, w.namespace)
	if s, err := w.get(w.namespace); err != nil || s.Annotations["regcred.dev/confirm"] != "" {
		w.Errorf("the annotation is still there, or %v", err)
	}
}

// patch changes an object as an operator does.
func (w *workflow) patch(resource, namespace, name, patch string) {
	w.Helper()
	r := w.client.CoreV1().RESTClient().Patch(types.MergePatchType).Resource(resource).Name(name).Body([]byte(patch))
	if namespace != "" {
		r = r.Namespace(namespace)
	}
	if err := r.Do(w.Context()).Error(); err != nil {
		w.Fatal(err)
	}
}

func deisGoogle(w *workflow) {
	w.location = "gcr"
	key := w.google.NewKey("deis@project.iam.gserviceaccount.com").JSON()
	w.mount(map[string]string{"key.json": base64.StdEncoding.EncodeToString([]byte(key)), "hostname": ""})
	app := w.app()
	w.start()
	w.pull("https://gcr.io", app, w.namespace)
}
